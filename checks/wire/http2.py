"""HTTP/2 requests on an open stream, and their answers within bounds (RFC 9113).

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

HEARD_MOST = 16384
"""Bytes that may come for one answer, frames of every kind together: what unpacking headers costs is bounded by it."""

FRAMES_MOST = 100
"""Frames that may come for one answer: a few milliseconds' work, however small they are. A whole one has about ten."""

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
    await Conversation(stream, patience).ask(headers, body, answer, last=True)


class Conversation:
    """Requests on an open stream, one after the other; no answer may be longer than `most` bytes."""

    def __init__(self, stream: Stream, patience: Patience, most: int = HEARD_MOST) -> None:
        self._stream = stream
        self._patience = patience
        self._most = most
        self._heard = False
        self._frames = _Frames(stream.name)
        self._connection = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self._connection.local_settings = Settings(client=True, initial_values=OURS)
        self._connection.initiate_connection()

    async def ask(self, headers: Headers, body: bytes, answer: Answer, *, last: bool = False) -> None:
        """As the function of this name; after the `last` request the peer is told that it was."""
        stream, connection, name = self._stream, self._connection, self._stream.name
        number = self._frames.request = connection.get_next_available_stream_id()
        try:
            connection.send_headers(number, headers)
            connection.send_data(number, body, end_stream=True)
        except H2Error as why:
            raise _broken(f"{name} takes no such request: {visible(str(why))}") from None
        self._patience.doing("read", "read_timeout", f"no answer from {name}")
        await stream.send(connection.data_to_send())
        answer.asked = stream.sent
        heard, ended = 0, False
        while not ended:
            data = await stream.recv()
            if not data:
                raise _broken(f"{name} closed the connection {'in the middle of' if heard else 'without'} an answer")
            if not heard:
                answer.first = stream.arrived
            if not self._heard:
                _check_protocol(data, name)
                self._heard = True
            answer.last = stream.arrived
            heard += len(data)
            if heard > self._most:
                raise _broken(f"{name} sent more than {self._most} bytes, which are no answer")
            ended = self._take(data, number, answer)
            if ended and last:
                connection.close_connection()
            if reply := connection.data_to_send():
                await stream.send(reply)

    def _take(self, data: bytes, number: int, answer: Answer) -> bool:
        """Whether the answer is complete now."""
        connection, name = self._connection, self._stream.name
        try:
            for event in connection.receive_data(self._frames.whole(data)):
                if getattr(event, "stream_id", None) in (None, number):
                    _take(event, answer, name)
                if isinstance(event, DataReceived):
                    connection.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or number)
        except H2Error as why:
            raise _broken(f"{name} breaks HTTP/2: {visible(str(why))}") from None
        return answer.ended


class _Frames:
    """Cuts what comes into whole frames, and keeps back the farewell of a peer that goes but still answers.

    h2 takes no answer any more after a GOAWAY, though a server that goes in good order sends one.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._came = b""
        self._count = 0
        self.request = 1
        """The request that is to be answered, by its stream's number."""

    def whole(self, data: bytes) -> bytes:
        """The frames that are complete by now. Raises WireError where one is too long, or there are too many."""
        came, at, out = self._came + data, 0, b""
        while len(came) - at >= HEAD:
            length = int.from_bytes(came[at : at + 3], "big")
            if length > FRAME_MOST:
                raise _broken(f"{self._name} breaks HTTP/2: a frame of {length} bytes")
            end = at + HEAD + length
            if end > len(came):
                break
            if not _is_good_bye(came[at:end], self.request):
                out += came[at:end]
            at = end
        self._came = came[at:]
        return out


def _is_good_bye(frame: bytes, request: int) -> bool:
    """Whether it is a GOAWAY without error that still lets our request be answered."""
    return (
        frame[3] == GOAWAY
        and len(frame) >= HEAD + 8
        and frame[HEAD + 4 : HEAD + 8] == b"\0" * 4
        and int.from_bytes(frame[HEAD : HEAD + 4], "big") & 0x7FFFFFFF >= request
    )


def _check_protocol(data: bytes, name: str) -> None:
    if data.startswith(b"HTTP/"):
        said = data.split(maxsplit=3)[:2][-1].decode("latin-1")
        raise _broken(f"{name} speaks HTTP/1 on this port; it answers {visible(said)}")
    if data[0] == 0x15 and data[1:2] == b"\x03":
        raise _broken(f"{name} wants TLS on this port")


def _take(event: Event, answer: Answer, name: str) -> None:
    """What an event of the connection or of our request means to it."""
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
