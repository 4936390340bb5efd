"""Quantities as people write them (`30s`, `400MB`, `80%`) and as they read them back."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, ValidationInfo, WithJsonSchema

SECONDS = {
    "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0,
}  # fmt: skip
LONGEST_DURATION = 10_000 * SECONDS["y"]
BYTES = {
    "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h|d|w|y)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]i?B|B)")
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")


def parse_duration(text: object) -> float:
    """Seconds in `500ms`, `30s`, `1h30m` or `0`; ValueError with a sentence otherwise."""
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise ValueError(f"a duration such as 30s or 5m is wanted, not {str(text)[:200]!r}")
    word = str(text).strip()
    if word in ("0", "0.0"):
        return 0.0
    if not isinstance(text, str):
        raise ValueError(f"a duration needs its unit: {word}s for seconds, {word}m for minutes")
    parts = _DURATION.findall(word)
    if not parts or "".join(number + unit for number, unit in parts) != word:
        raise ValueError(f"{word[:200]!r} is not a duration; write 500ms, 30s, 5m, 1h or 7d")
    seconds = sum(float(number) * SECONDS[unit] for number, unit in parts)
    if seconds > LONGEST_DURATION:
        raise ValueError(f"{word[:40]!r} is longer than ten thousand years")
    return seconds


def _kept_or_written(given: object, info: ValidationInfo) -> float:
    # Only what was validated before comes with a context (a destination out of the outbox): it is in seconds already.
    return given if info.context is not None and isinstance(given, float) else parse_duration(given)


def parse_size(text: object) -> int:
    """Bytes in `400MB`, `2GiB` or a plain whole number; ValueError with a sentence otherwise."""
    if isinstance(text, int) and not isinstance(text, bool):
        return text
    match = _SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{text!r} is not a size; write 512KB, 400MB or 2GiB")
    return int(float(match[1]) * BYTES[match[2]])


def parse_share(text: object) -> float:
    """The ratio in `80%` or 0.8; ValueError with a sentence otherwise."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        return float(text)
    match = _SHARE.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{text!r} is not a share; write 80% or 0.8")
    return float(match[1]) / 100


Duration = Annotated[
    float,
    BeforeValidator(_kept_or_written),
    PlainSerializer(lambda seconds: show_duration(seconds), when_used="json"),
    WithJsonSchema({"type": ["string", "integer"], "pattern": r"^(0|(\d+(\.\d+)?(us|ms|s|m|h|d|w|y))+)$"}),
]
Size = Annotated[int, BeforeValidator(parse_size), WithJsonSchema({"type": ["string", "integer"]})]
Share = Annotated[float, BeforeValidator(parse_share), WithJsonSchema({"type": ["string", "number"]})]


def show_duration(seconds: float) -> str:
    """Seconds as a person says them: `2.3 s` below a minute, `4m 10s` and `3d 2h` above; `0.8 ms` below one."""
    if seconds < 0:
        return "-" + show_duration(-seconds)
    if seconds < 0.9995:
        return f"{seconds * 1000:.3g} ms" if seconds else "0 s"
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    steps = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
    parts = []
    for unit, size in steps:
        count, whole = divmod(whole, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])


def show_size(count: float) -> str:
    """Bytes as a person says them, in powers of 1024: `1.5 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:.4g} TiB"


def show(value: float, unit: str) -> str:
    """A number of the given unit (of `Measurement.unit`) as a person reads it."""
    if value != value:
        return "no value"
    match unit:
        case "seconds":
            return show_duration(value)
        case "bytes":
            return show_size(value)
        case "ratio":
            return f"{value * 100:.4g} %"
        case "bytes_per_second":
            return f"{show_size(value)}/s"
        case "per_second":
            return f"{value:.4g}/s"
        case _:
            return f"{value:.10g}"
