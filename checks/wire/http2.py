"""One HTTP/2 request on an open stream, and its answer within bounds (RFC 9113).

Importing it takes 90 ms: not on the event loop.
"""

from __future__ import annotations

from collections.abc import Sequence

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import H2Error
from h2.settings import SettingCodes, Settings

from checks.wire.certificates import visible
from checks.wire.fault import WireError
from checks.wire.http1 import Stream
from checks.wire.patience import Patience

HEARD_MOST = 65536
"""Bytes that may come for one answer, frames of every kind together."""

PIECE = 2048
"""Bytes that are parsed at once: 200 of the smallest frames, a few milliseconds' work."""

HEAD, FRAME_MOST, GOAWAY = 9, 16384, 7

OURS = {
    SettingCodes.ENABLE_PUSH: 0,
    SettingCodes.INITIAL_WINDOW_SIZE: 65535,
    SettingCodes.MAX_HEADER_LIST_SIZE: 16384,
}

Headers = Sequence[tuple[str, str]]


class Answer:
    """What came back. `asked`, `first`, `last`: when the question went out, and the answer began and ended to come in
    (monotonic seconds).
    """

    __slots__ = ("asked", "body", "ended", "first", "headers", "last", "trailers")

    def __init__(self) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.trailers: dict[bytes, bytes] = {}
        self.body = bytearray()
        self.ended = False
        self.asked = self.first = self.last = 0.0


async def ask(stream: Stream, headers: Headers, body: bytes, patience: Patience, answer: Answer) -> None:
    """Send one request with its body and read the answer into `answer`, as far as it comes even where this raises.

    The stream is the caller's to close. Raises WireError: read_timeout, protocol.
    """
    connection = H2Connection(H2Configuration(client_side=True, header_encoding=None))
    connection.local_settings = Settings(client=True, initial_values=OURS)
    connection.initiate_connection()
    connection.send_headers(1, headers)
    connection.send_data(1, body, end_stream=True)
    patience.doing("read", "read_timeout", f"no answer from {stream.name}")
    await stream.send(connection.data_to_send())
    answer.asked = stream.sent
    heard, frames = 0, _Frames(stream.name)
    while not answer.ended:
        data = await stream.recv(PIECE)
        if not data:
            raise _broken(f"{stream.name} closed the connection {'in the middle of' if heard else 'without'} an answer")
        if not heard:
            answer.first = stream.arrived
            _check_protocol(data, stream.name)
        answer.last = stream.arrived
        heard += len(data)
        if heard > HEARD_MOST:
            raise _broken(f"{stream.name} sent more than {HEARD_MOST} bytes, which are no answer")
        try:
            events = connection.receive_data(frames.whole(data))
        except H2Error as why:
            raise _broken(f"{stream.name} breaks HTTP/2: {visible(str(why))}") from None
        for event in events:
            _take(event, answer, stream.name)
        if answer.ended:
            connection.close_connection()
        if reply := connection.data_to_send():
            await stream.send(reply)


class _Frames:
    """Cuts what comes into whole frames, and keeps back the farewell of a peer that goes but still answers.

    h2 takes no answer any more after a GOAWAY, though a server that goes in good order sends one.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._came = b""

    def whole(self, data: bytes) -> bytes:
        """The frames that are complete by now. Raises WireError where one is longer than it may be."""
        came, at, out = self._came + data, 0, b""
        while len(came) - at >= HEAD:
            length = int.from_bytes(came[at : at + 3], "big")
            if length > FRAME_MOST:
                raise _broken(f"{self._name} breaks HTTP/2: a frame of {length} bytes")
            end = at + HEAD + length
            if end > len(came):
                break
            if not _is_good_bye(came[at:end]):
                out += came[at:end]
            at = end
        self._came = came[at:]
        return out


def _is_good_bye(frame: bytes) -> bool:
    """Whether it is a GOAWAY without error that still lets our request, the first one, be answered."""
    return (
        frame[3] == GOAWAY
        and len(frame) >= HEAD + 8
        and frame[HEAD + 4 : HEAD + 8] == b"\0" * 4
        and any(frame[HEAD : HEAD + 4])
    )


def _check_protocol(data: bytes, name: str) -> None:
    if data.startswith(b"HTTP/"):
        said = data.split(maxsplit=3)[:2][-1].decode("latin-1")
        raise _broken(f"{name} speaks HTTP/1 on this port; it answers {visible(said)}")
    if data[0] == 0x15 and data[1:2] == b"\x03":
        raise _broken(f"{name} wants TLS on this port")


def _take(event: Event, answer: Answer, name: str) -> None:
    """What an event of the connection means to our request, which is its first and only one."""
    match event:
        case ResponseReceived(headers=headers):
            answer.headers = dict(headers or ())
        case TrailersReceived(headers=headers):
            answer.trailers = dict(headers or ())
        case DataReceived(data=data):
            answer.body += data or b""
        case StreamEnded():
            answer.ended = True
        case StreamReset(error_code=code) if not answer.ended:
            raise _broken(f"{name} reset the request: {_named(code)}")
        case ConnectionTerminated(error_code=code, additional_data=said) if not answer.ended:
            why = f" ({visible(said.decode('utf-8', 'replace'))})" if said else ""
            raise _broken(f"{name} ended the connection: {_named(code)}{why}")


def _named(code: object) -> str:
    return str(getattr(code, "name", code))


def _broken(sentence: str) -> WireError:
    return WireError("read", "protocol", sentence)
