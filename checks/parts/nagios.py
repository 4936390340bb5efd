"""Reads what a Nagios plugin prints: its text, its performance data, their ranges; pure, and of anything at all.

Source: Monitoring Plugins Development Guidelines, "Plugin Output", "Performance data", "Threshold and Ranges".
"""

from __future__ import annotations

import re
from math import inf, isfinite
from typing import NamedTuple

MOST_ITEMS = 100
"""Items of performance data that become series; a plugin that makes up labels makes no more."""
LONGEST_WORD = 300
LONGEST_LABEL = 120

STATES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
"""By exit code."""

UNITS: dict[str, tuple[float, str]] = {
    "": (1, "number"), "c": (1, "count"), "%": (0.01, "ratio"),
    "s": (1, "seconds"), "ms": (1e-3, "seconds"), "us": (1e-6, "seconds"), "ns": (1e-9, "seconds"),
    "B": (1, "bytes"), "KB": (2**10, "bytes"), "kB": (2**10, "bytes"), "MB": (2**20, "bytes"), "GB": (2**30, "bytes"),
    "TB": (2**40, "bytes"), "PB": (2**50, "bytes"), "KiB": (2**10, "bytes"), "MiB": (2**20, "bytes"),
    "GiB": (2**30, "bytes"), "TiB": (2**40, "bytes"), "PiB": (2**50, "bytes"),
}  # fmt: skip
"""Factor and base unit by unit of measure. The plugins of that project count KB, MB and so on in powers of 1024."""

_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,3})?"
_PLAIN = re.compile(_NUMBER, re.ASCII)
_SPACE, _WORD, _BARE_LABEL = re.compile(r"\s*"), re.compile(r"\S*"), re.compile(r"[^\s=]*")
_VALUE = re.compile(rf"({_NUMBER})([^\d;'\"]*)", re.ASCII)


class Range(NamedTuple):
    """`[@]start:end`. Values outside alert, with @ those inside; the ends belong to the inside."""

    low: float
    high: float
    alerts_inside: bool = False

    def alerts(self, value: float) -> bool:
        """Whether the value is one to alert on."""
        return (self.low <= value <= self.high) is self.alerts_inside


class Item(NamedTuple):
    """One item of performance data, all of it in `unit`: a base unit, or as the plugin calls it where it is none."""

    label: str
    value: float
    unit: str
    warn: Range | None = None
    crit: Range | None = None
    least: float | None = None
    most: float | None = None

    @property
    def state(self) -> int:
        """What its ranges say: 0 neither, 1 warn, 2 crit, which goes first."""
        if self.crit is not None and self.crit.alerts(self.value):
            return 2
        return int(self.warn is not None and self.warn.alerts(self.value))


class Said(NamedTuple):
    """All that a plugin said. `unreadable` counts what stood where performance data belongs and is none."""

    text: str
    details: str
    items: tuple[Item, ...]
    unreadable: int


def read(output: str) -> Said:
    """A plugin's standard output.

    The first line is its text; from the first `|` in it on, and from the first `|` in any further line to the end,
    there is performance data; what else is there are details.
    """
    first, _, rest = output.partition("\n")
    text, _, data = first.partition("|")
    details, _, more = rest.partition("|")
    items, unreadable = perfdata(f"{data} {more}")
    return Said(text.strip(), details.strip(), items, unreadable)


def perfdata(text: str) -> tuple[tuple[Item, ...], int]:
    """The items in a text such as `'label'=value[unit];[warn];[crit];[least];[most] …`, and how many were none.

    A label comes once: what follows under the same one is unreadable. A value `U` is one that the plugin does not know.
    """
    items: dict[str, Item] = {}
    unreadable = 0
    at = _end_of(_SPACE, text, 0)
    while at < len(text) and len(items) < MOST_ITEMS:
        label, value_at = _label(text, at)
        if value_at < 0:
            unreadable += 1
            break
        end = _end_of(_WORD, text, value_at)
        word = text[value_at:end]
        item = _item(label, word)
        if item is not None and label not in items:
            items[label] = item
        elif item is not None or word.partition(";")[0] != "U":
            unreadable += 1
        at = _end_of(_SPACE, text, end)
    return tuple(items.values()), unreadable


def _end_of(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    assert found is not None
    return found.end()


def _label(text: str, at: int) -> tuple[str, int]:
    """The label that begins there, and where its value begins; -1 where a quote is never closed: nothing follows."""
    if text[at] != "'":
        end = _end_of(_BARE_LABEL, text, at)
        return text[at:end], end + (text[end : end + 1] == "=")
    end = text.find("'", at + 1)
    while end >= 0 and text[end + 1 : end + 2] == "'":
        end = text.find("'", end + 2)
    if end < 0:
        return "", -1
    if text[end + 1 : end + 2] != "=":
        return "", end + 1
    return text[at + 1 : end].replace("''", "'"), end + 2


def _item(label: str, word: str) -> Item | None:
    """One item out of what stands after its label's `=`; None where it can't be read."""
    if not label or len(label) > LONGEST_LABEL or len(word) > LONGEST_WORD:
        return None
    said, *limits = word.split(";")
    found = _VALUE.fullmatch(said)
    value = _float(found[1]) if found else None
    if found is None or value is None:
        return None
    factor, unit = UNITS.get(found[2], (1, found[2][:20]))
    if not isfinite(value * factor):
        return None
    warn, crit, least, most = (*limits, "", "", "", "")[:4]
    return Item(
        label, value * factor, unit, parse_range(warn, factor), parse_range(crit, factor),
        _scaled(_float(least), factor), _scaled(_float(most), factor),
    )  # fmt: skip


def parse_range(text: str, factor: float = 1) -> Range | None:
    """`10` is 0:10, `10:` has no end, `~:10` no start; None where it is none. `factor` brings it into another unit."""
    inside = text.startswith("@")
    start, colon, end = text[inside:].rpartition(":")
    low = -inf if start == "~" else _float(start) if start else 0.0
    high = inf if colon and not end else _float(end)
    if low is None or high is None or low > high:
        return None
    return Range(low * factor, high * factor, inside)


def _float(text: str) -> float | None:
    if len(text) > LONGEST_WORD or not _PLAIN.fullmatch(text):
        return None
    value = float(text)
    return value if isfinite(value) else None


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
