"""The daemon without a network, with a full disk, and with both again: who is paged, and who is not."""

import asyncio
import contextlib
import json
import socket
from typing import Self

from monitor.demo.inbox import Inbox
from tests.daemon import DEADLINE, Daemon, Target

MANY = 200


class Host:
    """A target that lets everybody in, or drops every packet: what a dead network looks like.

    The kernel does both: nobody waits for this process, however late it is.
    """

    async def __aenter__(self) -> Self:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.port = self._socket.getsockname()[1]
        self._fillers: list[socket.socket] = []
        self.appear()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.vanish()
        self._socket.close()
        self._empty()

    def appear(self) -> None:
        """Let everybody in."""
        self._empty()
        self._socket.listen(1_000)
        asyncio.get_running_loop().add_reader(self._socket, self._let_in)

    def vanish(self) -> None:
        """Drop whatever comes: nobody accepts, and there is no room to wait."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.listen(0)
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(self._socket.getsockname())
            self._fillers.append(filler)

    def _empty(self) -> None:
        while self._fillers:
            self._fillers.pop().close()

    def _let_in(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.accept()[0].close()


def configuration(inbox: Inbox, host: Host, *anchors: Target, impaired: str = "") -> str:
    asked = ", ".join(f"'tcp://127.0.0.1:{anchor.port}'" for anchor in anchors)
    checks = "\n".join(
        f"  - {{name: t{number}, kind: tcp, address: '127.0.0.1:{host.port}',"
        " alerts: [{alert: Down, when: failed}, {alert: Unknown, when: error}]}"
        for number in range(MANY)
    )
    return f"""
defaults: {{interval: 1s, timeout: 500ms, retries: 0}}
impaired: {{anchors: [{asked}], timeout: 1s, interval: 1s, receiver: sms, {impaired}}}
route: {{receiver: team, group_by: [alertname]}}
receivers:
  - name: team
    webhook_configs: [{{url: "{inbox.url}/hook/team"}}]
  - name: sms
    webhook_configs: [{{url: "{inbox.url}/hook/sms"}}]
checks:
{checks}
"""


def told(inbox: Inbox, receiver: str) -> list[tuple[str, str]]:
    """What a receiver was told: status, and the first alert's name and cause."""
    found = []
    for message in inbox.sent_to(f"/hook/{receiver}"):
        labels = message.body["alerts"][0]["labels"]
        found.append((message.body["status"], labels["alertname"], labels.get("cause", "")))
    return found


async def outcomes(daemon: Daemon, wanted: str) -> list[dict]:
    """Every check, once all of them have this outcome."""
    async with asyncio.timeout(DEADLINE):
        while True:
            checks = json.loads((await daemon.get("/api/v1/checks"))[1])
            if {check["outcome"] for check in checks} == {wanted}:
                return checks
            await asyncio.sleep(0.05)


async def test_without_a_network_one_page_says_so_and_with_it_again_what_is_down_is_paged(tmp_path):
    async with (
        Inbox() as inbox,
        Host() as host,
        Target() as first,
        Target() as second,
        Daemon(tmp_path, configuration(inbox, host, first, second)) as daemon,
    ):
        await outcomes(daemon, "ok")
        await first.down()
        await second.down()
        host.vanish()
        async with asyncio.timeout(DEADLINE):
            await inbox.until(lambda message: message.path == "/hook/sms")
        checks = await outcomes(daemon, "error")
        assert all("not judged: the monitor's own network is down" in check["sentence"] for check in checks)
        assert all(check["uptime"] == 1 for check in checks), "what was not observed counts as down"
        assert await daemon.metric('runwatch_impaired{cause="network"}') == 1
        assert (told(inbox, "team"), told(inbox, "sms")) == ([], [("firing", "RunwatchImpaired", "network")])
        await first.up()
        async with asyncio.timeout(DEADLINE):
            await inbox.until(lambda message: message.path == "/hook/team")
            over = await inbox.until(lambda message: message.body["status"] == "resolved")
        assert over.path == "/hook/sms"
        assert "blind for" in json.dumps(over.body) and "were not judged" in json.dumps(over.body)
        assert {alert for _, alert, _ in told(inbox, "team")} == {"Down"}
        await daemon.logged("no longer impaired", lambda line: line["checks"] == MANY)
        host.appear()
        async with asyncio.timeout(DEADLINE):
            await inbox.until(lambda message: message.path == "/hook/team" and message.body["status"] == "resolved")


async def test_a_disk_that_is_nearly_full_is_told_before_it_is(tmp_path):
    async with (
        Inbox() as inbox,
        Host() as host,
        Daemon(tmp_path, configuration(inbox, host, impaired="min_free: 900000TB")) as daemon,
    ):
        async with asyncio.timeout(DEADLINE):
            await inbox.until(lambda message: message.body["status"] == "firing")
        assert await daemon.metric('runwatch_impaired{cause="disk"}') == 1
        assert (await daemon.get("/-/healthy"))[0] == 200
        daemon.file.write_text(configuration(inbox, host, impaired="min_free: 0B"))
        async with asyncio.timeout(DEADLINE):
            await inbox.until(lambda message: message.body["status"] == "resolved")
        assert told(inbox, "sms") == [
            ("firing", "RunwatchImpaired", "disk"),
            ("resolved", "RunwatchImpaired", "disk"),
        ]
