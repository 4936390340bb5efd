"""A marked alert through the real chain, so that one sees whether a receiver would be reached."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
from typing import TYPE_CHECKING

from alerts import self_checks
from alerts.vocabulary import Severity, Threshold

if TYPE_CHECKING:
    from monitor.app import App

LASTS = 3.0
"""Seconds after which a test alert resolves by itself."""


def send(app: App, receiver: str, severity: Severity, word: str, channel: str) -> str:
    """Fire a test alert at one receiver (only at its notifiers of kind `channel`, if given); its fingerprint."""
    threshold = _threshold(secrets.token_hex(4), severity, word)
    _judge(app, threshold, "This is a test: nothing is wrong. It resolves by itself in a moment.")
    [alert] = [alert for alert in app.engine.judging.live() if alert.check == threshold.check]
    app.engine.aim(alert.fingerprint, receiver, channel)
    asyncio.get_running_loop().call_later(LASTS, _judge, app, threshold, "")
    return alert.fingerprint


def _judge(app: App, threshold: Threshold, trouble: str) -> None:
    now = app.clock.now()
    app.engine.judging.inject(threshold, self_checks.verdict(trouble, now), now)
    app.note_transitions()
    app.pager.wake()


def _threshold(name: str, severity: Severity, word: str) -> Threshold:
    [pattern] = self_checks.thresholds()[f"{self_checks.SYSTEM}/configuration"]
    return dataclasses.replace(
        pattern,
        alert="TestAlert",
        check=f"{self_checks.SYSTEM}/test-{name}",
        severity=severity,
        severity_word=word,
        labels={"system": self_checks.SYSTEM, "check": f"test-{name}", "test": "true"},
    )
