"""Decides what is only a symptom: whose check depends on one that is down, or may be. Pure: time is an argument."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from alerts.vocabulary import Alert


@dataclass(slots=True)
class Standing:
    """What is known of one check as a cause of others. Times are of probes' starts, in steady seconds; 0 for never.

    `since` is from when on it is watched here (the daemon's start): what was before, it can't have seen.
    """

    since: float = 0.0
    failed: bool = False
    asked_at: float = 0.0
    recovered_at: float = 0.0
    suspected: bool = False
    patience: float = 0.0
    """How long its answer may take, retries included: nobody waits longer for it."""


class Withheld(NamedTuple):
    """Why an alert is not told (`why` empty: tell it); `ask` names checks whose fresh answer would decide."""

    why: str
    ask: tuple[str, ...] = ()
    until: float | None = None


TELL = Withheld("")


def withheld(
    alert: Alert,
    judged_at: float,
    ancestors: Iterable[str],
    standings: Mapping[str, Standing],
    alarmed: Container[str],
    now: float,
    reach: float = 0.0,
) -> Withheld:
    """Whether an alert is only a symptom of something it depends on, or may turn out to be one in a moment.

    `judged_at` is when the alert's last probe started, `reach` how far before that its condition looks (seconds);
    `alarmed` are the checks that have an alert of their own (so that somebody is, or will be, told of the cause). An
    alert already told is never taken back.
    """
    wait: list[str] = []
    until = 0.0
    for key in ancestors:
        standing = standings.get(key)
        if standing is None:
            continue
        if standing.failed and key in alarmed:
            return Withheld(f"{key} is down, and this depends on it")
        if standing.failed:
            continue
        remembered = standing.recovered_at + reach
        if remembered > judged_at and now < remembered:
            return Withheld(f"{key} has just come back: waiting until what it did is out of the window", (), remembered)
        settled = remembered + standing.patience
        if remembered > judged_at and now < settled:
            return Withheld(f"{key} has just come back: asking again", (alert.check,), settled)
        patience = max(alert.fired_at, standing.since) + standing.patience
        if (standing.suspected or standing.asked_at < alert.fired_at) and now < patience:
            wait.append(key)
            until = max(until, patience)
    if wait:
        return Withheld(f"waiting for the answer of {', '.join(wait)}", tuple(wait), until)
    return TELL
