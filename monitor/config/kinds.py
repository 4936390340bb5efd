"""Loads the kinds that a configuration names, each once, with a sentence for those that can't be."""

from __future__ import annotations

from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel

from alerts.notifiers.base import Notifier
from checks import kinds
from checks.base import Check

ModelT = TypeVar("ModelT", bound=BaseModel)

BROKEN = (
    ImportError,
    SyntaxError,
    NameError,
    TypeError,
    ValueError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
)
"""What importing somebody's file may raise."""


class Kinds(Generic[ModelT]):
    """The kinds of one package, of the plugin folders, and of installed distributions."""

    def __init__(self, package: str, base: type[ModelT], group: str, folders: tuple[Path, ...]) -> None:
        self.package = package
        self.base = base
        self.group = group
        self.folders = folders
        self._loaded: dict[str, type[ModelT] | str] = {}

    def load(self, kind: str) -> type[ModelT] | str:
        """The class, or the sentence that says why there is none."""
        found = self._loaded.get(kind)
        if found is None:
            found = self._loaded[kind] = self._load(kind)
        return found

    def names(self) -> list[str]:
        """All that could be loaded."""
        return kinds.names(self.package, self.folders, self.group)

    def loaded(self) -> list[type[ModelT]]:
        """The classes that were asked for and are there."""
        return [found for found in self._loaded.values() if not isinstance(found, str)]

    def _load(self, kind: str) -> type[ModelT] | str:
        try:
            return kinds.load(self.package, kind, self.base, self.folders, self.group)
        except kinds.UnknownKind as why:
            sentence = str(why)
            return sentence if "did you mean" in sentence else f"{sentence}; there are {', '.join(self.names())}"
        except BROKEN as why:
            return f"cannot load the kind {kind!r}: {type(why).__name__}: {why}"


def check_kinds(folders: tuple[Path, ...] = ()) -> Kinds[Check]:
    """The kinds of checks."""
    return Kinds("checks", Check, "runwatch.checks", folders)


def notifier_kinds(folders: tuple[Path, ...] = ()) -> Kinds[Notifier]:
    """The kinds of notifiers."""
    return Kinds("alerts.notifiers", Notifier, "runwatch.notifiers", folders)
