"""The process itself: pages, signals, restarts, reloads, and a store in trouble."""

import asyncio
import json
import resource
import shutil
import signal
import subprocess
import sys
import time

import aiohttp
import pytest

from monitor.demo.inbox import Fault, Inbox
from tests.daemon import DEADLINE, Daemon, Target
from tests.skips import missing

KEY = "0123456789abcdef0123456789abcdef"


def configuration(inbox: Inbox, *targets: Target, more: str = "", interval: str = "300ms") -> str:
    checks = "\n".join(
        f"  - {{name: target{number}, kind: tcp, address: '127.0.0.1:{target.port}', severity: critical}}"
        for number, target in enumerate(targets)
    )
    return f"""
defaults: {{interval: {interval}, timeout: 1s, retries: 0}}
route: {{receiver: on-call, group_interval: 1s}}
receivers:
  - name: on-call
    pagerduty_configs: [{{routing_key: "{KEY}", url: "{inbox.url}/v2/enqueue"}}]
checks:
{checks}
{more}
"""


def pages(inbox: Inbox) -> list[tuple[str, str]]:
    """What PagerDuty accepted: action and summary's subject or the dedup key."""
    return [
        (message.body["event_action"], message.body["dedup_key"])
        for message in inbox.sent_to("/v2/enqueue")
        if message.status == 202
    ]


async def until(inbox: Inbox, action: str, after: int = 0) -> None:
    async with asyncio.timeout(DEADLINE):
        await inbox.until(lambda message: message.body["event_action"] == action, after)


async def test_a_dead_target_is_paged_and_its_return_resolved(tmp_path):
    async with Inbox() as inbox, Target() as target, Daemon(tmp_path, configuration(inbox, target)) as daemon:
        await target.down()
        await until(inbox, "trigger")
        await target.up()
        await until(inbox, "resolve")
        assert [action for action, _ in pages(inbox)] == ["trigger", "resolve"]
        assert len({key for _, key in pages(inbox)}) == 1
        await daemon.logged("told", lambda line: line["status"] == "resolved")
        assert await daemon.get("/-/healthy") == (200, "healthy\n")
        assert (await daemon.get("/-/ready"))[0] == 200


async def test_sigterm_ends_soon_though_target_and_receiver_hang_and_nothing_is_lost(tmp_path):
    async with Inbox() as inbox, Target() as target:
        held = []
        hanging = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
        port = hanging.sockets[0].getsockname()[1]
        more = f"  - {{name: hanging, kind: http, url: 'http://127.0.0.1:{port}/', timeout: 200s, interval: 300s}}"
        inbox.fault(Fault("/v2", hang=True))
        daemon = Daemon(tmp_path, configuration(inbox, target, more=more))
        await daemon.start()
        await target.down()
        async with asyncio.timeout(DEADLINE):
            await daemon.logged("alert fires")
        while not inbox.messages:
            await asyncio.sleep(0.01)
        began = time.monotonic()
        daemon.signal(signal.SIGTERM)
        assert await daemon.ended() == 0
        assert time.monotonic() - began < 5
        assert daemon.complaints == ""
        inbox.heal()
        inbox.messages.clear()
        async with Daemon(tmp_path, configuration(inbox, target, more=more)):
            await until(inbox, "trigger")
        hanging.close()
        for writer in held:
            writer.close()
            await writer.wait_closed()


async def test_a_restart_pages_nobody_again_and_resolves(tmp_path):
    async with Inbox() as inbox, Target() as target:
        async with Daemon(tmp_path, configuration(inbox, target)) as daemon:
            await target.down()
            await daemon.logged("told")
            daemon.signal(signal.SIGTERM)
            assert await daemon.ended() == 0
        async with Daemon(tmp_path, configuration(inbox, target)) as daemon:
            await daemon.logged("check fails")
            await target.up()
            await until(inbox, "resolve")
        assert [action for action, _ in pages(inbox)] == ["trigger", "resolve"]


async def test_what_a_kill_left_in_the_outbox_is_delivered_by_the_next(tmp_path):
    async with Inbox() as inbox, Target() as target:
        inbox.fault(Fault("/v2", 500))
        async with Daemon(tmp_path, configuration(inbox, target)) as daemon:
            await target.down()
            await daemon.logged("not told yet")
            await daemon.kill()
        inbox.heal()
        async with Daemon(tmp_path, configuration(inbox, target)):
            await until(inbox, "trigger")


async def test_a_second_daemon_on_the_same_store_is_refused(tmp_path):
    async with Inbox() as inbox, Daemon(tmp_path, configuration(inbox, more="  []")) as daemon:
        second = await Daemon(tmp_path, configuration(inbox, more="  []")).start(ready=False)
        assert await second.ended() == 1
        assert f"another runwatch (process {daemon.pid}) uses" in second.complaints


@pytest.mark.parametrize("damage", [b"this is not a database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 5_000])
async def test_a_damaged_store_is_named_and_never_replaced(tmp_path, damage):
    async with Inbox() as inbox:
        daemon = Daemon(tmp_path, configuration(inbox, more="  []"))
        daemon.store.write_bytes(damage)
        await daemon.start(ready=False)
        assert await daemon.ended() == 1
        assert "is damaged or is not runwatch's" in daemon.complaints
        assert "Traceback" not in daemon.complaints
        assert daemon.store.read_bytes() == damage


async def test_a_port_in_use_is_a_sentence(tmp_path):
    async with Inbox() as inbox:
        daemon = Daemon(tmp_path, configuration(inbox, more="  []"), RUNWATCH_LISTEN=f"127.0.0.1:{inbox.port}")
        await daemon.start(ready=False)
        assert await daemon.ended() == 1
        assert f"cannot listen on 127.0.0.1:{inbox.port}" in daemon.complaints


async def test_a_full_disk_stops_no_page_and_what_it_could_not_take_is_kept_later(tmp_path):
    def about_target(event: dict, action: str) -> bool:
        # Whichever comes first under load: the monitor's own trouble is paged too.
        return event["event_action"] == action and "Target0Failed" in event["dedup_key"]

    async with Inbox() as inbox, Target() as target:
        async with Daemon(tmp_path, configuration(inbox, target)) as daemon:
            # A limit on file sizes is what a full disk looks like to one process; it needs no root.
            resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
            await target.down()
            async with asyncio.timeout(DEADLINE):
                await inbox.until(lambda message: about_target(message.body, "trigger"))
            async with asyncio.timeout(DEADLINE):
                while (await daemon.get("/-/healthy"))[0] != 503:
                    await asyncio.sleep(0.05)
                while await daemon.metric('runwatch_impaired{cause="store"}') != 1:
                    await asyncio.sleep(0.05)
            resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            async with asyncio.timeout(DEADLINE):
                while (await daemon.get("/-/healthy"))[0] != 200:
                    await asyncio.sleep(0.05)
            await daemon.kill()

        def triggers() -> int:
            return sum(action == "trigger" and "Target0Failed" in key for action, key in pages(inbox))

        assert triggers() == 1
        async with Daemon(tmp_path, configuration(inbox, target)) as daemon:
            await daemon.logged("check fails")
            await target.up()
            async with asyncio.timeout(DEADLINE):
                await inbox.until(lambda message: about_target(message.body, "resolve"))
        assert triggers() == 1


async def test_reload_by_signal_request_and_file_change_keeps_what_goes_on(tmp_path):
    async with Inbox() as inbox, Target() as target, Target() as other:
        async with Daemon(tmp_path, configuration(inbox, target)) as daemon:
            await target.down()
            await until(inbox, "trigger")
            daemon.file.write_text(configuration(inbox, target, other))
            await daemon.logged("configuration taken over", lambda line: line["cause"] == "file change")
            assert {check["check"] for check in json.loads((await daemon.get("/api/v1/checks"))[1])} == {
                "target0",
                "target1",
            }
            daemon.file.write_text(configuration(inbox, target))
            assert await daemon.get("/-/reload", "POST") == (200, "")
            daemon.file.write_text(configuration(inbox, target, other, more="# by signal"))
            daemon.signal(signal.SIGHUP)
            async with asyncio.timeout(DEADLINE):
                while (await daemon.metric("runwatch_checks")) != 2:
                    await asyncio.sleep(0.02)
            await target.up()
            await until(inbox, "resolve")
        assert [action for action, _ in pages(inbox)] == ["trigger", "resolve"], "a reload paged again"


async def test_the_swap_of_a_config_map_is_seen(tmp_path):
    async with Inbox() as inbox, Target() as target:
        for version, text in (("v1", configuration(inbox)), ("v2", configuration(inbox, target))):
            (tmp_path / version).mkdir()
            (tmp_path / version / "runwatch.yaml").write_text(text + ("  []" if version == "v1" else ""))
        (tmp_path / "..data").symlink_to("v1")
        daemon = Daemon(tmp_path, "")
        daemon.file.unlink()
        daemon.file.symlink_to("..data/runwatch.yaml")
        async with daemon:
            (tmp_path / "..new").symlink_to("v2")
            (tmp_path / "..new").replace(tmp_path / "..data")
            line = await daemon.logged("configuration taken over")
            assert (line["cause"], line["new"]) == ("file change", 1)


async def test_a_bad_configuration_never_replaces_a_good_one_and_somebody_is_told(tmp_path):
    async with Inbox() as inbox, Target() as target, Daemon(tmp_path, configuration(inbox, target)) as daemon:
        good = daemon.file.read_text()
        daemon.file.write_text(good + "  - {name: x, kind: htpp}\n")
        status, said = await daemon.get("/-/reload", "POST")
        assert status == 500
        assert "did you mean" in said and "http" in said and str(daemon.file) in said
        await until(inbox, "trigger")
        assert "RunwatchConfigurationInvalid" in pages(inbox)[0][1]
        assert await daemon.metric("runwatch_config_last_reload_successful") == 0
        await daemon.logged("configuration refused")
        daemon.file.write_text(good + "  - {kind: htpp}\n" * 2_000)
        assert len((await daemon.get("/-/reload", "POST"))[1]) < 5_000
        assert len(json.loads((await daemon.get("/api/v1/checks"))[1])) == 1
        daemon.file.write_text(good)
        assert (await daemon.get("/-/reload", "POST"))[0] == 200
        await until(inbox, "resolve")
        assert await daemon.metric("runwatch_config_last_reload_successful") == 1


async def test_a_test_alert_goes_through_the_real_chain(tmp_path):
    async with Inbox() as inbox, Daemon(tmp_path, configuration(inbox, more="  []")) as daemon:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "monitor", "test-alert", "--receiver", "on-call",
            "--severity", "high", "--url", daemon.url,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(DEADLINE):
            said, complaints = await process.communicate()
        assert (process.returncode, complaints) == (0, b"")
        assert b"pagerduty: page accepted after" in said and b"pagerduty: resolve accepted after" in said
        assert [action for action, _ in pages(inbox)] == ["trigger", "resolve"]


async def test_a_test_alert_to_nobody_is_a_sentence(tmp_path):
    async with Inbox() as inbox, Daemon(tmp_path, configuration(inbox, more="  []")) as daemon:
        status, said = await daemon.get("/api/v1/test-alert", "POST", json={"receiver": "nobody"})
        assert (status, "known: on-call" in said) == (400, True)
        for body in (b"", b"[]", b"{", b"\xff", b'{"receiver": "on-call", "severity": "P7"}'):
            assert (await daemon.get("/api/v1/test-alert", "POST", data=body))[0] == 400


async def test_changes_are_refused_to_pages_from_elsewhere(tmp_path):
    async with Inbox() as inbox, Daemon(tmp_path, configuration(inbox, more="  []")) as daemon:
        for headers in ({"Origin": "https://evil.example"}, {"Host": "rebound.example:9876"}, {"Origin": "null"}):
            assert (await daemon.get("/-/reload", "POST", headers=headers))[0] == 403
        assert (await daemon.get("/-/reload", "POST", headers={"Origin": daemon.url}))[0] == 200


async def test_with_tokens_everything_but_health_wants_one(tmp_path):
    token = "a-token-of-some-length"
    more = f"  []\nserver: {{auth: {{tokens: ['{token}']}}}}"
    async with Inbox() as inbox, Daemon(tmp_path, configuration(inbox, more=more)) as daemon:
        for path in ("/", "/metrics", "/api/v1/alerts"):
            assert (await daemon.get(path))[0] == 401
            assert (await daemon.get(path, headers={"Authorization": f"Bearer {token}"}))[0] == 200
            basic = aiohttp.encode_basic_auth("anybody", token)
            assert (await daemon.get(path, headers={"Authorization": basic}))[0] == 200
            for wrong in ("Bearer x", "Basic !!", "Basic eDp5", "Negotiate x", "Bearer \xff", "Bearer"):
                assert (await daemon.get(path, headers={"Authorization": wrong}))[0] == 401
        assert (await daemon.get("/-/healthy"))[0] == 200
        assert token not in json.dumps(daemon.log)


async def test_metrics_please_promtool(tmp_path):
    promtool = shutil.which("promtool") or missing("promtool (apt install prometheus)")
    async with Inbox() as inbox, Target() as target:
        more = f"  - {{name: web, kind: http, url: '{inbox.url}/'}}"
        async with Daemon(tmp_path, configuration(inbox, target, more=more)) as daemon:
            await target.down()
            for accept in ("text/plain", "application/openmetrics-text"):
                text = ""
                async with asyncio.timeout(DEADLINE):
                    while 'probe_success{check="web"' not in text or "ALERTS{" not in text:
                        _, text = await daemon.get("/metrics", headers={"Accept": accept})
                if accept == "text/plain":
                    done = subprocess.run([promtool, "check", "metrics"], input=text, text=True, capture_output=True)
                    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
                else:
                    from prometheus_client.openmetrics.parser import text_string_to_metric_families

                    families = {family.name for family in text_string_to_metric_families(text)}
                    assert {"probe_success", "runwatch_check_runs", "ALERTS"} <= families


async def test_a_reader_of_the_log_that_stands_still_stops_nothing(tmp_path):
    async with Inbox() as inbox, Target() as target:
        daemon = Daemon(tmp_path, configuration(inbox, target, interval="100ms"), "--log-level", "debug")
        async with daemon:
            for reader in daemon._readers:
                reader.cancel()
            await target.down()
            await until(inbox, "trigger")
            await target.up()
            await until(inbox, "resolve")
