"""Collects what is wrong while a configuration is put together, each with its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from alerts.nearest import meant
from monitor.config.problems import Place, Problem, Step, path_text
from monitor.config.sections import Section
from monitor.config.sentences import sentences

ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Spot:
    """A value in a file: its top level, and the path from there."""

    root: Section
    path: tuple[Step, ...] = ()

    def at(self, *steps: Step) -> Spot:
        return Spot(self.root, self.path + steps)

    def place(self, *, of_key: bool = False) -> Place:
        return self.root.place(self.path, of_key=of_key)


class Notes:
    """Everything wrong, and everything worth a warning, in the order in which it was found."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []

    def wrong(self, spot: Spot, sentence: str, *, of_key: bool = False, shift: int = 0) -> None:
        """What keeps the configuration from being used, at a value (`shift` columns behind its start) or at its key."""
        place = spot.place(of_key=of_key)
        place = replace(place, column=place.column + shift)
        self.problems.append(Problem(place, path_text(spot.path), sentence))

    def wrong_at(self, place: Place, sentence: str, path: str = "") -> None:
        """The same where there is only a place."""
        self.problems.append(Problem(place, path, sentence))

    def warn(self, spot: Spot, sentence: str) -> None:
        """What may not be meant, but can be carried out."""
        self.warnings.append(Problem(spot.place(), path_text(spot.path), sentence))

    def section(self, spot: Spot, value: Any, wanted: str = "keys with values are wanted") -> Section | None:
        """The value as a mapping; None, and a problem, where it is none."""
        if isinstance(value, Section):
            return value
        self.wrong(spot, wanted)
        return None

    def items(self, spot: Spot, value: Any) -> list[tuple[Spot, Any]]:
        """Each item with its spot; none, and a problem, where it is no list. Nothing at all counts as an empty list."""
        if value is None:
            return []
        if not isinstance(value, list):
            self.wrong(spot, "a list is wanted")
            return []
        return [(spot.at(index), item) for index, item in enumerate(value)]

    def known_keys(
        self, spot: Spot, section: Mapping[str, Any], known: Iterable[str], not_yet: Mapping[str, str]
    ) -> None:
        """Refuse keys that mean nothing, and those that are not carried out."""
        known = list(known)
        for key in section:
            if key in known:
                continue
            if key in not_yet:
                self.wrong(spot.at(key), not_yet[key], of_key=True)
            else:
                self.wrong(spot.at(key), f"unknown key {key!r}{meant(key, known, 'the keys are')}", of_key=True)

    def model(
        self,
        model: type[ModelT],
        spot: Spot,
        values: Mapping[str, Any],
        further: Iterable[str] = (),
        origin: Callable[[Step], Spot] | None = None,
    ) -> ModelT | None:
        """The values as a model; None, and a problem for each complaint, where they are not one.

        `origin` gives the spot that a first key belongs to, where it is not the section itself.
        """
        try:
            return model.model_validate(values)
        except ValidationError as error:
            for path, sentence, of_key in sentences(error, model, values, further):
                base = origin(path[0]) if origin is not None and path else spot
                self.wrong(base.at(*path), sentence, of_key=of_key)
            return None
