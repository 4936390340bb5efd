"""The parts of simulated installations do what they are told, and come back on their own address."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from checks.queue import Queue
from monitor.demo.certificates import Authority
from monitor.demo.parts.bullmq import HANGS, BullQueue
from monitor.demo.parts.kubernetes import ApiServer
from monitor.demo.parts.prometheus import Prometheus
from monitor.demo.parts.site import Site
from monitor.demo.process import Missing, program, wants_package
from monitor.demo.servers import Valkey
from tests.checks.probing import asked, value, values
from tests.prometheus import prometheus
from tests.servers import NewValkey


async def get(url: str, method: str = "GET", **options: Any) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http,
        http.request(method, url, **options) as answer,
    ):
        return answer.status, await answer.text()


async def test_a_site_answers_what_it_is_told_and_remembers_what_it_was_asked() -> None:
    async def count(request: web.Request) -> web.Response:
        return web.json_response({"bytes": len(await request.read())}, status=201)

    async with Site() as site:
        site.answers("/", "<h1>shop</h1>")
        site.answers("/health", {"status": "ok"}, access_control_allow_origin="https://shop.example.com")
        site.handles("/orders", count, method="POST")
        site.answers("/orders/*", status=204, method="DELETE")
        assert await get(site.url) == (200, "<h1>shop</h1>")
        assert await get(f"{site.url}/health?deep=1") == (200, '{"status":"ok"}')
        assert await get(f"{site.url}/orders", "POST", data=b"12345") == (201, '{"bytes": 5}')
        assert await get(f"{site.url}/orders/77", "DELETE") == (204, "")
        assert (await get(f"{site.url}/orders"))[0] == 404
        assert (await get(site.url, "HEAD"))[0] == 200
        assert site.times("/health") == 1 and site.asked[1].path == "/health?deep=1"
        assert site.asked[2].body == b"12345"


async def test_what_a_site_answers_instead_is_as_before_afterwards() -> None:
    async with Site() as site:
        site.answers("/health", {"status": "ok"})
        with site.instead("/health", "down", 503, after=0.05), site.instead("/new", "there"):
            before = asyncio.get_running_loop().time()
            assert await get(f"{site.url}/health") == (503, "down")
            assert asyncio.get_running_loop().time() - before >= 0.05
            assert await get(f"{site.url}/new") == (200, "there")
        assert await get(f"{site.url}/health") == (200, '{"status":"ok"}')
        assert (await get(f"{site.url}/new"))[0] == 404
        site.hangs = True
        with pytest.raises(TimeoutError):
            await get(f"{site.url}/health", timeout=aiohttp.ClientTimeout(total=0.1))


async def test_a_site_that_has_stopped_is_refused_and_comes_back_where_it_was() -> None:
    async with Site() as site, aiohttp.ClientSession() as http:
        site.answers("/", "here")
        async with http.get(site.url) as answer:
            assert answer.status == 200
        await site.stop()
        with pytest.raises(aiohttp.ClientConnectorError):
            await get(site.url)
        await site.start()
        assert await get(site.url) == (200, "here")


async def test_a_site_whose_port_was_taken_takes_it_again_when_it_is_free() -> None:
    async with Site() as site, Site() as other:
        site.answers("/", "here")
        await site.stop()
        await other.stop()
        other.port = site.port
        await other.start()
        with pytest.raises(OSError):
            await site.start()
        await other.stop()
        await site.start()
        assert await get(site.url) == (200, "here")


async def test_a_site_shows_the_certificate_that_it_is_given_and_its_successor() -> None:
    authority = Authority()
    trusting = ssl.create_default_context(cadata=authority.pem.decode())
    async with Site(authority.issue("127.0.0.1", "localhost")) as site:
        site.answers("/", "safe")
        assert await get(site.url, ssl=trusting) == (200, "safe")
        for other, why in (
            (authority.issue("127.0.0.1", starts=-9, days=-1), "expired"), (authority.issue("elsewhere"), "mismatch"),
            (Authority().issue("127.0.0.1"), "verify failed"),
        ):  # fmt: skip
            site.present(other)
            with pytest.raises(aiohttp.ClientConnectorCertificateError, match=why):
                await get(site.url, ssl=trusting)
        site.present(authority.issue("127.0.0.1"))
        assert await get(site.url, ssl=trusting) == (200, "safe")


def test_certificates_are_in_files_that_only_we_can_read(tmp_path: Path) -> None:
    made = Authority().issue("shop.example.com")
    made.write(tmp_path / "both.pem")
    made.write_apart(tmp_path / "certificate.pem", tmp_path / "key.pem")
    assert (tmp_path / "both.pem").read_bytes() == made.key + made.certificate
    assert (tmp_path / "certificate.pem").read_bytes() == made.certificate
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("both.pem", "key.pem")] == [0o600, 0o600]


async def test_prometheus_scrapes_judges_and_tells_what_it_was_given(tmp_path: Path) -> None:
    async with Site() as one, Site() as other:
        one.answers("/metrics", 'requests{code="200"} 7\nbusy 0.9\n', content_type="text/plain")
        other.answers("/stats", "busy 0.1\n", content_type="text/plain")
        rules = [{"record": "job:busy:max", "expr": "max(busy)"}]
        fields: dict[str, Any] = {"jobs": {"api": [one.url, f"{other.url}/stats"]}, "rules": rules}
        async with prometheus(tmp_path / "prometheus", **fields) as server:
            async with asyncio.timeout(25):  # it looks for targets five seconds after its start
                await server.scraped()
                await server.until("job:busy:max", lambda found: found == [0.9])
                await server.until("busy", lambda found: sorted(found) == [0.1, 0.9])
            assert {labels["code"] for labels, _ in await server.query("requests")} == {"200"}
            await server.kill()
            await server.start()
            assert isinstance(server, Prometheus) and server.alive


async def test_a_bull_queue_works_fails_hangs_and_waits(new_valkey: NewValkey) -> None:
    server: Valkey = await new_valkey()
    async with BullQueue(server, "email") as email:
        check = Queue(name="mail", url=server.url, bullmq={"name": "email", "minimum": 4})
        memory: dict[Any, Any] = {}
        await asked(check, memory)
        await email.run(3, fail=1)
        run = await asked(check, memory)
        assert (value(run, "completed"), value(run, "failed")) == (3, 1) and value(run, "workers") > 0
        await email.add(1, HANGS)
        async with asyncio.timeout(5):
            while value(await asked(check, memory), "active") < 1:
                await asyncio.sleep(0.01)
        async with email.resting():
            await email.add(7)
            run = await asked(check, memory)
            assert value(run, "waiting") == 7 and value(run, "workers") == 0
            await server.kill()
            await server.start()
        await server.command("HSET", "bull:email:meta", "opts.maxLenEvents", "10000")
        await email.run(2)
        await server.kill()
        await server.start()
        await server.command("HSET", "bull:email:meta", "opts.maxLenEvents", "10000")
        await email.run(1)
        assert not values(await asked(check, {}), "delivered_ratio")


async def test_a_cluster_gives_a_kubeconfig_that_knows_it(tmp_path: Path) -> None:
    from checks.kubernetes import Kubernetes
    from monitor.demo.parts.kubernetes import deployment, pod

    async with ApiServer() as cluster:
        cluster.objects["deployments"] = [deployment("api", 1)]
        cluster.objects["pods"] = [pod("api-5d9-1")]
        config = cluster.kubeconfig(tmp_path / "kubeconfig")
        run = await asked(Kubernetes(name="shop", kubeconfig=str(config)))
        assert value(run, "rollout_complete", namespace="retail") == 1


def test_what_is_missing_says_what_brings_it() -> None:
    with pytest.raises(Missing, match=r"cannot start X: .* not on this machine; `apt-get install x` brings it"):
        program("X", "no-such-program", remedy="apt-get install x")
    with pytest.raises(Missing, match=r"the package no_such is not installed; `pip install 'runwatch\[demo\]'`"):
        wants_package("X", "no_such")
