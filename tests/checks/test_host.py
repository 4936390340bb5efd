"""The host kind against this machine, file systems that hang and fill, and trees as the kernel documents them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from alerts.thresholds import parse
from checks.base import Errored, Failed, Reason, Run
from checks.host import Host, Troubles
from checks.parts.host import proc as linux
from checks.parts.host.cgroup import own_group
from checks.parts.recent import happened
from tests.checks.machines import FILES, GIB, Tree
from tests.checks.probing import Memory, asked, errs, evidence, fails, result_of, value, values


def test_what_it_recommends_can_be_asked() -> None:
    known = {one.name: one for one in Host.measurements}
    for one in Host.recommended:
        assert parse(one.when, known).names, one.alert


async def test_this_machine_is_read_and_agrees_with_itself() -> None:
    memory: Memory = {}
    check = Host(name="here", mounts={"include": ["/"]})
    await asked(check, memory)
    run = await asked(check, memory)
    assert value(run, "cpus") == os.sysconf("SC_NPROCESSORS_ONLN")
    assert value(run, "memory_total_bytes") == pytest.approx(
        os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), rel=0.02
    )
    assert 0 < value(run, "memory_available_ratio") < 1
    said = os.statvfs("/")
    assert value(run, "disk_size_bytes", mountpoint="/") == said.f_blocks * said.f_frsize
    assert 0 < value(run, "disk_used_ratio", mountpoint="/") <= 1
    assert value(run, "disk_hangs", mountpoint="/") == 0
    assert value(run, "uptime_seconds") > 0
    assert value(run, "processes") > 1
    assert check.target == os.uname().nodename
    assert (await result_of(check)).outcome == "ok"


async def test_numbers_are_as_the_kernel_documents_them(tree: Tree) -> None:
    run = await tree.probe()
    assert value(run, "cpus") == 2
    assert value(run, "load_per_cpu") == 2.0
    assert value(run, "memory_available_bytes") == 2 * GIB
    assert value(run, "memory_available_ratio") == 0.25
    assert value(run, "memory_used_ratio") == 0.75
    assert value(run, "swap_used_ratio") == 0.75
    assert value(run, "files_open_ratio") == 0.9
    assert value(run, "processes_blocked") == 2
    assert value(run, "oom_kills_total") == 2
    assert value(run, "oom_kills_recent") == 0, "killed before we looked"
    assert value(run, "pressure_minute_ratio", resource="cpu", tasks="some") == 0.25
    assert value(run, "pressure_memory_stalled_seconds_total") == 0.5
    assert value(run, "io_read_bytes_total", device="sda") == 2000 * 512
    assert value(run, "network_transmit_errors_total", device="eth0") == 3
    assert not values(run, "cpu_used_ratio"), "nothing to compare with yet"
    assert not values(run, "pressure_io_waiting_seconds_total"), "this kernel does not say"


async def test_rates_are_of_what_happened_between_two_probes(tree: Tree) -> None:
    await tree.probe(1000.0)
    tree.write("stat", FILES["stat"].replace("cpu  100 10 50 1000 40", "cpu  160 10 70 1010 30"))
    tree.write("vmstat", "pswpin 150\noom_kill 5\n")
    tree.write("diskstats", "   8       0 sda 110 0 4000 700 60 0 3000 1700 0 5700 9000\n")
    tree.write(
        "self/net/dev",
        FILES["net/dev"].replace("eth0:1000 10 1 2 0 0 0 0 2000 20 3 4", "eth0:6000 10 4 2 0 0 0 0 2000 20 5 14"),
    )
    tree.write("pressure/memory", FILES["pressure/memory"].replace("total=2000000", "total=7000000"))
    run = await tree.probe(1010.0)
    # user 60, system 20, idle 10; iowait went back by 10, which counts as nothing.
    assert value(run, "cpu_used_ratio") == pytest.approx(80 / 90)
    assert value(run, "cpu_ratio", mode="user") == pytest.approx(60 / 90)
    assert sum(values(run, "cpu_ratio").values()) == pytest.approx(1)
    assert value(run, "swap_in_bytes_per_second") == 5 * os.sysconf("SC_PAGE_SIZE")
    assert value(run, "oom_kills_recent") == 3
    assert value(run, "io_busy_ratio", device="sda") == 0.5
    assert value(run, "io_await_seconds", device="sda") == pytest.approx(0.4 / 20)
    assert value(run, "io_written_bytes_per_second", device="sda") == 2000 * 512 / 10
    assert value(run, "network_receive_bytes_per_second", device="eth0") == 500
    assert value(run, "network_errors_per_second", device="eth0") == 0.5
    assert value(run, "network_drops_per_second", device="eth0") == 1
    assert value(run, "pressure_ratio", resource="memory", tasks="some") == 0.5


async def test_a_killed_process_is_recent_for_a_while_even_if_the_first_probe_that_sees_it_fails(tree: Tree) -> None:
    await tree.probe(1000.0)
    tree.write("vmstat", "oom_kill 3\n")
    lost = Run(tree.memory, 1010.0)
    with pytest.raises(Failed):
        await tree.check(interfaces={"include": ["eth9"]}).probe(lost)
    assert value(await tree.probe(1012.0), "oom_kills_recent") == 1
    assert value(await tree.probe(1609.0), "oom_kills_recent") == 1
    assert value(await tree.probe(1611.0), "oom_kills_recent") == 0


async def test_after_a_start_of_the_machine_counters_begin_anew(tree: Tree) -> None:
    await tree.probe(1000.0)
    tree.write("sys/kernel/random/boot_id", "22222222-2222-2222-2222-222222222222\n")
    tree.write("vmstat", "pswpin 900\noom_kill 1\n")
    run = await tree.probe(2000.0)
    assert not values(run, "swap_in_bytes_per_second") and not values(run, "cpu_used_ratio")
    assert value(run, "oom_kills_recent") == 1, "killed since the start, so since the last probe"


async def test_disks_and_interfaces_are_those_that_matter_or_that_are_named(tree: Tree) -> None:
    run = await tree.probe()
    assert {labels[0][1] for labels in values(run, "io_reads_total")} == {"sda", "xvda1", "nvme0n1"}
    assert {labels[0][1] for labels in values(run, "network_receive_bytes_total")} == {"eth0"}
    run = await tree.probe(disks={"exclude": ["xvd*"]}, interfaces={"include": ["lo", "veth*"]})
    assert {labels[0][1] for labels in values(run, "io_reads_total")} == {"sda", "nvme0n1"}
    assert {labels[0][1] for labels in values(run, "network_receive_bytes_total")} == {"lo", "veth12"}


async def test_an_interface_that_tells_its_speed_has_a_share_of_it(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    speed = tmp_path / "sys/class/net/eth0/speed"
    speed.parent.mkdir(parents=True)
    speed.write_text("1000\n")
    machine = linux.read(tree.proc, tmp_path / "sys")
    assert machine.interfaces["eth0"].speed == 125_000_000
    speed.write_text("-1\n")
    assert linux.read(tree.proc, tmp_path / "sys").interfaces["eth0"].speed == 0


async def test_what_is_named_has_to_be_there(tree: Tree) -> None:
    check = tree.check(disks={"include": ["sdz"]}, interfaces={"include": ["eth1", "wlan*"]})
    result = await fails(check, Reason.ASSERTION, "no disk sdz", "no network interface eth1")
    assert "wlan" not in result.sentence
    assert value(result, "memory_available_ratio") == 0.25, "all else is still judged"
    check = Host(name="machine", mounts={"include": ["/", "/srv/not mounted"]})
    result = await fails(check, Reason.ASSERTION, "nothing is mounted at /srv/not mounted")
    assert value(result, "disk_size_bytes", mountpoint="/") > 0


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("stat", "garbage", "not what Linux writes"),
        ("stat", "", "not what Linux writes"),
        ("stat", FILES["stat"].replace("cpu  100 10", "cpu  many 10"), "not what Linux writes"),
        ("stat", "cpu  1 2\nbtime 1\nprocs_running 1\nprocs_blocked 1\n", "not what Linux writes"),
        ("meminfo", "MemTotal: 5 kB\n", "older than 3.14"),
        ("meminfo", "MemAvailable: 5 kB\n", "not what Linux writes"),
        ("loadavg", "1.0", "not what Linux writes"),
        ("uptime", "", "not what Linux writes"),
        ("diskstats", "8 0\n", "not what Linux writes"),
        ("self/net/dev", "a\nb\neth0: 1 2\n", "not what Linux writes"),
        ("pressure/io", "some nonsense\n", "not what Linux writes"),
    ],
)
async def test_what_linux_does_not_write_is_our_error(tree: Tree, file: str, text: str, said: str) -> None:
    tree.write(file, text)
    await errs(tree.check(), Reason.INTERNAL, "cannot read", said)


async def test_a_wrong_path_is_our_error(tmp_path: Path) -> None:
    check = Host(name="machine", proc=str(tmp_path / "nowhere"))
    await errs(check, Reason.INTERNAL, f"cannot read {tmp_path}/nowhere/", "no such file", "the /proc of a Linux")


async def test_names_with_control_characters_and_odd_escapes_do_no_harm(tree: Tree) -> None:
    tree.write(
        "self/mountinfo",
        FILES["mountinfo"]
        + "23 1 8:2 / /mnt/a\\040b\\012\\033[31mc rw - ext4 /dev/\\134x rw\nhalf a line\n23 1 8:2 /\n",
    )
    mounts = linux.read(tree.proc, tree.proc).mounts
    assert [mount.mountpoint for mount in mounts] == ["/", "/mnt/a b\n\x1b[31mc"]
    assert mounts[1].device == "/dev/\\x"
    check = Host(name="machine", proc=str(tree.proc), mounts={"include": ["/mnt/*"]})
    result = await fails(check, Reason.PROTOCOL, "no such file")
    assert "\x1b" not in result.sentence and "\n" not in result.sentence


async def test_names_that_are_no_text_can_be_kept(tree: Tree) -> None:
    (tree.proc / "self/net/dev").write_bytes(b"a\nb\n" + b"e\xff0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n")
    folder = os.fsencode(tree.proc) + b"/\xfe"
    Path(os.fsdecode(folder)).mkdir()
    (tree.proc / "self/mountinfo").write_bytes(b"22 1 8:1 / " + folder + b" rw - ext4 /dev/sda1 rw\n")
    run = await asked(Host(name="machine", proc=str(tree.proc)), tree.memory)
    assert value(run, "network_receive_bytes_total", device="e\ufffd0") == 1
    assert value(run, "disk_size_bytes", mountpoint=f"{tree.proc}/\ufffd") > 0
    assert b"\xef\xbf\xbd" in orjson.dumps(tree.memory["kept"])


@pytest.mark.parametrize(
    "kept",
    [
        {"cpu": "x", "space": [1], "folders": 5, "recent": "no", "boot": 7},
        {"space": {"/": [["a"], 5, [1, 2, 3]]}, "recent": {"oom_kills": [[1], "x", ["a", 1]]}, "cpu": ["1"] * 8},
        {"space": {"/": {"a": 1}}, "folders": {"/tmp": {"last": [1, "x", 2], "samples": 3}}},
    ],
)
async def test_whatever_an_older_version_kept_does_no_harm(tree: Tree, kept: dict[str, Any]) -> None:
    tree.memory["kept"] = kept
    await tree.probe(folders=("/etc/default",))
    await tree.probe(1_800_000_030.0)


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_version_2_gives_the_lowest_limit_on_the_way_up(tmp_path: Path) -> None:
    top = tmp_path / "cgroup"
    written(
        top / "pod",
        {
            "memory.max": "1000000\n",
            "memory.current": "900000\n",
            "memory.stat": "anon 5\ninactive_file 400000\n",
            "cpu.max": "max 100000\n",
        },
    )
    written(top / "pod" / "app", {
        "memory.max": "max\n", "memory.current": "5\n", "memory.events": "low 0\noom 3\noom_kill 2\n",
        "cpu.max": "50000 100000\n", "cpu.stat": "usage_usec 7000000\nnr_periods 10\nnr_throttled 4\n",
    })  # fmt: skip
    of = written(
        tmp_path / "self", {"cgroup": "0::/pod/app\n", "mountinfo": f"30 1 0:30 / {top} rw - cgroup2 cgroup2 rw\n"}
    )
    group = own_group(of)
    assert group is not None
    assert (group.memory_limit, group.memory_used) == (1_000_000, 500_000)
    assert (group.cpu_limit, group.cpu_seconds, group.periods, group.throttled) == (0.5, 7.0, 10, 4)
    assert group.oom_kills == 2
    assert group.where == f"cgroup v2, {top}/pod/app"


def test_version_1_without_a_namespace_is_found_below_what_is_shown(tmp_path: Path) -> None:
    memory = written(tmp_path / "memory", {
        "memory.limit_in_bytes": "9223372036854771712\n", "memory.usage_in_bytes": "3000\n",
        "memory.stat": "cache 5\nhierarchical_memory_limit 10000\ntotal_inactive_file 1000\n",
        "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
    })  # fmt: skip
    cpu = written(tmp_path / "cpu", {
        "cpu.cfs_quota_us": "150000\n", "cpu.cfs_period_us": "100000\n",
        "cpu.stat": "nr_periods 10\nnr_throttled 1\nthrottled_time 5\n", "cpuacct.usage": "2000000000\n",
    })  # fmt: skip
    of = written(tmp_path / "self", {
        "cgroup": "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/\n",
        "mountinfo": f"30 1 0:30 /docker/abc {memory} rw - cgroup cgroup rw,memory\n"
        f"31 1 0:31 /docker/abc {cpu} rw - cgroup cgroup rw,cpu,cpuacct\n"
        "32 1 0:32 / /nowhere rw - cgroup2 cgroup2 rw\n",
    })  # fmt: skip
    group = own_group(of)
    assert group is not None
    assert (group.memory_limit, group.memory_used, group.oom_kills) == (10_000, 2_000, 1)
    assert (group.cpu_limit, group.cpu_seconds, group.throttled) == (1.5, 2.0, 1)


@pytest.mark.parametrize("limit", ["9223372036854771712\n", "", "garbage", "-1"])
def test_no_limit_is_none(tmp_path: Path, limit: str) -> None:
    memory = written(tmp_path / "memory", {"memory.limit_in_bytes": limit, "memory.usage_in_bytes": "3000\n"})
    of = written(tmp_path / "self", {
        "cgroup": "4:memory:/../../etc\nhalf\n",
        "mountinfo": f"30 1 0:30 / {memory} rw - cgroup cgroup rw,memory\nx\n\n",
    })  # fmt: skip
    assert own_group(of) is None


async def test_limits_of_our_own_container_are_told_apart_from_the_machine(tree: Tree, tmp_path: Path) -> None:
    top = written(tmp_path / "cgroup", {
        "memory.max": "1000\n", "memory.current": "950\n", "memory.stat": "inactive_file 0\n",
        "memory.events": "oom_kill 0\n", "cpu.max": "200000 100000\n",
        "cpu.stat": "usage_usec 1000000\nnr_periods 10\nnr_throttled 0\n",
    })  # fmt: skip
    tree.write("self/cgroup", "0::/\n")
    tree.write("self/mountinfo", FILES["mountinfo"] + f"30 1 0:30 / {top} rw - cgroup2 cgroup2 rw\n")
    await tree.probe(1000.0)
    written(top, {"cpu.stat": "usage_usec 11000000\nnr_periods 30\nnr_throttled 5\n", "memory.events": "oom_kill 1\n"})
    run = await tree.probe(1010.0)
    assert value(run, "cgroup_memory_used_ratio") == 0.95
    assert value(run, "cgroup_cpu_used_ratio") == 0.5
    assert value(run, "cgroup_cpu_throttled_ratio") == 0.25
    assert value(run, "cgroup_oom_kills_recent") == 1
    assert value(run, "memory_available_ratio") == 0.25
    assert "the container that runwatch runs in" in evidence(run, "limits")


# --- the rest ---


async def test_a_diagnosis_names_who_takes_cpu_and_memory_without_what_they_were_told(tmp_path: Path) -> None:
    busy = subprocess.Popen(["sh", "-c", "while :; do :; done", "password-in-arguments"])
    try:
        run = Run({})
        await Host(name="machine").diagnose(run)
    finally:
        busy.kill()
        busy.wait()
    assert f"sh (pid {busy.pid})" in evidence(run, "processes that take CPU")
    assert "GiB" in evidence(run, "processes that hold memory") or "MiB" in evidence(run, "processes that hold memory")
    assert "password" not in str(run.evidences)


async def test_a_zombie_is_counted() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    try:
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        assert value(await asked(Host(name="machine")), "processes_zombie") >= 1
    finally:
        os.waitpid(child, 0)


def test_events_are_counted_for_as_long_as_they_are_recent_and_clocks_that_go_back_do_no_harm() -> None:
    memory: Memory = {}
    assert happened(Run(memory, 100.0), "x", 2, 60) == 2
    assert happened(Run(memory, 130.0), "x", 1, 60) == 3
    assert happened(Run(memory, 165.0), "x", 0, 60) == 1
    assert happened(Run(memory, 50.0), "x", 0, 60) == 0
    for number in range(300):
        happened(Run(memory, 1000.0 + number), f"gone {number}", 1, 60)
    assert len(memory["kept"]["recent"]) <= 201, "what is long over is forgotten"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"root": "host"}, "no absolute path"),
        ({"folders": ["uploads"]}, "no absolute path"),
        ({"trend": "30m"}, "trend_minimum must not be longer than trend"),
        ({"mounts": {"includ": []}}, "Extra inputs"),
        ({"mount": {}}, "Extra inputs"),
    ],
)
def test_bad_configuration_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Host(name="machine", **fields)


def test_errors_of_ours_and_theirs_are_told_together() -> None:
    troubles = Troubles()
    troubles.tell()
    troubles.ours(Reason.AUTH, "a")
    with pytest.raises(Errored, match="a"):
        troubles.tell()
    troubles.theirs(Reason.PROTOCOL, "b")
    troubles.theirs(Reason.ASSERTION, "c")
    with pytest.raises(Failed, match="b; c"):
        troubles.tell()
