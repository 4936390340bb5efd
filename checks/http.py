"""Asks an HTTP or HTTPS address on a fresh connection and judges status, headers, body and JSON values."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Annotated, Any, ClassVar, Self
from urllib.parse import unquote

import orjson
from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    model_validator,
)  # fmt: skip

from checks.base import Asks, Check, Errored, Failed, Measurement, Reason, Recommended, Run, Url
from checks.parts import network as _network
from checks.parts.http import answer as _answer
from checks.parts.http.exchange import REDIRECTS, Method, exchange
from checks.parts.http.expect import Expect
from checks.parts.http.measure import Measures, Reader
from checks.parts.http.moments import filled, moving
from checks.parts.http.request import BasicAuth, Hop, Sender, basic, is_sensitive, redirected, web_address
from checks.units import Size
from checks.wire import http1
from checks.wire.fault import WireError
from checks.wire.patience import Patience


@dataclass(frozen=True, slots=True)
class Plan:
    """What is the same for every probe of a check: the request's bytes and the compiled expressions."""

    sender: Sender
    first: Hop
    readers: tuple[Reader, ...]
    moves: bool
    """Whether what is sent says what time it is."""


class Http(Check):
    """Asks an HTTP or HTTPS address; every probe on a fresh connection, so that a dead listener can't look alive."""

    up: ClassVar[str] = "probe_success"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement(
            "duration_seconds", "seconds", "How long the target took, redirects included.",
            also="probe_duration_seconds",
        ),
        Measurement(
            "phase_seconds", "seconds", "Time by phase: resolve, connect, tls, processing, transfer.",
            labels=("phase",), also="probe_http_duration_seconds",
        ),
        Measurement("status_code", "number", "Status of the answer.", also="probe_http_status_code"),
        Measurement("content_length", "bytes", "Content-Length of the answer.", also="probe_http_content_length"),
        Measurement(
            "body_bytes", "bytes", "Size of the body, decompressed, as far as it was read.",
            also="probe_http_uncompressed_body_length",
        ),
        Measurement("redirects", "count", "Redirects that were followed.", also="probe_http_redirects"),
        Measurement("tls", "bool", "Whether the answer came over TLS.", also="probe_http_ssl"),
        Measurement("http_version", "number", "HTTP version of the answer.", also="probe_http_version"),
        _network.IP_PROTOCOL,
        _network.DNS_LOOKUP,
        _network.EXPIRES,
        _network.EXPIRES_IN,
        _network.TLS_INFO,
        Measurement(
            "last_modified", "timestamp", "Last-Modified of the answer.",
            also="probe_http_last_modified_timestamp_seconds",
        ),
        Measurement(
            "failed_by_regex", "bool", "With regular expressions: whether headers or text don't meet them.",
            also="probe_failed_due_to_regex",
        ),
    )  # fmt: skip

    recommended: ClassVar[tuple[Recommended, ...]] = (
        Recommended(
            "HttpSlowerThanUsual", "duration_seconds > 3 * baseline(duration_seconds) and duration_seconds > 500ms",
            "medium", "Three times what it took in the last day: people wait, and leave.", hold=300.0,
        ),
        *_network.CERTIFICATE_ENDS,
    )  # fmt: skip

    url: Annotated[Url, AfterValidator(web_address)] = Field(description="The address, maybe with credentials.")
    method: Method = Field(default="GET", description="The method; capitals or not.")
    headers: dict[str, SecretStr] = Field(default={}, description="Headers to send; never shown.")
    body: str | None = Field(default=None, description="Text to send; in it and in json_body {{now-10m}} is that time.")
    json_body: Any = Field(default=None, description="Value to send as JSON.")
    basic_auth: BasicAuth | None = Field(default=None, description="Name and password for basic authentication.")
    bearer_token: SecretStr | None = Field(default=None, description="Token to send as `Authorization: Bearer`.")
    follow_redirects: bool = Field(default=True, description="Whether to go where a redirect points.")
    max_redirects: int = Field(default=10, ge=0, le=50, description="Redirects after which the probe fails.")
    tls: _network.TlsSettings = Field(default=_network.TlsSettings(), description="Settings of the encryption.")
    ip_family: _network.IpFamily = Field(default="any", description="any, 4 or 6.")
    expect: Expect = Field(default=Expect(), description="What the answer must be.")
    expect_tls: bool | None = Field(
        default=None, description="true: the answer must come over TLS, wherever redirects lead; false: it must not."
    )
    measure: Measures = Field(
        default={}, max_length=50,
        description="Numbers, true and false to read from the JSON answer, by name: JMESPath, or the keys below.",
    )  # fmt: skip
    max_body: Size = Field(default=2**20, ge=0, description="Bytes of the body to read at most.")
    max_decompressed: Size = Field(default=10 * 2**20, ge=0, description="Bytes of the decompressed body at most.")

    @model_validator(mode="after")
    def _consistent(self) -> Http:
        if self.body is not None and self.json_body is not None:
            raise ValueError("body and json_body exclude each other")
        ways = (self.basic_auth, self.bearer_token, self.url.parts.username)
        if sum(way is not None for way in ways) > 1:
            raise ValueError("only one of basic_auth, bearer_token and credentials in the url can be given")
        taken = {measurement.name for measurement in type(self).measurements}
        if clash := sorted(taken & self.measure.keys()):
            raise ValueError(f"measure {clash[0]!r} has the name of a measurement that every http check has")
        # An address or a header that can't be sent is a mistake to be told now.
        assert self._plan.first
        return self

    def asks(self) -> tuple[Asks, ...]:
        """One request."""
        return (Asks(self.target, method=self.method),)

    @cached_property
    def _plan(self) -> Plan:
        body = (self.body or "").encode() if self.json_body is None else orjson.dumps(self.json_body)
        sender = Sender(
            headers=tuple((name, value.get_secret_value()) for name, value in self.headers.items()),
            authorization=self._authorization(),
            content_type="" if self.json_body is None else "application/json",
            trust=self.tls.trust(),
            server_name=self.tls.server_name,
        )
        readers = tuple(Reader.of(name, measure) for name, measure in self.measure.items())
        return Plan(sender, Hop(sender, self.url, self.method, body), readers, moving(body.decode()))

    def __copy__(self) -> Self:
        copied = super().__copy__()
        # A copy may be given another url.
        copied.__dict__.pop("_plan", None)
        return copied

    def declared(self) -> tuple[Measurement, ...]:
        """Those of the kind, and one for each of `measure`, its unit by its name's ending."""
        return self.measurements + tuple(reader.declared() for reader in self._plan.readers)

    def secrets(self) -> tuple[str, ...]:
        """Also the forms in which credentials travel; of the headers only those that carry secrets."""
        parts = self.url.parts
        found = [*self.url.secrets(), unquote(parts.password or "")]
        found += [self._plan.sender.authorization.partition(" ")[2]]
        if self.basic_auth is not None:
            found.append(self.basic_auth.password.get_secret_value())
        found += [value for name, value in self._plan.sender.headers if is_sensitive(name)]
        return tuple(secret for secret in found if secret)

    def _authorization(self) -> str:
        parts = self.url.parts
        if self.bearer_token is not None:
            return f"Bearer {self.bearer_token.get_secret_value()}"
        if self.basic_auth is not None:
            return basic(self.basic_auth.username, self.basic_auth.password.get_secret_value())
        if parts.username is None and parts.password is None:
            return ""
        return basic(unquote(parts.username or ""), unquote(parts.password or ""))

    async def probe(self, run: Run) -> None:
        """Ask, follow redirects, record, judge."""
        trip = _network.Trip()
        answer = http1.Answer()
        try:
            with Patience(self.timeout) as patience:
                answer, hops, hop = await self._travel(self._first(run.at), patience, trip)
        except WireError as error:
            _network.record_expiry(run, trip.chain)
            run.evidence("Phases", str(trip))
            raise _network.translated(error) from None
        run.timed(trip.total(), trip.clock)
        self._record(run, trip, answer, hops, hop)
        try:
            self._judge(run, answer, hop)
        except Failed:
            run.evidence("Phases", str(trip))
            run.evidence("Answer", _answer.excerpt(answer))
            raise
        if self.measure:
            # A number that is too large is of little use without what stood beside it.
            run.evidence("Answer", _answer.excerpt(answer))

    def _first(self, at: float) -> Hop:
        plan = self._plan
        if not plan.moves:
            return plan.first
        return Hop(plan.sender, self.url, self.method, filled(plan.first.body.decode(), at).encode())

    async def _travel(self, hop: Hop, patience: Patience, trip: _network.Trip) -> tuple[http1.Answer, int, Hop]:
        visited = set()
        for count in range(self.max_redirects + 1):
            answer = await exchange(
                hop, self.ip_family, patience, trip, body_most=self.max_body, plain_most=self.max_decompressed
            )
            location = answer.header(b"location") if answer.status in REDIRECTS else None
            if location is None or not self.follow_redirects:
                return answer, count, hop
            visited.add((hop.method, hop.url.reveal()))
            hop = redirected(hop, answer.status, location, self._plan.sender, self._plan.first.origin)
            if (hop.method, hop.url.reveal()) in visited:
                raise WireError("read", "protocol", f"the redirects go in a circle, back to {hop.url}")
        raise WireError("read", "protocol", f"more than {self.max_redirects} redirects, the next to {hop.url}")

    def _record(self, run: Run, trip: _network.Trip, answer: http1.Answer, hops: int, hop: Hop) -> None:
        for phase, seconds in trip.phases():
            run.record("phase_seconds", seconds, phase=phase)
        run.record("status_code", answer.status)
        if answer.length is not None:
            run.record("content_length", answer.length)
        run.record("body_bytes", len(answer.body))
        run.record("redirects", hops)
        run.record("tls", 1.0 if hop.trust is not None else 0.0)
        run.record("http_version", float(answer.version or 0))
        run.record("ip_protocol", trip.family)
        run.record("dns_lookup_seconds", trip.resolve or 0.0)
        _network.record_tls(run, trip)
        modified = answer.header(b"last-modified")
        if modified is not None and (at := _answer.timestamp(modified)) is not None:
            run.record("last_modified", at)

    def _judge(self, run: Run, answer: http1.Answer, hop: Hop) -> None:
        expect = self.expect
        if self.expect_tls is not None and (hop.trust is not None) != self.expect_tls:
            how = "not encrypted" if self.expect_tls else "encrypted, which nobody expects"
            raise Failed(Reason.ASSERTION, f"the answer of {hop.url} is {how}")
        document, wrong = self._measured(run, answer)
        try:
            _answer.check_status(answer, expect, bool(self._plan.sender.authorization))
        except Failed as why:
            # A health check's answer often says which part is unwell.
            raise Failed(why.reason, "; ".join([why.sentence, *expect.wrong_values(document)])) from None
        if expect.wants_text or expect.wants_headers:
            try:
                self._search(answer)
            except Failed as why:
                run.record("failed_by_regex", float(why.reason is Reason.ASSERTION))
                raise
            run.record("failed_by_regex", 0.0)
        if wrong is None or document is not None:
            expect.check_values(document)
        if wrong is not None:
            raise wrong

    def _measured(self, run: Run, answer: http1.Answer) -> tuple[Any, Failed | Errored | None]:
        """The answer's JSON where any is asked for, its numbers recorded whatever its status; and what is wrong."""
        if not (self._plan.readers or self.expect.values):
            return None, None
        try:
            _answer.check_readable(answer)
            document = _answer.document(answer)
        except Failed as why:
            return None, why
        wrong: list[Failed | Errored] = []
        for reader in self._plan.readers:
            try:
                reader.record(document, run)
            except (Failed, Errored) as why:
                wrong.append(why)
        wrong.sort(key=lambda why: isinstance(why, Errored))
        return document, wrong[0] if wrong else None

    def _search(self, answer: http1.Answer) -> None:
        if self.expect.wants_headers:
            self.expect.check_headers(answer.headers)
        if self.expect.wants_text:
            _answer.check_readable(answer)
            self.expect.check_text(partial(_answer.text, answer), len(answer.body) + answer.truncated)
