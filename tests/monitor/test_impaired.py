"""Doubt about ourselves: what the answers mean, when a failure is excused, who is told, and what is asked again."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from alerts.thresholds import judge, parse
from checks.base import Check, Failed, Outcome, Reason, Result, Run
from checks.wire import resolve as wire
from monitor import machine
from monitor.config.impaired import Impaired as Settings
from monitor.impaired import Impaired
from monitor.impairment import Finding, Standstills, concerns, excuse, finding, too_long
from monitor.prober import Prober
from monitor.state import State
from tests import clock
from tests.checks.name_servers import ADDRESS, answer, serving
from tests.daemon import DEADLINE, Target
from tests.leaks import held, left_since


@pytest.mark.parametrize(
    ("anchors", "names", "network", "dns"),
    [
        ({}, {}, "", ""),
        ({"a": ""}, {"n": ""}, "", ""),
        ({"a": "refused"}, {}, "no anchor answers: a: refused", ""),
        ({"a": "refused", "b": "silent"}, {}, "no anchor answers: a: refused; b: silent", ""),
        ({"a": "refused", "b": ""}, {}, "", ""),
        ({"a": "refused"}, {"n": "no such name"}, "no anchor answers: a: refused", ""),
        ({"a": ""}, {"n": "no such name"}, "", "no name resolves: n: no such name"),
        ({}, {"n": "no such name"}, "", "no name resolves: n: no such name"),
        ({"a": ""}, {"n": "no such name", "m": ""}, "", ""),
    ],
)
def test_what_the_answers_mean(anchors, names, network, dns):
    assert finding(anchors, names) == Finding(network, dns)


ROOT = Path(__file__).parents[2]
NETWORK, DNS, NOTHING = Finding(network="dark"), Finding(dns="mute"), Finding()


@pytest.mark.parametrize(
    ("outcome", "reason", "found", "excused"),
    [
        (Outcome.FAILED, Reason.READ_TIMEOUT, NETWORK, "network"),
        (Outcome.FAILED, Reason.CONNECT_TIMEOUT, NETWORK, "network"),
        (Outcome.FAILED, Reason.TLS_HANDSHAKE, NETWORK, "network"),
        (Outcome.FAILED, Reason.DNS, NETWORK, "network"),
        (Outcome.ERROR, Reason.INTERNAL, NETWORK, "network"),
        (Outcome.FAILED, Reason.CONNECT_REFUSED, NETWORK, ""),
        (Outcome.FAILED, Reason.STATUS, NETWORK, ""),
        (Outcome.FAILED, Reason.ASSERTION, NETWORK, ""),
        (Outcome.ERROR, Reason.AUTH, NETWORK, ""),
        (Outcome.OK, None, NETWORK, ""),
        (Outcome.FAILED, Reason.DNS, DNS, "resolver"),
        (Outcome.ERROR, Reason.DNS, DNS, "resolver"),
        (Outcome.FAILED, Reason.READ_TIMEOUT, DNS, ""),
        (Outcome.FAILED, Reason.READ_TIMEOUT, NOTHING, ""),
    ],
)
def test_which_failures_are_excused(outcome, reason, found, excused):
    result = Result(outcome, 0.0, 0.0, reason)
    why = excuse(result, found) if concerns(result) else ""
    assert (excused in why) if excused else why == ""


@pytest.mark.parametrize(
    ("beats", "began", "ended", "stood"),
    [
        ([0.1, 0.2, 0.3], 0.0, 0.3, 0.0),
        ([0.1, 2.2, 2.3], 0.0, 2.3, 2.0),
        ([0.1, 2.2, 2.3], 1.2, 2.3, 1.0),
        ([0.1, 2.2, 2.3], 2.25, 2.3, 0.0),
        ([0.1], 0.0, 3.2, 3.0),
        ([0.1, 1.2, 1.3, 2.4], 0.0, 2.4, 2.0),
    ],
)
def test_standstills_are_added_up_and_one_that_goes_on_counts(beats, began, ended, stood):
    known = Standstills(0.0)
    for beat in beats:
        known.beat(beat)
    assert known.within(began, ended) == pytest.approx(stood, abs=1e-6)


@pytest.mark.parametrize(
    ("stood", "timeout", "long"), [(0.2, 1.0, False), (0.25, 1.0, True), (0.9, 10.0, False), (1.0, 10.0, True)]
)
def test_a_quarter_of_the_timeout_or_a_second_explains_it(stood, timeout, long):
    assert too_long(stood, timeout) is long


class Asked(Check):
    """Fails for the reason that it is given."""

    reason: Reason = Reason.READ_TIMEOUT

    async def probe(self, run: Run) -> None:
        raise Failed(self.reason, "no answer within 1 s")


CHECK = Asked(name="c", system="s")


def silent_since(at: float) -> Result:
    """What was asked then, and did not answer."""
    return Result(Outcome.FAILED, at, 0.0, Reason.READ_TIMEOUT, "no answer")


SILENT = silent_since(0.0)
UNRESOLVED = Result(Outcome.FAILED, 0.0, 0.0, Reason.DNS, "no such name")


class Watch:
    """An Impaired that runs, and what it said."""

    def __init__(self, *anchors: Target, names: tuple[str, ...] = (), tmp_path, **more: object) -> None:
        addresses = [f"tcp://127.0.0.1:{anchor.port}" for anchor in anchors]
        settings = Settings.model_validate(
            {"anchors": addresses, "names": names, "interval": "1h", "timeout": "2s"} | more
        )
        self.reports: dict[str, list[tuple[str, str]]] = {}
        self.again: set[str] = set()
        self.outcome: Outcome | None = Outcome.OK
        self.changed = asyncio.Event()
        self.impaired = Impaired(
            settings, tmp_path, asyncio.get_running_loop().time, self._report, lambda key: self.outcome, self._ask
        )

    def _report(self, cause: str, trouble: str, ended: str) -> None:
        self.reports.setdefault(cause, []).append((trouble, ended))
        self.changed.set()

    def _ask(self, keys: set[str]) -> None:
        self.again |= keys
        self.changed.set()

    async def reported(self, cause: str, trouble: bool) -> tuple[str, str]:
        """The last word about a cause, once it is trouble or no more."""
        async with asyncio.timeout(DEADLINE):
            while not self.reports.get(cause) or bool(self.reports[cause][-1][0]) is not trouble:
                self.changed.clear()
                await self.changed.wait()
        return self.reports[cause][-1]


@asynccontextmanager
async def watching(*anchors: Target, **more) -> AsyncIterator[Watch]:
    watch = Watch(*anchors, **more)
    task = asyncio.create_task(watch.impaired.run())
    try:
        await watch.reported("network", False) if anchors else None
        yield watch
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_with_an_anchor_that_answers_a_failure_stands(tmp_path):
    async with Target() as dead, Target() as anchor, watching(dead, anchor, tmp_path=tmp_path) as watch:
        await dead.down()
        assert await watch.impaired.excuse(CHECK, SILENT) == ""
        assert watch.impaired.blind == ""


async def test_the_first_failure_after_the_network_went_is_excused_without_waiting_for_the_next_look(tmp_path):
    async with Target() as anchor, watching(anchor, tmp_path=tmp_path) as watch:
        await anchor.down()
        assert watch.impaired.blind == ""
        assert await watch.impaired.excuse(CHECK, SILENT) == "the monitor's own network is down"
        trouble, _ = await watch.reported("network", True)
        assert trouble.startswith("no anchor answers: tcp://127.0.0.1:")
        await anchor.up()
        _, ended = await watch.reported("network", False)
        assert "blind for" in ended and "1 results of 1 checks were not judged" in ended
        assert watch.again == {"s/c"}
        assert await watch.impaired.excuse(CHECK, silent_since(asyncio.get_running_loop().time())) == ""


async def test_what_was_asked_before_the_network_came_back_is_excused_and_asked_again(tmp_path):
    async with Target() as anchor, watching(anchor, tmp_path=tmp_path) as watch:
        await anchor.down()
        meanwhile = silent_since(asyncio.get_running_loop().time())
        assert await watch.impaired.excuse(CHECK, SILENT) == "the monitor's own network is down"
        await watch.reported("network", True)
        await anchor.up()
        await watch.reported("network", False)
        watch.again.clear()
        assert await watch.impaired.excuse(CHECK, meanwhile) == "the monitor's own network is down"
        async with asyncio.timeout(DEADLINE):
            while not watch.again:
                watch.changed.clear()
                await watch.changed.wait()
        assert watch.again == {"s/c"}


async def test_what_was_down_before_and_what_answered_waits_for_nobody(tmp_path):
    async with Target() as anchor, watching(anchor, tmp_path=tmp_path) as watch:
        await anchor.down()
        watch.outcome = Outcome.FAILED
        assert await watch.impaired.excuse(CHECK, SILENT) == ""
        watch.outcome = Outcome.OK
        refused = Result(Outcome.FAILED, 0.0, 0.0, Reason.CONNECT_REFUSED, "refused")
        assert await watch.impaired.excuse(CHECK, refused) == ""
        assert watch.impaired.blind == "", "nobody asked the anchors for these"


async def test_many_that_fail_at_once_share_one_look_and_leave_nothing_behind(tmp_path):
    async with Target() as anchor, watching(anchor, tmp_path=tmp_path):
        pass  # what a loop keeps of the wire for good is there now
    before = held()
    async with Target() as anchor, watching(anchor, tmp_path=tmp_path) as watch:
        await anchor.down()
        asks = [asyncio.create_task(watch.impaired.excuse(CHECK, SILENT)) for _ in range(500)]
        asks[0].cancel()
        said = await asyncio.gather(*asks, return_exceptions=True)
        assert set(said[1:]) == {"the monitor's own network is down"}
    assert await left_since(before) == frozenset()


async def test_without_anchors_nothing_is_doubted(tmp_path):
    async with watching(tmp_path=tmp_path) as watch:
        assert await watch.impaired.excuse(CHECK, SILENT) == ""
        assert await watch.impaired.excuse(CHECK, UNRESOLVED) == ""


@pytest.fixture
def own_resolver() -> Iterator[None]:
    yield
    wire.use_name_servers(None)


@pytest.mark.parametrize("lie", [answer(code=3), answer(code=2), lambda question: []])
async def test_a_resolver_of_ours_that_is_sick_excuses_names_and_nothing_else(tmp_path, own_resolver, lie):
    async with serving(lie) as port, Target() as anchor:
        wire.use_name_servers([f"127.0.0.1:{port}"])
        more = {"names": ("one.example.com", "two.example.com"), "timeout": "300ms"}
        async with watching(anchor, tmp_path=tmp_path, **more) as watch:
            assert await watch.impaired.excuse(CHECK, UNRESOLVED) == "the monitor's own resolver does not answer"
            assert await watch.impaired.excuse(CHECK, SILENT) == ""
            trouble, _ = await watch.reported("dns", True)
            assert trouble.startswith("no name resolves: ")
            assert {trouble for trouble, _ in watch.reports["network"]} == {""}


async def test_a_name_that_is_gone_while_others_resolve_is_gone(tmp_path, own_resolver):
    def some(question: bytes) -> list[bytes]:
        return (answer(ADDRESS) if b"good" in question else answer(code=3))(question)

    async with serving(some) as port:
        wire.use_name_servers([f"127.0.0.1:{port}"])
        async with watching(tmp_path=tmp_path, names=("gone.example.com", "good.example.com")) as watch:
            assert await watch.impaired.excuse(CHECK, UNRESOLVED) == ""


class Doubts:
    """Excuses as told."""

    blind = ""

    def __init__(self, stood: float, why: str) -> None:
        self.stood, self.why = stood, why

    def stood_still(self, began: float, ended: float) -> float:
        return self.stood

    async def excuse(self, check: Check, result: Result) -> str:
        return self.why


def ask(reason: Reason, stood: float = 0.0, why: str = "", retries: int = 0) -> Result:
    async def main() -> Result:
        now = asyncio.get_running_loop().time
        doubt = Doubts(stood, why)
        prober = Prober(now, lambda *_: None, lambda _: None, lambda _: None, lambda _: None, doubt)
        return await prober.ask(Asked(name="c", reason=reason, timeout="4s", retries=retries))

    return clock.run(main())


class Fed(Check):
    """Waits for its target to come to us."""

    fed = True

    async def probe(self, run: Run) -> None:
        run.record("cut_off", run.cut_off)


def test_who_waits_for_others_is_not_judged_while_we_are_cut_off_and_hears_of_it():
    async def main() -> list[float]:
        seen: list[float] = []
        doubt = Doubts(0.0, "")
        prober = Prober(
            asyncio.get_running_loop().time, lambda _, result: seen.append(result.measurements[0][1]),
            lambda _: None, lambda _: None, lambda _: None, doubt,
        )  # fmt: skip
        for blind in ("", "the network is down", "", ""):
            doubt.blind = blind
            prober.launch(Fed(name="c"), 0.0)
            await asyncio.sleep(1)
        return seen

    assert clock.run(main()) == [False, True, False]


def test_an_excused_failure_is_unknown_and_says_what_was_seen():
    result = ask(Reason.READ_TIMEOUT, why="the monitor's own network is down", retries=1)
    assert (result.outcome, result.reason, result.excused, result.attempts) == (
        Outcome.ERROR, Reason.INTERNAL, True, 2,
    )  # fmt: skip
    assert result.sentence == "not judged: the monitor's own network is down (no answer within 1 s)"


def test_a_timeout_while_we_stood_still_is_unknown_and_an_answer_is_not():
    result = ask(Reason.READ_TIMEOUT, stood=2.1)
    assert (result.outcome, result.sentence) == (
        Outcome.ERROR, "the monitor itself stood still for 2.1 s meanwhile: unknown",
    )  # fmt: skip
    assert ask(Reason.STATUS, stood=2.1).outcome is Outcome.FAILED
    assert ask(Reason.READ_TIMEOUT, stood=0.9).outcome is Outcome.FAILED


@pytest.mark.parametrize(("excused", "breached"), [(True, None), (False, True)])
def test_an_excused_result_raises_not_even_what_asks_for_errors(excused, breached):
    result = Result(Outcome.ERROR, 0.0, 0.0, Reason.INTERNAL, "x", excused=excused)
    [(_, judgement)] = judge(parse("error", {}), result, None, 0.0)
    assert judgement.breached is breached
    [(_, judgement)] = judge(parse("failed", {}), result, None, 0.0)
    assert judgement.breached is None


def test_uptime_leaves_out_what_was_not_observed():
    state = State()
    story = [(0, Outcome.OK), (60, Outcome.FAILED), (70, Outcome.ERROR), (1_070, Outcome.OK), (1_100, Outcome.OK)]
    uptimes = []
    for at, outcome in story:
        state.take(CHECK, Result(outcome, float(at), 0.0))
        known = state.get("s/c")
        assert known is not None
        uptimes.append((known.observed, known.uptime))
    assert uptimes == [(0.0, None), (60.0, 1.0), (70.0, 60 / 70), (70.0, 60 / 70), (100.0, 90 / 100)]


def test_the_disk_is_named_before_it_is_full_and_does_not_flap(tmp_path):
    free = machine.disk_trouble(tmp_path, 10**18, "")
    assert "left on the disk that holds" in free and str(tmp_path) in free
    assert machine.disk_trouble(tmp_path, 1_000, "") == machine.disk_trouble(tmp_path, 1_000, "was") == ""
    assert "cannot ask how much room" in machine.disk_trouble(tmp_path / "gone", 1, "")


EATER = """
import resource, sys
from monitor import machine
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
said, files = [machine.descriptor_trouble()], []
try:
    while True:
        files.append(open("/dev/null"))
        said.append(machine.descriptor_trouble())
except OSError:
    sys.stdout.write("\\n".join(dict.fromkeys(said)))
"""


def test_descriptors_are_named_before_they_run_out():
    done = subprocess.run([sys.executable, "-c", EATER], cwd=ROOT, capture_output=True, text=True, check=True)
    first, *between, last = done.stdout.split("\n")
    assert (first, last) == ("", "cannot open anything more: Too many open files")
    assert between[0] == "90 of 100 file descriptors are in use; allow more (LimitNOFILE, ulimit -n)"
