"""Cases of the kinds that ask over the network whatever is there."""

from __future__ import annotations

import ssl
from contextlib import AsyncExitStack
from typing import Any

from aiohttp import web as aioweb

from monitor.demo.ports import free_port
from tests.checks import web
from tests.system.estate import Case, Estate, case, switch


@case
async def http(estate: Estate) -> Case:
    state: dict[str, Any] = {}

    async def answer(request: aioweb.Request) -> aioweb.Response:
        return aioweb.json_response({"status": "failing" if state else "healthy"}, status=503 if state else 200)

    url = await estate.site(answer)
    return Case({"url": f"{url}/health", "expect": {"json": {"status": "healthy"}}}, switch(state), "status")


@case
async def tcp(estate: Estate) -> Case:
    server = await estate.valkey()
    return Case({"address": server.address}, server.kill, "connect_refused")


@case
async def tls(estate: Estate) -> Case:
    authority = web.Authority(estate.folder)
    contexts: list[ssl.SSLContext] = [authority.server("127.0.0.1")]
    port = free_port()
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
    return Case({"url": url.replace("http", "ws", 1)}, switch(state), "status")


@case
async def statuspage(estate: Estate) -> Case:
    state: dict[str, Any] = {}

    async def answer(request: aioweb.Request) -> aioweb.Response:
        part = {"id": "a", "name": "API", "status": "major_outage" if state else "operational"}
        level = {"indicator": "major" if state else "none", "description": "…"}
        page = {"page": {"id": "p", "name": "V"}, "status": level, "components": [part], "incidents": []}
        return aioweb.json_response({**page, "scheduled_maintenances": []})

    return Case({"url": f"{await estate.site(answer)}/api/v2/summary.json"}, switch(state), "assertion")


@case
async def dns(estate: Estate) -> Case:
    from tests.checks.name_servers import ADDRESS, answer, serving

    state: dict[str, Any] = {}
    there, gone = answer(ADDRESS), answer(code=3)
    port = await estate.stack.enter_async_context(serving(lambda asked: (gone if state else there)(asked)))
    return Case({"host": "shop.example.com", "server": f"127.0.0.1:{port}"}, switch(state), "dns")


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
