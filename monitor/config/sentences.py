"""Turns pydantic's complaints into sentences for the author of a configuration, without ever showing a secret."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, SecretStr, ValidationError

from alerts.nearest import meant
from alerts.templates import TemplateError
from monitor.config.interpolation import looks_secret
from monitor.config.problems import CREDENTIALS, Step

_PLAIN = {
    "string_type": "a text is wanted; put it in quotes",
    "int_type": "a whole number is wanted",
    "int_parsing": "a whole number is wanted",
    "int_from_float": "a whole number is wanted",
    "float_type": "a number is wanted",
    "float_parsing": "a number is wanted",
    "bool_type": "true or false is wanted",
    "bool_parsing": "true or false is wanted",
    "dict_type": "keys with values are wanted",
    "mapping_type": "keys with values are wanted",
    "model_type": "keys with values are wanted",
    "model_attributes_type": "keys with values are wanted",
    "list_type": "a list is wanted",
    "tuple_type": "a list is wanted",
    "set_type": "a list is wanted",
    "is_instance_of": "a text is wanted",
    "none_required": "nothing may stand here",
    "string_too_short": "it is empty",
}


_LAST = {"value_error": 0, "literal_error": 2, "model_type": 3, "is_instance_of": 3, "none_required": 4}
"""Of several complaints about one value, which an alternative's own words come first: the order of telling."""


def sentences(
    error: ValidationError, model: type[BaseModel], data: Any, further: Iterable[str] = ()
) -> Iterator[tuple[tuple[Step, ...], str, bool]]:
    """Each complaint as its path in `data`, a sentence, and whether it is about the key rather than the value.

    `further` are keys that may stand beside the model's own. Of the alternatives for one value the likeliest is told.
    """
    found: dict[tuple[Step, ...], Any] = {}
    for one in error.errors(include_url=False):
        path = _path(one["loc"], data, one["type"] == "missing" or not data)
        if path not in found or _LAST.get(one["type"], 1) < _LAST.get(found[path]["type"], 1):
            found[path] = one
    for path, one in found.items():
        if not any(len(other) > len(path) and other[: len(path)] == path for other in found if path):
            yield path, _sentence(one, path, model, further), one["type"] == "extra_forbidden"


def _path(location: Sequence[Step], data: Any, keep_last: bool) -> tuple[Step, ...]:
    """The location without the steps that name no part of the data: pydantic puts the names of types among them."""
    path: list[Step] = []
    for place, step in enumerate(location):
        inside, data = _entered(data, step)
        if not inside and not (keep_last and place == len(location) - 1):
            continue
        path.append(step)
    return tuple(path)


def _entered(data: Any, step: Step) -> tuple[bool, Any]:
    """Whether the data has such a part, and the part; else the data itself."""
    if isinstance(data, Mapping) and step in data:
        return True, data[step]
    if isinstance(data, list | tuple) and isinstance(step, int) and step < len(data):
        return True, data[step]
    return False, data


def _sentence(one: Any, path: Sequence[Step], model: type[BaseModel], further: Iterable[str]) -> str:
    kind, context = one["type"], one.get("ctx", {})
    match kind:
        case "missing":
            return f"{path[-1]} is missing" if path else "something is missing"
        case "extra_forbidden":
            owner = _owner(model, path[:-1])
            names = [*_keys(owner), *(further if len(path) == 1 else ())] if owner else []
            return f"unknown key {str(path[-1])!r}{meant(str(path[-1]), names, 'the keys are')}"
        case "literal_error" | "enum":
            wanted = str(context.get("expected", "")).replace("'", "")
            words = wanted.replace(" or ", ", ").split(", ")
            return f"{_quoted(one['input'], path)} is not one of {wanted}" + (
                meant(one["input"], words) if isinstance(one["input"], str) and not _hidden(one["input"], path) else ""
            )
        case "value_error":
            if isinstance(context["error"], TemplateError):
                return str(context["error"])
            return _own(str(context["error"]), one["input"], path, _is_secret(model, path))
        case "assertion_error":
            return "it can't be used"
    if kind in _PLAIN:
        return _PLAIN[kind]
    return _measured(kind, context) or one["msg"].removeprefix("Input ")


def _measured(kind: str, context: Any) -> str:
    match kind:
        case "greater_than":
            return f"it must be more than {context['gt']:g}"
        case "greater_than_equal":
            return f"it must be at least {context['ge']:g}"
        case "less_than":
            return f"it must be less than {context['lt']:g}"
        case "less_than_equal":
            return f"it must be at most {context['le']:g}"
        case "string_pattern_mismatch":
            return f"it must match {context['pattern']}"
        case "too_short":
            return f"at least {context['min_length']} wanted, {context['actual_length']} given"
        case "too_long" | "string_too_long":
            return f"longer than the {context['max_length']} that are allowed"
    return ""


def _own(sentence: str, value: Any, path: Sequence[Step], secret: bool) -> str:
    """A validator's own sentence, unless what it complains of is, or holds, a secret that it may quote."""
    if isinstance(value, str):
        if CREDENTIALS.search(value) or ("://" in value and "@" in value):
            return "the address can't be used; special characters of its password must be written as %40 and so on"
        if secret or _hidden(value, path):
            return "it can't be used" if value and value in sentence else sentence
    if isinstance(value, dict | BaseModel):
        return sentence
    return sentence[:1].lower() + sentence[1:] if sentence[:2].istitle() else sentence


def _hidden(value: str, path: Sequence[Step]) -> bool:
    return bool(value) and any(isinstance(step, str) and looks_secret(step) for step in path)


def _quoted(value: Any, path: Sequence[Step]) -> str:
    if isinstance(value, SecretStr) or (isinstance(value, str) and _hidden(value, path)):
        return "the value"
    text = repr(value) if isinstance(value, str | int | float | bool) else "the value"
    return text if len(text) <= 60 else f"{text[:57]}…"


def _owner(model: type[BaseModel], path: Sequence[Step]) -> type[BaseModel] | None:
    """The model in which the last step of a path stands; None where it can't be told."""
    for step in path:
        if isinstance(step, int):
            continue
        field = model.model_fields.get(step)
        inner = inner_model(field.annotation) if field is not None else None
        if inner is None:
            return None
        model = inner
    return model


def _is_secret(model: type[BaseModel], path: Sequence[Step]) -> bool:
    """Whether the field at the path keeps its value from being shown."""
    owner = _owner(model, path[:-1]) if path else None
    field = owner.model_fields.get(str(path[-1])) if owner is not None else None
    return field is not None and SecretStr.__name__ in repr(field.annotation)


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def inner_model(annotation: Any) -> type[BaseModel] | None:
    """The model that a field of this annotation holds, itself or as an alternative; None where it holds none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        found = inner_model(part)
        if found is not None:
            return found
    return None
