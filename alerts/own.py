"""Alerts about runwatch's own telling: they are raised here and go the way of every other alert."""

from __future__ import annotations

from collections.abc import Sequence

from alerts.silences import Silence
from alerts.thresholds import Condition, parse
from alerts.vocabulary import Alert, Runbook, Severity, Threshold
from alerts.wording import clock_time, names
from checks.base import Outcome, Reason, Result

SYSTEM = "runwatch"
_FAILED: list[Condition] = []


def threshold(alert: str, check: str, severity: Severity, what_to_do: str, **labels: str) -> Threshold:
    """A threshold that no configuration holds: it is breached as long as `verdict` says so."""
    if not _FAILED:
        _FAILED.append(parse("failed", {}))
    return Threshold(
        alert=alert,
        check=f"{SYSTEM}/{check}",
        system=SYSTEM,
        when=_FAILED[0],
        severity=severity,
        severity_word=severity.value,
        labels={"system": SYSTEM, "check": check, **labels},
        runbook=Runbook("runwatch itself", what_to_do),
    )


def verdict(trouble: str, at: float) -> Result:
    """A result for such a threshold: failed with the trouble's sentence, or ok where there is none."""
    if trouble:
        return Result(Outcome.FAILED, at, 0.0, Reason.INTERNAL, trouble)
    return Result(Outcome.OK, at, 0.0)


def silence_ends(silence: Silence) -> Threshold:
    """Its author is to know that a silence is about to end."""
    return threshold(
        "RunwatchSilenceEnds",
        f"silence-{silence.id[:8]}",
        Severity.LOW,
        f"Mend what fires, or make it longer: `runwatch silence extend {silence.id} 2h`.",
        author=silence.created_by[:200],
    )


def about_silence(silence: Silence, held: Sequence[Alert]) -> str:
    """What to tell of a silence that ends while alerts fire; empty where none does."""
    if not held:
        return ""
    count = f"{len(held)} alerts that it keeps quiet still fire" if len(held) > 1 else "what it keeps quiet still fires"
    return f"the silence of {silence.created_by} ends at {clock_time(silence.ends_at)} and {count}: {names(held[:10])}"
