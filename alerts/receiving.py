"""Takes over alerts that others judged and sent to us, and ends those that they no longer repeat. No I/O."""

from __future__ import annotations

from alerts.judging import Judging
from alerts.sent import SentAlert
from alerts.vocabulary import Phase


def receive(judging: Judging, sent: SentAlert, now: float) -> None:
    """Take over one alert: it fires until it is sent as ended, or is no longer repeated."""
    alert = judging.alerts.get(sent.fingerprint)
    live = alert if alert is not None and alert.phase is not Phase.INACTIVE else None
    if live is not None and not live.source:
        return  # it is our own, and we know better
    if sent.ends_at and sent.ends_at <= now:
        if live is not None:
            judging.end(live, now, "its sender says that it has ended")
        return
    ends_at = sent.ends_at or now + judging.plan.resolve_timeout
    if live is not None:
        if live.annotations != sent.annotations:
            live.annotations = dict(sent.annotations)
            judging.changed[live.fingerprint] = live
        # One that lasts longer is found out when it would have ended: a repetition costs nothing more.
        judging.dirty = judging.dirty or ends_at < live.ends_at
        live.ends_at = ends_at
        return
    alert = sent.alert(now, ends_at, told=alert.told if alert is not None else False)
    judging.begin(alert)
    judging.note(alert, "firing", "its sender says so")


def expire(judging: Judging, now: float) -> float | None:
    """End what its senders no longer repeat; when the next of them would end."""
    upcoming: float | None = None
    for alert in [alert for alert in judging.live() if alert.source]:
        if alert.ends_at <= now:
            judging.end(alert, now, "its sender no longer repeats it")
        elif upcoming is None or alert.ends_at < upcoming:
            upcoming = alert.ends_at
    return upcoming
