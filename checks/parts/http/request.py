"""One HTTP request ready to be sent, who sends it, and the request that a redirect asks for."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, replace
from urllib.parse import quote, urljoin

from pydantic import BaseModel, ConfigDict, SecretStr

from checks.base import Url
from checks.parts.http.expect import brief
from checks.parts.network import Endpoint, endpoint
from checks.wire import http1
from checks.wire.contexts import Trust
from checks.wire.fault import WireError

PORTS = {"http": 80, "https": 443}
AGENT = "runwatch"

SENSITIVE = ("auth", "cookie", "key", "token", "secret", "password", "credential", "signature")
"""Parts of header names whose values are secrets: scrubbed, and not sent on to another host."""


def is_sensitive(header: str) -> bool:
    """Whether a header of this name carries a secret."""
    return any(part in header.lower() for part in SENSITIVE)


def basic(username: str, password: str) -> str:
    """The Authorization header of basic authentication (RFC 7617)."""
    return "Basic " + b64encode(f"{username}:{password}".encode()).decode()


class BasicAuth(BaseModel):
    """A user's name and password."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    username: str
    password: SecretStr = SecretStr("")


@dataclass(frozen=True, slots=True)
class Sender:
    """As whom to ask: `headers` as configured, the Authorization header or "", and whom to trust."""

    headers: tuple[tuple[str, str], ...]
    authorization: str
    content_type: str
    trust: Trust
    server_name: str

    def stripped(self) -> Sender:
        """The same for another origin: without anything that is good only for the first one."""
        kept = tuple((name, value) for name, value in self.headers if not is_sensitive(name) and name.lower() != "host")
        trust = replace(self.trust, cert_file="", key_file="")
        return Sender(kept, "", self.content_type, trust, "")


class Hop:
    """One request: where to, and its bytes. Raises ValueError where the address or a header can't be sent."""

    __slots__ = ("body", "method", "question", "server_name", "to", "trust", "url")

    def __init__(self, sender: Sender, url: Url, method: str, body: bytes) -> None:
        secure = url.parts.scheme == "https"
        self.url = url
        self.method = method
        self.body = body
        self.to: Endpoint = endpoint(url, PORTS[url.parts.scheme])
        self.server_name = sender.server_name or self.to.host.partition("%")[0]
        self.trust = sender.trust if secure else None
        self.question = http1.request(method, _target(url), self._headers(sender), body)

    @property
    def origin(self) -> tuple[str, str, int]:
        """What credentials are good for."""
        return self.url.parts.scheme, self.to.host, self.to.port

    def _headers(self, sender: Sender) -> list[tuple[str, str]]:
        host = f"[{self.to.host}]" if ":" in self.to.host else self.to.host
        if self.to.port != PORTS[self.url.parts.scheme]:
            host = f"{host}:{self.to.port}"
        own = {"Host": host, "User-Agent": AGENT, "Accept": "*/*", "Connection": "close"}
        if sender.authorization:
            own["Authorization"] = sender.authorization
        if self.body and sender.content_type:
            own["Content-Type"] = sender.content_type
        given = {name.lower() for name, _ in sender.headers}
        return [(name, value) for name, value in own.items() if name.lower() not in given] + list(sender.headers)


def web_address(url: Url) -> Url:
    """The address if it is one for HTTP; ValueError with a sentence otherwise."""
    if url.parts.scheme not in PORTS:
        raise ValueError(f"{str(url)!r} is no http:// or https:// address")
    endpoint(url, PORTS[url.parts.scheme])
    return url


def redirected(hop: Hop, status: int, location: bytes, sender: Sender, home: tuple[str, str, int]) -> Hop:
    """The request that a redirect asks for (RFC 9110, 15.4); credentials go only to the origin `home`."""
    text = location.decode("utf-8", "replace")
    try:
        url = web_address(Url(urljoin(hop.url.reveal(), text)))
        method, body = hop.method, hop.body
        if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
            method, body = "GET", b""
        at = endpoint(url, PORTS[url.parts.scheme])
        same = (url.parts.scheme, at.host, at.port) == home
        return Hop(sender if same else sender.stripped(), url, method, body)
    except ValueError:
        shown = brief(text.rpartition("@")[2])
        raise WireError("read", "protocol", f"cannot follow the redirect to {shown}: it is no web address") from None


def _target(url: Url) -> str:
    """The path and query as they go into the request line."""
    target = quote(url.parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    if url.parts.query:
        target += "?" + quote(url.parts.query, safe="/%:@!$&'()*+,;=~-._?[]{}|^\\`\"<>")
    return target if target.startswith("/") else "/" + target
