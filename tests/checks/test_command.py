"""Nagios plugins: the real ones of Debian, and programs that misbehave in every way."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
from math import inf, isfinite
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from checks.base import Errored, Outcome, Reason, Run
from checks.command import Command
from checks.parts import program as _program
from checks.parts.nagios import MOST_ITEMS, Item, Range, parse_range, perfdata, read
from checks.parts.pool import MOST, in_pool
from tests.checks.probing import asked, errs, evidence, fails, result_of, value, values
from tests.leaks import held, left_since
from tests.skips import missing

PLUGINS = Path("/usr/lib/nagios/plugins")


@pytest.fixture
def plugins() -> None:
    if not (PLUGINS / "check_http").exists():
        missing("Debian's monitoring-plugins-basic")


def command(*argv, timeout="3s", **keys):
    return Command(name="c", argv=argv, timeout=timeout, **keys)


def shell(script, **keys):
    return command("sh", "-c", script, **keys)


def program(folder, text, mode=0o755):
    file = folder / "plugin"
    file.write_text(text)
    file.chmod(mode)
    return str(file)


async def gone(pid):
    """Wait until a process has ended; to reap it may be somebody else's."""
    with contextlib.suppress(OSError):
        async with asyncio.timeout(5):
            while Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                await asyncio.sleep(0)


async def serving(answer=b"HTTP/1.0 200 OK\r\n\r\nhello"):
    async def greet(reader, writer):
        with contextlib.closing(writer), contextlib.suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    return server, str(server.sockets[0].getsockname()[1])


# --- the real plugins ---------------------------------------------------------------------------------------------


async def test_check_disk_says_what_the_kernel_says(plugins, tmp_path):
    run = await asked(command("check_disk", "-w", "1%", "-c", "0%", "-p", str(tmp_path)))
    disk = os.statvfs(tmp_path)
    [labels] = values(run, "perfdata")
    where = dict(labels)
    assert where["unit"] == "bytes"
    total = disk.f_blocks * disk.f_frsize
    assert value(run, "perfdata_max") == pytest.approx(total, rel=0.001)
    assert value(run, "perfdata") == pytest.approx(total - disk.f_bfree * disk.f_frsize, rel=0.02)
    assert value(run, "perfdata_warn", end="high") == pytest.approx(0.99 * total, rel=0.1)
    assert (value(run, "state"), value(run, "perfdata_state"), value(run, "perfdata_unreadable")) == (0, 0, 0)
    assert 0 < value(run, "cpu_seconds") < 1


async def test_check_http_and_check_tcp_against_a_server(plugins):
    server, port = await serving()
    async with server:
        run = await asked(command("check_http", "-H", "127.0.0.1", "-p", port))
        assert 0 < value(run, "perfdata", label="time", unit="seconds") < 2
        assert value(run, "perfdata", label="size", unit="bytes") == 24
        await fails(command("check_http", "-H", "127.0.0.1", "-p", port, "-s", "bye"), Reason.ASSERTION, "CRITICAL")
        run = await asked(command(str(PLUGINS / "check_tcp"), "-H", "127.0.0.1", "-p", port))
        assert values(run, "perfdata")
    await fails(command("check_tcp", "-H", "127.0.0.1", "-p", port), Reason.ASSERTION, "check_tcp says", "refused")


async def test_check_ping_counts_loss_as_a_ratio_and_time_in_seconds(plugins):
    run = await asked(command("check_ping", "-H", "127.0.0.1", "-w", "100,20%", "-c", "500,50%", "-p", "1"))
    assert 0 < value(run, "perfdata", label="rta", unit="seconds") < 0.1
    assert value(run, "perfdata", label="pl", unit="ratio") == 0
    assert value(run, "perfdata_warn", label="pl", end="high") == pytest.approx(0.2)
    assert value(run, "perfdata_crit", label="rta", end="high") == pytest.approx(0.5)


async def test_each_of_the_four_answers(plugins):
    run = await asked(command("check_dummy", "0", "fine"))
    assert (value(run, "state"), run.evidences) == (0, [])
    run = await asked(command("check_dummy", "1", "hm"))
    assert (value(run, "state"), evidence(run, "output")) == (1, "WARNING: hm")
    found = await fails(command("check_dummy", "2", "no"), Reason.ASSERTION, "check_dummy says: CRITICAL: no")
    assert value(found, "state") == 2
    found = await errs(command("check_dummy", "3", "what"), Reason.INTERNAL, "check_dummy can't tell: UNKNOWN: what")
    assert value(found, "state") == 3


async def test_a_plugin_that_gives_up_by_its_own_time_limit_says_so_itself(plugins):
    with socket.create_server(("127.0.0.1", 0)) as nobody_accepts:
        port = str(nobody_accepts.getsockname()[1])
        await fails(command("check_http", "-H", "127.0.0.1", "-p", port, "-t", "1"), Reason.ASSERTION, "timeout")


# --- other ends ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [4, 64, 126, 127, 255])
async def test_any_other_exit_code_is_unknown(code):
    found = await errs(shell(f"echo OK; echo broken >&2; exit {code}"), Reason.INTERNAL, f"ended with {code}", "broken")
    assert value(found, "state") == 3
    assert evidence(found, "standard error") == "broken"


@pytest.mark.parametrize(("number", "name"), [(9, "SIGKILL"), (11, "SIGSEGV"), (40, "signal 40")])
async def test_one_that_a_signal_ended_is_unknown(number, name):
    await errs(shell(f"echo OK; kill -{number} $$"), Reason.INTERNAL, name)


async def test_the_code_decides_whatever_the_text_says():
    assert (await result_of(shell("echo CRITICAL"))).outcome is Outcome.OK
    await fails(shell("echo OK; exit 2"), Reason.ASSERTION, "says: OK")
    await fails(shell("exit 2"), Reason.ASSERTION, "CRITICAL, and nothing else")


async def test_long_output_is_evidence_and_its_data_count():
    found = await fails(
        shell(r"printf 'DISK CRITICAL|/=9%%;8;9\n/ is full\nask ops|/srv=1B\n/tmp=2B\n'; exit 2"), Reason.ASSERTION
    )
    assert evidence(found, "output") == "DISK CRITICAL"
    assert evidence(found, "details") == "/ is full\nask ops"
    assert {dict(labels)["label"]: at for labels, at in values(found, "perfdata").items()} == {
        "/": 0.09, "/srv": 1, "/tmp": 2,
    }  # fmt: skip
    assert value(found, "perfdata_state", label="/") == 1


# --- what can't be run --------------------------------------------------------------------------------------------


async def test_what_cannot_be_run_says_why(tmp_path):
    await errs(command(str(tmp_path / "nowhere")), Reason.INTERNAL, "there is no such program")
    await errs(command("no-such-plugin"), Reason.INTERNAL, "there is no such program; write its whole path")
    await errs(command(program(tmp_path, "#!/bin/sh\n", 0o644)), Reason.INTERNAL, "we may not run it")
    await errs(command(program(tmp_path, "#!/no/python\n")), Reason.INTERNAL, "what its first line names")
    await errs(command(program(tmp_path, "echo OK\n")), Reason.INTERNAL, "it is no program: a script begins with")
    await errs(command("true", cwd=str(tmp_path / "nowhere")), Reason.INTERNAL, "no folder", "nowhere")
    await errs(command(str(tmp_path)), Reason.INTERNAL, "we may not run it")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"argv": "check_http -H 'a b'"}, "['check_http', '-H', 'a b']"),
        ({"argv": "check_http 'a"}, "a list of words is wanted"),
        ({"argv": []}, "a program is wanted"),
        ({"argv": ["bin/check"]}, "write the whole path"),
        ({"argv": ["check", "a\0b"]}, "NUL"),
        ({"argv": ["check"], "env": {"A=B": "c"}}, "no variable's name"),
        ({"argv": ["check"], "cwd": "here"}, "pattern"),
    ],
)
def test_a_wrong_configuration_is_refused_with_the_way_out(given, words):
    with pytest.raises(ValidationError, match=r"validation error") as refused:
        Command(name="c", **given)
    assert words in str(refused.value)


async def test_its_environment_is_clean_and_its_own(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgres://everybody:secret@db/")
    check = shell("echo; env; pwd; readlink /proc/self/fd/0; exit 2", env={"TOKEN": "hunter2hunter2"}, cwd="/tmp")
    found = await fails(check, Reason.ASSERTION)
    said = evidence(found, "details").splitlines()
    assert {line.partition("=")[0] for line in said if "=" in line} <= {"PATH", "LC_ALL", "TOKEN", "PWD", "_", "SHLVL"}
    assert "LC_ALL=C" in said and "TOKEN=***" in said
    assert said[-2:] == ["/tmp", "/dev/null"]


async def test_secrets_stay_out_of_sentence_evidence_and_labels():
    check = shell("echo \"no $TOKEN|'a $TOKEN'=1 b=2\"; echo $TOKEN >&2; exit 2", env={"TOKEN": "hunter2"})
    found = await fails(check, Reason.ASSERTION, "no ***")
    assert {dict(labels)["label"] for labels in values(found, "perfdata")} == {"a ***", "b"}


async def test_labels_that_look_alike_make_one_series():
    run = await asked(shell(r"printf 'OK|a\001=1 a\002=2\n'"))
    assert list(values(run, "perfdata").values()) == [1]


# --- programs that misbehave --------------------------------------------------------------------------------------


async def test_one_that_hangs_is_ended_with_all_its_group():
    check = shell("sleep 1000 & echo $!; sleep 1000", timeout="200ms")
    found = await errs(check, Reason.READ_TIMEOUT, "sh did not end within", "time limit of its own")
    await gone(evidence(found, "what it wrote until then"))


async def test_one_that_ignores_term_is_killed():
    await errs(shell("trap '' TERM; while :; do sleep 1000; done", timeout="200ms"), Reason.READ_TIMEOUT)


async def test_one_that_cleans_up_on_term_is_let_to(tmp_path):
    mark = tmp_path / "cleaned"
    await errs(shell(f"trap 'echo > {mark}; exit' TERM; sleep 1000 & wait", timeout="1s"), Reason.READ_TIMEOUT)
    assert mark.exists()


async def test_a_child_that_it_leaves_in_its_group_is_killed():
    found = await fails(shell("sleep 1000 & echo $!; exit 2"), Reason.ASSERTION)
    await gone(evidence(found, "output"))


async def test_a_daemon_that_holds_its_output_is_not_waited_for():
    """It has left the group, so that it lives on: the test ends it."""
    found = await fails(shell("setsid sh -c 'echo $$; exec sleep 1000' & sleep 0.2; exit 2"), Reason.ASSERTION)
    pid = int(evidence(found, "output"))
    assert (await asyncio.to_thread(Path(f"/proc/{pid}/comm").read_text)).strip() == "sleep"
    os.kill(pid, signal.SIGKILL)


async def test_one_that_floods_is_killed():
    found = await errs(command("yes", "no" * 500, timeout="9s"), Reason.BODY, "wrote more than 4 MiB")
    assert evidence(found, "what it wrote until then").startswith("nono")
    await errs(shell("yes >&2", timeout="9s"), Reason.BODY, "wrote more than 4 MiB")


async def test_of_long_output_the_beginning_is_kept():
    found = await fails(shell("echo begun; head -c 3000000 /dev/zero | tr '\\0' x; exit 2"), Reason.ASSERTION, "begun")
    assert evidence(found, "details").startswith("xxx")


async def test_one_that_closes_its_output_and_lives_on_is_waited_for():
    await fails(shell("echo; exec >&- 2>&-; sleep 0.1; exit 2"), Reason.ASSERTION)
    await errs(shell("exec >&- 2>&-; sleep 1000", timeout="200ms"), Reason.READ_TIMEOUT)


async def test_one_that_stops_itself_is_killed():
    await errs(shell("kill -STOP $$", timeout="200ms"), Reason.READ_TIMEOUT)


async def test_hostile_bytes_are_made_harmless():
    found = await fails(shell(r"printf '\033[2J\377\200|\0=1 =2 x=NaN\n\202\n'; exit 2"), Reason.ASSERTION)
    assert "\x1b" not in found.sentence
    assert value(found, "perfdata_unreadable") == 2


async def test_cancelled_at_any_moment_it_leaves_no_process_behind(tmp_path):
    file = program(tmp_path, f"#!/bin/sh\necho $$ >> {tmp_path}/pids\nexec sleep 1000\n")
    before, others = held(), children()
    for turns in range(40):
        task = asyncio.create_task(command(file).probe(Run()))
        for _ in range(turns):
            await asyncio.sleep(0)
        while turns % 10 == 9 and not (tmp_path / "pids").exists():
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with asyncio.timeout(5):
        while children() - others or await left_since(before):
            await asyncio.sleep(0)
    pids = (tmp_path / "pids").read_text().split()
    assert pids
    for pid in pids:
        await gone(pid)


def children():
    """The processes that we have started and not reaped."""
    return {one.pid for one in psutil.Process().children()}


async def test_what_was_killed_and_is_still_there_keeps_another_from_being_started(monkeypatch):
    memory = {}
    with monkeypatch.context() as patch:
        patch.setattr(_program._Program, "signal", lambda self, number: None)  # as if the kernel held it
        assert (await error_of(shell("exec sleep 1000", timeout="200ms"), memory)).reason is Reason.READ_TIMEOUT
        again = await error_of(shell("echo", timeout="200ms"), memory)
    assert "was killed and has not ended" in again.sentence
    program, _ = memory[_program.LEFT]
    program.signal(signal.SIGKILL)
    await asyncio.wait([program.ended])
    assert (await result_of(shell("echo"), memory)).outcome is Outcome.OK
    assert _program.LEFT not in memory


async def error_of(check, memory):
    with pytest.raises(Errored) as raised:
        await check.probe(Run(memory))
    return raised.value


async def test_one_that_cannot_even_be_started_is_our_trouble():
    """All threads hang, as they do where a mount does."""
    hangs = threading.Event()
    try:
        async with asyncio.TaskGroup() as threads:
            stuck = [threads.create_task(in_pool(Run(), hangs.wait)) for _ in range(MOST)]
            await asyncio.sleep(0)
            await errs(shell("echo", timeout="200ms"), Reason.INTERNAL, "it does not start", "hangs")
            hangs.set()
            await asyncio.gather(*stuck)
    finally:
        hangs.set()


async def test_no_more_than_so_many_run_at_once(monkeypatch):
    monkeypatch.setattr(_program, "MOST_AT_ONCE", 1)
    _program._places.clear()
    blocking = asyncio.create_task(result_of(shell("sleep 1000", timeout="800ms")))
    while not _program._places:
        await asyncio.sleep(0)
    refused = await error_of(shell("echo", timeout="100ms"), {})
    assert "1 other commands run already" in refused.sentence
    blocking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await blocking
    _program._places.clear()


# --- reading ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "item"),
    [
        ("load1=0.350;5.000;10.000;0;", Item("load1", 0.35, "number", Range(0, 5), Range(0, 10), 0)),
        ("'a b'=1c", Item("a b", 1, "count")),
        ("'it''s'=1", Item("it's", 1, "number")),
        ("''''=1", Item("'", 1, "number")),
        ("rta=12ms;100;500;0", Item("rta", 0.012, "seconds", Range(0, 0.1), Range(0, 0.5), 0)),
        ("t=5us", Item("t", 5e-6, "seconds")),
        ("t=5s;;;0;10", Item("t", 5, "seconds", None, None, 0, 10)),
        ("pl=25%;20;50;0;100", Item("pl", 0.25, "ratio", Range(0, 0.2), Range(0, 0.5), 0, 1)),
        ("/=3MB;~:2;@1:3", Item("/", 3 * 2**20, "bytes", Range(-inf, 2 * 2**20), Range(2**20, 3 * 2**20, True))),
        ("n=-1.5;10:;", Item("n", -1.5, "number", Range(10, inf))),
        ("n=.5", Item("n", 0.5, "number")),
        ("n=1e3", Item("n", 1000, "number")),
        ("temp=21C", Item("temp", 21, "C")),
        ("n=1;nonsense;20:10", Item("n", 1, "number")),
        ("n=1;2;3;4;5;6;7", Item("n", 1, "number", Range(0, 2), Range(0, 3), 4, 5)),
    ],
)
def test_performance_data_is_read_as_the_guidelines_say(text, item):
    found, unreadable = perfdata(text)
    assert unreadable == 0
    [read_item] = found
    assert read_item._replace(value=0, warn=None, crit=None) == item._replace(value=0, warn=None, crit=None)
    assert read_item.value == pytest.approx(item.value)
    for limits, wanted in ((read_item.warn, item.warn), (read_item.crit, item.crit)):
        assert (limits is None) == (wanted is None)
        if limits is not None and wanted is not None:
            assert limits.alerts_inside == wanted.alerts_inside
            assert (limits.low, limits.high) == pytest.approx((wanted.low, wanted.high))


@pytest.mark.parametrize(
    ("text", "labels", "unreadable"),
    [
        ("a=1 b=2", ["a", "b"], 0),
        ("  a=1\n\tb=2 ", ["a", "b"], 0),
        ("a=U b=U;1;2 c=3", ["c"], 0),
        ("a=1 a=2", ["a"], 1),
        ("nonsense a=1", ["a"], 1),
        ("a= b=2", ["b"], 1),
        ("=1 b=2", ["b"], 1),
        ("'a b' =1 c=3", ["c"], 2),
        ("'a b=1 c=3", [], 1),
        ("a=1,5 b=0x10 c=1e999 d=nan e=--1 f=1.2.3", [], 6),
        ("a=1e308PB", [], 1),
        ("a=" + "9" * 400, [], 1),
        ("x" * 200 + "=1", [], 1),
        ("", [], 0),
    ],
)
def test_what_is_no_performance_data_is_counted_and_passed_over(text, labels, unreadable):
    items, count = perfdata(text)
    assert ([item.label for item in items], count) == (labels, unreadable)


def test_labels_that_are_made_up_anew_are_bounded():
    assert len(perfdata(" ".join(f"l{n}=1" for n in range(500)))[0]) == MOST_ITEMS


@pytest.mark.parametrize(
    ("text", "alerting", "fine"),
    [
        ("10", (-0.1, 10.1), (0, 5, 10)),
        ("10:", (-1, 9.9), (10, 11, 1e9)),
        ("~:10", (10.1, 1e9), (-1e9, 0, 10)),
        ("10:20", (9.9, 20.1), (10, 15, 20)),
        ("@10:20", (10, 15, 20), (9.9, 20.1)),
        ("@10", (0, 10), (-1, 11)),
        ("-5:-1", (-6, 0), (-5, -1)),
        (":", (-1,), (0, 1e9)),
    ],
)
def test_a_range_alerts_as_the_guidelines_say(text, alerting, fine):
    limits = parse_range(text)
    assert limits is not None
    assert all(limits.alerts(at) for at in alerting)
    assert not any(limits.alerts(at) for at in fine)


@pytest.mark.parametrize("text", ["", "@", "~", "20:10", "a:b", "1:2:3", "10:~", "1e999", "٣"])
def test_what_is_no_range_is_none(text):
    assert parse_range(text) is None


def test_critical_goes_before_warning():
    assert Item("a", 11, "", Range(0, 5), Range(0, 10)).state == 2
    assert Item("a", 7, "", Range(0, 5), Range(0, 10)).state == 1
    assert Item("a", 3, "", Range(0, 5), Range(0, 10)).state == 0
    assert Item("a", 3, "", Range(0, 5), Range(5, 10)).state == 2


@given(st.text(alphabet="ab'=;:@~.|%0123456789eU \n\t\0msKB-+", max_size=200) | st.text(max_size=200))
def test_reading_never_raises_and_yields_numbers(text):
    said = read(text)
    for item in said.items:
        assert isfinite(item.value) and item.label
        assert item.state in (0, 1, 2)
    assert len({item.label for item in said.items}) == len(said.items)
    assert "|" not in said.text


@given(
    st.dictionaries(
        st.text(st.characters(exclude_characters="|=\n", exclude_categories=("Cs", "Zs", "Cc", "Zl", "Zp")), min_size=1)
        .filter(lambda text: len(text) <= 100),
        st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12),
        max_size=20,
    )
)  # fmt: skip
def test_what_was_written_as_the_guidelines_say_is_read_back(numbers):
    text = " ".join(f"'{label.replace(chr(39), chr(39) * 2)}'={at:.17f}" for label, at in numbers.items())
    items, unreadable = perfdata(text)
    assert unreadable == 0
    assert {item.label: item.value for item in items} == pytest.approx(numbers)


@pytest.mark.parametrize("unit", ["'", "' ''", "a", "1", "''", "'' ", "a=", "=", "' ", "9;"])
def test_reading_takes_time_in_proportion(unit):
    """A quadratic reading of 64 KiB would take minutes."""
    assert read("|" + unit * (65536 // len(unit))).unreadable >= 0
