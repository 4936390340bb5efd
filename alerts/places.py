"""Places at a destination: so many attempts at once, so that one that hangs does not hold up the others. Pure."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable

AT_ONCE_EACH = 8


class Places:
    """Who is at work at each destination, and which queues wait for a place there, in the order in which they came."""

    def __init__(self, most: int = AT_ONCE_EACH) -> None:
        self._most = most
        self._taken: Counter[str] = Counter()
        self._waiting: dict[str, deque[str]] = {}

    def take(self, destination: str, queue: str) -> bool:
        """Take a place; False where none is free: then `leave` gives the queue back when its turn has come."""
        if self._taken[destination] >= self._most:
            self._waiting.setdefault(destination, deque()).append(queue)
            return False
        self._taken[destination] += 1
        return True

    def leave(self, destination: str, wants: Callable[[str], bool]) -> str:
        """Give a place back; the queue that may have it (empty: none). What no longer `wants` one is passed over."""
        self._taken[destination] -= 1
        if not self._taken[destination]:
            del self._taken[destination]
        waiting = self._waiting.get(destination, deque())
        found = next((queue for queue in iter(lambda: waiting.popleft() if waiting else "", "") if wants(queue)), "")
        if not waiting:
            self._waiting.pop(destination, None)
        return found
