"""The outbox's consumer against a real receiver that refuses, breaks and comes back."""

import asyncio
from typing import ClassVar

import pytest
from aiohttp import ClientSession
from hypothesis import given
from hypothesis import strategies as st

from alerts import delivery
from alerts.delivery import Delivery
from alerts.notifiers.webhook import Webhook
from alerts.outbox import Changes, Parcel
from alerts.pacing import LONGEST_BACK_OFF, LONGEST_RETRY_AFTER, Pacer, back_off
from monitor.demo.inbox import Fault, Inbox
from tests.alerts.notes import note, resolved


class Incidents(Webhook):
    """A destination that takes one message a second, and keeps something of its own for each group."""

    per_minute: ClassVar[float] = 60.0


class Behind(Incidents):
    """The same, where messages can be put together."""

    @property
    def mergeable(self) -> bool:
        return True


class Desk:
    """A delivery with a clock that can be set, and everything it wrote and reported."""

    def __init__(self, http: ClientSession, inbox: Inbox) -> None:
        self.ahead = 0.0
        self.kind = Webhook
        self.changes = Changes()
        self.attempts = []
        self.fallen = []
        self.reported = asyncio.Event()
        self.inbox = inbox
        self.delivery = Delivery(http, self.now, self._build, self._write, self.fallen.append, self._report)

    def now(self) -> float:
        return 1_000.0 + asyncio.get_running_loop().time() + self.ahead

    def _build(self, destination) -> Webhook:
        return self.kind(url=destination["url"])

    async def _write(self, changes: Changes) -> None:
        self.changes.merge(changes)

    def _report(self, attempt) -> None:
        self.attempts.append(attempt)
        self.reported.set()

    def send(self, *notes, thread: str = "t", path: str = "team") -> list[Parcel]:
        destination = {"kind": "webhook", "url": f"{self.inbox.url}/hook/{path}"}
        parcels = [
            Parcel(f"{thread}{number}", thread, thread, destination, one, self.now())
            for number, one in enumerate(notes)
        ]
        self.delivery.submit(parcels)
        return parcels

    async def until(self, count: int) -> list:
        async with asyncio.timeout(8):
            while len(self.attempts) < count:
                self.reported.clear()
                await self.reported.wait()
        return [attempt.status for attempt in self.attempts]

    async def all_gone(self) -> None:
        """Until nothing waits any more, however long that takes by the delivery's own clock."""
        async with asyncio.timeout(8):
            while self.delivery.pending:
                self.skip(1)
                await asyncio.sleep(0)

    def skip(self, seconds: float) -> None:
        """Let the delivery believe that time has passed."""
        self.ahead += seconds
        self.delivery._wake.set()


@pytest.fixture
async def desk():
    async with Inbox() as inbox, ClientSession() as http:
        desk = Desk(http, inbox)
        task = asyncio.create_task(desk.delivery.run())
        yield desk
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await desk.delivery.finish(0.1)


async def test_what_is_accepted_leaves_the_outbox_and_enters_the_ledger(desk):
    [parcel] = desk.send(note())
    assert await desk.until(1) == ["delivered"]
    await asyncio.sleep(0)
    assert desk.changes.parcels == {parcel.id: None}
    assert [(entry.status, entry.attempts) for entry in desk.changes.entries] == [("delivered", 1)]
    assert desk.delivery.pending == []


async def test_a_refusal_is_tried_again_and_its_retry_after_obeyed(desk):
    desk.inbox.fault(Fault("/hook", 429, retry_after=30, times=1))
    [parcel] = desk.send(note())
    await desk.until(1)
    assert parcel.next_at - desk.now() == pytest.approx(30, abs=2)
    desk.skip(31)
    assert await desk.until(2) == ["retry", "delivered"]


async def test_a_receiver_that_hangs_up_is_tried_again(desk):
    desk.inbox.fault(Fault("/hook", drop=True, times=2))
    desk.send(note())
    for count in (1, 2):
        await desk.until(count)
        desk.skip(120)
    assert await desk.until(3) == ["retry", "retry", "delivered"]


async def test_no_resolve_overtakes_its_page(desk):
    desk.inbox.fault(Fault("/hook", 500, times=1))
    desk.send(note(), resolved())
    await desk.until(1)
    desk.skip(120)
    await desk.until(3)
    accepted = [message.body["status"] for message in desk.inbox.messages if message.status == 200]
    assert accepted == ["firing", "resolved"]


async def test_an_alert_that_ends_and_fires_again_meanwhile_is_told_in_that_order(desk):
    desk.inbox.fault(Fault("/hook", 500, times=1))
    parcels = desk.send(note(), resolved(), note())
    for number, parcel in enumerate(parcels):
        parcel.thread = f"opening {number // 2}"
    for count in (1, 2, 3):
        await desk.until(count)
        desk.skip(120)
    await desk.until(4)
    accepted = [message.body["status"] for message in desk.inbox.messages if message.status == 200]
    assert accepted == ["firing", "resolved", "firing"]


async def test_one_bad_destination_holds_up_nobody_else(desk):
    desk.inbox.fault(Fault("/hook/bad", hang=True))
    desk.send(note(), thread="bad", path="bad")
    desk.send(note(), thread="good", path="good")
    assert await desk.until(1) == ["delivered"]
    assert [attempt.parcel.thread for attempt in desk.attempts] == ["good"]


async def test_a_receiver_that_never_answers_is_given_up_at_the_deadline_and_tried_again(desk, monkeypatch):
    monkeypatch.setattr(delivery, "ATTEMPT_TIMEOUT", 0.2)
    desk.inbox.fault(Fault("/hook", hang=True, times=1))
    desk.send(note())
    assert await desk.until(1) == ["retry"]
    assert desk.attempts[0].reason == "contextDeadlineExceeded"
    desk.skip(120)
    assert await desk.until(2) == ["retry", "delivered"]


async def test_a_permanent_refusal_is_not_repeated_and_turns_to_the_fallback(desk):
    desk.inbox.fault(Fault("/hook", 404))
    [parcel] = desk.send(note())
    assert await desk.until(1) == ["dead"]
    await asyncio.sleep(0)
    assert desk.fallen == [parcel]
    assert desk.changes.parcels == {parcel.id: None}
    assert desk.changes.entries[0].status == "dead"


async def test_the_fallback_is_asked_once_after_its_time_and_the_attempts_go_on(desk):
    desk.inbox.fault(Fault("/hook", 500))
    [parcel] = desk.send(note())
    for count in (1, 2, 3):
        await desk.until(count)
        desk.skip(130)
    await desk.until(4)
    assert desk.fallen == [parcel]
    desk.inbox.heal()
    desk.skip(130)
    assert (await desk.until(5))[-1] == "delivered"


async def test_a_receiver_gone_for_an_hour_gets_everything_in_order(desk):
    await desk.inbox.refuse()
    desk.send(note(), note(reason="reminder"), resolved())
    for count in range(1, 12):
        await desk.until(count)
        desk.skip(330)
    await desk.inbox.accept()
    desk.skip(120)
    await desk.all_gone()
    accepted = [message.body["notification_reason"] for message in desk.inbox.messages]
    assert accepted == ["first", "resolved"]
    assert [entry.status for entry in desk.changes.entries].count("superseded") == 1, "a reminder says no more"


async def test_every_attempt_is_in_the_ledger(desk):
    await desk.inbox.refuse()
    desk.send(note())
    await desk.until(1)
    await desk.inbox.accept()
    await desk.all_gone()
    assert [(entry.status, entry.attempts) for entry in desk.changes.entries] == [("retry", 1), ("delivered", 2)]
    assert desk.changes.entries[0].error


async def test_what_waits_for_a_destination_that_is_behind_comes_as_one_message(desk):
    desk.kind = Behind
    count = 30
    for number in range(count):
        desk.send(note(), thread=f"group{number}")
    await desk.all_gone()
    bodies = [message.body for message in desk.inbox.messages]
    assert len(bodies) < count / 2
    assert sum(len(body["alerts"]) for body in bodies) == count, "nothing is lost"
    assert "messages waited for this receiver" in bodies[-1]["why"]
    assert {entry.status for entry in desk.changes.entries} == {"delivered"}


async def test_what_keeps_an_incident_of_its_own_is_never_merged(desk):
    desk.kind = Incidents
    for number in range(12):
        desk.send(note(), thread=f"group{number}")
    await desk.all_gone()
    assert len(desk.inbox.messages) == 12


async def test_a_destination_that_can_not_be_built_is_dead_not_stuck(desk):
    desk.delivery.submit([Parcel("x", "x", "x", {"kind": "webhook"}, note(), desk.now())])
    assert await desk.until(1) == ["dead"]
    assert "cannot use this destination" in desk.attempts[0].why


@given(st.integers(1, 200), st.floats(0, 1))
def test_back_off_grows_and_never_beyond_its_limit(attempts, chance):
    assert 0.5 <= back_off(attempts, None, chance) <= LONGEST_BACK_OFF


@given(st.integers(1, 50), st.floats(0, 1e9))
def test_retry_after_is_obeyed_within_reason(attempts, asked):
    assert back_off(attempts, asked, 0.5) == min(max(asked, 1.0), LONGEST_RETRY_AFTER)


@given(st.lists(st.floats(0, 5), min_size=1, max_size=200), st.sampled_from([60.0, 120.0, 600.0]))
def test_the_pace_is_kept_in_every_minute(gaps, per_minute):
    pacer, now, granted = Pacer(per_minute), 1_000.0, []
    for gap in gaps:
        now += gap
        if pacer.wait(now) == 0:
            granted.append(now)
    for start in granted:
        within = [at for at in granted if start <= at < start + 60]
        assert len(within) <= per_minute + per_minute / 20 + 1


async def test_a_destination_that_hangs_does_not_hold_up_another(desk):
    """Ten times as many groups as there are places, all for a receiver that never answers."""
    desk.inbox.fault(Fault("/hook/hangs", hang=True))
    for number in range(delivery.AT_ONCE * 10):
        desk.send(note(), thread=f"h{number}", path="hangs")
    await asyncio.sleep(0)
    desk.send(note(), thread="well", path="team")
    assert await desk.until(1) == ["delivered"]
    assert len(desk.delivery.pending) == delivery.AT_ONCE * 10


async def test_all_that_waits_behind_what_is_refused_falls_over_too(desk):
    """The page after the next one must not wait for its turn, which may never come."""
    desk.inbox.fault(Fault("/hook", 500))
    first, end, again = desk.send(note(), resolved(), note(reason="first"))
    [other] = desk.send(note(), thread="other")
    await desk.until(2)
    desk.skip(delivery.FALL_OVER_AFTER + 60)
    await desk.until(4)
    assert {parcel.id for parcel in desk.fallen} == {first.id, end.id, again.id, other.id}
    assert len(desk.fallen) == 4
    assert desk.changes.parcels[again.id].fell_over


@pytest.mark.parametrize(("attempts", "seconds"), [(1, 1.0), (2, 2.0), (4, 8.0), (6, 32.0), (7, 60.0), (500, 60.0)])
def test_back_off_doubles_from_a_second_to_a_minute_less_up_to_half(attempts, seconds):
    assert back_off(attempts, None, 1.0) == seconds
    assert back_off(attempts, None, 0.0) == seconds / 2


def test_three_seconds_worth_go_at_once_then_evenly():
    pacer = Pacer(60)
    assert [pacer.wait(0.0) for _ in range(4)] == [0.0, 0.0, 0.0, 1.0]
    assert (pacer.wait(0.75), pacer.wait(1.0), pacer.wait(1.0)) == (0.25, 0.0, 1.0)
    assert [pacer.wait(1_000.0) for _ in range(4)] == [0.0, 0.0, 0.0, 1.0]


def test_a_slow_destination_takes_one_at_once():
    pacer = Pacer(6)
    assert (pacer.wait(0.0), pacer.wait(0.0), pacer.wait(5.0)) == (0.0, pytest.approx(10.0), pytest.approx(5.0))
    assert pacer.wait(4.0) == pytest.approx(5.0), "a clock set back takes nothing away"


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A receiver that says back what it was asked for, with what a terminal would obey."""
    asked = (await reader.readuntil(b"\r\n\r\n"))[:200]
    said = b"\x1b[2J no such thing: " + asked * 20
    writer.write(b"HTTP/1.1 500 Oops\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said))
    writer.close()


async def test_no_sentence_about_a_destination_holds_its_secrets(desk):
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        address = f"http://ann:hunter22@127.0.0.1:{port}/services/T0/B0/s3cr%20t?key=t0ken"
        parcel = Parcel("p", "q", "t", {"kind": "webhook", "url": address}, note(), desk.now())
        desk.delivery.submit([parcel])
        await desk.until(1)
    said = desk.attempts[0].why
    assert "no such thing" in said
    assert len(said) <= 500
    assert said.isprintable()
    for secret in ("s3cr", "t0ken", "hunter22", "T0/B0"):
        assert secret not in said
    assert parcel.last_error == said


async def test_a_kept_destination_that_is_none_any_more_is_said_without_its_values(desk):
    parcel = Parcel("p", "q", "t", {"kind": "webhook", "url": "gopher://s3cret"}, note(), desk.now())
    desk.delivery.submit([parcel])
    assert await desk.until(1) == ["dead"]
    assert desk.attempts[0].why.startswith("cannot use this destination: url: ")
    assert "s3cret" not in desk.attempts[0].why
