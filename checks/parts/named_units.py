"""Which unit a measurement has that a configuration names: its name's ending tells, as in `queue_bytes`."""

from __future__ import annotations

_UNITS = {
    "_seconds": "seconds", "_bytes": "bytes", "_ratio": "ratio", "_total": "count", "_count": "count",
    "_timestamp": "timestamp", "_bytes_per_second": "bytes_per_second", "_per_second": "per_second",
}  # fmt: skip


def named_unit(name: str) -> str:
    """One of `UNITS` of checks.base; number where the name tells nothing."""
    return next((unit for ending, unit in _UNITS.items() if name.endswith(ending)), "number")
