"""A real container engine: podman as a service, in a folder of its own, with an image of busybox alone."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Self

from monitor.demo.process import ASK_EVERY, LAUNCH, Missing, NotStarted, Refused

IMAGE = "localhost/tiny:1"
REMEDY = "apt-get install podman runc busybox-static"
PROGRAMS = ("sh", "sleep", "echo", "cat", "tail", "true", "false", "test", "touch", "rm")

ANSWERS_WITHIN = 30.0
"""Seconds that a podman command may take."""
SERVES_WITHIN = 10.0
"""Seconds that its API may take to come, and to end."""

CONTAINERS_CONF = """\
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "{folder}/tmp"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
log_driver = "k8s-file"
netns = "host"
"""
STORAGE_CONF = """\
[storage]
driver = "vfs"
graphroot = "{folder}/graph"
runroot = "{folder}/run"
"""


class Engine:
    """A podman of our own, whose `url` is its API as Docker has it. `open` and `podman` block: use them in a thread.

    All that it started is gone after `close`, and what a killed process has left when the next one opens. Its folder
    is short, because paths of sockets have to be.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or Path(mkdtemp(prefix=f"engine-{os.getpid()}-"))
        self._api: subprocess.Popen[bytes] | None = None
        self._opening = threading.Lock()  # whoever gave up waiting for `open` closes what it has made all the same
        self._environment = {
            **os.environ,
            "CONTAINERS_CONF": str(self._folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self._folder / "storage.conf"),
        }

    @property
    def url(self) -> str:
        """Its API."""
        return f"unix://{self._folder}/api.sock"

    async def start(self) -> Self:
        """`open` in a thread."""
        await asyncio.to_thread(self.open)
        return self

    async def stop(self) -> None:
        """`close` in a thread."""
        await asyncio.to_thread(self.close)

    def open(self) -> None:
        """Make an image, see whether a container runs, and serve the API. Missing, Refused or NotStarted."""
        if os.geteuid() != 0:
            raise Refused("cannot start a container engine: that takes root here")
        if not all(map(shutil.which, ("podman", "runc", "busybox"))):
            raise Missing(f"cannot start a container engine: podman, runc or busybox is not here; `{REMEDY}` brings it")
        with self._opening:
            _forget_the_dead(self._folder.parent)
            (self._folder / "containers.conf").write_text(CONTAINERS_CONF.format(folder=self._folder))
            (self._folder / "storage.conf").write_text(STORAGE_CONF.format(folder=self._folder))
            self._make_image()
            if self.podman("run", "--rm", IMAGE, "/bin/echo", "works", check=False) != "works":
                raise Refused("cannot start a container engine: this machine does not let podman run containers")
            self._serve()

    def close(self) -> None:
        """End every container and the API, and remove the folder."""
        with self._opening:
            if self._folder.exists():
                self._close()

    def _close(self) -> None:
        if (self._folder / "storage.conf").exists():  # without it podman might speak of containers that are not ours
            with suppress(NotStarted, OSError):  # it does not answer, or somebody else has closed it meanwhile
                for identity in self.podman("ps", "-aq", check=False).split():
                    self.podman("rm", "-f", "-t", "0", identity, check=False)
        if self._api is not None:
            self._api.terminate()
            try:
                self._api.wait(SERVES_WITHIN)
            except subprocess.TimeoutExpired:
                self._api.kill()
                self._api.wait()
        for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            at = line.split(" ")[1]
            if at.startswith(f"{self._folder}/"):
                subprocess.run(["umount", "-l", at], check=False)
        shutil.rmtree(self._folder, ignore_errors=True)

    def podman(self, *arguments: str, check: bool = True) -> str:
        """What a podman command prints; NotStarted with what it complains of."""
        try:
            done = subprocess.run(
                ["podman", *arguments], env=self._environment, cwd=self._folder,  # where conmon leaves a file
                capture_output=True, text=True, timeout=ANSWERS_WITHIN, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise NotStarted(f"podman {arguments[0]}: no answer within {ANSWERS_WITHIN:.0f} s") from None
        if check and done.returncode:
            raise NotStarted(f"podman {arguments[0]}: {done.stderr.strip()}")
        return done.stdout.strip()

    def run(self, name: str, *options: str, command: str) -> str:
        """Start a container with a shell command in it; gives its id."""
        return self.podman("run", "-d", "--name", name, *options, IMAGE, "/bin/sh", "-c", command)

    def ended(self, name: str) -> None:
        """Wait until a container has ended for good."""
        self.podman("wait", name)

    def _make_image(self) -> None:
        """An image of busybox, by no network."""
        image = self._folder / "image"
        (image / "bin").mkdir(parents=True)
        (image / "tmp").mkdir()
        shutil.copy(shutil.which("busybox") or "", image / "bin/busybox")
        for name in PROGRAMS:
            (image / "bin" / name).symlink_to("busybox")
        packed = self._folder / "image.tar"
        subprocess.run(["tar", "-C", str(image), "-cf", str(packed), "."], check=True)
        self.podman("import", str(packed), IMAGE)

    def _serve(self) -> None:
        podman = shutil.which("podman")
        assert podman is not None
        launcher = [sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid()), str(self._folder), "same"]
        self._api = subprocess.Popen(
            [*launcher, podman, "system", "service", "--time=0", self.url], env=self._environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until = time.monotonic() + SERVES_WITHIN
        while not (self._folder / "api.sock").exists():
            if self._api.poll() is not None or time.monotonic() > until:
                raise NotStarted("cannot start a container engine: podman does not serve its API")
            time.sleep(ASK_EVERY)


def _forget_the_dead(parent: Path) -> None:
    """Close what processes have left that were killed: their containers live on."""
    for left in parent.glob("engine-*-*"):
        if Path("/proc", left.name.split("-")[1]).exists():
            continue
        with suppress(FileNotFoundError):  # somebody else does so at the same time
            if left.stat().st_uid == os.geteuid():
                Engine(left).close()
