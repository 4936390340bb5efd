"""The page: every check with its state and last answer, and what fires; made anew for each look, without script."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, Template

from alerts.vocabulary import Alert, Phase
from alerts.wording import clock_time, facts, summary
from checks.units import show, show_duration
from monitor import __version__

if TYPE_CHECKING:
    from monitor.app import App

REFRESH = 5
SHOWN_MEASUREMENTS = 40


@cache
def _template() -> Template:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("page.html")


def render(app: App) -> str:
    """The page as HTML. Everything that came from elsewhere is escaped."""
    now = app.clock.now()
    live = sorted(app.engine.judging.live(), key=lambda alert: (bool(alert.withheld), alert.severity.rank, alert.since))
    rows = [_row(app, key, now) for key in sorted(app.config.checks)]
    return _template().render(
        refresh=REFRESH,
        version=__version__,
        now=clock_time(now),
        firing=[
            {"alert": alert, "facts": facts(_with_impact(app, alert), now), "summary": summary(alert, now)}
            for alert in live
            if alert.phase is Phase.FIRING
        ],
        pending=[alert for alert in live if alert.phase is Phase.PENDING],
        systems={system: [row for row in rows if row["system"] == system] for system in _systems(rows)},
        counts={state: sum(row["state"] == state for row in rows) for state in ("ok", "failed", "error", "waiting")},
        trouble={name: text for name, text in app.trouble.items() if text},
        undelivered=len(app.delivery.pending),
        nobody=not app.config.receivers,
    )


def _with_impact(app: App, alert: Alert) -> Alert:
    return replace(alert, impact=app.engine.impact(alert))


def _systems(rows: list[dict[str, Any]]) -> list[str]:
    return sorted({row["system"] for row in rows})


def _row(app: App, key: str, now: float) -> dict[str, Any]:
    check, known = app.config.checks[key], app.state.get(key)
    row: dict[str, Any] = {"name": check.name, "system": check.system, "kind": check.kind, "target": check.target}
    if known is None:
        return row | {"state": "waiting", "said": "not asked yet"}
    result = known.result
    units = app.engine.plan.units.get(key, {})
    measured = [
        (name + ("{" + ", ".join(f"{label}={text}" for label, text in labels) + "}" if labels else ""), name, value)
        for name, value, labels in result.measurements[:SHOWN_MEASUREMENTS]
    ]
    return row | {
        "state": result.outcome.value,
        "said": result.sentence or f"answered in {show_duration(result.took)}",
        "took": show_duration(result.took),
        "ago": show_duration(max(0.0, now - result.at)),
        "since": show_duration(max(0.0, now - known.since)),
        "uptime": "" if known.uptime is None else f"{known.uptime:.5%}".rstrip("%").rstrip("0").rstrip("."),
        "observed": show_duration(known.observed),
        "measured": [(title, show(value, units.get(name, "number"))) for title, name, value in measured],
        "evidence": result.evidence,
    }
