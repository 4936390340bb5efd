"""Opens a WebSocket as a browser does, may say and hear something, and closes it; speaks Socket.io's handshake."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, ClassVar
from urllib.parse import unquote

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from checks.base import Asks, Check, Errored, Failed, Measurement, Reason, Run, Url
from checks.parts import network as _network
from checks.parts.http.exchange import exchange
from checks.parts.http.request import Hop, Sender, basic, is_sensitive
from checks.parts.regex import Re2, found
from checks.parts.vendors import socketio as _socketio
from checks.parts.vendors.socketio import SocketIo
from checks.wire import websocket as wire
from checks.wire.certificates import visible
from checks.wire.fault import WireError
from checks.wire.http1 import Answer, Stream
from checks.wire.patience import Patience

AS_HTTP = {"ws": "http", "wss": "https", "http": "http", "https": "https"}
POLLS_MOST = 5
SHOWN = 500


def _as_http(url: Url) -> Url:
    return Url(url.parts._replace(scheme=AS_HTTP[url.parts.scheme]).geturl())


def _address(url: Url) -> Url:
    if url.parts.scheme not in AS_HTTP:
        raise ValueError(f"{str(url)!r} is no ws:// or wss:// address")
    _network.endpoint(_as_http(url), 80)
    return url


def _chosen(value: Any) -> Any:
    return SocketIo() if value is True else None if value is False else value


class Websocket(Check):
    """Opens a WebSocket, and with `socketio` a session of Socket.io, on a fresh connection."""

    up: ClassVar[str] = "probe_success"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        _network.DURATION,
        Measurement(
            "phase_seconds", "seconds", "Time by phase: resolve, connect, tls, handshake, conversation.",
            labels=("phase",),
        ),
        Measurement("status_code", "number", "HTTP status of the handshake.", also="probe_websocket_status_code"),
        Measurement(
            "upgraded", "bool", "Whether the connection became a WebSocket.",
            also="probe_websocket_connection_upgraded",
        ),
        Measurement(
            "failed_by_regex", "bool", "With expect: whether what came does not match it.",
            also="probe_websocket_failed_due_to_regex",
        ),
        Measurement("ping_seconds", "seconds", "With ping: how long a ping of ours took to be answered."),
        Measurement("closed_cleanly", "bool", "Whether our farewell was answered."),
        Measurement("ping_interval_seconds", "seconds", "Socket.io: how often its server pings."),
        Measurement("ping_timeout_seconds", "seconds", "Socket.io: after which silence its server gives a client up."),
        Measurement("upgrades", "count", "Socket.io: better transports that its server offers."),
        Measurement("tls", "bool", "Whether the connection was encrypted."),
        _network.IP_PROTOCOL,
        _network.DNS_LOOKUP,
        _network.EXPIRES,
        _network.EXPIRES_IN,
    )  # fmt: skip

    url: Annotated[Url, AfterValidator(_address)] = Field(
        description="`ws://` or `wss://`, maybe with credentials; Socket.io's path, if none is given, is `/socket.io/`."
    )
    headers: dict[str, SecretStr] = Field(default={}, description="Headers to send; never shown.")
    origin: str = Field(default="", description="Page to appear to come from, such as https://www.example.com.")
    subprotocols: tuple[Annotated[str, Field(pattern=r"^[!#-'*+.0-9A-Z^-z|~-]+$")], ...] = Field(
        default=(), description="Subprotocols to offer, one of which the server must choose."
    )
    send: str | None = Field(default=None, max_length=65536, description="Text to send.")
    expect: Re2 | None = Field(default=None, description="Regular expression (RE2) that a message must match.")
    ping: bool = Field(default=True, description="Whether to ping, and to wait for the answer.")
    socketio: Annotated[SocketIo | None, BeforeValidator(_chosen)] = Field(
        default=None, description="true, or how to open a session of Socket.io (4 and 3, Engine.IO 4)."
    )
    tls: _network.TlsSettings = Field(default=_network.TlsSettings(), description="Settings of the encryption.")
    ip_family: _network.IpFamily = Field(default="any", description="any, 4 or 6.")

    @model_validator(mode="after")
    def _consistent(self) -> Websocket:
        if self._polls and (self.send is not None or self.expect is not None or self.subprotocols):
            raise ValueError("send, expect and subprotocols need a WebSocket; Socket.io's polling is none")
        # An address or a header that can't be sent is a mistake to be told now.
        self._hop(_as_http(self.url))
        return self

    @property
    def _polls(self) -> bool:
        return self.socketio is not None and self.socketio.transport == "polling"

    def secrets(self) -> tuple[str, ...]:
        """Passwords and tokens, also in the form in which they travel."""
        own = [value.get_secret_value() for name, value in self.headers.items() if is_sensitive(name)]
        auth = [value.get_secret_value() for value in self.socketio.auth.values()] if self.socketio else []
        credentials = [*self.url.secrets(), unquote(self.url.parts.password or "")]
        credentials += [self._authorization().partition(" ")[2]]
        return tuple(text for text in [*own, *auth, *credentials] if text)

    def _authorization(self) -> str:
        parts = self.url.parts
        if parts.username is None and parts.password is None:
            return ""
        return basic(unquote(parts.username or ""), unquote(parts.password or ""))

    def _hop(self, url: Url, extra: dict[str, str] | None = None, body: str = "") -> Hop:
        own = {"Origin": self.origin} if self.origin else {}
        headers = own | (extra or {}) | {name: value.get_secret_value() for name, value in self.headers.items()}
        content_type = "text/plain;charset=UTF-8" if body else ""
        sender = Sender(
            tuple(headers.items()), self._authorization(), content_type, self.tls.trust(), self.tls.server_name
        )
        return Hop(sender, url, "POST" if body else "GET", body.encode())

    def asks(self) -> tuple[Asks, ...]:
        """One handshake; by polling at least a session, a word, an answer and a farewell, each a request."""
        polled = 3 + 2 * POLLS_MOST
        if self._polls:
            return (Asks(self.target, 4, polled, diagnosis=1),)
        return (Asks(self.target, diagnosis=polled if self.socketio else 0),)

    async def probe(self, run: Run) -> None:
        """Open, converse, close, record."""
        trip = _network.Trip()
        heard: list[str] = []
        run.record("tls", float(AS_HTTP[self.url.parts.scheme] == "https"))
        try:
            with Patience(self.timeout) as patience:
                visit = self._poll if self._polls else self._visit
                await visit(run, patience, trip, heard)
        except (WireError, Failed, Errored) as error:
            run.evidence("Phases", str(trip))
            if heard:
                run.evidence("Heard", "\n".join(heard)[-SHOWN:])
            raise _network.translated(error) if isinstance(error, WireError) else error from None
        else:
            run.timed(trip.total(), trip.clock)
        finally:
            names = {"processing": "handshake", "transfer": "conversation"}
            for phase, seconds in trip.phases():
                run.record("phase_seconds", seconds, phase=names.get(phase, phase))
            if trip.family:
                run.record("ip_protocol", trip.family)
                run.record("dns_lookup_seconds", trip.resolve or 0.0)
            _network.record_expiry(run, trip.chain)

    async def diagnose(self, run: Run) -> None:
        """Whether Socket.io's other transport works: where polling alone does, something on the way stops upgrades."""
        if self.socketio is not None:
            other = "websocket" if self._polls else "polling"
            instead = {"send": None, "expect": None, "subprotocols": ()}
            socketio = self.socketio.model_copy(update={"transport": other})
            try:
                await self.model_copy(update={**instead, "socketio": socketio}).probe(Run())
                run.evidence(f"By {other}", "it lets us in")
            except (Failed, Errored) as error:
                run.evidence(f"By {other}", error.sentence)

    async def _visit(self, run: Run, patience: Patience, trip: _network.Trip, heard: list[str]) -> None:
        key = wire.fresh_key()
        asking = {
            "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key,
        }  # fmt: skip
        if self.subprotocols:
            asking["Sec-WebSocket-Protocol"] = ", ".join(self.subprotocols)
        url = _as_http(self.url)
        hop = self._hop(_socketio.session(url, "websocket") if self.socketio else url, asking)
        line = await _network.reach(hop.to, self.ip_family, patience, trip)
        try:
            stream: Stream = line
            if hop.trust is not None:
                stream = await _network.encrypt(line, hop.trust, hop.server_name, patience, trip)
            socket = await self._upgraded(run, stream, hop, key, patience, trip)
            began = stream.sent
            await self._converse(run, socket, heard, stream.name)
            if stream.arrived > began:
                trip.add("transfer", stream.arrived - began)
            trip.kernel = trip.kernel and line.kernel
            run.record("closed_cleanly", float(await socket.close()))
        finally:
            line.close()

    async def _upgraded(
        self, run: Run, stream: Stream, hop: Hop, key: str, patience: Patience, trip: _network.Trip
    ) -> wire.WebSocket:
        handshake = wire.Handshake()
        try:
            socket = await wire.shake(stream, hop.question, key, self.subprotocols, patience, handshake)
        finally:
            if handshake.first:
                trip.add("processing", max(0.0, handshake.last - handshake.asked))
            if handshake.status:
                run.record("status_code", handshake.status)
        run.record("upgraded", float(socket is not None))
        if socket is None:
            raise self._refused(handshake.status, handshake.body, handshake.headers.get("location", ""))
        if self.subprotocols and not handshake.protocol:
            raise Failed(
                Reason.ASSERTION, f"{stream.name} chose none of the subprotocols {', '.join(self.subprotocols)}"
            )
        return socket

    def _refused(self, status: int, body: bytes, location: str) -> Failed | Errored:
        said = _socketio.refusal(status, body)
        to = f", a redirect to {visible(location.rpartition('@')[2])}" if location and 300 <= status < 400 else ""
        sentence = f"{_network.shown(self.url)} refuses the handshake: {said}{to}"
        if status in (401, 403, 407) and (self._authorization() or any(map(is_sensitive, self.headers))):
            return Errored(Reason.AUTH, f"{sentence}; the check's credentials are not accepted")
        return Failed(Reason.RATE_LIMITED if status == 429 else Reason.STATUS, sentence)

    async def _converse(self, run: Run, socket: wire.WebSocket, heard: list[str], name: str) -> None:
        if self.socketio is not None:
            hear = partial(self._hear, socket, heard)
            session = _socketio.opened(await hear("how the session is called"), name)
            self._record_session(run, session)
            await socket.send(self.socketio.connect())
            while not self.socketio.is_in(await hear("whether it lets us in"), name):
                pass
        if self.send is not None:
            await socket.send(self.send)
        if self.expect is not None:
            await self._expected(run, socket, heard, self.expect)
        if self.ping:
            run.record("ping_seconds", await socket.ping())

    async def _expected(self, run: Run, socket: wire.WebSocket, heard: list[str], pattern: str) -> None:
        """Wait for the message that matches."""
        matches = False
        try:
            while not matches:
                matches = found(pattern, await self._hear(socket, heard, repr(pattern)))
        finally:
            run.record("failed_by_regex", float(not matches))

    async def _hear(self, socket: wire.WebSocket, heard: list[str], awaited: str) -> str:
        """The next message, of which the beginning is kept; Engine.IO's pings are answered on the way."""
        while True:
            message = await socket.receive(awaited)
            heard.append(visible(message, 200))
            del heard[:-10]
            if self.socketio is None or message != _socketio.PING:
                break
            await socket.send(_socketio.PONG)
        if self.socketio is not None and message == _socketio.CLOSE:
            raise Failed(Reason.PROTOCOL, f"{_network.shown(self.url)} closed the session")
        return message

    async def _poll(self, run: Run, patience: Patience, trip: _network.Trip, heard: list[str]) -> None:
        """The same by HTTP requests, each on a connection of its own: as when a balancer spreads them."""
        assert self.socketio is not None
        url, name = _as_http(self.url), _network.shown(self.url)
        first = await self._request(run, self._hop(_socketio.session(url, "polling")), patience, trip, heard)
        packets = _text(first).split(_socketio.SEPARATOR)
        session = _socketio.opened(packets[0], name)
        self._record_session(run, session)
        cookies = {"Cookie": crumbs} if (crumbs := _crumbs(first)) else {}
        here = _socketio.session(url, "polling", session.sid)
        await self._request(run, self._hop(here, cookies, self.socketio.connect()), patience, trip, heard)
        for _ in range(POLLS_MOST):
            answer = await self._request(run, self._hop(here, cookies), patience, trip, heard)
            packets = _text(answer).split(_socketio.SEPARATOR)
            if any(self.socketio.is_in(packet, name) for packet in packets):
                break
            if _socketio.CLOSE in packets:
                raise Failed(Reason.PROTOCOL, f"{name} closed the session")
            if _socketio.PING in packets:
                await self._request(run, self._hop(here, cookies, _socketio.PONG), patience, trip, heard)
        else:
            raise Failed(Reason.PROTOCOL, f"{name} did not say whether it lets us in, in {POLLS_MOST} polls")
        closing = self._hop(here, cookies, _socketio.CLOSE)
        answer = await exchange(closing, self.ip_family, patience, _network.Trip(), body_most=SHOWN, plain_most=SHOWN)
        run.record("closed_cleanly", float(answer.status == 200))

    async def _request(self, run: Run, hop: Hop, patience: Patience, trip: _network.Trip, heard: list[str]) -> Answer:
        most = wire.MESSAGE_MOST
        answer = await exchange(hop, self.ip_family, patience, trip, body_most=most, plain_most=most)
        heard.append(visible(_text(answer), 200))
        if answer.status != 200:
            run.record("status_code", answer.status)
            location = (answer.header(b"location") or b"").decode("latin-1")
            raise self._refused(answer.status, bytes(answer.body), location)
        return answer

    def _record_session(self, run: Run, session: _socketio.Opened) -> None:
        if self._polls:
            run.record("status_code", 200)
        run.record("ping_interval_seconds", session.ping_interval)
        run.record("ping_timeout_seconds", session.ping_timeout)
        run.record("upgrades", session.upgrades)


def _text(answer: Answer) -> str:
    return answer.body.decode("utf-8", "replace")


def _crumbs(answer: Answer) -> str:
    """The cookies to send back, by which a balancer knows its sessions."""
    pairs = [
        value.decode("latin-1").partition(";")[0] for name, value in answer.headers if name.lower() == b"set-cookie"
    ]
    return "; ".join(pair.strip() for pair in pairs if "=" in pair and pair.isprintable())
