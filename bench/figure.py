"""One measured figure beside its budget, and the table of them."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """`what` was measured, how it came out, and what is allowed; `kept` None: there is no budget, or no peer here."""

    what: str
    figure: str
    budget: str = ""
    kept: bool | None = None

    def as_json(self) -> dict[str, object]:
        """As a plain dictionary."""
        return asdict(self)


def at_most(what: str, value: float, unit: str, budget: float, note: str = "") -> Figure:
    """A figure that must not exceed its budget, both in `unit`."""
    text = f"{value:,.3g} {unit}" if value < 1000 else f"{value:,.0f} {unit}"
    return Figure(what, text + (f" ({note})" if note else ""), f"≤ {budget:g} {unit}", value <= budget)


def at_least(what: str, value: float, unit: str, budget: float, note: str = "") -> Figure:
    """A figure that must reach its budget, both in `unit`."""
    return Figure(
        what, f"{value:,.3g} {unit}" + (f" ({note})" if note else ""), f"≥ {budget:g} {unit}", value >= budget
    )


def told(what: str, text: str) -> Figure:
    """A figure without a budget, for comparison."""
    return Figure(what, text)


def share(ordered: list[float], part: float) -> float:
    """The value below which `part` of the ordered ones lie."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def machine() -> str:
    """What this was measured on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} shared cores of {model}, {system}"


def rows(figures: Iterable[Figure]) -> list[str]:
    """The lines of a Markdown table."""
    marks = {True: "kept", False: "**missed**", None: ""}
    return [f"| {one.what} | {one.figure} | {one.budget} | {marks[one.kept]} |" for one in figures]
