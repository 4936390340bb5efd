"""What people do elsewhere, in Slack and in PagerDuty, done here: acknowledge, silence, take back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import structlog

from alerts import silences
from alerts.matching import Matcher
from alerts.silences import Silence
from alerts.storm import is_digest
from alerts.telling import Telling
from alerts.vocabulary import Alert, Phase
from alerts.wording import clock_time, names, rfc3339
from checks.base import printable
from monitor.api.oncall import keep

if TYPE_CHECKING:
    from monitor.app import App

log = structlog.get_logger()

AN_HOUR = 3600.0
LONGEST_NAME = 120
OVER = "This is over: none of these alerts fires any more."
COMMON = ("alertname", "system", "check")
"""The labels by which alerts are silenced that their group does not tell from others."""


async def pressed(app: App, payload: Any) -> str:
    """A button in Slack was pressed: what to say to whoever did, once it is on disk.

    `payload` is what Slack sent, by request or by socket; what is not a press of one of our buttons does nothing.
    """
    said = [await _press(app, action, value, who) for action, value, who in _presses(payload)]
    return " ".join(dict.fromkeys(said))


def _presses(payload: Any) -> list[tuple[str, str, str]]:
    """Action, dedup key and name for each press of a button of ours. Source: Slack's block_actions payload."""
    if not isinstance(payload, dict) or payload.get("type") != "block_actions":
        return []
    actions, user = payload.get("actions"), payload.get("user")
    user = user if isinstance(user, dict) else {}
    who = next((name for key in ("username", "name", "id") if (name := _name(user.get(key)))), "somebody")
    return [
        (one["action_id"], one["value"], f"slack:{who}")
        for one in (actions if isinstance(actions, list) else [])[:5]
        if isinstance(one, dict) and one.get("action_id") in ("ack", "silence_1h") and isinstance(one.get("value"), str)
    ]


async def _press(app: App, action: str, key: str, who: str) -> str:
    firing = _firing(app, [key])
    if not firing:
        return OVER
    return await (acknowledge(app, firing, who) if action == "ack" else _silence(app, key, firing, who))


async def acknowledge(app: App, firing: Sequence[Alert], who: str, lasts: float = 0.0, over: str = "") -> str:
    """Somebody has those of these that nobody has yet, for `lasts` seconds (0: until they end); a sentence about it.

    They take over what others have whose names begin with `over`, where it is not empty.
    """
    free = [alert for alert in firing if not alert.acked_by or (over and alert.acked_by.startswith(over))]
    if not free:
        return f"{', '.join(sorted({alert.acked_by for alert in firing}))} has it already."
    now = app.clock.now()
    until = now + lasts if lasts else 0.0
    taken = app.engine.acknowledge([alert.fingerprint for alert in free], who, until, now)
    log.info(
        "acknowledged",
        by=who,
        alerts=[alert.name for alert in taken][:10],
        until=rfc3339(until) if until else None,
    )
    await app.pager.settle()
    return f"You have it: {names(taken[:10])}."


async def give_back(app: App, firing: Sequence[Alert], whose: str, why: str) -> None:
    """Those of these that somebody had whose name begins with `whose` are nobody's again."""
    had = [alert.fingerprint for alert in firing if alert.acked_by.startswith(whose)]
    if app.engine.unacknowledge(had, why, app.clock.now()):
        await app.pager.settle()


def firing_of(app: App, keys: Iterable[str], since: float) -> list[Alert]:
    """What fires of what was told by these dedup keys, and began to before `since` (steady Unix seconds)."""
    return [alert for alert in _firing(app, keys) if alert.fired_at <= since]


def _firing(app: App, keys: Iterable[str]) -> list[Alert]:
    alerts = app.engine.judging.alerts
    marks = sorted({mark for key in keys for mark in app.engine.told_as(key)})
    return [alerts[mark] for mark in marks if mark in alerts and alerts[mark].phase is Phase.FIRING]


async def _silence(app: App, key: str, firing: Sequence[Alert], who: str) -> str:
    wall = app.clock.wall()
    telling = next((one for one in app.engine.tellings.values() if one.dedup_key == key and one.told), None)
    matchers = _matchers(telling, firing) if telling is not None else ()
    held = _held(app.engine.muting.silences.values(), matchers, wall)
    if held is not None:
        return f"This is silenced already, until {clock_time(held.ends_at)}, by {printable(held.created_by)}."
    try:
        made = silences.new(matchers, wall, wall + AN_HOUR, who, "silenced for an hour from Slack", wall)
    except ValueError as why:
        return f"This can't be silenced from here: {why}."
    await keep(app, made)
    return f"Silenced until {clock_time(made.ends_at)}: {printable(str(made))}"


def _matchers(telling: Telling, firing: Sequence[Alert]) -> tuple[Matcher, ...]:
    """What the group of a message has in common, and no other group has."""
    labels = {name: text for name, text in telling.group_labels.items() if text}
    if not labels or is_digest(telling.group_key):
        first, *rest = [alert.labels for alert in firing]
        labels = {
            name: first[name] for name in COMMON if name in first and all(one.get(name) == first[name] for one in rest)
        }
    return tuple(Matcher(name, "=", text) for name, text in sorted(labels.items()))


def _held(known: Iterable[Silence], matchers: tuple[Matcher, ...], wall: float) -> Silence | None:
    wanted = set(map(str, matchers))
    return next((one for one in known if one.state(wall) == "active" and set(map(str, one.matchers)) == wanted), None)


def _name(given: Any) -> str:
    return printable(given).strip()[:LONGEST_NAME] if isinstance(given, str) else ""
