"""Alertmanager's API v2, alerts that others send us: read piece by piece, taken over, and durable before the answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from json import JSONDecodeError, JSONDecoder
from typing import TYPE_CHECKING, Any

import structlog
from aiohttp import web

from alerts.receiving import receive
from alerts.sent import SentAlert, read_one
from alerts.vocabulary import Phase
from checks.base import printable
from monitor.api.v2_requests import Wrong, body, slices, worded

if TYPE_CHECKING:
    from monitor.app import App

log = structlog.get_logger()

LARGEST = 32 * 2**20
MOST_KNOWN = 100_000
"""Alerts that may be known at once: a sender that makes up new ones must not fill the memory."""
READ_AT_ONCE = 100
REPEATED_AT_ONCE = 2_000
"""Alerts worked on in one turn of the loop: some 3 ms each."""
MOST_COMPLAINTS = 10

_BLANK = re.compile(r"[ \t\n\r]*")


def routes(app: App) -> list[web.RouteDef]:
    """The route of this file."""
    return [web.post("/api/v2/alerts", worded(Sent(app).receive))]


class Refused:
    """The alerts of one request that were not taken: how many, and why the first of them."""

    def __init__(self) -> None:
        self.count = 0
        self.why: list[str] = []

    def note(self, why: str) -> None:
        """One more."""
        self.count += 1
        if len(self.why) < MOST_COMPLAINTS:
            self.why.append(why)


class Sent:
    """`POST /api/v2/alerts`, as Prometheus and everybody else sends to Alertmanagers."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def receive(self, request: web.Request) -> web.StreamResponse:
        """Take alerts over; 200 when they are on disk. Those that are good are taken although others are not."""
        app, judging, refused = self._app, self._app.engine.judging, Refused()
        taken = await self._read(request, refused)
        now, news = app.clock.now(), []
        async for part in slices(taken, REPEATED_AT_ONCE):
            for sent in part:
                if self._repeats(sent, now):
                    receive(judging, sent, now)
                else:
                    news.append(sent)
        # At one go: what is sent together belongs together, and must not be told in two messages.
        ended, good = 0, len(taken)
        for sent in news:
            if trouble := self._trouble(sent):
                refused.note(trouble)
                good -= 1
                continue
            receive(judging, sent, now)
            ended += bool(sent.ends_at) and sent.ends_at <= now
        received = app.metrics.received
        received.labels("resolved").inc(ended)
        received.labels("firing").inc(good - ended)
        received.labels("refused").inc(refused.count)
        await app.pager.keep()
        if not refused.count:
            return web.Response()
        log.warning("sent alerts refused", sender=request.remote, count=refused.count, why=refused.why[0][:500])
        raise Wrong("; ".join(refused.why))

    async def _read(self, request: web.Request, refused: Refused) -> list[SentAlert]:
        taken = []
        content, behind, number = await body(request, LARGEST), self._app.engine.wall_ahead, 0
        async for part in slices(_items(content), READ_AT_ONCE):
            for item in part:
                try:
                    taken.append(read_one(number, item, behind))
                except ValueError as why:
                    refused.note(str(why))
                number += 1
        return taken

    def _repeats(self, sent: SentAlert, now: float) -> bool:
        """Whether it says no more than that an alert goes on."""
        known = self._app.engine.judging.alerts.get(sent.fingerprint)
        goes_on = not sent.ends_at or sent.ends_at > now
        return goes_on and known is not None and known.phase is Phase.FIRING and bool(known.source)

    def _trouble(self, sent: SentAlert) -> str:
        """Why one can't be taken, if so."""
        judging = self._app.engine.judging
        known = judging.alerts.get(sent.fingerprint)
        if known is None and len(judging.alerts) >= MOST_KNOWN:
            return f"{MOST_KNOWN:,} alerts are known here already, and no more are taken"
        if known is not None and known.phase is not Phase.INACTIVE and not known.source:
            return f"an alert of runwatch's own has the same labels: {printable(known.name)} on {known.check}"
        return ""


def _items(content: bytes) -> Iterator[Any]:
    """The items of a JSON list one after another, as one call for all of 32 MB would hold everybody up."""
    decoder = JSONDecoder()
    try:
        text = content.decode()
        at = _skip(text, 0)
        if text[at : at + 1] != "[":
            raise Wrong("a list of alerts is wanted")
        at = _skip(text, at + 1)
        while text[at : at + 1] != "]":
            item, at = decoder.raw_decode(text, at)
            yield item
            at = _skip(text, at)
            if text[at : at + 1] == ",":
                at = _skip(text, at + 1)
            elif text[at : at + 1] != "]":
                raise Wrong("the body is not JSON: a list of alerts is wanted")
    except (UnicodeDecodeError, JSONDecodeError, RecursionError):
        raise Wrong("the body is not JSON: a list of alerts is wanted") from None


def _skip(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    return blank.end() if blank is not None else at
