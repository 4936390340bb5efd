"""One HTTP question over a fresh connection of the wire, and its answer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator

from checks.parts import network as _network
from checks.parts.http.request import Hop
from checks.wire import http1
from checks.wire.patience import Patience

Method = Annotated[
    Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
    BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value),
]

REDIRECTS = frozenset({301, 302, 303, 307, 308})


async def exchange(
    hop: Hop, family: str, patience: Patience, trip: _network.Trip, *, body_most: int, plain_most: int
) -> http1.Answer:
    """The answer to `hop`; its phases are added to `trip`, even where it raises WireError."""
    answer = http1.Answer()
    line = await _network.reach(hop.to, family, patience, trip)
    try:
        stream: http1.Stream = line
        if hop.trust is not None:
            stream = await _network.encrypt(line, hop.trust, hop.server_name, patience, trip)
        await http1.ask(
            stream, hop.question, patience, body_most=body_most, plain_most=plain_most, answer=answer
        )  # fmt: skip
    finally:
        line.close()
        if answer.first:
            trip.add("processing", max(0.0, answer.first - answer.asked))
            trip.add("transfer", max(0.0, answer.last - answer.first))
        trip.kernel = trip.kernel and line.kernel
    return answer
