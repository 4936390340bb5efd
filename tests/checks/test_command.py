"""Kind command with the real plugins of Debian, and with programs of every other kind of end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from pathlib import Path

import pytest
from pydantic import ValidationError

from checks.base import Outcome, Reason
from checks.command import Command
from monitor.demo.ports import free_port
from tests.checks.probing import asked, errs, evidence, fails, result_of, value, values
from tests.checks.programs import command, program, shell
from tests.skips import missing

PLUGINS = Path("/usr/lib/nagios/plugins")


@pytest.fixture
def plugins() -> None:
    if not (PLUGINS / "check_http").exists():
        missing("Debian's monitoring-plugins-basic")


async def serving(answer=b"HTTP/1.0 200 OK\r\n\r\nhello"):
    async def greet(reader, writer):
        with contextlib.closing(writer), contextlib.suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()

    port = free_port()
    return await asyncio.start_server(greet, "127.0.0.1", port), str(port)


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
