"""kill -9 at random instants, round after round: no page is lost, none is doubled beyond one for each kill.

`python -m tests.system.kill_rounds --rounds 200` runs it at length; the test beside it runs a few rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from monitor.demo.inbox import Inbox, Received
from tests.daemon import Daemon, Target

KEY = "0123456789abcdef0123456789abcdef"
LONGEST_WAIT = 30.0
LATEST_KILL = 0.8

CONFIGURATION = """
defaults: {{interval: 200ms, timeout: 500ms, retries: 0}}
route: {{receiver: on-call, group_interval: 1s, repeat_interval: 1h}}
receivers:
  - name: on-call
    pagerduty_configs: [{{routing_key: "{key}", url: "{inbox}/v2/enqueue"}}]
    webhook_configs: [{{url: "{inbox}/hook/team"}}]
checks:
  - {{name: target, kind: tcp, address: "127.0.0.1:{port}"}}
"""

PATHS = ("/v2/enqueue", "/hook/team")


@dataclass
class Tally:
    """What came of all rounds. `doubled` counts second copies of a message, of which each kill may make one."""

    rounds: int = 0
    kills: int = 0
    doubled: int = 0

    def __str__(self) -> str:
        return f"{self.rounds} rounds, {self.kills} kills, 0 pages lost, {self.doubled} doubled (one a kill is allowed)"


def status_of(message: Received) -> str:
    """firing or resolved, whichever vendor's body it is."""
    body = message.body
    return body["status"] if "status" in body else {"trigger": "firing", "resolve": "resolved"}[body["event_action"]]


async def _turn(inbox: Inbox, daemon: Daemon, chance: random.Random, wanted: str, tally: Tally) -> Daemon:
    """Kill at a random instant, start again, and wait until every destination has accepted `wanted`."""
    before = len(inbox.messages)
    await asyncio.sleep(chance.uniform(0, LATEST_KILL))
    await daemon.kill()
    tally.kills += 1
    again = Daemon(daemon.file.parent, daemon.file.read_text())
    await again.start()
    async with asyncio.timeout(LONGEST_WAIT):
        for path in PATHS:
            await inbox.until(
                lambda message, path=path: message.path == path and status_of(message) == wanted,  # type: ignore[misc]
                inbox.messages[before - 1].number if before else 0,
            )
    return again


async def rounds(folder: Path, count: int, seed: int, say: bool = False) -> Tally:
    """Run so many rounds; AssertionError or TimeoutError where a promise is broken."""
    chance, tally = random.Random(seed), Tally()
    async with Inbox() as inbox, Target() as target:
        text = CONFIGURATION.format(key=KEY, inbox=inbox.url, port=target.port)
        daemon = await Daemon(folder, text).start()
        try:
            for _ in range(count):
                await target.down()
                daemon = await _turn(inbox, daemon, chance, "firing", tally)
                await target.up()
                daemon = await _turn(inbox, daemon, chance, "resolved", tally)
                tally.rounds += 1
                if say:
                    sys.stderr.write(f"\r{tally}")
            daemon.signal(signal.SIGTERM)
            await daemon.ended()
        finally:
            await daemon.kill()
        for path in PATHS:
            _examine(path, [status_of(message) for message in inbox.sent_to(path)], tally)
    return tally


def _examine(path: str, statuses: list[str], tally: Tally) -> None:
    """Pages and resolves must alternate, one pair a round; a second copy stands right beside the first."""
    runs = [(status, len(list(copies))) for status, copies in itertools.groupby(statuses)]
    assert [status for status, _ in runs] == ["firing", "resolved"] * tally.rounds, f"{path}: {runs}"
    doubled = sum(length - 1 for _, length in runs)
    assert doubled <= tally.kills, f"{path}: {doubled} doubled by {tally.kills} kills"
    tally.doubled += doubled


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tally = asyncio.run(rounds(Path(folder), asked.rounds, asked.seed, say=sys.stderr.isatty()))
    sys.stdout.write(f"{tally}; seed {asked.seed}\n")


if __name__ == "__main__":
    main()
