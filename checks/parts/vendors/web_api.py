"""What the kinds that ask an HTTP API share: its address, how to be let in, labels of foreign series, faults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar
from urllib.parse import unquote

from pydantic import AfterValidator, Field, SecretStr, model_validator

from checks.base import Check, Url
from checks.parts.api import LARGEST, Api
from checks.parts.http.request import BasicAuth, basic, is_sensitive, web_address
from checks.parts.network import TlsSettings

TAKEN = frozenset({"alertname", "check", "instance", "job", "severity", "system"})
"""Labels by which our own metrics and alerts are known."""


LONGEST_LABEL = 200
"""Characters of a foreign label's value that are kept."""


def exported(label: str) -> str:
    """A foreign label under a name that does not take the place of one of ours: as Prometheus does when it scrapes."""
    return f"exported_{label}" if label in TAKEN else label


def _api_address(url: Url) -> Url:
    if url.parts.query or url.parts.fragment:
        raise ValueError("the address ends with its path; leave out what follows ? and #")
    return web_address(url)


class ApiCheck(Check):
    """What is the same for every check that asks an HTTP API; no kind by itself."""

    called: ClassVar[str] = ""
    """The API in sentences."""

    url: Annotated[Url, AfterValidator(_api_address)] = Field(description="Its address, maybe with a path.")
    headers: dict[str, SecretStr] = Field(default={}, description="Headers to send; never shown.")
    basic_auth: BasicAuth | None = Field(default=None, description="Name and password for basic authentication.")
    bearer_token: SecretStr | None = Field(default=None, description="Token to send as `Authorization: Bearer`.")
    tls: TlsSettings = Field(default=TlsSettings(), description="Settings of the encryption.")

    @model_validator(mode="after")
    def _one_way_in(self) -> ApiCheck:
        ways = (self.basic_auth, self.bearer_token, self.url.parts.username)
        if sum(way is not None for way in ways) > 1:
            raise ValueError("only one of basic_auth, bearer_token and credentials in the url can be given")
        for name, value in self._sent().items():
            if not f"{name}{value}".isprintable() or not f"{name}{value}".isascii() or not name or " " in name:
                raise ValueError(f"the header {name!r} holds what no header can")
        return self

    def secrets(self) -> tuple[str, ...]:
        """Also the forms in which credentials travel; of the headers only those that carry secrets."""
        found = [*self.url.secrets(), unquote(self.url.parts.password or "")]
        if self.basic_auth is not None:
            found.append(self.basic_auth.password.get_secret_value())
        for name, value in self._sent().items():
            if is_sensitive(name):
                found += [value, value.partition(" ")[2]]
        return tuple(dict.fromkeys(secret for secret in found if secret))

    def _sent(self) -> Mapping[str, str]:
        sent = {name: value.get_secret_value() for name, value in self.headers.items()}
        parts = self.url.parts
        if self.bearer_token is not None:
            sent["Authorization"] = f"Bearer {self.bearer_token.get_secret_value()}"
        elif self.basic_auth is not None:
            sent["Authorization"] = basic(self.basic_auth.username, self.basic_auth.password.get_secret_value())
        elif parts.username is not None:
            sent["Authorization"] = basic(unquote(parts.username), unquote(parts.password or ""))
        return sent

    @property
    def place(self) -> Url:
        """The address without credentials and without a final slash."""
        parts = self.url.parts
        return Url(parts._replace(netloc=parts.netloc.rpartition("@")[2], path=parts.path.rstrip("/")).geturl())

    @property
    def where(self) -> str:
        """The API in sentences, with its address."""
        return f"{self.called} at {self.place}"

    @property
    def target(self) -> str:
        """The address without credentials."""
        return str(self.place)

    def api(self, largest: int = LARGEST) -> Api:
        """The API for the length of one probe."""
        place = self.place.reveal()
        return Api(self.where, place, self.timeout, headers=self._sent(), tls=self.tls, largest=largest)
