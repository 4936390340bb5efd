"""How the kinds that ask PostgreSQL get in: the address as libpq reads it, one connection, faults in words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Annotated
from urllib.parse import parse_qsl, unquote

from pydantic import AfterValidator

from checks.base import Errored, Failed, Reason, Run, Url
from checks.parts import network
from checks.parts.postgres.wire import Answer, Question, Refused, Session
from checks.units import show_duration
from checks.wire.certificates import visible
from checks.wire.connect import Line
from checks.wire.contexts import Trust
from checks.wire.fault import WireError
from checks.wire.patience import Patience
from checks.wire.tls import Secure, secure

OURS = frozenset({"sslmode", "ssl", "sslrootcert", "sslcert", "sslkey", "options"})
OTHERS = frozenset(
    {
        "application_name", "channel_binding", "connect_timeout", "connection_limit", "fallback_application_name",
        "gssencmode", "keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval", "load_balance_hosts",
        "max_protocol_version", "min_protocol_version", "pgbouncer", "pool_max_conns", "pool_size", "pool_timeout",
        "prepare_threshold", "require_auth", "schema", "socket_timeout", "sslaccept", "sslcompression",
        "sslnegotiation", "sslsni", "statement_cache_size", "target_session_attrs", "tcp_user_timeout",
        "uselibpqcompat",
    }
)  # fmt: skip
"""Parameters for pools and drivers of applications, which an address taken over from one may carry: passed over."""
SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
"""Answered by S or N."""
REFUSALS = {b"N": "it does no TLS", b"": "it closed the connection"}
MODES = {
    "disable": "disable", "false": "disable", "allow": "prefer", "prefer": "prefer", "require": "require",
    "true": "require", "1": "require", "no-verify": "require", "verify-ca": "verify-ca", "verify-full": "verify-full",
}  # fmt: skip


def _address(dsn: Url) -> Url:
    """The address, if it can be used; ValueError with a sentence otherwise."""
    if dsn.parts.scheme not in ("postgresql", "postgres"):
        raise ValueError("an address such as postgresql://user:password@host:5432/database is wanted")
    network.endpoint(dsn, 5432)
    if "password=" in dsn.parts.query:
        raise ValueError("write the password before the host, user:password@host: there it is kept secret")
    options = _options(dsn)
    for name in options:
        if name not in OURS | OTHERS:
            raise ValueError(f"there is no parameter {name[:40]!r}; {', '.join(sorted(OURS))} are known")
    _mode(options)
    if "\0" in unquote(dsn.reveal()):
        raise ValueError("a null character can't be part of it")
    return dsn


def _options(dsn: Url) -> dict[str, str]:
    return dict(parse_qsl(dsn.parts.query, keep_blank_values=True))


def _mode(options: dict[str, str]) -> str:
    asked = options.get("sslmode", options.get("ssl", "prefer")).lower()
    if asked not in MODES:
        raise ValueError(
            f"there is no sslmode {asked[:40]!r}; write one of disable, prefer, require, verify-ca, verify-full"
        )
    # As libpq has it: who names an authority wants it to be looked at.
    return "verify-ca" if MODES[asked] == "require" and options.get("sslrootcert") else MODES[asked]


Dsn = Annotated[Url, AfterValidator(_address)]


NO_ENTRY = ("authentication failed", "auth failed", "no such user")
COMMIT = Question("COMMIT", simple=True)


class _Plain(Exception):
    """The server does no TLS, and that is well."""


@dataclass(frozen=True, slots=True)
class Server:
    """One PostgreSQL, or what speaks its protocol: where it is, and in seconds how long it may take."""

    dsn: Url
    timeout: float
    statement_timeout: float = 0.0
    lock_timeout: float = 0.0
    search_path: str = ""
    title: str = "PostgreSQL"
    port: int = 5432
    database: str = ""

    @property
    def where(self) -> str:
        """The server in sentences."""
        return f"{self.title} at {network.endpoint(self.dsn, self.port)}"

    @property
    def _mute(self) -> str:
        return f"cannot connect to {self.where}: it took the connection, but there is no answer"

    def secrets(self) -> tuple[str, ...]:
        """The password as it is written, and as the server knows it."""
        return tuple(dict.fromkeys((*self.dsn.secrets(), *map(unquote, self.dsn.secrets()))))

    @asynccontextmanager
    async def session(self, run: Run) -> AsyncIterator[Asking]:
        """A connection that is logged in, closed at the end. Whatever goes wrong is raised as Failed or Errored."""
        step = f"cannot connect to {self.where}"
        trip, began = network.Trip(), monotonic()
        try:
            with Patience(self.timeout) as patience:
                to = network.endpoint(self.dsn, self.port)
                patience.doing("connect", "connect_timeout", f"{step}: no answer")
                with await network.reach(to, "any", patience, trip) as line:
                    stream = await self._stream(line, to, patience, trip)
                    patience.doing("read", "connect_timeout", self._mute)
                    session = Session(stream, self.where)
                    password = unquote(self.dsn.parts.password or "")
                    await session.login(self._settings(), password, run)
                    connected = monotonic() - began
                    step = f"cannot ask {self.where}"
                    patience.doing("read", "read_timeout", f"{step}: no answer")
                    yield Asking(self, session, connected, run)
                    await line.send(b"X\0\0\0\4")
                    trip.add("processing", session.waited)
                    trip.kernel = trip.kernel and line.kernel
                    run.timed(trip.total(), trip.clock)
        except WireError as why:
            raise network.translated(why) from None
        except Refused as why:
            raise self.meaning(why, step, run) from None

    async def _stream(self, line: Line, to: network.Endpoint, patience: Patience, trip: network.Trip) -> Line | Secure:
        """The line, encrypted as sslmode says."""
        options = _options(self.dsn)
        mode = _mode(options)
        if mode == "disable":
            return line
        root = options.get("sslrootcert", "")
        trust = Trust(
            mode.startswith("verify"), "" if root == "system" else root,
            options.get("sslcert", ""), options.get("sslkey", ""), names=mode == "verify-full",
        )  # fmt: skip

        async def prepare(line: Line) -> None:
            patience.doing("read", "connect_timeout", self._mute)
            await line.send(SSL_REQUEST)
            said = await line.recv(1)
            if said == b"N" and mode == "prefer":
                raise _Plain
            if said != b"S":
                why = REFUSALS.get(said, f"it answers {visible(said.decode('latin-1'))!r}")
                raise WireError("read", "protocol", f"cannot encrypt the connection to {self.where}: {why}")

        try:
            stream = await secure(line, trust, to.host.partition("%")[0], patience, prepare)
        except _Plain:
            return line
        trip.add("tls", stream.took)
        return stream

    def _settings(self) -> dict[str, str]:
        parts = self.dsn.parts
        user = unquote(parts.username or "") or "postgres"
        database = self.database or unquote(parts.path.removeprefix("/")) or user
        settings = {"user": user, "database": database, "application_name": "runwatch", "client_encoding": "UTF8"}
        options = _options(self.dsn).get("options")
        return settings | ({"options": options} if options else {})

    def meaning(self, why: Refused, step: str, run: Run) -> Failed | Errored:
        """What the server's own words mean; SQLSTATE classes as in appendix A of its manual."""
        said, state = why.said, why.state
        match state:
            case "53300":
                limit = run.memory.get("max_connections")
                return Failed(
                    Reason.CONNECT_REFUSED, f"{step}: {said}" + (f" (max_connections is {limit})" if limit else "")
                )
            case "57P03":
                return Failed(Reason.CONNECT_REFUSED, f"{step}: {said}")
            case "57014":
                limit = show_duration(self.statement_timeout)
                return Failed(Reason.READ_TIMEOUT, f"{step}: the query took longer than {limit} (statement_timeout)")
            case "55P03":
                limit = show_duration(self.lock_timeout)
                return Failed(
                    Reason.READ_TIMEOUT, f"{step}: somebody holds a lock on what we read, for longer than {limit}"
                )
            case "28P01" | "28000":
                return Errored(Reason.AUTH, f"{step}: it does not let us in: {said}")
            case "42501":
                return Errored(Reason.AUTH, f"{step}: our role lacks rights: {said}")
        if "no more connections allowed" in said:
            return Failed(Reason.CONNECT_REFUSED, f"{step}: {said} (max_client_conn of PgBouncer)")
        if said.startswith("unsupported startup parameter"):
            return Errored(Reason.INTERNAL, f"{step}: take it out of the address: {said}")
        # PgBouncer has one state for nearly all that it says. That it can't log in to its server stops everybody.
        if state == "08P01" and said.endswith(NO_ENTRY) and not said.startswith("server login"):
            return Errored(Reason.AUTH, f"{step}: it does not let us in: {said}")
        if state[:2] in ("42", "0A", "22", "25"):
            return Errored(Reason.INTERNAL, f"{step}: it does not understand our query: {said}")
        return Failed(Reason.PROTOCOL, f"{step}: {said}")


class Asking:
    """One connection for one probe. `connected` is the seconds until the login was done.

    Questions run in one transaction that can't write and has our limits, which works alike where PgBouncer lends
    a server for the length of a transaction.
    """

    def __init__(self, server: Server, session: Session, connected: float, run: Run) -> None:
        self.server = server
        self.connected = connected
        self._session = session
        self._run = run
        self._begun = False

    @property
    def version(self) -> str:
        """What the server calls its version when it lets one in, such as `17.10 (Debian)`."""
        return self._session.parameters.get("server_version", "")

    @property
    def waited(self) -> float:
        """Seconds waited for the server so far, from the login on."""
        return self._session.waited

    async def plain(self, *texts: str) -> list[Answer]:
        """The answers to statements outside of any transaction, by the simple protocol."""
        return await self._session.ask(*(Question(text, simple=True) for text in texts))

    async def timed(self, text: str) -> float:
        """Seconds that a statement took outside of any transaction."""
        before = self.waited
        await self.plain(text)
        return self.waited - before

    async def ask(self, *questions: Question, last: bool = False) -> list[Answer]:
        """The answers to questions in our transaction, which ends after the `last` ones, all in one round trip.

        Raises Refused, after which the transaction takes no more questions but its end.
        """
        frame = [] if self._begun else [Question("BEGIN READ ONLY", simple=True), self._limits()]
        self._begun = True
        answers = await self._session.ask(*frame, *questions, *([COMMIT] if last else []))
        return answers[len(frame) : len(frame) + len(questions)]

    async def end(self) -> None:
        """End the transaction, be it broken."""
        await self._session.ask(COMMIT)

    def _limits(self) -> Question:
        server = self.server
        settings = {
            # What nobody waits for any more is not to go on.
            "statement_timeout": _milliseconds(min(server.statement_timeout, server.timeout)),
            "lock_timeout": _milliseconds(server.lock_timeout),
            "idle_in_transaction_session_timeout": _milliseconds(server.timeout + 1),
            "jit": "off",
            "datestyle": "ISO",
            "intervalstyle": "iso_8601",
        }
        if server.search_path:
            settings["search_path"] = server.search_path
        words = ", ".join(f"pg_catalog.set_config('{name}', '{value}', true)" for name, value in settings.items())
        return Question(f"SELECT {words}")


def _milliseconds(seconds: float) -> str:
    # 0 would mean no limit.
    return str(max(1, round(seconds * 1000)))
