"""Pings to the real daemon: what is answered, what survives kill -9, how soon it is judged, what stays secret."""

import asyncio
import io
import json
import resource
import socket

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from monitor.api import ping as ping_route
from tests.daemon import DEADLINE, Daemon

UUID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
OTHER = "b5d8a2a4-5a0f-4d0c-9c7e-1f2e3d4c5b6a"
TWICE = "c6e9b3b5-6b10-4e1d-8d8f-2a3f4e5d6c7b"
KEY, TOKEN = "key-of-the-shop-0123456789", "token-for-kuma-0123456789"
RUN = "00000000-0000-4000-8000-00000000000a"
CONFIG = f"""
server: {{listen: "127.0.0.1:0", auth: {{tokens: [a-token-of-sixteen-or-more]}}}}
defaults: {{interval: 1h}}
checks:
  - {{name: backup, kind: heartbeat, uuid: {UUID}, ping_key: {KEY}, period: 1d, grace: 1h, body_limit: 100B}}
  - {{name: worker, kind: heartbeat, push_token: {TOKEN}, period: 1m, grace: 1m, failure_kw: [broken]}}
  - {{name: one, kind: heartbeat, ping_key: {KEY}, slug: same, uuid: {TWICE}, period: 1d}}
  - {{name: two, kind: heartbeat, ping_key: {KEY}, slug: same, uuid: {TWICE}, period: 1d}}
"""
AUTH = {"Authorization": "Bearer a-token-of-sixteen-or-more"}


async def measured(daemon, check="backup"):
    """What the last probe of a check measured, and its sentence."""
    status, text = await daemon.get("/api/v1/checks", headers=AUTH)
    assert status == 200
    [found] = [one for one in json.loads(text) if one["check"] == check]
    numbers = {(one["name"], *one["labels"].values()): one["value"] for one in found.get("measurements", [])}
    return numbers, found.get("sentence", "")


async def changed(daemon, event, check, words=""):
    return await daemon.logged(event, lambda line: line["check"].endswith(check) and words in (line.get("why") or ""))


async def test_a_ping_is_answered_and_judged_at_once(tmp_path):
    async with Daemon(tmp_path, CONFIG) as daemon:
        for method in ("HEAD", "GET", "POST"):
            assert await daemon.get(f"/ping/{UUID}/start?rid={RUN}", method) == (200, "" if method == "HEAD" else "OK")
        assert await daemon.get(f"/ping/{UUID}/7?rid={RUN}", "POST", data="dump\nno space left") == (200, "OK")
        line = await changed(daemon, "check fails", "backup")
        assert "with exit code 7: no space left" in line["why"]
        assert await daemon.get(f"/ping/{KEY}/backup/0") == (200, "OK")
        await changed(daemon, "check is ok", "backup")
        numbers, _ = await measured(daemon)
        assert numbers["exit_code",] == 0
        assert numbers["pings_total", "start"] == 3
        assert numbers["pings_total", "fail"] == numbers["pings_total", "success"] == 1


async def test_answers_are_those_of_healthchecks(tmp_path):
    async with Daemon(tmp_path, CONFIG) as daemon:
        for path, status, text in (
            (f"/ping/{OTHER}", 404, "not found"),
            ("/ping/nothing", 404, "not found"),
            (f"/ping/{KEY}/nothing", 404, "not found"),
            (f"/ping/{UUID}/nothing", 404, "not found"),
            (f"/ping/{UUID}/256", 400, "invalid url format"),
            (f"/ping/{UUID}?rid=7", 400, "invalid uuid format"),
            (f"/ping/{KEY}/same", 409, "ambiguous slug"),
            (f"/ping/{TWICE}", 409, "ambiguous slug"),
            (f"/ping/{UUID}/", 200, "OK"),
            (f"/ping/{UUID}/log", 200, "OK"),
        ):
            assert await daemon.get(path) == (status, text), path
        async with aiohttp.ClientSession(daemon.url) as http:
            async with http.get(f"/ping/{UUID}") as answer:
                assert answer.headers["Ping-Body-Limit"] == "100"
                assert answer.headers["Cache-Control"] == "no-store"
            async with http.put(f"/ping/{UUID}") as answer:
                assert answer.status in (401, 405)
            origin = {"Origin": "https://elsewhere.example.com"}
            async with http.post(f"/ping/{UUID}", headers=origin) as answer:
                assert answer.status == 200


async def test_the_address_opens_nothing_else(tmp_path):
    async with Daemon(tmp_path, CONFIG) as daemon:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(daemon.url.rpartition(":")[2]))
        for path in (
            f"/ping/{UUID}/../../api/v1/checks", f"/ping/{UUID}/%2e%2e/%2e%2e/api/v1/checks", "/ping/..%2fmetrics",
            "//ping/x/metrics", "/api/push/../v1/checks", "/api/push/%2e%2e%2fv1%2fchecks", "/ping", "/ping/a/b/c/d",
        ):  # fmt: skip
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split()[0])
            body = await reader.readexactly(length)
            assert head.split()[1] in (b"401", b"404"), (path, head)
            assert b"runwatch_" not in body and b"backup" not in body
        writer.close()


async def test_uptime_kumas_push(tmp_path):
    async with Daemon(tmp_path, CONFIG) as daemon:
        status, text = await daemon.get(f"/api/push/{TOKEN}?status=down&msg=queue%20stuck&ping=12")
        assert (status, json.loads(text)) == (200, {"ok": True})
        assert "queue stuck" in (await changed(daemon, "check fails", "worker"))["why"]
        await daemon.get(f"/api/push/{TOKEN}?status=up&msg=OK", "POST")
        await changed(daemon, "check is ok", "worker")
        await daemon.get(f"/api/push/{TOKEN}?msg=broken")
        await changed(daemon, "check fails", "worker", "broken")
        assert (await daemon.get(f"/api/push/{KEY}"))[0] == 404


async def test_what_was_answered_survives_kill_9(tmp_path):
    async with Daemon(tmp_path, CONFIG) as daemon:
        assert (await daemon.get(f"/ping/{UUID}/fail", "POST", data="the disk is full"))[0] == 200
        await daemon.kill()
        daemon.log.clear()
        await daemon.start()
        assert "the disk is full" in (await changed(daemon, "check fails", "backup"))["why"]
        assert (await daemon.get(f"/ping/{UUID}/start"))[0] == 200
        assert (await daemon.get(f"/ping/{UUID}"))[0] == 200
        await daemon.kill()
        daemon.log.clear()
        await daemon.start()
        await daemon.get(f"/ping/{UUID}/fail")
        await changed(daemon, "check fails", "backup")
        numbers, _ = await measured(daemon)
        assert numbers["pings_total", "fail"] == 2
        assert numbers["pings_total", "start"] == numbers["pings_total", "success"] == 1


async def test_a_ping_that_cannot_be_written_is_not_answered_with_200(tmp_path):
    async with Daemon(tmp_path, CONFIG) as daemon:
        assert (await daemon.get(f"/ping/{UUID}"))[0] == 200
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        try:
            status, text = await daemon.get(f"/ping/{UUID}/fail")
            assert (status, text) == (503, "taken, but it can't be written: send it again")
            await daemon.logged("ping not written", lambda line: line["check"].endswith("backup"))
            await changed(daemon, "check fails", "backup")
        finally:
            resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        async with asyncio.timeout(DEADLINE):
            while (await daemon.get(f"/ping/{UUID}"))[0] != 200:
                pass


async def test_a_thousand_pings_are_taken_and_judged_a_few_times(tmp_path):
    async with Daemon(tmp_path, CONFIG) as daemon:
        async with aiohttp.ClientSession(daemon.url, connector=aiohttp.TCPConnector(limit=50)) as http:

            async def send(number):
                address = f"/ping/{UUID}" if number % 2 else f"/ping/{OTHER}"
                async with http.post(address, data=b"x" * 1_000) as answer:
                    return answer.status

            answers = await asyncio.gather(*(send(number) for number in range(1_000)))
        assert (answers.count(200), answers.count(404)) == (500, 500)
        _, text = await daemon.get("/metrics", headers=AUTH)
        runs = [line for line in text.splitlines() if line.startswith("runwatch_check_runs_total") and "backup" in line]
        assert 1 <= float(runs[0].rpartition(" ")[2]) < 100


async def test_a_reload_changes_the_address_and_keeps_what_is_known(tmp_path):
    async with Daemon(tmp_path, CONFIG) as daemon:
        await daemon.get(f"/ping/{UUID}/fail", "POST", data="old news")
        await changed(daemon, "check fails", "backup")
        daemon.log.clear()
        daemon.file.write_text(CONFIG.replace(UUID, OTHER))
        assert (await daemon.get("/-/reload", "POST", headers=AUTH))[0] == 200
        assert (await daemon.get(f"/ping/{UUID}"))[0] == 404
        assert (await daemon.get(f"/ping/{OTHER}/log"))[0] == 200
        assert "old news" in (await changed(daemon, "check fails", "backup"))["why"]


async def test_no_secret_is_shown_anywhere(tmp_path):
    async with Daemon(tmp_path, CONFIG, "--log-level", "debug") as daemon:
        await daemon.get(f"/ping/{UUID}/fail", "POST", data=f"at {UUID} and {KEY}")
        await daemon.get(f"/api/push/{TOKEN}", params={"status": "down", "msg": f"at {TOKEN}"})
        await changed(daemon, "check fails", "backup")
        await changed(daemon, "check fails", "worker")
        shown = json.dumps(daemon.log)
        for path in ("/", "/metrics", "/api/v1/checks", "/api/v1/alerts", "/api/v2/alerts", "/api/v2/status"):
            status, text = await daemon.get(path, headers=AUTH)
            assert status == 200
            shown += text
        for secret in (UUID, KEY, TOKEN):
            assert secret not in shown
        assert "at *** and ***" in shown


async def test_a_ping_whose_body_breaks_off_is_not_taken(tmp_path):
    async with Daemon(tmp_path, CONFIG) as daemon:
        with socket.create_connection(("127.0.0.1", int(daemon.url.rpartition(":")[2]))) as line:
            line.sendall(f"POST /ping/{UUID}/fail HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf".encode())
        assert (await daemon.get(f"/ping/{UUID}"))[0] == 200
        await daemon.get(f"/ping/{UUID}/7")
        await changed(daemon, "check fails", "backup")
        numbers, _ = await measured(daemon)
        assert numbers["pings_total", "fail"] == 1


# --- bodies -------------------------------------------------------------------------------------------------------


async def body_of(limit, content):
    """What is kept of a body, or the status and text of the refusal."""

    async def handler(request):
        try:
            return web.json_response(await ping_route.read_body(request, limit))
        except ping_route.Refused as why:
            return web.Response(text=str(why), status=why.status)

    server = web.Application()
    server.router.add_post("/", handler)
    async with (
        TestClient(TestServer(server)) as client,
        client.post("/", data=io.BytesIO(content) if isinstance(content, bytes) else content) as answer,
    ):
        return await answer.json() if answer.status == 200 else (answer.status, await answer.text())


@pytest.mark.parametrize(
    ("limit", "content", "kept"),
    [
        (100, b"", ""),
        (100, b"x" * 100, "x" * 100),
        (10, b"begin" + b"x" * 3_000_000 + b"ended", "begin\n[...]\nended"),
        (10, b"12345678901", "12345\n[...]\n78901"),
        (0, b"anything", "\n[...]\n"),
        (100, b"\x1b[2J\xff\x00ok\r\n", "�[2J��ok�\n"),
        (5, "ää€€€€".encode(), "ä\n[...]\n��"),
    ],
)
async def test_of_a_long_body_beginning_and_end_are_kept(limit, content, kept):
    assert await body_of(limit, content) == kept


async def test_a_body_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(ping_route, "MOST_READ", 100_000)

    async def endless():
        for _ in range(100):
            yield b"x" * 65_536

    assert (await body_of(100, endless()))[0] == 413


async def test_a_body_that_does_not_come_is_not_waited_for_long(monkeypatch):
    monkeypatch.setattr(ping_route, "WHILE_READING", 0.05)
    stalled = asyncio.Event()

    async def half():
        yield b"half"
        await stalled.wait()

    asked = asyncio.create_task(body_of(100, half()))
    async with asyncio.timeout(DEADLINE):
        assert (await asked)[0] == 408
    stalled.set()
