"""One check of every kind with something real to watch, and the way to break it: what `runwatch check` is tried on."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aiohttp import web as aioweb

from checks.base import KEPT
from monitor.demo.parts.aws import REGION, Moto
from monitor.demo.parts.site import Handler, Site
from monitor.demo.servers import Postgres, Temporal, Valkey
from tests.checks import web

Break = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Case:
    """A check's keys, how to break what it watches, and what it has to say then: outcome and reason."""

    fields: dict[str, Any]
    breaks: Break
    reason: str
    outcome: str = "failed"


class Estate:
    """What the cases share: a folder, and real servers that are started once they are asked for."""

    def __init__(self, folder: Path, template: Path, stack: AsyncExitStack) -> None:
        self.folder = folder
        self.stack = stack
        self._template = template
        self._servers: dict[str, Any] = {}

    async def postgres(self) -> Postgres:
        settings = {"shared_preload_libraries": "pg_stat_statements"}
        return await self._server(
            "postgres", lambda folder: Postgres(folder, template=self._template, settings=settings)
        )

    async def valkey(self) -> Valkey:
        return await self._server("valkey", Valkey)

    async def temporal(self) -> Temporal:
        return await self._server("temporal", Temporal)

    async def moto(self) -> Moto:
        server = await self._server("moto", Moto)
        if not server.secret:
            server.lock()
        return server

    async def short_folder(self) -> str:
        """A folder with a short path, as those of sockets have to be."""
        return self.stack.enter_context(TemporaryDirectory(prefix="rw-"))

    async def _server(self, name: str, make: Callable[[Path], Any]) -> Any:
        if name not in self._servers:
            server = make(self.folder / name)
            self.stack.push_async_callback(server.kill)
            self._servers[name] = asyncio.ensure_future(server.start())
        return await self._servers[name]

    async def site(self, answer: Handler) -> str:
        """A web server that answers every GET so."""
        site = Site()
        site.handles("*", answer)
        await self.stack.enter_async_context(site)
        return site.url


CASES: dict[str, Callable[[Estate], Awaitable[Case]]] = {}


def case(make: Callable[[Estate], Awaitable[Case]]) -> Callable[[Estate], Awaitable[Case]]:
    """Enters a case under its kind, which is the function's name."""
    CASES[make.__name__.rstrip("_")] = make
    return make


@asynccontextmanager
async def estate_in(folder: Path, template: Path) -> AsyncIterator[Estate]:
    """An estate that ends with the context."""
    async with AsyncExitStack() as stack:
        yield Estate(folder, template, stack)


def _switch(states: dict[str, Any]) -> Break:
    async def off() -> None:
        states["broken"] = True

    return off


# --- network -----------------------------------------------------------------------------------------------------


@case
async def http(estate: Estate) -> Case:
    state: dict[str, Any] = {}

    async def answer(request: aioweb.Request) -> aioweb.Response:
        return aioweb.json_response({"status": "failing" if state else "healthy"}, status=503 if state else 200)

    url = await estate.site(answer)
    return Case({"url": f"{url}/health", "expect": {"json": {"status": "healthy"}}}, _switch(state), "status")


@case
async def tcp(estate: Estate) -> Case:
    server = await estate.valkey()
    return Case({"address": server.address}, server.kill, "connect_refused")


@case
async def tls(estate: Estate) -> Case:
    authority = web.Authority(estate.folder)
    contexts: list[ssl.SSLContext] = [authority.server("127.0.0.1")]
    port = web.closed_port()
    first = AsyncExitStack()
    await first.enter_async_context(web.serving(b"", tls=contexts[0], port=port))
    estate.stack.push_async_callback(first.aclose)

    async def expire() -> None:
        await first.aclose()
        expired = authority.server("127.0.0.1", days=-1)
        await estate.stack.enter_async_context(web.serving(b"", tls=expired, port=port))

    return Case({"address": f"127.0.0.1:{port}", "tls": {"ca_file": authority.file}}, expire, "tls_expired")


@case
async def grpc(estate: Estate) -> Case:
    server = await estate.temporal()
    service = "temporal.api.workflowservice.v1.WorkflowService"
    return Case({"address": server.address, "service": service}, server.kill, "connect_refused")


@case
async def icmp(estate: Estate) -> Case:
    # Nothing of loopback can be unplugged: a name that nobody has stands for a host that is gone.
    host = {"host": "127.0.0.1", "count": 2, "gap": "10ms"}

    async def gone() -> None:
        host["host"] = "gone.invalid"

    return Case(host, gone, "dns")


@case
async def websocket(estate: Estate) -> Case:
    state: dict[str, Any] = {}

    async def answer(request: aioweb.Request) -> aioweb.StreamResponse:
        if state:
            return aioweb.Response(status=502)
        socket = aioweb.WebSocketResponse()
        await socket.prepare(request)
        async for _ in socket:
            pass
        return socket

    url = await estate.site(answer)
    return Case({"url": url.replace("http", "ws", 1)}, _switch(state), "status")


@case
async def statuspage(estate: Estate) -> Case:
    state: dict[str, Any] = {}

    async def answer(request: aioweb.Request) -> aioweb.Response:
        part = {"id": "a", "name": "API", "status": "major_outage" if state else "operational"}
        level = {"indicator": "major" if state else "none", "description": "…"}
        page = {"page": {"id": "p", "name": "V"}, "status": level, "components": [part], "incidents": []}
        return aioweb.json_response({**page, "scheduled_maintenances": []})

    return Case({"url": f"{await estate.site(answer)}/api/v2/summary.json"}, _switch(state), "assertion")


# --- servers -----------------------------------------------------------------------------------------------------


@case
async def postgres(estate: Estate) -> Case:
    server = await estate.postgres()
    return Case({"dsn": server.dsn}, server.kill, "connect_refused")


@case
async def redis(estate: Estate) -> Case:
    server = await estate.valkey()
    return Case({"url": server.url}, server.kill, "connect_refused")


@case
async def stripe(estate: Estate) -> Case:
    from monitor.demo.parts.stripe import KEY, Account, refusal

    account = await estate.stack.enter_async_context(Account())

    async def refuse() -> None:
        account.answers["/v1/balance"] = [refusal(401, "api_key_expired", "Expired API Key provided")] * 2

    fields = {"api_key": KEY, "api_url": account.url, "own_key": False}
    return Case(fields, refuse, "auth")


@case
async def host(estate: Estate) -> Case:
    proc = estate.folder / "proc"

    async def gone() -> None:
        fields["proc"] = str(proc)

    fields: dict[str, Any] = {}
    return Case(fields, gone, "internal", "error")


@case
async def command(estate: Estate) -> Case:
    plugin = estate.folder / "check_queue"
    plugin.write_text("#!/bin/sh\necho 'OK - 3 waiting | waiting=3;10;20'\n")
    plugin.chmod(0o755)

    async def fill() -> None:
        plugin.write_text("#!/bin/sh\necho 'CRITICAL - 30 waiting | waiting=30;10;20'\nexit 2\n")

    return Case({"argv": [str(plugin)]}, fill, "assertion")


@case
async def dns(estate: Estate) -> Case:
    from tests.checks.name_servers import ADDRESS, answer, serving

    state: dict[str, Any] = {}
    there, gone = answer(ADDRESS), answer(code=3)
    port = await estate.stack.enter_async_context(serving(lambda asked: (gone if state else there)(asked)))
    return Case({"host": "shop.example.com", "server": f"127.0.0.1:{port}"}, _switch(state), "dns")


@case
async def journey(estate: Estate) -> Case:
    from tests.checks.shop import shop
    from tests.checks.test_journey import STEPS

    here = await estate.stack.enter_async_context(shop())

    async def stop_orders() -> None:
        here.broken.add("POST /orders")

    return Case({"url": here.url, "steps": STEPS}, stop_orders, "status")


@case
async def promql(estate: Estate) -> Case:
    from tests.prometheus import prometheus

    stack = await estate.stack.enter_async_context(AsyncExitStack())
    server = await stack.enter_async_context(prometheus(estate.folder / "prometheus", jobs={}))
    return Case({"url": server.url, "query": "vector(1)"}, stack.aclose, "connect_refused")


@case
async def alertmanager(estate: Estate) -> Case:
    from tests.alertmanager import alertmanager

    stack = await estate.stack.enter_async_context(AsyncExitStack())
    there = await stack.enter_async_context(alertmanager(estate.folder / "alertmanager"))
    return Case({"url": there.url}, stack.aclose, "connect_refused")


@case
async def sentry(estate: Estate) -> Case:
    from tests.checks.test_sentry import stand_in

    replies: dict[str, Any] = {}
    server = await estate.stack.enter_async_context(web.serving(stand_in([], **replies)))
    fields = {"url": server.url(), "organization": "shop", "token": "s3same"}

    async def move() -> None:
        fields["url"] = f"http://127.0.0.1:{web.closed_port()}"

    return Case(fields, move, "connect_refused")


@case
async def sql(estate: Estate) -> Case:
    server = await estate.postgres()
    connection = await server.connect()
    await connection.execute("CREATE TABLE IF NOT EXISTS charges (intent text, amount int)")
    await connection.execute("TRUNCATE charges; INSERT INTO charges VALUES ('pi_1', 10), ('pi_2', 20)")
    await connection.close()

    async def charge_twice() -> None:
        again = await server.connect()
        await again.execute("INSERT INTO charges VALUES ('pi_1', 10)")
        await again.close()

    query = "SELECT intent, count(*) AS times FROM charges GROUP BY intent HAVING count(*) > 1"
    return Case({"dsn": server.dsn, "query": query, "expect": {"rows": 0}}, charge_twice, "assertion")


@case
async def pgbouncer(estate: Estate) -> Case:
    from tests.checks.pgbouncer_server import PgBouncer

    pooler = PgBouncer(estate.folder / "pgbouncer", await estate.postgres())
    estate.stack.push_async_callback(pooler.kill)
    await pooler.start()
    return Case({"dsn": pooler.console}, pooler.kill, "connect_refused")


@case
async def queue(estate: Estate) -> Case:
    server = await estate.valkey()
    await server.command("HSET", "bull:email:meta", "opts.maxLenEvents", "10000")

    async def lose() -> None:
        await server.command("DEL", "bull:email:meta")

    return Case({"url": server.url, "bullmq": {"name": "email"}}, lose, "assertion", "error")


@case
async def temporal(estate: Estate) -> Case:
    server = await estate.temporal()
    return Case({"address": server.address}, server.kill, "connect_refused")


@case
async def container(estate: Estate) -> Case:
    from tests.checks.docker import Docker, ended
    from tests.checks.docker import container as described

    docker = Docker()
    folder = Path(await estate.short_folder())
    url = await estate.stack.enter_async_context(docker.serving(folder))

    async def end() -> None:
        docker.containers["db"] = described("db", State=ended(1))

    return Case({"url": url, "containers": ["app", "db"]}, end, "assertion")


@case
async def cloudwatch(estate: Estate) -> Case:
    moto = await estate.moto()
    with closing(moto.client("logs")) as logs:
        logs.create_log_group(logGroupName="/shop/api")
        logs.create_log_stream(logGroupName="/shop/api", logStreamName="app")
        said = [{"timestamp": int(time.time() * 1000) - 5_000, "message": "served"}]
        logs.put_log_events(logGroupName="/shop/api", logStreamName="app", logEvents=said)

    async def drop() -> None:
        with closing(moto.client("logs")) as logs:
            logs.delete_log_group(logGroupName="/shop/api")

    keys = {"access_key_id": moto.key_id, "secret_access_key": moto.secret}
    fields = {"log_groups": ["/shop/api"], "endpoint_url": moto.url, "region": REGION, "credentials": keys}
    return Case({**fields, "patterns": {"errors": "ERROR"}}, drop, "assertion")


@case
async def s3(estate: Estate) -> Case:
    moto = await estate.moto()
    with closing(moto.client("s3")) as store:
        store.create_bucket(Bucket="backups", CreateBucketConfiguration={"LocationConstraint": REGION})
        store.put_object(Bucket="backups", Key="pg/1.sql.gz", Body=b"x" * 100)

    async def lose() -> None:
        with closing(moto.client("s3")) as store:
            store.delete_object(Bucket="backups", Key="pg/1.sql.gz")

    keys = {"access_key_id": moto.key_id, "secret_access_key": moto.secret}
    return Case(
        {"bucket": "backups", "endpoint_url": moto.url, "region": REGION, "credentials": keys}, lose, "assertion"
    )


@case
async def logfile(estate: Estate) -> Case:
    log = estate.folder / "app.log"
    log.write_text("2026-11-22T10:00:00Z INFO served\n")

    async def lose() -> None:
        log.unlink()

    return Case({"path": str(log), "patterns": {"errors": "ERROR"}, "start_at": "beginning"}, lose, "assertion")


@case
async def heartbeat(estate: Estate) -> Case:
    from checks.heartbeat import Heartbeat, Ping
    from monitor.store.history import History

    keys = {"uuid": "5f2c9a3e-7d41-4c60-9a55-0c8e3b1f2a77", "period": "1d", "grace": "1h"}
    job = Heartbeat(name="heartbeat", system="default", **keys)

    async def fail() -> None:
        memory: dict[Any, Any] = {}
        job.take(memory, Ping(at=time.time() - 5, action="fail", body="disk full"))
        (estate.folder / "runwatch").mkdir()
        history = History(estate.folder / "runwatch" / "runwatch.results.db")
        history.keep_memory(job.key, time.time(), f"{job.kind} {job.target}", json.dumps(memory[KEPT]).encode())
        history.close()

    return Case(keys, fail, "assertion")


@case
async def kubernetes(estate: Estate) -> Case:
    from monitor.demo.parts.kubernetes import ApiServer, deployment, pod

    server = ApiServer()
    server.objects["deployments"], server.objects["pods"] = [deployment("api")], [pod("api-5d9-1"), pod("api-5d9-2")]
    await estate.stack.enter_async_context(server)
    authority = server.authority.write(estate.folder / "cluster.pem")

    async def stall() -> None:
        late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "…"}
        server.objects["deployments"] = [deployment("api", updatedReplicas=1, conditions=[late])]

    fields = {"url": server.url, "token": server.token, "namespace": "retail", "tls": {"ca_file": str(authority)}}
    return Case(fields, stall, "assertion")


@case
async def backup(estate: Estate) -> Case:
    folder = estate.folder / "backups"
    folder.mkdir()
    dump = gzip.compress(
        b"--\n-- PostgreSQL database dump\n--\nSELECT 1;\n--\n-- PostgreSQL database dump complete\n--\n"
    )
    for day in range(3):
        file = folder / f"shop_{day}.sql.gz"
        file.write_bytes(dump)
        at = time.time() - day * 86_400 - 600
        os.utime(file, (at, at))

    async def age() -> None:
        for file in folder.iterdir():
            at = file.stat().st_mtime - 2 * 86_400
            os.utime(file, (at, at))

    return Case({"path": f"{folder}/*.sql.gz"}, age, "assertion")


@case
async def secret_age(estate: Estate) -> Case:
    file = estate.folder / "app.env"
    file.write_text(f"# rotated: {time.strftime('%Y-%m-%d')}\nSESSION_SECRET=0123456789abcdef\n")
    file.chmod(0o600)

    async def age() -> None:
        file.write_text("# rotated: 2025-01-01\nSESSION_SECRET=0123456789abcdef\n")

    return Case({"path": str(file), "variable": "SESSION_SECRET", "since": "marker"}, age, "assertion")
