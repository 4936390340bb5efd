"""Tells whether a request was signed by the one who knows a secret, and whether it was here before."""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Iterable

PATIENCE = 300.0
"""Seconds that a signed time may differ from our wall clock."""
MOST_SIGNATURES = 20


def slack_signed(secret: str, stamp: str, body: bytes, signature: str, wall: float) -> bool:
    """Whether Slack signed a body, within the last five minutes. Source: Slack, "Verifying requests from Slack"."""
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12) or abs(wall - int(stamp)) > PATIENCE:
        return False
    return hmac.compare_digest(b"v0=" + _digest(secret, b"v0:" + stamp.encode() + b":" + body), _bytes(signature))


def pagerduty_signed(secrets: Iterable[str], body: bytes, signatures: str) -> bool:
    """Whether PagerDuty signed a body with any of the secrets. Source: PagerDuty, "Webhook signatures"."""
    given = [_bytes(one.strip()) for one in signatures.split(",")[:MOST_SIGNATURES]]
    wanted = [b"v1=" + _digest(secret, body) for secret in secrets]
    return any(hmac.compare_digest(one, other) for one in given for other in wanted)


def _digest(secret: str, message: bytes) -> bytes:
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest().encode()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


class Seen:
    """Remembers marks for some seconds, and at most so many of them. Only what is signed is remembered here."""

    def __init__(self, lasts: float, most: int = 10_000) -> None:
        self._lasts = lasts
        self._most = most
        self._marks: OrderedDict[str, float] = OrderedDict()

    def before(self, mark: str, now: float) -> bool:
        """Whether this was seen; from now on it was."""
        while self._marks and (len(self._marks) > self._most or next(iter(self._marks.values())) <= now - self._lasts):
            self._marks.popitem(last=False)
        if mark in self._marks:
            return True
        self._marks[mark] = now
        return False
