"""PostgreSQL's wire protocol 3.0 as far as a monitor needs it: log in, ask, read answers that are bounded.

Source: the manual's part "Frontend/Backend Protocol". A driver would hold whatever a server sends, open a second
connection to cancel a query, and hash the password anew for each login: here 8 MiB, a closed socket, and once.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from checks.base import Errored, Reason, Run
from checks.parts.pool import in_pool
from checks.parts.postgres.login import NotScram, Salted, Scram, md5_response, salted_password
from checks.wire.certificates import visible
from checks.wire.fault import WireError
from checks.wire.http1 import Stream

MOST_BYTES = 8 * 2**20
"""Of all the answers on one connection."""
MOST_ROWS = 20_000
MOST_COLUMNS = 1664
"""As PostgreSQL itself has it."""
MOST_PARAMETERS = 100
AT_ONCE = 16384
"""Bytes to read in one turn of the loop: a stranger may fill them with messages of a few bytes."""
PROTOCOL = 196608
SASL_MECHANISM = "SCRAM-SHA-256"
SALTED = "salted password"

Row: TypeAlias = "list[str | None]"


class Refused(Exception):
    """An ErrorResponse: SQLSTATE in `state` (appendix A of the manual), the server's words in `said`, on one line."""

    def __init__(self, fields: dict[str, str]) -> None:
        self.state = fields.get("C", "")[:5]
        self.said = visible(fields.get("M", "").strip(), 300) or "an error without words"
        self.ends = fields.get("V", fields.get("S", "")) in ("FATAL", "PANIC")
        super().__init__(self.said)


@dataclass(frozen=True, slots=True)
class Question:
    """One statement. With `parameters` or `most` rows it travels by the extended protocol, which takes one only."""

    text: str
    parameters: tuple[str | None, ...] = ()
    most: int = 0
    simple: bool = False

    def encoded(self) -> bytes:
        """As it goes over the wire; one ReadyForQuery answers it."""
        if self.simple:
            return _message(b"Q", self.text.encode() + b"\0")
        values = b"".join(_value(value) for value in self.parameters)
        count = struct.pack("!H", len(self.parameters))
        return b"".join(
            (
                _message(b"P", b"\0" + self.text.encode() + b"\0\0\0"),
                _message(b"B", b"\0\0\0\0" + count + values + b"\0\0"),
                _message(b"D", b"P\0"),
                _message(b"E", b"\0" + struct.pack("!i", self.most)),
                _message(b"S", b""),
            )
        )


@dataclass(slots=True)
class Answer:
    """The rows of one statement, all values as text; `columns` are names and the object ids of their types."""

    columns: list[tuple[str, int]] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    def named(self) -> Iterator[dict[str, str | None]]:
        """The rows as mappings."""
        names = [name for name, _ in self.columns]
        return (dict(zip(names, row, strict=True)) for row in self.rows)


class Session:
    """A conversation on an open connection, which stays the caller's to close. `waited` is seconds for the server."""

    def __init__(self, stream: Stream, name: str) -> None:
        self._stream = stream
        self._name = name
        self._buffer = bytearray()
        self._at = 0
        self._read = 0
        self.parameters: dict[str, str] = {}
        self.waited = 0.0

    async def login(self, settings: dict[str, str], password: str, run: Run) -> None:
        """Log in. Raises Refused, Errored where no password or an unknown way is the trouble, and WireError."""
        words = "".join(f"{key}\0{value}\0" for key, value in settings.items()).encode()
        await self._stream.send(struct.pack("!ii", len(words) + 9, PROTOCOL) + words + b"\0")
        scram = Scram()
        while True:
            kind, body = await self._next()
            if kind == b"Z":
                return
            if kind == b"E":
                raise Refused(_fields(body))
            if kind == b"R" and len(body) >= 4:
                answer = await self._authenticated(body, settings["user"], password, scram, run)
                if answer is not None:
                    await self._stream.send(_message(b"p", answer))
            elif kind not in b"Kv":
                raise self._nonsense(f"it answers a login with {kind!r}")

    async def _authenticated(self, body: bytes, user: str, password: str, scram: Scram, run: Run) -> bytes | None:
        """What to answer to an authentication request; None for nothing."""
        how, data = struct.unpack("!i", body[:4])[0], body[4:]
        if how in (3, 5, 10) and not password:
            raise Errored(
                Reason.AUTH,
                f"cannot ask {self._name}: it wants a password; write it before the host, user:password@host",
            )
        try:
            match how:
                case 0:
                    return None
                case 3:
                    return password.encode() + b"\0"
                case 5 if len(data) == 4:
                    return md5_response(user, password, data).encode() + b"\0"
                case 10 if SASL_MECHANISM.encode() in data.split(b"\0"):
                    first = scram.first()
                    return SASL_MECHANISM.encode() + b"\0" + struct.pack("!i", len(first)) + first
                case 11:
                    scram.challenge(data)
                    return scram.final(await _salted(password, scram, run))
                case 12:
                    scram.verify(data)
                    return None
        except NotScram as why:
            raise self._nonsense(str(why)) from None
        raise Errored(
            Reason.AUTH, f"cannot ask {self._name}: it wants another way to log in than a password (method {how})"
        )

    async def ask(self, *questions: Question) -> list[Answer]:
        """The answers to all questions, which go out in one write. Raises the first Refused, once all are answered."""
        await self._stream.send(b"".join(question.encoded() for question in questions))
        answers: list[Answer] = []
        refused: Refused | None = None
        for question in questions:
            try:
                answers.append(await self._answer(question))
            except Refused as why:
                refused = refused or why
                if why.ends:
                    break
        if refused is not None:
            raise refused
        return answers

    async def _answer(self, question: Question) -> Answer:
        answer, refused = Answer(), None
        while True:
            kind, body = await self._next()
            try:
                match kind:
                    case b"Z":
                        break
                    case b"T":
                        answer = Answer(_columns(body))
                    case b"D":
                        if len(answer.rows) == (question.most or MOST_ROWS):
                            raise self._nonsense("it sends more rows than were asked for")
                        answer.rows.append(_row(body, len(answer.columns)))
                    case b"E":
                        refused = Refused(_fields(body))
                    case b"1" | b"2" | b"C" | b"I" | b"n" | b"s":
                        pass
                    case _:
                        raise self._nonsense(f"it answers a question with {kind!r}")
            except (struct.error, IndexError):
                raise self._nonsense("its rows are not as it announces them") from None
            if refused is not None and refused.ends:
                break
        if refused is not None:
            raise refused
        return answer

    async def _next(self) -> tuple[bytes, bytes]:
        """The next message that matters: its kind and its content."""
        while True:
            await self._until(5)
            kind, length = struct.unpack_from("!ci", self._buffer, self._at)
            if length > MOST_BYTES and kind in b"DT":
                raise self._nonsense(f"it sends {length} bytes at once")
            if length < 4 or length > MOST_BYTES or not kind.isalnum():
                start = self._buffer[self._at : self._at + 40].decode("utf-8", "replace")
                raise self._nonsense(f"it answers {visible(start)!r}")
            await self._until(length + 1)
            body = bytes(self._buffer[self._at + 5 : self._at + length + 1])
            self._at += length + 1
            if kind == b"S":
                name, value, *_ = [*_text(body).split("\0"), "", ""]
                if len(self.parameters) < MOST_PARAMETERS:
                    self.parameters[name] = value
            elif kind not in (b"N", b"A"):
                return kind, body

    async def _until(self, size: int) -> None:
        """Read until the buffer holds so many unread bytes."""
        while len(self._buffer) - self._at < size:
            del self._buffer[: self._at]
            self._at = 0
            asked = max(self._stream.sent, self._stream.arrived)
            data = await self._stream.recv(AT_ONCE)
            if not data:
                raise WireError("read", "protocol", f"{self._name} closed the connection in the middle")
            self.waited += max(0.0, self._stream.arrived - asked)
            self._read += len(data)
            if self._read > MOST_BYTES:
                raise self._nonsense(f"it answers more than {MOST_BYTES} bytes")
            self._buffer += data

    def _nonsense(self, why: str) -> WireError:
        return WireError("read", "protocol", f"{self._name} does not speak PostgreSQL's protocol: {why}")


async def _salted(password: str, scram: Scram, run: Run) -> bytes:
    """The salted password, kept for the next login: it changes only when the password does."""
    made_of: Salted = (password, scram.salt, scram.rounds)
    held: tuple[Salted, bytes] | None = run.memory.get(SALTED)
    if held is None or held[0] != made_of:
        held = made_of, await in_pool(run, salted_password, *made_of)
        run.memory[SALTED] = held
    return held[1]


def _message(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("!i", len(content) + 4) + content


def _value(value: str | None) -> bytes:
    if value is None:
        return struct.pack("!i", -1)
    data = value.encode()
    return struct.pack("!i", len(data)) + data


def _columns(body: bytes) -> list[tuple[str, int]]:
    """The names and types in a RowDescription."""
    [count] = struct.unpack_from("!H", body)
    if count > MOST_COLUMNS:
        raise IndexError(count)
    at, columns = 2, []
    for _ in range(count):
        end = body.find(b"\0", at)
        if end < 0:
            raise IndexError(at)
        [kind] = struct.unpack_from("!6xI", body, end + 1)
        columns.append((_text(body[at:end]), kind))
        at = end + 19
    return columns


def _row(body: bytes, wanted: int) -> Row:
    """The values in a DataRow. Raises IndexError where they are not as many as wanted, struct.error where cut."""
    [count] = struct.unpack_from("!H", body)
    if count != wanted:
        raise IndexError(count)
    at, row = 2, []
    for _ in range(count):
        [size] = struct.unpack_from("!i", body, at)
        at += 4
        if size > len(body) - at:
            raise IndexError(size)
        row.append(None if size < 0 else _text(body[at : at + size]))
        at += max(size, 0)
    return row


def _fields(body: bytes) -> dict[str, str]:
    """The fields of an ErrorResponse by their letter."""
    return {part[:1]: part[1:] for part in _text(body).split("\0") if part}


def _text(data: bytes) -> str:
    return data.decode(errors="replace")
