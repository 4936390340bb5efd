"""From alerts to parcels: decides who must be told what, by which destination, and collects what changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from alerts import message, own
from alerts.audience import Audience, Gathering
from alerts.decisions import Findings
from alerts.judging import Judging
from alerts.ladders import Ladders
from alerts.muting import Mute, Muting
from alerts.outbox import Changes, Kept, Parcel
from alerts.plan import Plan
from alerts.proving import Proving, key_of, other_than
from alerts.receiving import expire
from alerts.silences import KEPT_AFTER, Silence, until_resolved
from alerts.speaking import Speaker
from alerts.storm import Storms
from alerts.telling import Telling
from alerts.vocabulary import Alert, Phase, Threshold
from checks.units import show_duration


class Engine:
    """All that was told, on top of all that is judged. `decide` does no I/O; the caller makes the changes durable.

    `now` is steady Unix seconds everywhere; `wall_ahead` is how far the wall clock, which silences and calendars go by,
    is ahead of it. `findings.decisions` holds why things went as they did, for the caller to keep and to empty.
    """

    def __init__(self, plan: Plan, kept: Kept, now: float, wall_ahead: float = 0.0) -> None:
        self.judging = Judging(plan, kept.alerts, now)
        self.muting = Muting(plan, {silence.id: silence for silence in kept.silences})
        self.gathering = Gathering(plan)
        self.findings = Findings()
        self.speaker = Speaker(self.judging, self.findings, kept.tellings, now)
        self.ladders = Ladders(kept.escalations)
        self.audiences: dict[str, Audience] = {}
        self.wall_ahead = wall_ahead
        self.asks: set[str] = set()
        self.suppressed: dict[str, int] = {}
        self._storms = Storms()
        self.proving = Proving(kept.proofs)
        self.findings.changes.proofs |= self.proving.adopt(plan.receivers, now)
        self._quiet: dict[str, Mute] = {}
        warned = [one.id for one in kept.silences if self.judging.is_raised(own.silence_ends(one).key)]
        self._warned: set[str] = set(warned)

    @property
    def plan(self) -> Plan:
        return self.judging.plan

    def replan(self, plan: Plan, now: float) -> None:
        """Take over a new configuration."""
        self.gathering.adopt(plan)
        self.muting.adopt(plan)
        self.judging.replan(plan, now)
        self.findings.changes.proofs |= self.proving.adopt(plan.receivers, now)
        self.judging.end_all(self.proving.about_nobody(self.judging.live(), plan), now, "its receiver is gone")

    @property
    def tellings(self) -> Mapping[str, Telling]:
        """What every destination was told."""
        return self.speaker.tellings

    @property
    def next_at(self) -> float | None:
        """When to decide again though nothing changes; steady Unix seconds."""
        return self.findings.next_at

    @property
    def stirred(self) -> bool:
        """Whether `decide` has something to do."""
        return self.judging.dirty or bool(self.judging.changed) or bool(self.findings.changes)

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
                self.findings.note(alert, now, "acknowledged", f"by {by}{lasts}")
        return taken

    def unacknowledge(self, fingerprints: Iterable[str], why: str, now: float) -> list[Alert]:
        """Nobody has these alerts any more: reminders go on, escalation begins anew. Gives those that were had."""
        taken = []
        for mark in fingerprints:
            alert = self.judging.alerts.get(mark)
            if alert is not None and alert.acked_by:
                alert.acked_by = ""
                self._touched(alert)
                self.findings.note(alert, now, "unacknowledged", why)
                taken.append(alert)
        return taken

    def silence(self, silence: Silence) -> None:
        """A silence is new, or another than before."""
        self.muting.change(silence)
        self.findings.changes.silences[silence.id] = silence
        self.judging.dirty = True

    def complain(self, threshold: Threshold, trouble: str, receiver: str, now: float) -> None:
        """Something about a receiver is the matter, or (the empty text) no longer: somebody else is to hear of it."""
        self._raise_or_end(threshold, trouble, other_than(receiver, self.plan), now)

    def told_as(self, key: str) -> list[str]:
        """The fingerprints of what a receiver's service knows by this dedup key."""
        return self.speaker.told_as(key)

    def fall_over(self, parcel: Parcel, now: float) -> None:
        """A receiver can't be reached: its fallback is told."""
        self.speaker.fall_over(parcel, self._quiet, now)

    def impact(self, alert: Alert) -> list[str]:
        """What can't succeed while this fires, near and far; those that fail already say so."""
        return message.impact(alert, self.plan, self.judging.alarmed())

    def _touched(self, alert: Alert) -> None:
        self.judging.changed[alert.fingerprint] = alert
        self.judging.dirty = True

    # --- deciding -------------------------------------------------------------------------------------------------

    def decide(self, now: float) -> Changes:
        """What has to be kept and told now. Afterwards `next_at` says when to ask again, unless something changes."""
        if self.judging.dirty or (self.next_at is not None and now >= self.next_at):
            self.findings.next_at = None
            self.findings.ask_again(expire(self.judging, now))
            self.judging.dirty = False
            self._tell(now)
        changes = self.findings.take()
        changes.alerts, self.judging.changed = self.judging.changed, {}
        return changes

    def _tell(self, now: float) -> None:
        firing = [alert for alert in self.judging.live() if alert.phase is Phase.FIRING and not self._held(alert, now)]
        self.speaker.failing = self.judging.alarmed()
        self._acks_expire(firing, now)
        wall = now + self.wall_ahead
        self.muting.look(firing, wall)
        audiences, quiet = self.gathering.gather(firing, self.muting, lambda alert: self._symptom(alert, now))
        self._keep_reasons(firing, quiet, now)
        self._climb(audiences, now)
        held = self._storms.gather(audiences, self.speaker.tellings.values(), self.plan.storm, now)
        self._count("storm", held)
        self.audiences = audiences
        self.speaker.tell(audiences.values(), now)
        self._silences_end(firing, now, wall)
        self._prove(now)
        upcoming = self.muting.next_at()
        self.findings.ask_again(None if upcoming is None else upcoming - self.wall_ahead)
        self._forget_ended()

    def _held(self, alert: Alert, now: float) -> bool:
        until = self.judging.diagnoses.held_until(alert, now)
        self.findings.ask_again(until)
        return until is not None

    def _climb(self, audiences: dict[str, Audience], now: float) -> None:
        climbed = self.ladders.climb(audiences, self.plan.receivers, now)
        self.findings.changes.escalations |= climbed.changed
        self.findings.ask_again(climbed.at)
        for alert, why in climbed.steps:
            self.findings.note(alert, now, "escalated", why)

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
                    self.findings.ask_again(alert.acked_until)

    def _symptom(self, alert: Alert, now: float) -> str:
        held = self.judging.withheld(alert, self.speaker.failing, now)
        self.asks.update(held.ask)
        self.findings.ask_again(held.until)
        return held.why

    def _keep_reasons(self, firing: Iterable[Alert], quiet: Mapping[str, Mute], now: float) -> None:
        """Let every alert say why nobody is told of it, and count what is newly kept quiet."""
        for alert in firing:
            mute = quiet.get(alert.fingerprint)
            why = mute.why if mute is not None else ""
            if why != alert.withheld:
                if mute is not None and mute.kind != getattr(self._quiet.get(alert.fingerprint), "kind", ""):
                    self._count(mute.kind, 1)
                self.findings.note(
                    alert, now, "kept quiet" if why else "may be told", why or f"no longer: {alert.withheld}"
                )
                alert.withheld = why
                self.judging.changed[alert.fingerprint] = alert
        self._quiet = dict(quiet)

    def attempted(self, parcel: Parcel, status: str, why: str, now: float) -> None:
        """An attempt at a parcel has ended: delivered, retry or dead."""
        key = key_of(parcel.note.receiver, str(parcel.destination.get("kind", "")))
        if status == "delivered":
            self.findings.changes.proofs |= self.proving.delivered(key, now)
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
            over = wall >= silence.ends_at + KEPT_AFTER
            if not (held or over or silence.until_resolved or silence.id in self._warned):
                continue
            if (kept := until_resolved(silence, bool(held), wall)) is not None:
                self.silence(kept)
                self.findings.ask_again(now)
            about = own.about_silence(silence, held if wall >= silence.warns_at else [])
            if about or silence.id in self._warned:
                self._raise_or_end(own.silence_ends(silence), about, "", now)
                (self._warned.add if about else self._warned.discard)(silence.id)
            if over:
                self.muting.forget_silence(silence.id)
                self.findings.changes.silences[silence.id] = None

    def _prove(self, now: float) -> None:
        """Raise what is wrong with ways to reach people, by a way that is not the one in question."""
        for complaint in self.proving.complaints(self.plan, now):
            self._raise_or_end(*complaint, now)
        self.findings.ask_again(self.proving.next_at(self.plan.prove_within, now))

    def _raise_or_end(self, threshold: Threshold, trouble: str, receiver: str, now: float) -> None:
        """Let one of our own alerts say what is the matter (empty: nothing); to `receiver`, where one is named."""
        if bool(trouble) == self.judging.is_raised(threshold.key):
            return
        self.judging.inject(threshold, own.verdict(trouble, now), now)
        for alert in self.judging.raised(threshold.key) if receiver else ():
            self.aim(alert.fingerprint, receiver)
        self.findings.ask_again(now)

    def _forget_ended(self) -> None:
        told = {mark for telling in self.speaker.tellings.values() for mark in telling.told}
        for mark, alert in list(self.judging.alerts.items()):
            if alert.phase is Phase.INACTIVE and mark not in told:
                self.gathering.forget(mark)
                self.muting.forget(mark)
                self.judging.forget(mark)
