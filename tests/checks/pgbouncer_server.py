"""A real PgBouncer in front of a PostgreSQL, from Debian's package."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path

from monitor.demo.servers import Postgres, Server
from tests.skips import missing

USERS = {"stats": "statspw", "admin": "adminpw", "nobody": "nobodypw"}


class PgBouncer(Server):
    """PgBouncer in transaction mode; `settings` are lines of pgbouncer.ini. `nobody` may not see the console."""

    title = "PgBouncer"

    def __init__(self, folder: Path, behind: Postgres, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(folder)
        self.behind = behind
        self.settings = {"pool_mode": "transaction", **(settings or {})}

    @property
    def console(self) -> str:
        """The address of the console for `stats`."""
        return self.console_for("stats")

    def console_for(self, user: str) -> str:
        """The address of the console for a user."""
        return f"postgresql://{user}:{USERS[user]}@{self.address}/pgbouncer"

    @property
    def dsn(self) -> str:
        """The superuser's address of database `postgres`, through the pooler."""
        return self.behind.dsn.replace(self.behind.address, self.address)

    async def _prepare(self) -> None:
        users = {**USERS, "postgres": self.behind.password}
        (self.folder / "users.txt").write_text("".join(f'"{name}" "{word}"\n' for name, word in users.items()))
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(self.port),
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": str(self.folder / "users.txt"),
            "admin_users": "admin",
            "stats_users": "stats",
            **self.settings,
        }
        lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
        databases = f"postgres = host=127.0.0.1 port={self.behind.port} dbname=postgres\n"
        (self.folder / "pgbouncer.ini").write_text(f"[databases]\n{databases}[pgbouncer]\n{lines}")

    def _command(self) -> list[str]:
        program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
        if program is None:
            missing("pgbouncer")
        return [program, str(self.folder / "pgbouncer.ini")]

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True
