"""The names that a configuration gives to measurements and labels: what their endings tell, and which are taken."""

from __future__ import annotations

OWN_LABELS = frozenset({"alertname", "check", "instance", "job", "reason", "severity", "system"})
"""Labels by which our own metrics and alerts are known."""

_UNITS = {
    "_seconds": "seconds", "_bytes": "bytes", "_ratio": "ratio", "_total": "count", "_count": "count",
    "_timestamp": "timestamp", "_bytes_per_second": "bytes_per_second", "_per_second": "per_second",
}  # fmt: skip


def named_unit(name: str) -> str:
    """The unit that a measurement's name tells by its ending, such as queue_bytes; number where it tells none."""
    return next((unit for ending, unit in _UNITS.items() if name.endswith(ending)), "number")
