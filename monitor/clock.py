"""One clock for holds, back-offs and time stamps: Unix seconds that no step of the wall clock can move."""

from __future__ import annotations

import time

STEP = 2.0
"""Seconds of difference from which the wall clock is said to have jumped: slewing by NTP stays far below."""


class Clock:
    """Steady Unix seconds: the wall clock at the start, carried on by the monotonic one."""

    def __init__(self) -> None:
        self._anchor = time.time() - time.monotonic()
        self._seen = self._anchor

    def now(self) -> float:
        """Steady Unix seconds."""
        return self._anchor + time.monotonic()

    def wall(self) -> float:
        """Unix seconds by the wall clock."""
        return time.time()

    @property
    def wall_ahead(self) -> float:
        """Seconds by which the wall clock, which calendars go by, is ahead of the steady one."""
        return self.wall() - self.now()

    def stepped(self) -> float:
        """Seconds by which the wall clock has jumped since last asked (0 for none); forward is positive."""
        offset = time.time() - time.monotonic()
        jump = offset - self._seen
        if abs(jump) < STEP:
            return 0.0
        self._seen = offset
        return jump
