"""A monitor that loses its own network: one page says so, nobody else hears of it, and what is down is told after."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from checks.base import Outcome
from monitor.demo.inbox import Received
from tests.faults import FaultProxy
from tests.scenarios.watch import Watch

ON_CALL = ("pagerduty capliquify-on-call", "slack #capliquify-incidents")
FAR = {"capliquify/production", "capliquify/frontend", "capliquify/database", "capliquify/xero"}
NEAR = {"capliquify/logs", "capliquify/machine", "capliquify/database-backup", "capliquify/scheduled-jobs"}
PLACE = re.compile(r"127\.0\.0\.1:(\d+)")
TIMEOUT = 0.5
"""Seconds, so that an address that says nothing does not take ten real ones each time."""


class Network:
    """All that lies between the daemon and the rest of the world: vendors, services, the database, PagerDuty, Slack."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self._ways: dict[str, FaultProxy] = {}

    async def through(self, address: str) -> str:
        """The same address (or several in a text), as it is reached through the network."""
        for port in PLACE.findall(address):
            if port not in self._ways:
                self._ways[port] = await self._stack.enter_async_context(FaultProxy("127.0.0.1", int(port)))
        return PLACE.sub(lambda place: self._ways[place[1]].address, address)

    async def is_lost(self) -> None:
        """Nothing that is asked is answered, and nothing that was being said is heard to its end."""
        for way in self._ways.values():
            way.hang = True
            way.cut()

    async def is_back(self) -> None:
        """As before, for what is asked from now on; what was asked meanwhile waits in vain."""
        for way in self._ways.values():
            way.hang = False


@asynccontextmanager
async def networked(watch: Watch) -> AsyncIterator[tuple[Network, list[FaultProxy]]]:
    """The installation behind a network, and two anchors in it; the daemon ends with it."""
    async with AsyncExitStack() as stack:
        network = Network(stack)
        inbox = watch.installation.inbox
        anchors = [await stack.enter_async_context(FaultProxy("127.0.0.1", inbox.port)) for _ in range(2)]
        asked = ", ".join(f"'tcp://{anchor.address}'" for anchor in anchors)
        watch.root = (
            f"impaired: {{anchors: [{asked}], timeout: 300ms, receiver: sms}}\n"
            f"receivers: [{{name: sms, webhook_configs: [{{url: '{inbox.url}/hook/sms'}}]}}]\n"
            "route: {receiver: sms}"
        )
        environment = watch.installation.environment
        watch.environment = {name: await network.through(value) for name, value in environment.items()}
        watch.timeout = TIMEOUT
        watch.only = (FAR | NEAR).__contains__
        try:
            yield network, anchors
        finally:
            await watch.stop()


def outcomes(watch: Watch) -> dict[str, Outcome]:
    """How each check's last probe ended."""
    return {key: known.result.outcome for key in watch.app.config.checks if (known := watch.app.state.get(key))}


async def test_a_lost_network_is_one_page_and_nobody_elses(watch: Watch) -> None:
    async with networked(watch) as (network, anchors):
        await watch.quiet("10m")
        assert set(outcomes(watch).values()) == {Outcome.OK}
        await network.is_lost()
        for anchor in anchors:
            await anchor.refuse()
        await watch.passes("70s")
        assert outcomes(watch) == dict.fromkeys(FAR, Outcome.ERROR) | dict.fromkeys(NEAR, Outcome.OK)
        [told] = watch.app.told
        assert (told.to, set(told.firing)) == (f"webhook {watch.installation.inbox.url}/hook/sms", {"RunwatchImpaired"})
        assert told.firing["RunwatchImpaired"].labels["cause"] == "network"
        await network.is_back()
        await anchors[0].accept()
        await watch.passes("2m")
        assert set(outcomes(watch).values()) == {Outcome.OK}
        [_, over] = watch.app.told
        assert over.to == told.to and over.resolved == {"RunwatchImpaired"}
        assert "blind for" in (text := str(last_sms(watch).body)) and "were not judged" in text
        # The network is there again, and so are real outages.
        await watch.breaks("C03")
        page = await watch.paged("DatabaseDown", "P1", to=ON_CALL, within="70s")
        page.says("connection", "capliquify/production")
        await watch.heals()
        await watch.resolved("DatabaseDown", within="70s")


def last_sms(watch: Watch) -> Received:
    """What the monitor's own receiver heard last."""
    return watch.installation.inbox.sent_to("/hook/sms")[-1]
