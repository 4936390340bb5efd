"""Socket.io's handshake: the packets of Engine.IO 4 and Socket.io 5 as text, and what they mean.

https://socket.io/docs/v4/engine-io-protocol/ and https://socket.io/docs/v4/socket-io-protocol/
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlencode

import orjson
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from checks.base import Errored, Failed, Reason, Url
from checks.wire.certificates import visible

SEPARATOR = "\x1e"
"""Between the packets of one answer to a poll."""

OPEN, CLOSE, PING, PONG, MESSAGE = "0", "1", "2", "3", "4"
CONNECT, CONNECT_ERROR = "40", "44"

_LENGTH_FIRST = re.compile(r"\d+:\d")
MILLISECONDS_MOST = 1e12


class SocketIo(BaseModel):
    """Whether and how to go on in Socket.io's words."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    transport: Literal["websocket", "polling"] = Field(
        default="websocket", description="websocket, or polling: HTTP requests as clients make them at first."
    )
    namespace: Annotated[str, Field(pattern=r"^/[^,\s]*$")] = Field(default="/", description="Namespace to connect to.")
    auth: dict[str, SecretStr] = Field(default={}, description="What clients give as `auth`; never shown.")

    def connect(self) -> str:
        """The packet that asks to be let in."""
        where = "" if self.namespace == "/" else f"{self.namespace},"
        auth = {name: value.get_secret_value() for name, value in self.auth.items()}
        return f"{CONNECT}{where}{orjson.dumps(auth).decode() if auth else ''}"

    def is_in(self, packet: str, name: str) -> bool:
        """Whether the packet says that we are let in; False for another packet. Raises Failed or Errored if we are not.

        A session's name must come along: Socket.io 2 and older give none.
        """
        kind, where, content = _split(packet)
        if kind not in (CONNECT, CONNECT_ERROR) or where != self.namespace:
            return False
        value = _json(content)
        if kind == CONNECT:
            if not isinstance(value, dict) or not isinstance(value.get("sid"), str):
                raise Failed(Reason.PROTOCOL, f"{name} connects without a session id, as Socket.io 2 and older do")
            return True
        said = visible(str(value.get("message", ""))) if isinstance(value, dict) else visible(content)
        if said == "Invalid namespace":
            raise Failed(Reason.ASSERTION, f"{name} has no namespace {self.namespace}")
        remedy = "the check's auth is not accepted" if self.auth else "it wants auth, and the check has none"
        raise Errored(Reason.AUTH, f"cannot connect to {self.namespace} of {name}: {said or 'refused'}; {remedy}")


@dataclass(frozen=True, slots=True)
class Opened:
    """What the server announces as a session begins; times in seconds."""

    sid: str
    upgrades: int
    ping_interval: float
    ping_timeout: float


def opened(packet: str, name: str) -> Opened:
    """What the first packet says. Raises Failed where it is none of Engine.IO 4."""
    if _LENGTH_FIRST.match(packet):
        raise Failed(Reason.PROTOCOL, f"{name} speaks Engine.IO 3, that is Socket.io 2 or older")
    value = _json(packet[1:]) if packet[:1] == OPEN else None
    if not isinstance(value, dict):
        raise Failed(Reason.PROTOCOL, f"{name} does not speak Engine.IO: it says {visible(packet, 60)!r}")
    sid, upgrades = value.get("sid"), value.get("upgrades")
    if not isinstance(sid, str) or not sid or len(sid) > 200 or not sid.isprintable() or not isinstance(upgrades, list):
        raise Failed(Reason.PROTOCOL, f"{name} opens a session without naming it: {visible(packet, 60)!r}")
    return Opened(sid, len(upgrades), _seconds(value, "pingInterval", name), _seconds(value, "pingTimeout", name))


def refusal(status: int, body: bytes) -> str:
    """What the server says to a handshake that it refuses, with its own number."""
    value = _json(body.decode("utf-8", "replace"))
    if isinstance(value, dict) and isinstance(value.get("message"), str):
        return f"HTTP {status}, {visible(value['message'])} (code {visible(str(value.get('code')), 10)})"
    return f"HTTP {status}"


def session(url: Url, transport: str, sid: str = "") -> Url:
    """The address of the transport, in a session where there is one already."""
    parts = url.parts
    query = [
        pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] not in ("EIO", "transport", "sid")
    ]
    query += [("EIO", "4"), ("transport", transport), *([("sid", sid)] if sid else [])]
    path = "/socket.io/" if parts.path in ("", "/") else parts.path
    return Url(parts._replace(path=path, query=urlencode(query), fragment="").geturl())


def _split(packet: str) -> tuple[str, str, str]:
    """The packet's kind, namespace and content."""
    kind, rest = packet[:2], packet[2:]
    if rest.startswith("/"):
        where, _, rest = rest.partition(",")
        return kind, where, rest
    return kind, "/", rest


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _seconds(value: dict[str, Any], key: str, name: str) -> float:
    number = value.get(key)
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number < MILLISECONDS_MOST:
        raise Failed(Reason.PROTOCOL, f"{name} opens a session without a {key}")
    return number / 1000
