"""From alerts to parcels: decides who must be told what, by which destination, and collects what changes."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping

from alerts import message, own
from alerts.audience import Audience, Gathering, group_key
from alerts.decisions import Decision
from alerts.judging import Judging
from alerts.ladders import Ladders
from alerts.muting import Mute, Muting
from alerts.notifiers.base import Notifier
from alerts.outbox import Changes, Kept, Parcel
from alerts.plan import Plan
from alerts.proving import Proving, key_of, other_than
from alerts.routing import Route
from alerts.silences import KEPT_AFTER, Silence, until_resolved
from alerts.storm import Storms, is_digest
from alerts.telling import Due, Pace, Scene, Telling, due
from alerts.vocabulary import Alert, Phase, Threshold, dedup_key
from checks.units import show_duration


class Engine:
    """All that was told, on top of all that is judged. `decide` does no I/O; the caller makes the changes durable.

    `now` is steady Unix seconds everywhere; `wall_ahead` is how far the wall clock, which silences and calendars go by,
    is ahead of it. `decisions` holds why things went as they did, for the caller to keep and to empty.
    """

    def __init__(self, plan: Plan, kept: Kept, now: float, wall_ahead: float = 0.0) -> None:
        self.judging = Judging(plan, kept.alerts, now)
        self.muting = Muting(plan, {silence.id: silence for silence in kept.silences})
        self.gathering = Gathering(plan)
        self.tellings: dict[str, Telling] = {telling.key: telling for telling in kept.tellings}
        self.ladders = Ladders(kept.escalations)
        self.audiences: dict[str, Audience] = {}
        for telling in self.tellings.values():
            telling.last_sent = min(telling.last_sent, now)  # a clock that was set back must silence nobody
        self.wall_ahead = wall_ahead
        self.asks: set[str] = set()
        self.next_at: float | None = None
        self.changes = Changes()
        self.decisions: list[Decision] = []
        self.suppressed: dict[str, int] = {}
        self._storms = Storms()
        self.proving = Proving(kept.proofs)
        self.changes.proofs |= self.proving.adopt(plan.receivers, now)
        self._quiet: dict[str, Mute] = {}
        self._failing: set[str] = set()

    @property
    def plan(self) -> Plan:
        return self.judging.plan

    def replan(self, plan: Plan, now: float) -> None:
        """Take over a new configuration."""
        self.gathering.adopt(plan)
        self.muting.adopt(plan)
        self.judging.replan(plan, now)
        self.changes.proofs |= self.proving.adopt(plan.receivers, now)

    @property
    def stirred(self) -> bool:
        """Whether `decide` has something to do."""
        return self.judging.dirty or bool(self.judging.changed) or bool(self.changes)

    def aim(self, fingerprint: str, receiver: str, kind: str = "") -> None:
        """Send one alert to a named receiver (and only its notifiers of one kind) past the routes: a test alert."""
        self.gathering.aim(fingerprint, receiver, kind)
        self.judging.dirty = True

    # --- what people ask ------------------------------------------------------------------------------------------

    def acknowledge(self, fingerprints: Iterable[str], by: str, until: float, now: float) -> list[Alert]:
        """Somebody has these alerts, `until` then (0: until they end): no reminders, no escalation. Gives those.

        Saying it again by the same person until the same time changes nothing.
        """
        taken = []
        for mark in fingerprints:
            alert = self.judging.alerts.get(mark)
            if alert is None or alert.phase is not Phase.FIRING:
                continue
            taken.append(alert)
            if (alert.acked_by, alert.acked_until) != (by, until):
                alert.acked_by, alert.acked_at, alert.acked_until = by, now, until
                self._touched(alert)
                lasts = f" for {show_duration(until - now)}" if until else ""
                self.note(alert, now, "acknowledged", f"by {by}{lasts}")
        return taken

    def unacknowledge(self, fingerprints: Iterable[str], why: str, now: float) -> list[Alert]:
        """Nobody has these alerts any more: reminders go on, escalation begins anew. Gives those that were had."""
        taken = []
        for mark in fingerprints:
            alert = self.judging.alerts.get(mark)
            if alert is not None and alert.acked_by:
                alert.acked_by = ""
                self._touched(alert)
                self.note(alert, now, "unacknowledged", why)
                taken.append(alert)
        return taken

    def silence(self, silence: Silence) -> None:
        """A silence is new, or another than before."""
        self.muting.change(silence)
        self.changes.silences[silence.id] = silence
        self.judging.dirty = True

    def complain(self, threshold: Threshold, trouble: str, receiver: str, now: float) -> None:
        """Something about a receiver is the matter, or (the empty text) no longer: somebody else is to hear of it."""
        self._raise_or_end(threshold, trouble, other_than(receiver, self.plan), now)

    def told_as(self, key: str) -> list[str]:
        """The fingerprints of what a receiver's service knows by this dedup key."""
        return sorted({mark for one in self.tellings.values() if one.dedup_key == key for mark in one.told})

    def _touched(self, alert: Alert) -> None:
        self.judging.changed[alert.fingerprint] = alert
        self.judging.dirty = True

    def note(self, alert: Alert, now: float, step: str, why: str) -> None:
        """Remember why something went as it did."""
        self.decisions.append(Decision(alert.fingerprint, f"{alert.name} · {alert.check}", now, step, why))

    # --- deciding -------------------------------------------------------------------------------------------------

    def decide(self, now: float) -> Changes:
        """What has to be kept and told now. Afterwards `next_at` says when to ask again, unless something changes."""
        if self.judging.dirty or (self.next_at is not None and now >= self.next_at):
            self.next_at = None
            self._ask_again(self.judging.expire(now))
            self.judging.dirty = False
            self._tell(now)
        changes, self.changes = self.changes, Changes()
        changes.alerts, self.judging.changed = self.judging.changed, {}
        return changes

    def _tell(self, now: float) -> None:
        firing = [alert for alert in self.judging.live() if alert.phase is Phase.FIRING]
        self._failing = self.judging.alarmed()
        self._acks_expire(firing, now)
        wall = now + self.wall_ahead
        self.muting.look(firing, wall)
        audiences, quiet = self.gathering.gather(firing, self.muting, lambda alert: self._symptom(alert, now))
        self._keep_reasons(firing, quiet, now)
        self._climb(audiences, now)
        held = self._storms.gather(audiences, self.tellings.values(), self.plan.storm, now)
        self._count("storm", held)
        self.audiences = audiences
        current = set()
        for audience in audiences.values():
            for notifier in audience.receiver.notifiers:
                telling = self._telling(audience, notifier)
                current.add(telling.key)
                self._speak(telling, audience, notifier, now)
        self._owed(current, now)
        self._silences_end(firing, now, wall)
        self._prove(now)
        upcoming = self.muting.next_at()
        self._ask_again(None if upcoming is None else upcoming - self.wall_ahead)
        self._forget_ended()

    def _climb(self, audiences: dict[str, Audience], now: float) -> None:
        climbed = self.ladders.climb(audiences, self.plan.receivers, now)
        self.changes.escalations |= climbed.changed
        self._ask_again(climbed.at)
        for alert, why in climbed.steps:
            self.note(alert, now, "escalated", why)

    def _count(self, kind: str, more: int) -> None:
        if more:
            self.suppressed[kind] = self.suppressed.get(kind, 0) + more

    def _acks_expire(self, firing: Iterable[Alert], now: float) -> None:
        for alert in firing:
            if alert.acked_by and alert.acked_until:
                if now >= alert.acked_until:
                    self.unacknowledge([alert.fingerprint], f"{alert.acked_by}'s time is over", now)
                    self.judging.dirty = False
                else:
                    self._ask_again(alert.acked_until)

    def _symptom(self, alert: Alert, now: float) -> str:
        held = self.judging.withheld(alert, self._failing, now)
        self.asks.update(held.ask)
        self._ask_again(held.until)
        return held.why

    def _keep_reasons(self, firing: Iterable[Alert], quiet: Mapping[str, Mute], now: float) -> None:
        """Let every alert say why nobody is told of it, and count what is newly kept quiet."""
        for alert in firing:
            mute = quiet.get(alert.fingerprint)
            why = mute.why if mute is not None else ""
            if why != alert.withheld:
                if mute is not None and mute.kind != getattr(self._quiet.get(alert.fingerprint), "kind", ""):
                    self._count(mute.kind, 1)
                self.note(alert, now, "kept quiet" if why else "may be told", why or f"no longer: {alert.withheld}")
                alert.withheld = why
                self.judging.changed[alert.fingerprint] = alert
        self._quiet = dict(quiet)

    # --- telling --------------------------------------------------------------------------------------------------

    def _telling(self, audience: Audience, notifier: Notifier) -> Telling:
        destination = message.destination(notifier)
        key = f"{audience.key}#{message.digest(destination)}"
        found = self.tellings.get(key)
        if found is not None:
            return found
        return Telling(
            key=key,
            thread=uuid.uuid4().hex,
            receiver=audience.receiver.name,
            group_key=audience.key,
            group_labels=audience.labels,
            dedup_key=dedup_key(audience.labels, audience.receiver.name),
            destination=destination,
            send_resolved=notifier.send_resolved,
        )

    def _speak(self, telling: Telling, audience: Audience, notifier: Notifier, now: float) -> None:
        pace, scene = pace_of(audience.route, notifier), scene_of(audience, notifier)
        verdict = due(telling, scene, pace, now)
        self._ask_again(verdict.at)
        if verdict.reason == "resolved":
            self._resolve(telling, notifier.most_alerts, now)
        elif verdict.reason:
            self._tell_of(telling, audience, scene, verdict, notifier.most_alerts, now)
            self._ask_again(due(telling, scene._replace(escalated=False), pace, now).at)
        if audience.muted.keys() != telling.muted.keys():
            telling.muted = dict(audience.muted)
            self._remember(telling)

    def _tell_of(self, telling: Telling, audience: Audience, scene: Scene, verdict: Due, most: int, now: float) -> None:
        """Post one message of what may be told, and what of it has ended since the last one."""
        reason = "storm" if verdict.reason == "first" and is_digest(telling.group_key) else verdict.reason
        why = self._why(verdict.reason, telling, audience)
        ended = self._known([mark for mark in telling.told if mark not in scene.open and mark not in scene.muted])
        still_muted = [mark for mark in telling.told if mark in scene.muted]
        telling.told, telling.last_sent = sorted([*scene.open, *still_muted]), now
        telling.acked, telling.flapping = sorted(scene.acked), sorted(scene.flapping)
        telling.muted = dict(audience.muted)
        telling.reminders = telling.reminders + 1 if reason == "reminder" else 0
        self._remember(telling)
        for alert in audience.open.values():
            if not alert.told:
                alert.told = True
                self.judging.changed[alert.fingerprint] = alert
        self._post(telling, [*audience.open.values(), *ended], reason, why or verdict.why, why, most, now)

    def _why(self, reason: str, telling: Telling, audience: Audience) -> str:
        """What the reader of a message can't see from its reason."""
        if reason == "unmuted":
            said = [why for mark, why in telling.muted.items() if mark in audience.open]
            return f"kept quiet until now: {said[0]}" if said else ""
        if reason == "acknowledged":
            names = {alert.acked_by for alert in audience.open.values() if alert.acked_by}
            return f"{', '.join(sorted(names))} has it"
        if reason == "flapping":
            said = [alert.flapping for alert in audience.open.values() if alert.flapping]
            return f"it comes and goes: {said[0]}; the next change is told when it has settled" if said else ""
        return audience.escalated if reason == "escalated" else ""

    def _resolve(self, telling: Telling, most: int, now: float) -> None:
        ended = self._known(telling.told)
        del self.tellings[telling.key]
        self.changes.tellings[telling.key] = None
        telling.told = []
        if telling.send_resolved and ended:
            self._post(telling, ended, "resolved", "all that was told has ended", "", most, now)

    def _owed(self, current: set[str], now: float) -> None:
        """What has no audience any more still owes the end of what was told."""
        for key in [key for key in self.tellings if key not in current]:
            telling = self.tellings[key]
            if not any(alert.phase is Phase.FIRING for alert in self._known(telling.told)):
                self._resolve(telling, 0, now)

    def _post(
        self, telling: Telling, alerts: Collection[Alert], reason: str, cause: str, why: str, most: int, now: float
    ) -> None:
        note = message.compose(telling, alerts, reason, why, most, self.plan, self._failing, now)
        parcel = Parcel(uuid.uuid4().hex, telling.key, telling.thread, telling.destination, note, now, next_at=now)
        self.changes.parcels[parcel.id] = parcel
        whom = f"{telling.receiver} by {telling.destination['kind']}: {reason}, {cause}"
        for alert in alerts:
            self.note(alert, now, "to be told", whom)

    def impact(self, alert: Alert) -> list[str]:
        """What can't succeed while this fires, near and far; those that fail already say so."""
        return message.impact(alert, self.plan, self.judging.alarmed())

    def _known(self, marks: Iterable[str]) -> list[Alert]:
        return [self.judging.alerts[mark] for mark in marks if mark in self.judging.alerts]

    def _remember(self, telling: Telling) -> None:
        self.tellings[telling.key] = self.changes.tellings[telling.key] = telling

    def fall_over(self, parcel: Parcel, now: float) -> None:
        """A receiver can't be reached: tell its fallback the same, and owe it the resolve too."""
        receiver = self.plan.receivers.get(parcel.note.receiver)
        fallback = self.plan.receivers.get(receiver.fallback) if receiver and receiver.fallback else None
        if fallback is None or parcel.note.status == "resolved":
            return
        labels, first = parcel.note.group_labels, self.tellings.get(parcel.queue)
        marks = set(first.told) if first is not None else {alert.fingerprint for alert in parcel.note.firing}
        audience = Audience(fallback, Route(fallback.name), group_key(fallback.name, labels), labels)
        for notifier in fallback.notifiers:
            telling = self._telling(audience, notifier)
            alerts = [alert for alert in self._known(marks | set(telling.told)) if alert.phase is Phase.FIRING]
            if not alerts:
                continue
            telling.told, telling.last_sent = sorted(marks | set(telling.told)), now
            self._remember(telling)
            why = f"{parcel.note.receiver} can't be reached: {parcel.last_error}"
            self._post(telling, alerts, parcel.note.reason, why, why, notifier.most_alerts, now)
        self.judging.dirty = True

    def attempted(self, parcel: Parcel, status: str, why: str, now: float) -> None:
        """An attempt at a parcel has ended: delivered, retry or dead."""
        key = key_of(parcel.note.receiver, str(parcel.destination.get("kind", "")))
        if status == "delivered":
            self.changes.proofs |= self.proving.delivered(key, now)
        elif status == "dead":
            self.proving.refuse(key, f"{parcel.note.receiver} can't be told by {key.rpartition('/')[2]}: {why}")
        self.judging.dirty = self.judging.dirty or self.proving.news(key, self.judging)

    def _silences_end(self, firing: Iterable[Alert], now: float, wall: float) -> None:
        """End silences whose alerts have resolved, where that was asked; warn of those that end while alerts fire."""
        matched: dict[str, list[Alert]] = {}
        for alert in firing:
            for name in self.muting.silenced_by(alert):
                matched.setdefault(name, []).append(alert)
        for silence in list(self.muting.silences.values()):
            held = matched.get(silence.id, [])
            if (kept := until_resolved(silence, bool(held), wall)) is not None:
                self.silence(kept)
                self._ask_again(now)
            about = own.about_silence(silence, held if wall >= silence.warns_at else [])
            self._raise_or_end(own.silence_ends(silence), about, "", now)
            if wall >= silence.ends_at + KEPT_AFTER:
                self.muting.forget_silence(silence.id)
                self.changes.silences[silence.id] = None

    def _prove(self, now: float) -> None:
        """Raise what is wrong with ways to reach people, by a way that is not the one in question."""
        for complaint in self.proving.complaints(self.plan, now):
            self._raise_or_end(*complaint, now)
        self._ask_again(self.proving.next_at(self.plan.prove_within, now))

    def _raise_or_end(self, threshold: Threshold, trouble: str, receiver: str, now: float) -> None:
        """Let one of our own alerts say what is the matter (empty: nothing); to `receiver`, where one is named."""
        if bool(trouble) == self.judging.is_raised(threshold.key):
            return
        self.judging.inject(threshold, own.verdict(trouble, now), now)
        for alert in self.judging.raised(threshold.key) if receiver else ():
            self.aim(alert.fingerprint, receiver)
        self._ask_again(now)

    def _ask_again(self, at: float | None) -> None:
        if at is not None:
            self.next_at = at if self.next_at is None else min(self.next_at, at)

    def _forget_ended(self) -> None:
        told = {mark for telling in self.tellings.values() for mark in telling.told}
        for mark, alert in list(self.judging.alerts.items()):
            if alert.phase is Phase.INACTIVE and mark not in told:
                self.gathering.forget(mark)
                self.muting.forget(mark)
                self.judging.forget(mark)


def pace_of(route: Route, notifier: Notifier) -> Pace:
    """How often a destination is spoken to; a protocol that wants repetition goes before the route."""
    if notifier.repeat_every is not None:
        return Pace(route.group_wait, 0.0, notifier.repeat_every)
    return Pace(route.group_wait, route.group_interval, route.repeat_interval, route.max_reminders)


def scene_of(audience: Audience, notifier: Notifier) -> Scene:
    """The group as this destination may see it."""
    opened = audience.open
    repeated = notifier.repeat_every is not None
    return Scene(
        open=opened.keys(),
        muted=audience.muted.keys(),
        acked=frozenset() if repeated else {mark for mark, alert in opened.items() if alert.acked_by},
        flapping={mark for mark, alert in opened.items() if alert.flapping},
        first_fired=min((alert.fired_at for alert in opened.values()), default=0.0),
        escalated=bool(audience.escalated) and bool(opened),
        unheard=notifier.unheard,
    )
