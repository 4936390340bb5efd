"""What people on call do, with the real daemon: acknowledge, silence, explain, drill; and what survives kill -9."""

import asyncio
import json
from pathlib import Path

from monitor.demo.inbox import Inbox
from tests.daemon import DEADLINE, Daemon, Target
from tests.system.test_commands import runwatch


def configuration(inbox: Inbox, target: Target, escalation: str = "[]") -> str:
    return f"""
defaults: {{interval: 300ms, timeout: 1s, retries: 0}}
route:
  receiver: on-call
  group_interval: 1s
  escalation: {escalation}
receivers:
  - name: on-call
    webhook_configs: [{{url: "{inbox.url}/hook/on-call"}}]
  - name: lead
    webhook_configs: [{{url: "{inbox.url}/hook/lead"}}]
system: shop
checks:
  - {{name: web, kind: tcp, address: "127.0.0.1:{target.port}", severity: critical}}
"""


async def said(inbox: Inbox, who: str, reason: str, alert: str = "WebFailed") -> dict:
    """The first message to a receiver with this reason about this alert."""

    def wanted(message) -> bool:
        body = message.body
        return (
            message.path == f"/hook/{who}"
            and body["notification_reason"] == reason
            and any(one["labels"]["alertname"] == alert for one in body["alerts"])
        )

    async with asyncio.timeout(DEADLINE):
        return (await inbox.until(wanted)).body


async def ask(daemon: Daemon, *arguments: str) -> str:
    """What a command prints; it must succeed."""
    done = await asyncio.to_thread(runwatch, *arguments, "--url", daemon.url, folder=daemon.file.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_an_alert_is_explained_from_its_first_breach_to_the_next_message(tmp_path: Path):
    ladder = "[{after: 1h, receiver: lead}]"
    async with (
        Inbox() as inbox,
        Target() as target,
        Daemon(tmp_path, configuration(inbox, target, ladder)) as daemon,
    ):
        await target.down()
        await said(inbox, "on-call", "first")
        await daemon.logged("told")
        told = await ask(daemon, "explain", "WebFailed")
        for line in ("firing   ", "to be told", "on-call by webhook: first, delivered, attempt 1", "reminder at"):
            assert line in told
        assert "lead: escalated at" in told
        await ask(daemon, "ack", "WebFailed", "--by", "ann", "--for", "2h")
        assert (await said(inbox, "on-call", "acknowledged"))["why"].startswith("ann has it until 20")
        told = await ask(daemon, "explain", "shop/web")
        assert "ann has it until" in told
        assert "lead: escalated" not in told
        assert "ann has it" in (await daemon.get("/"))[1]
        await target.up()
        await said(inbox, "on-call", "resolved")
        await daemon.logged("told", lambda line: line["status"] == "resolved")
        [over] = json.loads(await ask(daemon, "explain", "WebFailed", "--json"))
        assert over["alert"] is None
        assert [step["step"] for step in over["decisions"]] == [
            "firing", "to be told", "acknowledged", "to be told", "resolved", "to be told",
        ]  # fmt: skip
        assert [entry["status"] for entry in over["attempts"]] == ["delivered"] * 3


async def test_escalation_goes_on_where_it_was_after_kill_9(tmp_path: Path):
    ladder = "[{after: 1500ms, receiver: lead}]"
    async with Inbox() as inbox, Target() as target:
        async with Daemon(tmp_path, configuration(inbox, target, ladder)) as daemon:
            await target.down()
            await said(inbox, "on-call", "first")
            async with asyncio.timeout(DEADLINE):
                while '"delivered"' not in (await daemon.get("/api/v1/deliveries"))[1]:
                    await asyncio.sleep(0.05)
            await daemon.kill()
        async with Daemon(tmp_path, configuration(inbox, target, ladder)):
            assert (await said(inbox, "lead", "escalated"))["why"].startswith("step 1: nobody acknowledged it within")
            await target.up()
            await said(inbox, "lead", "resolved")
        firsts = [message for message in inbox.messages if message.body["notification_reason"] == "first"]
        assert len(firsts) == 1


async def test_a_silence_is_on_disk_when_the_command_returns(tmp_path: Path):
    async with Inbox() as inbox, Target() as target:
        async with Daemon(tmp_path, configuration(inbox, target)) as daemon:
            await ask(daemon, "silence", "add", 'system="shop"', "--for", "1h", "--comment", "deploy", "--by", "ann")
            await daemon.kill()
        async with Daemon(tmp_path, configuration(inbox, target)) as daemon:
            await target.down()
            await daemon.logged("alert fires")
            [silence] = json.loads(await ask(daemon, "silence", "list", "--json"))
            assert (silence["by"], silence["state"], silence["matchers"]) == ("ann", "active", ['system="shop"'])
            assert "silenced by ann until" in await ask(daemon, "alerts")
            await ask(daemon, "silence", "expire", silence["id"][:8])
            assert "kept quiet until now: silenced by ann" in (await said(inbox, "on-call", "unmuted"))["why"]
            assert [message.body["notification_reason"] for message in inbox.messages] == ["unmuted"]


async def test_a_drill_reaches_everybody_and_is_measured(tmp_path: Path):
    async with Inbox() as inbox, Target() as target, Daemon(tmp_path, configuration(inbox, target)) as daemon:
        printed = await ask(daemon, "drill", "--for", "3s")
        assert "on-call by webhook: page accepted after" in printed
        assert "lead by webhook: page accepted after" in printed
        assert await daemon.metric('runwatch_drill_accepted_seconds{integration="webhook",receiver="lead"}') < 5
        await said(inbox, "lead", "resolved", "RunwatchDrill")


async def test_what_can_not_be_done_is_a_sentence(tmp_path: Path):
    async with Inbox() as inbox, Target() as target, Daemon(tmp_path, configuration(inbox, target)) as daemon:
        for arguments, sentence in (
            (["ack", "Nothing"], "nothing fires that is called 'Nothing'"),
            (["ack"], "say what"),
            (["ack", "--matcher", "system=~("], "is not a regular expression"),
            (["silence", "add", 'a="b"', "--comment", "x"], "a silence needs an end"),
            (["silence", "add", 'a="b"', "--comment", "x", "--for", "-1h"], "--for: expected one argument"),
            (["silence", "add", 'a="b"', "--comment", "x", "--for", "soon"], "for: "),
            (["silence", "add", 'a=~".*"', "--comment", "x", "--for", "1h"], "would silence everything"),
            (["silence", "add", 'a="b"', "--comment", "x", "--until", "2020-01-01T00:00"], "in the past"),
            (["silence", "expire", "nope"], "there is no silence 'nope'"),
            (["explain", "Nothing"], "nothing is known of an alert 'Nothing'"),
            (["drill", "--receiver", "nobody"], "there is no receiver 'nobody'; known: on-call, lead"),
        ):
            done = await asyncio.to_thread(runwatch, *arguments, "--url", daemon.url, folder=tmp_path)
            assert done.returncode in (1, 2), arguments
            assert sentence in done.stderr, (arguments, done.stderr)
            assert "Traceback" not in done.stderr


def test_a_route_is_explained_without_a_daemon(tmp_path: Path):
    (tmp_path / "runwatch.yaml").write_text(
        """
route:
  receiver: chat
  routes:
    - matchers: ['severity=~"critical|high"']
      receiver: pager
      continue: true
      escalation: [{after: 15m, receiver: chat}]
    - {matchers: ['system="shop"'], receiver: shop, group_by: ["..."]}
receivers: [{name: chat}, {name: pager}, {name: shop}]
"""
    )
    done = runwatch("explain", "--route", "severity=critical,system=shop", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert '{} → {severity=~"critical|high"} → pager' in done.stdout
    assert '{} → {system="shop"} → shop' in done.stdout
    assert "chat hears when nobody has acknowledged it after 15m" in done.stdout
    done = runwatch("explain", "--route", "sevrity=critical", folder=tmp_path)
    assert "did you mean severity?" in done.stderr
    assert runwatch("explain", "--route", "critical", folder=tmp_path).returncode == 1
