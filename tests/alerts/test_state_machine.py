"""Whatever happens in whatever order, with crashes between any two steps: the promises of telling, as a state machine.

Told firing, told resolved; nothing twice beyond one duplicate for a crash; nobody beyond an acknowledgement; nothing
that is muted. A small model remembers what each destination believes; the engine runs on a virtual clock.
"""

from __future__ import annotations

import sqlite3
from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from alerts import silences
from alerts.engine import Engine
from alerts.escalation import EscalationStep
from alerts.flapping import FlappingLimit
from alerts.inhibition import InhibitRule
from alerts.intervals import TimeInterval, TimeRange
from alerts.outbox import Changes, Kept, Parcel
from alerts.plan import StormLimit
from alerts.receiving import receive
from alerts.routing import Route, parse_matcher
from alerts.sent import SentAlert
from alerts.vocabulary import Phase, Severity
from checks.base import Outcome, Reason, Result
from monitor.store.sqlite import SCHEMA, kept_from, rows_of
from tests.timeline import START, plan, receiver, threshold

CHECKS = ("shop/db", "shop/web", "shop/mail", "till/print", "till/scan")
THRESHOLDS = (
    threshold("shop/db", severity=Severity.CRITICAL, severity_word="P0"),
    threshold("shop/web", respond_within=120.0),
    threshold("shop/web", "duration_seconds > 2s", alert="WebSlow", severity=Severity.LOW),
    threshold("shop/mail", keep_firing=30),
    threshold("till/print", flapping=FlappingLimit()),
    threshold("till/scan", hold=20),
)
LADDER = (EscalationStep("lead", 100), EscalationStep("boss", 250))
PEOPLE = [receiver("team"), receiver("lead"), receiver("boss"), receiver("on-call", "pager", "mail")]
NO_MAIL = InhibitRule((parse_matcher('alertname="DbDown"'),), (parse_matcher('alertname=~"Mail.*"'),), ("system",))
EVEN_MINUTES = TimeInterval("even", (TimeRange(times=tuple((minute, minute + 1) for minute in range(0, 1440, 2))),))
PLANS = (
    plan(
        *THRESHOLDS,
        route=Route("team", group_by=("system",), group_interval=60, repeat_interval=300, escalation=LADDER),
        receivers=PEOPLE,
        depends_on={"shop/web": ["shop/db"]},
        inhibit_rules=(NO_MAIL,),
    ),
    plan(
        *THRESHOLDS,
        route=Route(
            "team",
            group_by=("alertname",),
            repeat_interval=300,
            max_reminders=2,
            routes=(
                Route("on-call", (parse_matcher('severity=~"critical|high"'),), group_wait=5, follow_on=True),
                Route("lead", (parse_matcher("system=till"),), mute_time_intervals=("even",)),
            ),
        ),
        receivers=PEOPLE,
        time_intervals={"even": EVEN_MINUTES},
        storm=StormLimit(pages=2, within=60, update=30),
    ),
    plan(*THRESHOLDS[:3], route=Route("lead"), receivers=PEOPLE[1:3]),
    plan(
        *THRESHOLDS,
        route=Route(
            "team",
            group_by=("system",),
            escalation=LADDER[:1],
            routes=(
                Route("team", group_by=("system",), mute_time_intervals=("even",), escalation=LADDER, follow_on=True),
                Route("lead", (parse_matcher("severity=high"),), group_by=("system",), follow_on=True),
                Route("team", group_by=("system",), group_interval=60, repeat_interval=30, escalation=LADDER[:1]),
            ),
        ),
        receivers=PEOPLE,
        time_intervals={"even": EVEN_MINUTES},
    ),
)
MATCHERS = ('system="shop"', 'system="till"', 'alertname="DbDown"', 'severity=~"low|high"')


class Disk:
    """The real store's tables and encoding, in memory: what is read from it was written to it."""

    def __init__(self) -> None:
        self._tables = sqlite3.connect(":memory:", isolation_level=None)
        self._tables.executescript(SCHEMA)

    def write(self, changes: Changes) -> None:
        for statement, parameters in rows_of(changes).items():
            self._tables.executemany(statement, parameters)

    def load(self) -> Kept:
        return kept_from(self._tables.execute)

    def close(self) -> None:
        self._tables.close()


class Believed:
    """What one destination believes of one group, from the messages that it has had."""

    def __init__(self) -> None:
        self.firing: set[str] = set()


class Telling(RuleBasedStateMachine):
    """One engine, its store as a plain copy, a network that may lose its process between any two steps."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.store = Disk()
        self.engine = Engine(PLANS[0], Kept(), START)
        self.believed: dict[tuple[str, str], Believed] = {}
        self.sent: Counter[str] = Counter()
        self.crashes = 0

    # --- the process, its disk and the network ---------------------------------------------------------------------

    def decide(self) -> None:
        """Decide, make it durable, deliver: a process that lives."""
        for _ in range(50):
            changes = self.engine.decide(self.now)
            self.keep(changes)
            for parcel in changes.parcels.values():
                if parcel is not None:
                    self.deliver(parcel)
            if not self.engine.stirred and not (self.engine.next_at is not None and self.engine.next_at <= self.now):
                return
        raise AssertionError("the engine does not come to rest")

    def keep(self, changes: Changes) -> None:
        self.store.write(changes)

    def deliver(self, parcel: Parcel, forget: bool = True) -> None:
        """The receiver accepts; `forget`: and we live to write that down."""
        note = parcel.note
        where = (str(parcel.destination), note.dedup_key)
        believed = self.believed.setdefault(where, Believed())
        self.sent[parcel.id] += 1
        if self.sent[parcel.id] == 1:
            self.judge(parcel, believed)
        firing = {alert.fingerprint for alert in note.firing}
        ended = {alert.fingerprint for alert in note.resolved}
        believed.firing = (believed.firing | firing) - ended if note.status == "firing" else set()
        if forget:
            self.keep(Changes(parcels={parcel.id: None}))

    def judge(self, parcel: Parcel, believed: Believed) -> None:
        note = parcel.note
        muted = {mark for mark, mute in self.engine._quiet.items() if mute.kind in ("silence", "inhibition")}
        firing = {alert.fingerprint for alert in note.firing}
        assert note.alerts, "a message about nothing"
        assert (note.status == "resolved") == (not firing), "the status and the alerts disagree"
        assert not firing & muted, "something muted is told"
        assert {alert.fingerprint for alert in note.resolved} <= believed.firing, "an end without a beginning"
        match note.reason:
            case "first" | "storm":
                assert not believed.firing, "a first page to somebody who knows"
            case "resolved":
                assert believed.firing, "a resolve to somebody who knows of nothing"
            case "escalated":
                assert any(not alert.acked_by for alert in note.firing), "an escalation after the acknowledgement"
            case "reminder":
                assert any(not alert.acked_by for alert in note.firing), "a reminder after the acknowledgement"

    # --- what may happen --------------------------------------------------------------------------------------------

    @rule(check=st.sampled_from(CHECKS), outcome=st.sampled_from(["fail", "ok", "slow", "error"]))
    def probe(self, check: str, outcome: str) -> None:
        failed = {"fail": Outcome.FAILED, "error": Outcome.ERROR}.get(outcome, Outcome.OK)
        measured = [] if failed is not Outcome.OK else [("duration_seconds", 5.0 if outcome == "slow" else 0.1, ())]
        reason = None if failed is Outcome.OK else Reason.CONNECT_REFUSED
        self.engine.judging.observe(check, Result(failed, self.now, 0.001, reason, "refused", measured), self.now)
        self.decide()

    @rule(seconds=st.sampled_from([1, 7, 30, 61, 130, 400]))
    def wait(self, seconds: int) -> None:
        until = self.now + seconds
        while self.engine.next_at is not None and self.engine.next_at <= until:
            self.now = max(self.now, self.engine.next_at)
            self.decide()
        self.now = until
        self.decide()

    @rule(matcher=st.sampled_from(MATCHERS), seconds=st.sampled_from([20, 100, 500]), flag=st.booleans())
    def silence(self, matcher: str, seconds: int, flag: bool) -> None:
        made = silences.new(
            [parse_matcher(matcher)], self.now, self.now + seconds, "ann", "why", self.now, until_resolved=flag
        )
        self.engine.silence(made)
        self.decide()

    @precondition(lambda self: self.engine.muting.silences)
    @rule(data=st.data())
    def expire(self, data: st.DataObject) -> None:
        held = sorted(self.engine.muting.silences.values(), key=lambda one: (one.starts_at, one.ends_at, one.id))
        index = data.draw(st.integers(0, len(held) - 1))
        self.engine.silence(silences.ended(held[index], self.now))
        self.decide()

    @rule(seconds=st.sampled_from([0, 50, 300]))
    def acknowledge(self, seconds: int) -> None:
        marks = [alert.fingerprint for alert in self.engine.judging.live()]
        self.engine.acknowledge(marks, "ann", self.now + seconds if seconds else 0.0, self.now)
        self.decide()

    @rule(name=st.sampled_from(["Down", "Slow"]), lasts=st.sampled_from([-5, 40, 0]))
    def send(self, name: str, lasts: int) -> None:
        labels = {"alertname": name, "system": "till", "severity": "warning"}
        receive(self.engine.judging, SentAlert(labels, {}, self.now - 10, self.now + lasts if lasts else 0.0), self.now)
        self.decide()

    @rule(number=st.integers(0, len(PLANS) - 1))
    def reload(self, number: int) -> None:
        self.engine.replan(PLANS[number], self.now)
        self.decide()

    @rule()
    def restart(self) -> None:
        self.start_again()

    @rule(check=st.sampled_from(CHECKS), where=st.sampled_from(["undecided", "unwritten", "unsent", "unforgotten"]))
    def crash(self, check: str, where: str) -> None:
        """kill -9 between any two steps of one decision."""
        result = Result(Outcome.FAILED, self.now, 0.001, Reason.CONNECT_REFUSED, "refused")
        self.engine.judging.observe(check, result, self.now)
        if where != "undecided":
            changes = self.engine.decide(self.now)
            if where != "unwritten":
                self.keep(changes)
            if where == "unforgotten":
                for parcel in changes.parcels.values():
                    if parcel is not None:
                        self.deliver(parcel, forget=False)
        self.crashes += 1
        self.start_again()

    def start_again(self) -> None:
        kept = self.store.load()
        plan_now = self.engine.plan
        self.engine = Engine(plan_now, kept, self.now)
        self.engine.replan(plan_now, self.now)
        for parcel in sorted(kept.parcels, key=lambda parcel: parcel.created):
            self.deliver(parcel)
        self.decide()

    # --- what always holds -------------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_said_more_than_once_more_for_each_crash(self) -> None:
        assert all(count <= 2 for count in self.sent.values())
        assert sum(count - 1 for count in self.sent.values()) <= self.crashes * 8

    @invariant()
    def who_believes_that_something_fires_is_owed_its_end(self) -> None:
        owed: dict[tuple[str, str], set[str]] = {}
        for telling in self.engine.tellings.values():
            owed.setdefault((str(telling.destination), telling.dedup_key), set()).update(telling.told)
        for where, believed in self.believed.items():
            assert believed.firing <= owed.get(where, set()), "nobody will tell them that it has ended"

    def teardown(self) -> None:
        """In the end everything is well, nothing is silenced, and everybody must know it."""
        for silence in list(self.engine.muting.silences.values()):
            self.engine.silence(silences.ended(silence, self.now))
        for _ in range(30):
            for check in CHECKS:
                ok = Result(Outcome.OK, self.now, 0.001, None, "", [("duration_seconds", 0.1, ())])
                self.engine.judging.observe(check, ok, self.now)
            self.wait_quietly(40)
        assert not any(believed.firing for believed in self.believed.values()), "somebody still believes that it fires"
        live = [alert for alert in self.engine.judging.alerts.values() if alert.phase is not Phase.INACTIVE]
        assert not live
        assert not self.engine.tellings
        assert not self.engine.ladders.positions
        self.store.close()

    def wait_quietly(self, seconds: float) -> None:
        until = self.now + seconds
        while self.engine.next_at is not None and self.engine.next_at <= until:
            self.now = max(self.now, self.engine.next_at)
            self.decide()
        self.now = until
        self.decide()


TestTelling = Telling.TestCase
TestTelling.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
