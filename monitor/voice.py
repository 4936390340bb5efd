"""What the log says of checks, alerts and deliveries: one line for each change, in the operator's words."""

from __future__ import annotations

import structlog

from alerts.delivery import Attempt
from alerts.judging import Transition
from checks.base import Check, Outcome, Result
from checks.units import show_duration
from monitor.config import Config

log = structlog.get_logger()

WORDS = {Outcome.OK: "check is ok", Outcome.FAILED: "check fails", Outcome.ERROR: "check can't tell"}


def change(check: Check, result: Result) -> None:
    """A check's outcome is another than before."""
    say = log.info if result.outcome is Outcome.OK else log.warning
    why = f"{result.reason}: {result.sentence}" if result.reason else None
    say(WORDS[result.outcome], check=check.key, target=check.target, why=why, took=show_duration(result.took))


def warnings(config: Config) -> None:
    """What the author of a configuration may want to know."""
    for warning in config.warnings:
        log.warning("configuration warning", why=str(warning))


def transition(step: Transition) -> None:
    """An alert went from one phase to the next."""
    alert = step.alert
    words = {"alert": alert.name, "check": alert.check, "severity": alert.severity_word or alert.severity.value}
    seen = {"value": alert.value, "limit": alert.limit or None, "expression": alert.expression or None}
    match step.event:
        case "pending":
            log.info("alert pending", **words, **seen, why=step.why)
        case "firing":
            log.warning("alert fires", **words, **seen, why=step.why)
        case "resolved":
            log.info("alert resolved", **words, why=step.why)
        case "dropped":
            log.info("alert dropped", **words, why=step.why)


def attempt(ended: Attempt) -> None:
    """Somebody was told, or could not be."""
    parcel = ended.parcel
    words = {
        "receiver": parcel.note.receiver,
        "integration": str(parcel.destination.get("kind")),
        "alert": parcel.note.alerts[0].name,
        "status": parcel.note.status,
        "reason": parcel.note.reason,
        "attempt": parcel.attempts,
    }
    match ended.status:
        case "delivered":
            log.info("told", **words, after=show_duration(ended.waited), why=ended.why or None)
        case "dead":
            log.error("cannot tell", **words, why=ended.why)
        case _:
            log.warning("not told yet", **words, why=ended.why)
