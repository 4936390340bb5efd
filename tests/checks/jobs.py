"""A heartbeat check with its memory, at times that a test sets."""

from __future__ import annotations

import orjson
import pytest

from checks.base import KEPT, Failed, Run
from checks.heartbeat import Heartbeat
from checks.parts.heartbeat.state import (
    Ping,
)  # fmt: skip
from tests.checks.probing import asked

UUID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
A, B = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
START = 1_000_000.0


def heartbeat(**keys):
    given = {"uuid": UUID, "period": "1d", "grace": "1h"} | keys
    return Heartbeat(name="Nightly backup", **{name: item for name, item in given.items() if item is not None})


class Job:
    """A check with its memory, at a time that the test sets."""

    def __init__(self, **keys):
        # A look comes when the test says so; what comes much later than the interval would be a standstill.
        self.check = heartbeat(**{"interval": "365d"} | keys)
        self.memory = {}

    def ping(self, at, action="success", method="POST", **more):
        self.check.take(self.memory, self.check.meant(Ping(at=START + at, action=action, **more), method))

    async def ok(self, at):
        return await asked(self.check, self.memory, START + at)

    async def fails(self, at, reason, *words):
        run = Run(self.memory, START + at)
        with pytest.raises(Failed) as raised:
            await self.check.probe(run)
        assert raised.value.reason is reason, raised.value.sentence
        for word in words:
            assert word in raised.value.sentence
        return run

    async def looks(self, begin, end, every=30.0):
        """Probes all that time, whatever they say."""
        at = begin
        while at < end:
            await self.outcome(at)
            at += every

    async def outcome(self, at):
        """`ok`, or the reason."""
        try:
            await self.check.probe(Run(self.memory, START + at))
        except Failed as why:
            return why.reason.value
        return "ok"

    def restarts(self):
        """What is kept goes through JSON; the rest of the memory is lost."""
        self.memory = {KEPT: orjson.loads(orjson.dumps(self.memory[KEPT]))}


LATE, BAD, OK = "read_timeout", "assertion", "ok"
