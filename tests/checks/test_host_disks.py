"""File systems that fill, hang and hide each other, and folders that grow."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.base import Failed, Reason, Run
from checks.host import Host
from checks.parts import trend as _trend
from checks.parts.host import proc as linux
from checks.parts.host.folder_size import Walk
from checks.parts.host.mounts import Chosen, chosen
from tests.checks.machines import DAY, FILES, HOUR, Tree
from tests.checks.mounts import LIBC, hanging_mount, own_mounts
from tests.checks.probing import Memory, asked, fails, value, values

MOUNTS = """\
21 1 0:4 / /proc rw - proc proc rw
22 1 8:1 / / rw - ext4 /dev/sda1 rw
23 1 0:30 / /tmp rw - tmpfs tmpfs rw
24 1 8:2 / /data rw - xfs /dev/sda2 rw
25 1 8:2 /sub /srv/part rw - xfs /dev/sda2 rw
26 1 0:50 / /mnt/old rw - nfs4 old:/export rw
27 1 0:51 / /mnt/old ro - nfs4 new:/export rw
28 1 7:1 / /snap/core ro - squashfs /dev/loop1 ro
29 1 8:3 /containers/1/hosts /etc/hosts rw - ext4 /dev/sda3 rw
30 1 0:60 / /var/lib/docker/merged rw - overlay overlay rw
"""


def test_each_file_system_counts_once_and_only_those_that_hold_something() -> None:
    mounts = linux.mounts(MOUNTS)
    found = {mount.mountpoint: mount for mount in chosen(mounts, Chosen())}
    assert list(found) == ["/", "/data", "/mnt/old"]
    assert (found["/mnt/old"].device, found["/mnt/old"].readonly) == ("new:/export", True), "the one on top"
    names = [mount.mountpoint for mount in chosen(mounts, Chosen(include=("/tmp", "/srv/*"), exclude=("*/x",)))]
    assert names == ["/srv/part", "/tmp"]
    assert [one.mountpoint for one in chosen(mounts, Chosen(exclude=("/mnt/*",)))] == ["/", "/data"]


def test_in_a_container_its_own_root_counts() -> None:
    mounts = linux.mounts(
        "30 1 0:60 / / rw - overlay overlay rw\n29 1 8:3 /c/hosts /etc/hosts rw - ext4 /dev/sda3 rw\n"
    )
    assert [mount.fstype for mount in chosen(mounts, Chosen())] == ["overlay"]


async def test_a_mount_that_hangs_is_named_blocks_nobody_and_is_not_asked_twice(tmp_path: Path) -> None:
    memory: Memory = {}
    check = Host(name="machine", mounts={"include": ["/", str(tmp_path)]}, timeout="1200ms")
    with hanging_mount(tmp_path):
        for _ in range(2):
            result = await fails(
                check, Reason.READ_TIMEOUT, f"cannot use {tmp_path} (fuse from server:/export)", "does not answer",
                memory=memory,
            )  # fmt: skip
            assert value(result, "disk_hangs", mountpoint=str(tmp_path)) == 1
            assert value(result, "disk_hangs", mountpoint="/") == 0
            assert value(result, "disk_used_ratio", mountpoint="/") > 0
            assert not [
                labels for labels in values(result, "disk_used_ratio") if ("mountpoint", str(tmp_path)) in labels
            ]
    await fails(check, Reason.ASSERTION, f"nothing is mounted at {tmp_path}", memory=memory)


async def test_a_folder_on_a_mount_that_hangs_hides_nothing_else(tmp_path: Path) -> None:
    check = Host(name="machine", folders=(str(tmp_path),), mounts={"exclude": [str(tmp_path)]}, timeout="1200ms")
    memory: Memory = {}
    with hanging_mount(tmp_path):
        for said in ("it does not answer", "it hangs"):
            result = await fails(check, Reason.READ_TIMEOUT, f"folder {tmp_path}", said, memory=memory)
            assert value(result, "memory_available_ratio") > 0


async def test_a_disk_that_fills_is_full_when_it_will_be(tmp_path: Path) -> None:
    with own_mounts():
        assert LIBC.mount(b"small", str(tmp_path).encode(), b"tmpfs", 0, b"size=16m,nr_inodes=100") == 0
        memory: Memory = {}
        check = Host(name="machine", mounts={"include": [str(tmp_path)]}, trend_minimum="1h")
        for half in range(3):
            run = await asked(check, memory, half * HOUR / 2)
            assert bool(values(run, "disk_full_in_seconds")) == (half == 2), "an hour has to have passed"
            (tmp_path / f"log{half}").write_bytes(b"x" * 2 * 2**20)
        assert value(run, "disk_used_ratio") == 0.25
        assert value(run, "disk_growth_bytes_per_day") == pytest.approx(4 * 2**20 * 24)
        assert value(run, "disk_full_in_seconds") == pytest.approx(3 * HOUR)
        assert value(run, "inodes") == 100
        assert value(run, "inodes_used_ratio") == pytest.approx(0.03)
        for file in tmp_path.iterdir():
            file.unlink()
        run = await asked(check, memory, 20 * HOUR)
        assert not values(run, "disk_full_in_seconds"), "what was is longer ago than the trend"
        run = await asked(check, memory, 22 * HOUR)
        assert value(run, "disk_full_in_seconds") == 10 * 365 * DAY, "it does not grow"


async def test_a_mount_that_another_hides_is_left_out_unless_it_was_named(tree: Tree) -> None:
    tree.write("self/mountinfo", FILES["mountinfo"] + f"23 1 8:2 / {tree.proc}/hidden rw - ext4 /dev/sdb1 rw\n")
    await asked(Host(name="machine", proc=str(tree.proc)), tree.memory)
    named = Host(name="machine", proc=str(tree.proc), mounts={"include": [f"{tree.proc}/hidden"]})
    await fails(named, Reason.PROTOCOL, f"cannot use {tree.proc}/hidden (ext4 from /dev/sdb1): no such file")


# --- trends and folders ---


@given(
    slope=st.floats(-1e6, 1e6), start=st.floats(0, 1e12), every=st.integers(10, 4000), count=st.integers(2, 300)
)  # fmt: skip
def test_a_straight_line_is_found_again(slope: float, start: float, every: int, count: int) -> None:
    window = 6 * HOUR
    samples: list[list[float]] = []
    for step in range(count):
        at = step * float(every)
        samples = _trend.sampled(samples, at, start + slope * at, window)
        assert len(samples) <= _trend.SAMPLES + 2
        found = _trend.growth(samples, at, start + slope * at, HOUR)
        assert (found is None) == (at - samples[0][0] < HOUR)
        if found is not None:
            assert found == pytest.approx(slope, rel=1e-3, abs=max(1e-6, start * 1e-9))


def test_samples_from_the_future_are_left_out() -> None:
    assert _trend.sampled([[500.0, 1.0], [90.0, 1.0]], 100.0, 2.0, 3600.0) == [[90.0, 1.0]]


async def test_a_folder_is_added_up_as_du_does_and_its_growth_is_told(tmp_path: Path) -> None:
    uploads = tmp_path / "uploads"
    (uploads / "deep" / "er").mkdir(parents=True)
    for number in range(50):
        (uploads / "deep" / f"photo{number}").write_bytes(b"x" * 5000)
    (uploads / "again").hardlink_to(uploads / "deep" / "photo0")
    (uploads / "loop").symlink_to(uploads)
    memory: Memory = {}
    check = Host(name="machine", folders=(str(uploads),), folders_every="1h")

    def du() -> int:
        return int(subprocess.check_output(["du", "-s", "-B1", str(uploads)]).split()[0])

    run = await asked(check, memory, 0.0)
    assert value(run, "folder_bytes", folder=str(uploads)) == pytest.approx(du(), abs=4096)
    assert value(run, "folder_files") == 52
    before = value(run, "folder_bytes")
    (uploads / "big").write_bytes(b"x" * 2**20)
    assert value(await asked(check, memory, 1800.0), "folder_bytes") == before, "not yet due"
    run = await asked(check, memory, 12 * HOUR)
    assert value(run, "folder_bytes") == before + 2**20
    assert value(run, "folder_growth_bytes_per_day") == pytest.approx(2 * 2**20)


async def test_a_large_folder_is_added_up_over_several_probes(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / str(number)).touch()
    walk = Walk(str(tmp_path))
    walk.go_on(0.0)
    assert (walk.done, walk.files) == (False, 1)
    while not walk.done:
        walk.go_on(0.0001)
    assert walk.files == 300


async def test_a_folder_that_is_gone_or_closed_is_said(tmp_path: Path) -> None:
    gone = Host(name="machine", folders=(str(tmp_path / "gone"),))
    memory: Memory = {}
    await fails(gone, Reason.ASSERTION, f"cannot look into the folder {tmp_path}/gone: no such file", memory=memory)
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone/photo").touch()
    assert value(await asked(gone, memory), "folder_files") == 1
    (tmp_path / "gone").rename(tmp_path / "back")
    run = await asked(gone, memory)
    assert value(run, "folder_files") == 1, "not yet due again"
    with pytest.raises(Failed, match="no such file"):
        await gone.probe(Run(memory, run.at + 3600))
    (tmp_path / "back").rename(tmp_path / "gone")
    assert value(await asked(gone, memory, run.at + 3630), "folder_files") == 1
    file = tmp_path / "file"
    file.touch()
    await fails(Host(name="machine", folders=(str(file),)), Reason.ASSERTION, "not a directory")
