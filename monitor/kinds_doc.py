"""Documents the kinds of checks and notifiers from their own declarations, as values and as text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from alerts.notifiers.base import Notifier
from alerts.templates import HtmlTemplate, SlackTemplate, Template
from checks.base import DURATION, Check, Measurement, Url
from checks.units import Duration, Share, Size, show_duration, show_size
from monitor.config.kinds import Kinds, check_kinds, notifier_kinds

WIDTH = 100


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a kind's configuration; `keys` are those inside it."""

    name: str
    type: str
    required: bool
    default: str
    description: str
    keys: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """One measurement, with the names of the families that show it in /metrics."""

    name: str
    unit: str
    help: str
    labels: tuple[str, ...]
    metrics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Advice:
    """One threshold that a kind recommends; `hold` as people write it, empty for none."""

    alert: str
    when: str
    hold: str
    severity: str
    why: str


@dataclass(frozen=True, slots=True)
class Document:
    """All that is to be known of one kind. `trouble` says why it can't be used here; then the rest is empty."""

    kind: str
    sort: Literal["check", "notifier"]
    summary: str
    keys: tuple[Key, ...] = ()
    common_keys: tuple[Key, ...] = ()
    measurements: tuple[Reading, ...] = ()
    recommended: tuple[Advice, ...] = ()
    up: str = ""
    trouble: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return asdict(self)


def documents(folders: Iterable[Path] = ()) -> list[Document]:
    """Every kind that there is, checks first; those whose driver is missing say so."""
    folders = tuple(folders)
    checks, notifiers = check_kinds(folders), notifier_kinds(folders)
    return [document for kinds in (checks, notifiers) for name in kinds.names() for document in _documents(kinds, name)]


def document(kind: str, folders: Iterable[Path] = ()) -> list[Document]:
    """What is known of one kind: usually one document, two where a check and a notifier share the name.

    Raises ValueError with a sentence that names the nearest where there is no such kind.
    """
    folders = tuple(folders)
    checks, notifiers = check_kinds(folders), notifier_kinds(folders)
    found = [document for kinds in (checks, notifiers) if kind in kinds.names() for document in _documents(kinds, kind)]
    if not found:
        raise ValueError(str(checks.load(kind)))
    return found


def _documents(kinds: Kinds[Any], name: str) -> list[Document]:
    """None for a file in a plugin folder that holds the other sort."""
    sort: Literal["check", "notifier"] = "check" if kinds.base is Check else "notifier"
    model = kinds.load(name)
    if isinstance(model, str):
        return [] if "it holds 0" in model else [Document(name, sort, "", trouble=model)]
    return [_document(name, sort, model)]


def _document(name: str, sort: Literal["check", "notifier"], model: type[BaseModel]) -> Document:
    base = Check if sort == "check" else Notifier
    keys = _keys(model)
    own = tuple(key for key in keys if key.name not in base.model_fields)
    common = tuple(key for key in keys if key.name in base.model_fields and key.name != "system")
    measured: tuple[Reading, ...] = ()
    advised: tuple[Advice, ...] = ()
    if issubclass(model, Check):
        declared = model.measurements
        if all(one.name != DURATION.name for one in declared):
            declared = (DURATION, *declared)
        measured = tuple(_reading(name, one) for one in declared)
        advised = tuple(
            Advice(
                one.alert, one.when, show_duration(one.hold).replace(" ", "") if one.hold else "", one.severity, one.why
            )
            for one in model.recommended
        )
    return Document(name, sort, _summary(model), own, common, measured, advised, getattr(model, "up", ""))


def _summary(model: type[BaseModel]) -> str:
    """The class's own docstring up to its first blank line."""
    text = (model.__doc__ or "").strip().partition("\n\n")[0]
    return " ".join(text.split())


def _reading(kind: str, one: Measurement) -> Reading:
    names = (f"runwatch_{kind}_{one.name}", *([one.also] if one.also else []))
    return Reading(one.name, one.unit, one.help, one.labels, names)


def _keys(model: type[BaseModel], depth: int = 0) -> tuple[Key, ...]:
    found = []
    for name, field in model.model_fields.items():
        inner = _inner_model(field.annotation) if depth < 3 else None
        found.append(
            Key(
                name=field.alias or name,
                type=_type(_with_metadata(field)),
                required=field.is_required() and not (depth == 0 and name == "name"),
                default="" if inner is not None else _default(field),
                description=field.description or "",
                keys=_keys(inner, depth + 1) if inner is not None else (),
            )
        )
    return tuple(found)


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    """The model that a value may be, itself or as one of several."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((inner for part in get_args(annotation) if (inner := _inner_model(part)) is not None), None)


_NAMES: dict[Any, str] = {
    Duration: "duration", Size: "size", Share: "share", str: "text", int: "whole number", float: "number",
    bool: "true or false", Url: "address", SecretStr: "secret", Any: "any value", Path: "file", NoneType: "nothing",
    dict: "mapping", list: "list", Template: "template", HtmlTemplate: "template", SlackTemplate: "template",
}  # fmt: skip


def _with_metadata(field: FieldInfo) -> Any:
    """The annotation with what pydantic took off it, so that a Duration is known as one."""
    for known in (Duration, Size, Share):
        base, *marks = get_args(known)
        if field.annotation is base and any(mark in field.metadata for mark in marks):
            return known
    return field.annotation


def _type(annotation: Any) -> str:
    """What may stand there, as an author of a configuration says it."""
    if annotation in (Duration, Size, Share):
        return _NAMES[annotation]
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(parts[0])
    if origin is Literal:
        return " | ".join(str(part) for part in parts)
    if origin in (Union, UnionType):
        return " | ".join(dict.fromkeys(_type(part) for part in parts if part is not NoneType))
    if origin in (list, tuple, set, frozenset):
        return "list" if not parts or get_origin(parts[0]) is not None else f"list of {_type(parts[0])}"
    if origin is dict:
        return f"mapping of {_type(parts[0])} to {_type(parts[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping"
    return _NAMES.get(annotation, getattr(annotation, "__name__", str(annotation)).lower())


def _default(field: FieldInfo) -> str:
    value: Any = None if field.is_required() else field.get_default(call_default_factory=True)
    if not isinstance(value, str | int | float | Path):
        return ""
    match _type(_with_metadata(field)):
        case "duration":
            return show_duration(float(value)).replace(" ", "")  # type: ignore[arg-type]  # a Duration is a number
        case "size":
            return show_size(float(value)).replace(" ", "")  # type: ignore[arg-type]  # a Size is one too
    return str(value).lower() if isinstance(value, bool) else str(value)


def overview(found: Iterable[Document]) -> str:
    """One line for each kind."""
    lines = []
    for one in found:
        lines += _row(f"{one.kind:14} {one.sort:9}", one.trouble or one.summary)
    return "\n".join(lines)


def as_text(one: Document) -> str:
    """The whole documentation of a kind for a terminal."""
    if one.trouble:
        return f"{one.kind} ({one.sort}): {one.trouble}"
    lines = [f"{one.kind} ({one.sort})", "", *textwrap.wrap(one.summary, WIDTH), "", "Keys:"]
    lines += _key_lines(one.keys, 1) or ["  none of its own"]
    lines += ["", f"Keys of every {one.sort}:", *_key_lines(one.common_keys, 1)]
    if one.measurements:
        lines += ["", "Measurements, for `when` and in /metrics:"]
    for reading in one.measurements:
        labels = "{" + ", ".join(reading.labels) + "}" if reading.labels else ""
        lines += _row(f"  {reading.name + labels:28}", f"{reading.unit}. {reading.help}")
        lines += _row(" " * 30, ", ".join(reading.metrics))
    if one.recommended:
        lines += ["", "Thresholds of `alerts: recommended`, beside `failed`:"]
    for advice in one.recommended:
        hold = f", for {advice.hold}" if advice.hold else ""
        lines += _row(f"  {advice.alert:28}", f"{advice.when}{hold} ({advice.severity}). {advice.why}")
    if one.up:
        lines += ["", f"{one.up} is 1 while the target is reached and is as expected."]
    return "\n".join(lines)


def _key_lines(keys: Iterable[Key], level: int) -> list[str]:
    lines: list[str] = []
    for key in keys:
        notes = ["required"] if key.required else [f"default {key.default}"] if key.default else []
        text = ", ".join([key.type, *notes]) + (f". {key.description}" if key.description else "")
        lines += _row(f"{'  ' * level}{key.name:{30 - 2 * level}}", text)
        lines += _key_lines(key.keys, level + 1)
    return lines


def _row(head: str, text: str) -> list[str]:
    indent = " " * (len(head) + 1)
    return textwrap.wrap(text, WIDTH, initial_indent=f"{head} ", subsequent_indent=indent) or [head.rstrip()]
