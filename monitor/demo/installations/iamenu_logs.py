"""iaMenu's logs: each service writes to CloudWatch and to a file, what happens and whom it has notified."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from monitor.demo.installation import Installation, fault
from monitor.demo.parts.aws import REGION
from monitor.demo.parts.cloudwatch import CloudWatch

GROUP = "iamenu-ecosystem-logs"
SERVICES = ("community", "marketplace", "business")
PERIOD = 60.0
"""Seconds from one batch of lines to the next."""

Event = dict[str, Any]


class Logs(Installation):
    """Every minute each service logs a line, and the community service ten notifications.

    A fault adds to what is written from then on, and lets it come late.
    """

    aws: CloudWatch

    async def start_logs(self) -> None:
        """Start CloudWatch, and make the log group and the folder."""
        self._late = self._files_late = 0.0
        self._silent = False
        self._more: list[Event] = []
        self._newest = 0.0
        self._writes = asyncio.Lock()
        self.aws = await self.server(CloudWatch(self.folder / "cloudwatch"))
        await asyncio.to_thread(self.aws.lock)
        await asyncio.to_thread(self.aws.open, GROUP, "app-stream")
        ours = await asyncio.to_thread(self.aws.user, "runwatch", "logs:FilterLogEvents")
        self.log_file = self.folder / "logs" / "app.log"
        self.log_file.parent.mkdir()
        self.log_file.touch()
        self.environment |= {
            "IAMENU_AWS_REGION": REGION,
            "IAMENU_AWS_LOGS_URL": self.aws.url,
            "IAMENU_AWS_ACCESS_KEY_ID": ours["access_key_id"],
            "IAMENU_AWS_SECRET_ACCESS_KEY": ours["secret_access_key"],
            "IAMENU_LOGS": str(self.log_file.parent),
        }
        self.every(PERIOD, self._write)

    async def _write(self) -> None:
        async with self._writes:
            await self._batch()

    async def _batch(self) -> None:
        now = self.now()
        if now < self._newest:
            # The clock was put back: what was written later has not happened yet.
            await asyncio.to_thread(self.aws.empty)
        self._newest = now
        events = [{"service": name, "level": "INFO", "message": "GET /health 200"} for name in SERVICES]
        events += [{"service": "community", "level": "INFO", "event_type": "notification_sent"} for _ in range(10)]
        events += self._more
        if not self._silent:
            await self._to_cloudwatch(events)
        self._to_file(events, now - self._files_late)

    async def _to_cloudwatch(self, events: list[Event]) -> None:
        now = self.now()
        await asyncio.to_thread(self.aws.put, now, *((now - 1 - self._late, event) for event in events))

    def _to_file(self, events: list[Event], at: float) -> None:
        when = datetime.fromtimestamp(at, UTC).isoformat()
        with self.log_file.open("a") as file:
            file.writelines(json.dumps({"time": when, **event}) + "\n" for event in events)

    async def _cleared(self) -> None:
        """Nothing of what was logged is left, as after a deleted stream."""
        async with self._writes:  # the stream is away for a moment
            await asyncio.to_thread(self.aws.empty)
            await self._batch()

    @asynccontextmanager
    async def _also(self, *events: Event) -> AsyncIterator[None]:
        """Within it these are logged each minute, too."""
        self._more += events
        await self._write()
        yield
        for one in events:
            self._more.remove(one)
        await self._cleared()

    # --- what can go wrong ---------------------------------------------------------------------------------------

    @fault("W04", "the community service logs forty errors each minute")
    async def errors(self) -> AsyncIterator[None]:
        message = "cannot load the feed for req_4711: connection pool exhausted"
        async with self._also(*[{"service": "community", "level": "ERROR", "message": message}] * 40):
            yield

    @fault("W04.delayed", "what happens is in CloudWatch only after 20 s")
    async def late(self) -> AsyncIterator[None]:
        self._late = 20.0
        yield
        self._late = 0.0
        await self._cleared()

    @fault("W04.late", "what happens is in CloudWatch only after 45 s")
    async def very_late(self) -> AsyncIterator[None]:
        self._late = 45.0
        yield
        self._late = 0.0
        await self._cleared()

    @fault("W04.silent", "nothing arrives in CloudWatch any more")
    async def silent(self) -> AsyncIterator[None]:
        self._silent = True
        yield
        self._silent = False
        await self._write()

    @fault("W04.words", "the business service logs a password to CloudWatch")
    async def password_logged(self) -> AsyncIterator[None]:
        await self._to_cloudwatch([{"service": "business", "level": "INFO", "body": {"password": "hunter2"}}])
        yield
        await self._cleared()

    @fault("W04.files", "the marketplace logs the number of a card to its file")
    async def card_logged(self) -> AsyncIterator[None]:
        event = {"service": "marketplace", "level": "INFO", "cardNumber": "4111 1111 1111 1111"}
        self._to_file([event], self.now())
        yield

    @fault("W04.files_late", "what happens is in the log file only after two minutes")
    async def files_late(self) -> AsyncIterator[None]:
        self._files_late = 120.0
        yield
        self._files_late = 0.0

    @fault("W07.notifications", "one notification in six does not arrive")
    async def notifications_fail(self) -> AsyncIterator[None]:
        async with self._also(*[{"service": "community", "level": "WARN", "event_type": "notification_error"}] * 2):
            yield
