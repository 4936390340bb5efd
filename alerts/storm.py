"""The storm brake: past a set rate, what would be single pages becomes one digest for each receiver."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from alerts.audience import Audience
from alerts.plan import StormLimit
from alerts.routing import Route
from alerts.telling import Telling

DIGEST = "storm"
LABELS = {"alertname": "AlertStorm"}


class Brake:
    """Counts the first pages that one receiver got lately."""

    def __init__(self) -> None:
        self._paged: deque[float] = deque()

    def holds(self, groups: int, limit: StormLimit, now: float) -> bool:
        """Whether so many more groups at once would be too many; if not, they count as paged now."""
        while self._paged and self._paged[0] <= now - limit.within:
            self._paged.popleft()
        if len(self._paged) + groups > limit.pages:
            return True
        self._paged.extend([now] * groups)
        return False


def is_digest(group_key: str) -> bool:
    """Whether a group is a receiver's digest."""
    return group_key.endswith(f":{DIGEST}")


class Storms:
    """Moves alerts between audiences: into the digest what comes too fast, and there it stays until it ends."""

    def __init__(self) -> None:
        self._brakes: dict[str, Brake] = {}

    def gather(
        self, audiences: dict[str, Audience], tellings: Iterable[Telling], limit: StormLimit | None, now: float
    ) -> int:
        """Change `audiences` (by key) accordingly; how many groups were newly put into a digest."""
        digested, known, spoken = _told(tellings)
        update = (limit or StormLimit()).update
        hushed = {name for name, at in spoken.items() if now < at + update}
        fresh: dict[str, list[Audience]] = {}
        for audience in list(audiences.values()):
            name = audience.receiver.name
            _move(audiences, audience, digested.get(name, frozenset()), limit, name in hushed)
            if audience.open and audience.key not in known and now >= audience.ready_at:
                fresh.setdefault(name, []).append(audience)
        held = 0
        for name, groups in fresh.items():
            if limit is not None and self._brakes.setdefault(name, Brake()).holds(len(groups), limit, now):
                held += len(groups)
                for audience in groups:
                    _move(audiences, audience, audience.open.keys() | audience.muted.keys(), limit, name in hushed)
        return held


def _told(tellings: Iterable[Telling]) -> tuple[dict[str, set[str]], set[str], dict[str, float]]:
    """What each receiver knows from a digest, the groups of which anybody knows, and when a digest last went out."""
    digested: dict[str, set[str]] = {}
    spoken: dict[str, float] = {}
    known = set()
    for telling in tellings:
        if telling.told:
            known.add(telling.group_key)
        if is_digest(telling.group_key):
            digested.setdefault(telling.receiver, set()).update(telling.told, telling.muted)
            spoken[telling.receiver] = max(spoken.get(telling.receiver, 0.0), telling.last_sent)
    return digested, known, spoken


def _move(
    audiences: dict[str, Audience],
    audience: Audience,
    marks: Mapping[str, object] | set[str] | frozenset[str],
    limit: StormLimit | None,
    hushed: bool,
) -> None:
    """Take alerts out of an audience and into its receiver's digest.

    `hushed`: that was told so lately that a step of an escalation waits for its next update with everything else.
    """
    key = f"{audience.receiver.name}:{DIGEST}"
    here = [mark for mark in (*audience.open, *audience.muted) if mark in marks]
    if not here or audience.key == key:
        return
    if key not in audiences:
        update = limit.update if limit is not None else audience.route.group_interval
        route = Route(audience.receiver.name, group_interval=update, repeat_interval=audience.route.repeat_interval)
        audiences[key] = Audience(audience.receiver, route, key, dict(LABELS))
    digest = audiences[key]
    if not hushed:
        digest.escalated = digest.escalated or audience.escalated
    for mark in here:
        if mark in audience.open:
            digest.open[mark] = audience.open.pop(mark)
        else:
            digest.muted[mark] = audience.muted.pop(mark)
