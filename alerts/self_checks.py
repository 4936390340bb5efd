"""The monitor's own checks: what is wrong with runwatch itself comes the same way as everything else."""

from __future__ import annotations

from alerts.thresholds import parse
from alerts.vocabulary import Runbook, Severity, Threshold
from checks.base import Outcome, Reason, Result

SYSTEM = "runwatch"

WATCHED = {
    "configuration": (
        "RunwatchConfigurationInvalid",
        Severity.HIGH,
        "The new configuration has errors; the old one goes on. Run `runwatch validate`, mend what it names, reload.",
    ),
    "store": (
        "RunwatchStoreUnwritable",
        Severity.CRITICAL,
        "Alerts are still told, but a restart would forget them. Make room on the disk or mend its permissions.",
    ),
    "loop": (
        "RunwatchTooBusy",
        Severity.HIGH,
        "The daemon's event loop stands still for long; results are marked unknown. Look at the machine's load.",
    ),
}


def thresholds() -> dict[str, tuple[Threshold, ...]]:
    """One threshold for each of the monitor's own checks, by the check's key."""
    failed = parse("failed", {})
    return {
        f"{SYSTEM}/{name}": (
            Threshold(
                alert=alert,
                check=f"{SYSTEM}/{name}",
                system=SYSTEM,
                when=failed,
                severity=severity,
                severity_word=severity.value,
                runbook=Runbook("runwatch itself", what_to_do),
            ),
        )
        for name, (alert, severity, what_to_do) in WATCHED.items()
    }


def labels() -> dict[str, dict[str, str]]:
    """The labels of the monitor's own checks, by key."""
    return {f"{SYSTEM}/{name}": {"system": SYSTEM, "check": name} for name in WATCHED}


def verdict(trouble: str, at: float) -> Result:
    """A result of one of them: failed with the trouble's sentence, or ok where there is none."""
    if trouble:
        return Result(Outcome.FAILED, at, 0.0, Reason.INTERNAL, trouble)
    return Result(Outcome.OK, at, 0.0)
