"""CapLiquify, simulated: what can go wrong with it, by the rows of the coverage table."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from monitor.demo.installation import fault
from monitor.demo.installations.capliquify_parts import MEMORY, MOST_CONNECTIONS, RESERVED, SLOW, CapliquifyParts
from monitor.demo.installations.capliquify_services import LONG, POOL
from monitor.demo.installations.capliquify_vendors import STATUS_PAGES, incident_io, railway, statuspage
from monitor.demo.parts.postgres import connections

HEAP = """\
<--- Last few GCs --->
[17:0x5d3c5a0] 91234 ms: Mark-sweep 503.4 (519.2) -> 503.1 (519.5) MB, 812.3 / 0.0 ms allocation failure
FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory
"""


class Capliquify(CapliquifyParts):
    """The smallest of the five."""

    # --- the application -----------------------------------------------------------------------------------------

    @fault("C01", "the backend takes requests and answers none, so Railway's edge says 502")
    async def application_hangs(self) -> AsyncIterator[None]:
        self.backend.hangs = True
        yield
        self.backend.hangs = False

    @fault("C01.slow", f"the application answers after {SLOW:g} s")
    async def application_slow(self) -> AsyncIterator[None]:
        self.backend.late, self.production.waits = SLOW, 5.0
        yield
        self.backend.late, self.production.waits = 0.0, 1.0

    @fault("C01.testing", "testing is stopped")
    async def testing_down(self) -> AsyncIterator[None]:
        await self.testing.stop()
        yield
        await self.testing.start()

    @fault("C01.development", "development answers 502")
    async def development_down(self) -> AsyncIterator[None]:
        with self.development.instead("/api/health", {"code": 502, "message": "Application failed to respond"}, 502):
            yield

    @fault("C07", "the MCP server listens no longer")
    async def mcp_down(self) -> AsyncIterator[None]:
        await self.mcp.stop()
        yield
        await self.mcp.start()

    @fault("C07.frontend", "the frontend shows a white page")
    async def white_screen(self) -> AsyncIterator[None]:
        with self.frontend.instead("/", '<!doctype html><div id="root"></div>'):
            yield

    @fault("C07.backend", "the backend is stopped, and production with it")
    async def backend_down(self) -> AsyncIterator[None]:
        await self.backend.stop()
        yield
        await self.backend.start()

    # --- the database --------------------------------------------------------------------------------------------

    @fault("C03", "PostgreSQL is killed")
    async def database_killed(self) -> AsyncIterator[None]:
        await self.database.kill()
        yield
        await self.database.start()

    @fault("C03.tls", "PostgreSQL speaks no TLS any more")
    async def database_without_tls(self) -> AsyncIterator[None]:
        await self._restart_database(ssl="off")
        yield
        await self._restart_database(ssl="on")

    @fault("C03.full", "every connection of the database is taken")
    async def connections_gone(self) -> AsyncIterator[None]:
        async with connections(self.address("app"), MOST_CONNECTIONS, application="import"):
            yield

    @fault("C03.pool", "over 80 % of the database's connections are taken")
    async def connections_short(self) -> AsyncIterator[None]:
        more = MOST_CONNECTIONS - RESERVED - 3 - await self.connections()
        async with connections(self.address("app"), more, application="import"):
            yield

    @fault("C03.slow", f"a report takes {SLOW:g} s of the database each time")
    async def slow_statement(self) -> AsyncIterator[None]:
        self.report_is_slow = True
        yield
        self.report_is_slow = False

    async def _restart_database(self, **settings: str) -> None:
        await self.database.stop()
        self.database.settings |= settings
        await self.database.start()

    # --- vendors -------------------------------------------------------------------------------------------------

    @fault("C04", "Railway says that deployments are down")
    async def railway_outage(self) -> AsyncIterator[None]:
        with self.vendors.pages["railway"].instead(STATUS_PAGES["railway"], railway("MAJOR_OUTAGE")):
            yield

    @fault("C04.github", "GitHub says that Git operations are down")
    async def github_outage(self) -> AsyncIterator[None]:
        said = statuspage("major", Git_Operations="major_outage")
        with self.vendors.pages["github"].instead(STATUS_PAGES["github"], said):
            yield

    @fault("C04.neon", "Neon says that computes don't start")
    async def neon_outage(self) -> AsyncIterator[None]:
        said = incident_io(Compute="Computes don't start")
        with self.vendors.pages["neon"].instead(STATUS_PAGES["neon"], said):
            yield

    @fault("C04.clerk", "Clerk says that it is down")
    async def clerk_outage(self) -> AsyncIterator[None]:
        with self.vendors.pages["clerk"].instead(STATUS_PAGES["clerk"], statuspage("critical", API="major_outage")):
            yield

    @fault("C05", "Clerk's API is unwell")
    async def clerk_down(self) -> AsyncIterator[None]:
        with self.vendors.clerk.instead("/v1/health", {"status": "fail"}, 503):
            yield

    @fault("C05.logins", "somebody tries twelve passwords")
    async def logins_fail(self) -> AsyncIterator[None]:
        for number in range(12):
            status = await self.ask(
                "/api/auth/login", "POST", json={"user": "ann@example.com", "password": f"{number}"}
            )
            assert status == 401
        yield

    @fault("C06", "Xero answers 503")
    async def xero_down(self) -> AsyncIterator[None]:
        with self.vendors.apis["xero"].instead("/", {"Title": "Service unavailable"}, 503):
            yield

    @fault("C06.shopify", "Shopify refuses connections")
    async def shopify_down(self) -> AsyncIterator[None]:
        await self.vendors.apis["shopify"].stop()
        yield
        await self.vendors.apis["shopify"].start()

    @fault("C06.amazon", "Amazon's SP-API answers 500")
    async def amazon_down(self) -> AsyncIterator[None]:
        with self.vendors.apis["amazon"].instead("/", {"errors": [{"code": "InternalFailure"}]}, 500):
            yield

    @fault("C06.unleashed", "Unleashed refuses connections")
    async def unleashed_down(self) -> AsyncIterator[None]:
        await self.vendors.apis["unleashed"].stop()
        yield
        await self.vendors.apis["unleashed"].start()

    # --- logs, memory, jobs, backup ------------------------------------------------------------------------------

    @fault("C08", "forty requests fail in the database, and the log is rotated meanwhile")
    async def errors_logged(self) -> AsyncIterator[None]:
        for number in range(40):
            self.log.write("ERROR", f"GET /api/stock 500 relation missing, request req_{number:04}")
            if number == 20:
                self.log.rotate()
        yield

    @fault("C08.unauthorized", "forty requests come without a token")
    async def unauthorized(self) -> AsyncIterator[None]:
        for _ in range(40):
            assert await self.ask("/api/stock") == 401
        yield

    @fault("C08.pool", "the backend's pool is exhausted for a moment")
    async def pool_exhausted(self) -> AsyncIterator[None]:
        long = [asyncio.ensure_future(self.backend.run("SELECT pg_sleep(60)", LONG)) for _ in range(POOL)]
        try:
            asked = [self.ask("/api/stock", headers={"Authorization": "Bearer x"}) for _ in range(5)]
            assert await asyncio.gather(*asked) == [503] * 5
        finally:
            for one in long:
                one.cancel()
            await asyncio.gather(*long, return_exceptions=True)
        yield

    @fault("C08.heap", "the log speaks of the heap again and again")
    async def heap_grows(self) -> AsyncIterator[None]:
        for used in (401, 436, 468, 490):
            self.log.write("WARN", f"gc: heap used {used} MB of 512 MB")
        yield

    @fault("C09", "production holds nine tenths of the memory that Railway gives it")
    async def production_short_of_memory(self) -> AsyncIterator[None]:
        await self.container.hold(0.9)
        yield
        await self.container.hold(MEMORY)

    @fault("C09.machine", "a process holds nine tenths of the machine's memory")
    async def machine_short_of_memory(self) -> AsyncIterator[None]:
        await self.hold_memory(0.9)
        yield
        await self.hold_memory(MEMORY)

    @fault("C09.oom", "a process takes more memory than there is, and the kernel kills it")
    async def killed(self) -> AsyncIterator[None]:
        await self.hold_memory(1.1)
        yield
        await self.hold_memory(MEMORY)

    @fault("C09.heap", "Node ends itself because its heap is full")
    async def heap_full(self) -> AsyncIterator[None]:
        with self.log.file.open("a") as file:
            file.write(HEAP)
        yield

    @fault("C10", "the scheduled jobs don't run")
    async def jobs_missed(self) -> AsyncIterator[None]:
        self.jobs_run = False
        yield
        self.jobs_run = True

    @fault("C10.failed", "the scheduled jobs say that they failed")
    async def jobs_failed(self) -> AsyncIterator[None]:
        self.jobs_fail = True
        await self.scheduled_jobs()
        yield
        self.jobs_fail = False
        await self.scheduled_jobs()

    @fault("C12", "there was no backup for two days")
    async def backup_missing(self) -> AsyncIterator[None]:
        for file in sorted(self.backups.iterdir())[-2:]:
            file.unlink()
        yield
        await self.back_up()

    @fault("C12.unreadable", "the disk was full when pg_dump wrote today's backup")
    async def backup_cut(self) -> AsyncIterator[None]:
        newest = sorted(self.backups.iterdir())[-1]
        size = newest.stat().st_size
        newest.unlink()
        await self.back_up(blocks=size * 9 // 10 // 512)
        yield
        sorted(self.backups.iterdir())[-1].unlink()
        await self.back_up()
