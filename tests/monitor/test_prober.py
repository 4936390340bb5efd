"""Asking: deadline, retries, whose fault it is, and that nothing is raised or left behind."""

import asyncio
import contextlib

import pytest
from pydantic import SecretStr

from checks.base import Check, Errored, Failed, Outcome, Reason, Run
from checks.wire.fault import WireError
from checks.wire.patience import Patience
from monitor.prober import Prober
from tests.clock import run


class Scripted(Check):
    """Does what its script says, one word for each probe: the last word for ever."""

    script: tuple[str, ...]
    password: SecretStr = SecretStr("hunter2-hunter2")

    async def probe(self, run: Run) -> None:
        turn = run.memory.setdefault("turn", 0)
        run.memory["turn"] += 1
        word = self.script[min(turn, len(self.script) - 1)]
        match word:
            case "fail":
                run.evidence("what it said", f"login with {self.password.get_secret_value()} refused")
                raise Failed(Reason.STATUS, f"it answered 503 to {self.password.get_secret_value()}")
            case "error":
                raise Errored(Reason.AUTH, "our role may not look")
            case "break":
                raise ZeroDivisionError("a bug")
            case "hang":
                await asyncio.sleep(1e6)
            case "stall":
                asyncio.get_running_loop()._virtual.waited += 60.0
                await asyncio.sleep(1e6)
            case "step":
                with Patience(self.timeout) as patience:
                    patience.doing("hello", "read_timeout", "no greeting", ours=True)
                    asyncio.get_running_loop()._virtual.waited += self.timeout * 1.1
                    try:
                        await patience.wait(asyncio.get_running_loop().create_future())
                    except WireError as why:
                        raise Errored(Reason.READ_TIMEOUT, why.sentence) from None
            case "library":
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self.timeout * 0.9):
                        asyncio.get_running_loop()._virtual.waited += self.timeout * 1.1
                        await asyncio.shield(asyncio.get_running_loop().create_future())
                raise Errored(Reason.READ_TIMEOUT, "no greeting within 5 s")
        run.record("size_bytes", 5.0)


def ask(*script: str, **fields: object):
    async def main():
        suspected = []
        prober = Prober(
            asyncio.get_running_loop().time,
            lambda check, result: None,
            suspected.append,
            lambda check: None,
            lambda late: None,
        )
        began = asyncio.get_running_loop().time()
        result = await prober.ask(Scripted(name="c", system="s", script=script, **fields))
        return result, suspected, asyncio.get_running_loop().time() - began

    return run(main())


def test_ok_is_ok_at_once():
    result, suspected, took = ask("ok")
    assert (result.outcome, result.reason, result.attempts) == (Outcome.OK, None, 1)
    assert (suspected, took) == ([], 0.0)
    assert result.measurements == [("size_bytes", 5.0, ())]


def test_a_failure_is_asked_again_before_it_counts():
    result, suspected, took = ask("fail", "ok", retry_interval="2s")
    assert (result.outcome, result.attempts, suspected, took) == (Outcome.OK, 2, ["s/c"], 2.0)


def test_a_failure_that_stays_counts_from_the_first_attempt():
    result, _, took = ask("fail", retries=3, retry_interval="1s")
    assert (result.outcome, result.reason, result.attempts, took) == (Outcome.FAILED, Reason.STATUS, 4, 3.0)
    assert result.at == 1_000.0


def test_a_hanging_target_fails_at_the_deadline():
    result, _, took = ask("hang", timeout="5s", retries=0)
    assert (result.outcome, result.reason, took) == (Outcome.FAILED, Reason.READ_TIMEOUT, 5.0)
    assert result.sentence == "no answer within 5 s"


def test_a_deadline_missed_by_ourselves_is_unknown_not_down():
    result, _, _ = ask("stall", timeout="5s", retries=0)
    assert (result.outcome, result.reason) == (Outcome.ERROR, Reason.INTERNAL)
    assert "runwatch was busy" in result.sentence


@pytest.mark.parametrize("deadline", ["step", "library"])
def test_where_the_loop_stood_still_across_both_deadlines_the_one_that_names_the_step_is_told(deadline):
    result, _, _ = ask(deadline, timeout="5s", retries=0)
    assert (result.outcome, result.sentence) == (Outcome.ERROR, "no greeting within 5 s")


def test_our_own_trouble_and_a_bug_are_errors():
    assert ask("error")[0].outcome is Outcome.ERROR
    result = ask("break")[0]
    assert (result.outcome, result.reason) == (Outcome.ERROR, Reason.INTERNAL)
    assert "ZeroDivisionError: a bug" in result.sentence


def test_no_secret_leaves_in_sentence_or_evidence():
    result = ask("fail", retries=0)[0]
    assert result.sentence == "it answered 503 to ***"
    assert result.evidence == [("what it said", "login with *** refused")]


def test_one_probe_of_a_check_at_a_time_and_none_is_left_behind():
    async def main():
        seen, skipped = [], []
        prober = Prober(
            asyncio.get_running_loop().time,
            lambda check, result: seen.append(result),
            lambda key: None,
            lambda check: skipped.append(check.key),
            lambda late: None,
        )
        check = Scripted(name="c", system="s", script=("hang",), timeout="5s", retries=0)
        for _ in range(3):
            prober.launch(check, asyncio.get_running_loop().time())
        assert (prober.running, skipped) == (1, ["s/c", "s/c"])
        await asyncio.sleep(6)
        assert (prober.running, len(seen)) == (0, 1)
        prober.launch(check, asyncio.get_running_loop().time())
        await asyncio.sleep(1)
        await prober.stop()
        assert (prober.running, len(seen)) == (0, 1)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main())


def test_a_cancellation_from_outside_is_no_timeout():
    async def main():
        prober = Prober(
            asyncio.get_running_loop().time,
            lambda check, result: None,
            lambda key: None,
            lambda check: None,
            lambda late: None,
        )
        check = Scripted(name="c", system="s", script=("hang",), timeout="5s", retries=0)
        task = asyncio.create_task(prober.ask(check))
        # Cancelled in the very turn in which the deadline comes.
        asyncio.get_running_loop().call_later(5.0, task.cancel)
        await asyncio.wait([task])
        assert task.cancelled()

    run(main())
