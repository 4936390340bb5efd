"""The monitor's own checks: what is wrong with runwatch itself comes the same way as everything else."""

from __future__ import annotations

from alerts.thresholds import parse
from alerts.vocabulary import Runbook, Severity, Threshold
from checks.base import Outcome, Reason, Result

SYSTEM = "runwatch"

IMPAIRED = "RunwatchImpaired"
"""One alert for all that keeps the monitor from seeing, its label `cause` apart: grouped by name, it is one page."""

WATCHED = {
    "configuration": (
        "RunwatchConfigurationInvalid",
        Severity.HIGH,
        "The new configuration has errors; the old one goes on. Run `runwatch validate`, mend what it names, reload.",
    ),
    "checks": (
        "RunwatchCannotTell",
        Severity.MEDIUM,
        "What these checks are for is not watched. Give the monitor the rights or credentials they name.",
    ),
    "network": (
        IMPAIRED,
        Severity.CRITICAL,
        "The machine that watches reaches nothing outside; targets may be well. Look at its network.",
    ),
    "dns": (
        IMPAIRED,
        Severity.CRITICAL,
        "The machine that watches resolves no names: what is watched by name is not judged. Look at its resolv.conf.",
    ),
    "store": (
        IMPAIRED,
        Severity.CRITICAL,
        "Alerts are still told, but a restart would forget them. Make room on the disk or mend its permissions.",
    ),
    "disk": (
        IMPAIRED,
        Severity.HIGH,
        "Soon nothing can be kept. Make room on the disk that holds the store.",
    ),
    "descriptors": (
        IMPAIRED,
        Severity.HIGH,
        "Soon no connection can be opened. Allow the daemon more file descriptors (LimitNOFILE), and restart it.",
    ),
    "loop": (
        IMPAIRED,
        Severity.HIGH,
        "The daemon's event loop stands still for long; results are marked unknown. Look at the machine's load.",
    ),
    "clock": (
        IMPAIRED,
        Severity.MEDIUM,
        "Somebody set the clock; holds and schedules are not affected, times in messages may be. Look at NTP.",
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
                labels={"cause": name} if alert == IMPAIRED else {},
                runbook=Runbook("runwatch itself", what_to_do),
            ),
        )
        for name, (alert, severity, what_to_do) in WATCHED.items()
    }


def labels() -> dict[str, dict[str, str]]:
    """The labels of the monitor's own checks, by key."""
    return {f"{SYSTEM}/{name}": {"system": SYSTEM, "check": name} for name in WATCHED}


def verdict(trouble: str, at: float, ended: str = "") -> Result:
    """A result of one of them: failed with the trouble's sentence, or ok where there is none.

    `ended` is what the message of its end is to say.
    """
    if trouble:
        return Result(Outcome.FAILED, at, 0.0, Reason.INTERNAL, trouble)
    return Result(Outcome.OK, at, 0.0, None, ended)
