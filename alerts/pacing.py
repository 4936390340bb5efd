"""How soon a destination may be asked: after a refusal, and under its own limits. Pure: time is an argument."""

from __future__ import annotations

LONGEST_BACK_OFF = 60.0
LONGEST_RETRY_AFTER = 3600.0


def back_off(attempts: int, asked: float | None, chance: float) -> float:
    """Seconds until the next attempt: the receiver's own word, else 1, 2, 4 … 60 with jitter (`chance` in 0..1)."""
    if asked is not None:
        return min(max(asked, 1.0), LONGEST_RETRY_AFTER)
    return min(2.0 ** min(attempts - 1, 10), LONGEST_BACK_OFF) * (0.5 + 0.5 * chance)


class Pacer:
    """A token bucket: as many at once as the destination takes in three seconds (at least one), then evenly."""

    def __init__(self, per_minute: float) -> None:
        self._per_second = per_minute / 60
        self._most = max(1.0, self._per_second * 3)
        self._tokens = self._most
        self._at: float | None = None

    def wait(self, now: float) -> float:
        """Seconds until one more may go; 0 takes it."""
        if self._at is not None:
            self._tokens = min(self._most, self._tokens + max(0.0, now - self._at) * self._per_second)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._per_second
