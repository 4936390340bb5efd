"""What runs beside Dakkah's services: its log, its dumps, its machine, Prometheus, and what goes wrong (D13 to D20)."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

from monitor.demo.installation import Installation, fault, together
from monitor.demo.parts.machine import Machine
from monitor.demo.parts.postgres import dump_into
from monitor.demo.parts.prometheus import Prometheus
from monitor.demo.parts.traffic import P95, SHARE_OF_ERRORS, Traffic
from monitor.demo.servers import Postgres

DAY, HOUR = 86_400.0, 3_600.0
KEPT = 30
"""Days of which there is a dump."""
SETTLED = 90.0
"""Seconds after which nobody takes a dump for one that is still being written."""
REFUSED = 'sum(rate(http_requests_total{status="429"}[5m]))'


class DakkahUpkeep(Installation):
    """Log, dumps, machine and Prometheus; the database is there already."""

    database: Postgres
    machine: Machine
    traffic: Traffic
    prometheus: Prometheus
    log: Path
    dumps: Path

    async def start_upkeep(self, database: str) -> None:
        """Start Prometheus, dump the database whose address this is, and begin to log."""
        self.dumped = database
        self.traffic = await self.stack.enter_async_context(
            Traffic({"200": 20.0, "404": 0.3, "429": 0.01, "500": 0.02})
        )
        self.prometheus = Prometheus(self.folder / "prometheus", jobs={"backend": [f"{self.traffic.url}/metrics"]})
        await together(self.server(self.prometheus), self._make_dumps())
        await self.prometheus.until(REFUSED, within=20.0)
        self.machine = Machine(self.folder / "machine", lambda: self.now())
        self.log = self.folder / "logs/error.log"
        self.log.parent.mkdir()
        self._begin_log()
        self.stack.callback(lambda: self._writer.close())
        self.every(30, self.machine.passes)
        self.every(60, self._logs)
        self.every(HOUR, self._dumps)
        self.environment |= {
            "DAKKAH_PROMETHEUS_URL": self.prometheus.url, "DAKKAH_ROOT": str(self.machine.root),
            "DAKKAH_LOGS": str(self.log.parent), "DAKKAH_BACKUPS": str(self.dumps),
        }  # fmt: skip

    # --- dumps -----------------------------------------------------------------------------------------------------

    async def _make_dumps(self) -> None:
        self.cron_runs = True
        self.dumps = self.folder / "backups"
        self.dumps.mkdir(mode=0o777)
        first = await self._dump(self.now() - 3 * HOUR)
        for day in range(1, KEPT):
            # The same content, but not a second time on the disk.
            os.link(first, self._named(self.now() - 3 * HOUR - day * DAY))

    async def _dumps(self) -> None:
        """The daily dump; those that are too old go."""
        there = self._made()
        if self.cron_runs and (not there or self.now() - there[-1].stat().st_mtime > DAY):
            await self._dump(self.now() - SETTLED)
            for old in self._made()[:-KEPT]:
                old.unlink()

    def _made(self) -> list[Path]:
        """The dumps that there are, the oldest first."""
        return sorted(self.dumps.glob("backup_*.sql"))

    async def _dump(self, at: float, blocks: int | None = None, database: str = "") -> Path:
        """Dump as the runbook does it."""
        file = self._named(at)
        await dump_into(file, database or self.dumped, blocks)
        os.utime(file, (at, at))
        return file

    def _named(self, at: float) -> Path:
        return self.dumps / f"backup_{datetime.fromtimestamp(at, UTC):%Y%m%d_%H%M%S}.sql"

    @fault("D19", "no dump has been made for two days")
    async def no_dump(self) -> AsyncIterator[None]:
        """The cron job is gone."""
        self.cron_runs = False
        newest = self._made()[-2:]
        for file in newest:
            file.rename(file.with_suffix(".gone"))
        yield
        self.cron_runs = True
        for file in newest:
            file.with_suffix(".gone").rename(file)

    @fault("D19.empty", "pg_dump could not log in, and left an empty file")
    async def dump_empty(self) -> AsyncIterator[None]:
        """As the runbook's command does it."""
        file = await self._dump(self.now() - SETTLED, database=self.database.address_for("runwatch", "wrong"))
        yield
        file.unlink()

    @fault("D19.half", "the disk was full in the middle of pg_dump")
    async def dump_cut(self) -> AsyncIterator[None]:
        """The file is there, it is young, and its end is missing."""
        whole = self._made()[-1].stat().st_size
        file = await self._dump(self.now() - SETTLED, blocks=round(0.7 * whole / 512))
        yield
        file.unlink()

    @fault("D19.kept", "somebody has removed the dump of ten days ago")
    async def dump_missing(self) -> AsyncIterator[None]:
        """Thirty days are to be kept."""
        file = self._made()[-11]
        file.rename(file.with_suffix(".gone"))
        yield
        file.with_suffix(".gone").rename(file)

    # --- log -------------------------------------------------------------------------------------------------------

    async def _logs(self) -> None:
        self.writes(1, "warn: slow client")

    def writes(self, lines: int, text: str) -> None:
        """The backend logs so many lines, each with the id of a request."""
        stamp = datetime.fromtimestamp(self.now(), UTC).isoformat(timespec="milliseconds")
        self._writer.writelines(f"{stamp} {text} req_{number:04x}\n" for number in range(lines))
        self._writer.flush()

    def rotates(self) -> None:
        """As logrotate does it: the log is renamed, and the backend told to begin a new one."""
        self.log.replace(self.log.with_suffix(".log.1"))
        self._writer.close()
        self._begin_log()

    def _begin_log(self) -> None:
        self._writer = self.log.open("a")

    @fault("D15.locked", "somebody tries passwords: the log says so 40 times")
    async def passwords_tried(self) -> AsyncIterator[None]:
        """Too many authentication attempts."""
        self.writes(40, "warn: Too many authentication attempts from 203.0.113.7")
        yield

    @fault("D17", "webhook signatures fail: STRIPE_WEBHOOK_SECRET is not that of the endpoint")
    async def signatures_fail(self) -> AsyncIterator[None]:
        """Five of them."""
        self.writes(5, "warn: Webhook signature verification failed for /hooks/stripe")
        yield

    @fault("D20", "60 errors are logged, and the log is rotated in between")
    async def errors_logged(self) -> AsyncIterator[None]:
        """More than 30 in five minutes."""
        self.writes(20, "error: cannot read property 'region' of undefined")
        self.rotates()
        self.writes(40, "error: cannot read property 'region' of undefined")
        yield

    @fault("D20.gone", "the log is gone")
    async def log_gone(self) -> AsyncIterator[None]:
        """Rotated, and the backend writes on into the old one."""
        self.log.rename(self.log.with_suffix(".log.1"))
        yield
        self._writer.close()
        self._begin_log()

    # --- machine ---------------------------------------------------------------------------------------------------

    @fault("D14.cpu", "the machine is busy: 95 % of its CPU")
    async def machine_busy(self) -> AsyncIterator[None]:
        """Over the runbook's 80 %."""
        async with self.machine.under(cpu=0.95):
            yield

    @fault("D14.memory", "88 % of the machine's memory are used")
    async def memory_used(self) -> AsyncIterator[None]:
        """Over the runbook's 85 %."""
        async with self.machine.under(memory=0.88):
            yield

    # --- traffic ---------------------------------------------------------------------------------------------------

    @fault("D13", "one in five requests of the last five minutes was answered with 500")
    async def server_errors(self) -> AsyncIterator[None]:
        """Over the runbook's 5 %."""
        async with self.traffic.unusual(self.prometheus, SHARE_OF_ERRORS, 0.05, (1_500, "500", 0.04)):
            yield

    @fault("D14", "one in five requests of the last five minutes took two seconds")
    async def responses_slow(self) -> AsyncIterator[None]:
        """Over the runbook's one second."""
        async with self.traffic.unusual(self.prometheus, P95, 1.0, (1_500, "200", 2.0)):
            yield

    @fault("D15", "a client is refused with 429, several times a second")
    async def rate_limited(self) -> AsyncIterator[None]:
        """And 0.01 a second is usual."""
        async with self.traffic.unusual(self.prometheus, REFUSED, 0.5, (600, "429", 0.04)):
            yield

    @fault("D13.blind", "the backend's /metrics answers 500: Prometheus sees nothing")
    async def metrics_broken(self) -> AsyncIterator[None]:
        """Nobody counts errors any more."""
        self.traffic.broken = True
        await self.prometheus.until("up == 0")
        yield
        self.traffic.broken = False
        await self.prometheus.until("up == 1")
