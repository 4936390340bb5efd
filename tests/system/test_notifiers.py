"""The notifiers inside the real daemon: threads and templates outlive a kill -9, an Alertmanager is kept informed."""

from __future__ import annotations

import asyncio
from pathlib import Path

from monitor.demo.inbox import Inbox
from tests.alertmanager import alertmanager
from tests.alerts.mail import PASSWORD, USER, mailbox
from tests.daemon import DEADLINE, Daemon, Target


def configuration(target: Target, receivers: str) -> str:
    return f"""
defaults: {{interval: 300ms, timeout: 1s, retries: 0}}
server: {{external_url: "https://watch.example.com"}}
route: {{receiver: team, group_interval: 1s}}
receivers:
  - name: team
{receivers}
checks:
  - {{name: shop, kind: tcp, address: '127.0.0.1:{target.port}', severity: critical}}
"""


async def told(daemon: Daemon, kind: str, status: str) -> dict[str, object]:
    return await daemon.logged("told", lambda line: line["integration"] == kind and line["status"] == status)


async def test_a_thread_of_mails_and_its_words_outlive_a_kill(tmp_path: Path):
    async with mailbox(tmp_path, login=True) as box, Target() as target:
        text = configuration(
            target,
            f"""
    email_configs:
      - to: team@example.com
        from: runwatch@example.com
        smarthost: 127.0.0.1:{box.port}
        tls_config: {{ca_file: {box.ca_file}}}
        auth_username: {USER}
        auth_password: {PASSWORD}
        headers: {{X-State: "{{{{ note.status }}}} by {{{{ note.receiver }}}}"}}
""",
        )
        async with Daemon(tmp_path, text) as daemon:
            await target.down()
            await told(daemon, "email", "firing")
            await daemon.kill()
        box.answers["DATA"] = "451 4.7.1 greylisted"
        async with Daemon(tmp_path, text) as daemon:
            await daemon.logged("check fails")
            await target.up()
            refused = await daemon.logged("not told yet")
            assert "451 4.7.1 greylisted" in refused["why"]
            await daemon.kill()
        box.answers.clear()
        # Its receiver is gone from the configuration: the mail goes where the page went, with the words of then.
        async with Daemon(tmp_path, configuration(target, "    webhook_configs: []")) as daemon:
            await told(daemon, "email", "resolved")
            assert PASSWORD not in str(daemon.log)
    fired, *_, ended = box.mails
    assert ended["In-Reply-To"] == fired["Message-ID"]
    assert ended["Subject"] == f"Resolved: {fired['Subject']}"
    assert (fired["X-State"], ended["X-State"]) == ("firing by team", "resolved by team")


async def test_a_failing_template_is_in_the_log_and_the_page_goes_out(tmp_path: Path):
    async with Inbox() as inbox, Target() as target:
        title = "{{ note.alerts[0].impact[0] }}"
        receivers = f"    webhook_configs: [{{url: '{inbox.url}/hook/x', title: '{title}'}}]"
        text = configuration(target, receivers)
        async with Daemon(tmp_path, text) as daemon:
            await target.down()
            line = await told(daemon, "webhook", "firing")
            assert line["why"] == "the template `title` of receiver team failed: there is no item 0 of 0"
            await target.up()
            await told(daemon, "webhook", "resolved")
        assert [message.status for message in inbox.messages] == [200, 200]
        assert inbox.messages[0].body["alerts"][0]["annotations"]["summary"]


async def test_a_real_alertmanager_hears_what_fires_and_what_ends(tmp_path: Path):
    async with Inbox() as inbox, Target() as target:
        inside = "route: {receiver: inbox, group_wait: 0s, group_interval: 1s}\nreceivers:\n  - name: inbox\n" + (
            f"    webhook_configs: [{{url: '{inbox.url}/hook/from-alertmanager'}}]\n"
        )
        async with alertmanager(tmp_path, inside) as real:
            text = configuration(target, f'    alertmanager_configs: [{{url: "{real.url}"}}]')
            (tmp_path / "ours").mkdir()
            async with Daemon(tmp_path / "ours", text) as daemon:
                await target.down()
                async with asyncio.timeout(DEADLINE):
                    first = await inbox.until(lambda message: message.path.endswith("from-alertmanager"))
                assert first.body["status"] == "firing"
                [there] = await real.get("/api/v2/alerts")
                assert there["labels"]["check"] == "shop"
                assert there["generatorURL"] == f"https://watch.example.com/#{there['fingerprint']}"
                await target.up()
                await told(daemon, "alertmanager", "resolved")
                async with asyncio.timeout(DEADLINE):
                    await inbox.until(lambda message: message.body["status"] == "resolved")
