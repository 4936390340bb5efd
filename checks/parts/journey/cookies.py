"""The cookies of one journey: what answers set, and what goes along with the next request (RFC 6265)."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from urllib.parse import urlsplit

from checks.wire.http1 import Answer
from checks.wire.resolve import numeric

MOST, MOST_AT_ALL = 4096, 100
"""Bytes of a cookie, and cookies, that are kept: more than section 6.1 wants of a browser."""


@dataclass(frozen=True, slots=True)
class Cookie:
    """One cookie and where it is sent. `whole`: to the very host that set it, and no other of its domain."""

    name: str
    value: str
    domain: str
    path: str
    secure: bool
    whole: bool

    def goes_to(self, scheme: str, host: str, path: str) -> bool:
        """Whether a request takes it along (5.4)."""
        near = host == self.domain or (not self.whole and host.endswith("." + self.domain))
        below = path == self.path or path.startswith(self.path.rstrip("/") + "/")
        return near and below and (scheme == "https" or not self.secure)


class Cookies:
    """A jar for the length of one journey. It sends values to the letter as they were set, as browsers do."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str, str], Cookie] = {}
        self.values: set[str] = set()
        """Every value that was ever set."""

    def take(self, answer: Answer, address: str) -> None:
        """Keep what the answer of this address sets, and drop what it takes back."""
        for name, value in answer.headers:
            if name.lower() == b"set-cookie" and len(value) <= MOST:
                self._set(value.decode("latin-1"), address)

    def named(self, name: str) -> str | None:
        """The value of a cookie, whoever set it last."""
        return next((one.value for one in reversed(self._held.values()) if one.name == name), None)

    def header(self, address: str) -> str:
        """The Cookie header for this address, longer paths first, or ""."""
        parts = urlsplit(address)
        host, path = (parts.hostname or "").lower(), parts.path or "/"
        sent = [one for one in self._held.values() if one.goes_to(parts.scheme, host, path)]
        return "; ".join(f"{one.name}={one.value}" for one in sorted(sent, key=lambda one: -len(one.path)))

    def _set(self, text: str, address: str) -> None:
        """Section 5.2 and 5.3; what the address has no right to set is passed over."""
        pair, *rest = text.split(";")
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or not name or not text.isprintable():
            return
        said = {key.strip().lower(): held.strip() for key, _, held in (one.partition("=") for one in rest)}
        parts = urlsplit(address)
        host = (parts.hostname or "").lower()
        domain = said.get("domain", "").lower().lstrip(".")
        if domain and domain != host and ("." not in domain or not host.endswith("." + domain) or numeric(host, 0)):
            return
        if "secure" in said and parts.scheme != "https":
            return
        path = said.get("path", "")
        if not path.startswith("/"):
            path = parts.path.rpartition("/")[0] or "/"
        cookie = Cookie(name, value, domain or host, path, "secure" in said, not domain)
        key = cookie.domain, cookie.path, cookie.name
        self._held.pop(key, None)
        if not _is_over(said) and len(self._held) < MOST_AT_ALL:
            self._held[key] = cookie
            self.values |= {value, value.strip('"')}


def _is_over(said: dict[str, str]) -> bool:
    """Whether the cookie is being taken back: Max-Age goes before Expires."""
    age = said.get("max-age", "")
    if age.lstrip("-").isdecimal():
        return age.startswith("-") or not age.strip("0")
    try:
        return "expires" in said and parsedate_to_datetime(said["expires"].replace("-", " ")).timestamp() < time()
    except (TypeError, ValueError, OverflowError):
        return False
