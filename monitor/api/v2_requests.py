"""What requests to Alertmanager's API v2 have in common: parameters, bodies within bounds, errors in its words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from alerts.matching import Matcher, matches_all, parse_matchers

MOST_FILTERS = 100
WHILE_READING = 30.0
"""Seconds that a client may take to send a body."""
TRUE = frozenset({"1", "true", "yes", "ok", "y", "on", "selected", "checked", "t", "enabled"})
"""What the generated servers of Alertmanager read as true; everything else is false."""

Item = TypeVar("Item")


class Wrong(Exception):
    """A request that can't be answered; the text is a sentence for whoever sent it."""

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.status = status


def worded(handler: Handler) -> Handler:
    """The handler, with what it refuses as Alertmanager words it: a JSON text."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except Wrong as why:
            return told(str(why), why.status)

    return answer


def told(data: Any, status: int = 200) -> web.Response:
    """An answer in JSON."""
    return web.Response(body=orjson.dumps(data), content_type="application/json", status=status)


def flag(request: web.Request, name: str) -> bool:
    """A parameter that is true unless it says otherwise."""
    text = request.query.get(name, "")
    return not text or text.lower() in TRUE


def matchers(request: web.Request, name: str) -> tuple[Matcher, ...]:
    """Every matcher in a parameter that may be repeated."""
    texts = request.query.getall(name, [])
    if len(texts) > MOST_FILTERS:
        raise Wrong(f"{name}: {len(texts)} are too many; {MOST_FILTERS} are the most")
    try:
        return tuple(matcher for text in texts for matcher in parse_matchers(text))
    except ValueError as why:
        raise Wrong(f"bad matcher format: {why}") from None


class Receivers:
    """Which receivers a request asks for: `receiver`, an anchored expression, and `receiver_matchers`.

    Our receivers have no labels, so that a matcher sees the empty text.
    """

    def __init__(self, request: web.Request) -> None:
        text = request.query.get("receiver", "")
        self._named = Matcher("name", "=~", text) if text else None
        self._any = matches_all(matchers(request, "receiver_matchers"), {})
        try:
            self.takes("")
        except ValueError as why:
            raise Wrong(f"failed to parse receiver param: {why}") from None

    def takes(self, name: str) -> bool:
        """Whether it asks for this one."""
        return self._any and (self._named is None or self._named.matches({"name": name}))


async def body(request: web.Request, largest: int) -> bytes:
    """The whole body of a request, within a size of its own and a time."""
    content = bytearray()
    try:
        async with asyncio.timeout(WHILE_READING):
            async for chunk in request.content.iter_any():
                content += chunk
                if len(content) > largest:
                    raise Wrong(f"the body is too large: {largest:,} bytes are the most", 413)
    except TimeoutError:
        raise Wrong(f"the body did not arrive within {WHILE_READING:g} s", 408) from None
    except web.RequestPayloadError as why:
        raise Wrong(f"the body can't be read: {why}") from None
    return bytes(content)


async def slices(items: Iterable[Item], size: int) -> AsyncIterator[Sequence[Item]]:
    """The items some at a time, with a turn of the loop for everybody else after each."""
    rest: Iterator[Item] = iter(items)
    while part := list(islice(rest, size)):
        yield part
        await asyncio.sleep(0)
