"""A real container engine for tests: podman as a service, in a folder of its own, with an image of busybox alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from tests.skips import missing, refused

IMAGE = "localhost/tiny:1"
PROGRAMS = ("sh", "sleep", "echo", "cat", "tail", "true", "false", "test", "touch", "rm")

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
    """A running engine; `podman` runs its command line, `url` is its API."""

    def __init__(self, folder: Path) -> None:
        self.url = f"unix://{folder}/api.sock"
        self._folder = folder
        self._environment = {
            **os.environ,
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        }
        (folder / "containers.conf").write_text(CONTAINERS_CONF.format(folder=folder))
        (folder / "storage.conf").write_text(STORAGE_CONF.format(folder=folder))

    def podman(self, *arguments: str, check: bool = True) -> str:
        """What a podman command prints."""
        done = subprocess.run(
            ["podman", *arguments], env=self._environment, cwd=self._folder,  # where conmon leaves a file
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.strip()

    def run(self, name: str, *options: str, command: str) -> str:
        """Start a container with a shell command in it; gives its id."""
        return self.podman("run", "-d", "--name", name, *options, IMAGE, "/bin/sh", "-c", command)

    def ended(self, name: str) -> None:
        """Wait until a container has ended for good."""
        self.podman("wait", name)

    def make_image(self) -> None:
        """An image of busybox, by no network."""
        image = self._folder / "image"
        (image / "bin").mkdir(parents=True)
        (image / "tmp").mkdir()
        shutil.copy("/usr/bin/busybox", image / "bin/busybox")
        for name in PROGRAMS:
            (image / "bin" / name).symlink_to("busybox")
        packed = self._folder / "image.tar"
        subprocess.run(["tar", "-C", str(image), "-cf", str(packed), "."], check=True)
        self.podman("import", str(packed), IMAGE)

    def serve(self) -> subprocess.Popen[bytes]:
        """The API as a process, listening."""
        api = subprocess.Popen(
            ["podman", "system", "service", "--time=0", self.url], env=self._environment, cwd=self._folder,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until = time.monotonic() + 10
        while not (self._folder / "api.sock").exists():
            assert api.poll() is None and time.monotonic() < until, "podman does not serve its API"
            os.sched_yield()
        return api


@contextmanager
def container_engine() -> Iterator[Engine]:
    """A real engine; all that it started is gone afterwards. Skips where containers can't be run."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("podman", "runc", "busybox"))):
        missing("root, podman, runc and busybox-static")
    # Paths of sockets are short, and those of tests are not.
    folder = Path(mkdtemp(prefix="engine-"))
    engine = Engine(folder)
    api = None
    try:
        engine.make_image()
        if engine.podman("run", "--rm", IMAGE, "/bin/echo", "works", check=False) != "works":
            refused("a kernel that lets podman run containers")
        api = engine.serve()
        yield engine
    finally:
        for identity in engine.podman("ps", "-aq", check=False).split():
            engine.podman("rm", "-f", "-t", "0", identity, check=False)
        if api is not None:
            api.terminate()
            api.wait(10)
        for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            at = line.split(" ")[1]
            if at.startswith(f"{folder}/"):
                subprocess.run(["umount", "-l", at], check=False)
        shutil.rmtree(folder, ignore_errors=True)
