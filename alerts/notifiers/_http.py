"""How a notifier reaches an HTTP address of one's own: credentials and trust, in Alertmanager's words too."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from alerts.notifiers.base import NotDelivered
from checks.wire.contexts import Trust, context_for
from checks.wire.fault import WireError
from checks.wire.patience import Patience

if TYPE_CHECKING:
    import ssl

READING_FILES = 5.0
"""Seconds for a trust store that is on a slow disk."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TlsConfig(_Part):
    """Whom to trust."""

    ca_file: str = Field(default="", description="Certificates to trust in place of the system's.")
    server_name: str = Field(default="", description="The name that the certificate must be for, if not the address's.")
    cert_file: str = Field(default="", description="Our own certificate, for a server that asks for one.")
    key_file: str = Field(default="", description="Its key.")
    min_version: Literal["TLS10", "TLS11", "TLS12", "TLS13"] = Field(default="TLS12", description="Nothing older.")
    insecure_skip_verify: bool = Field(default=False, description="Believe any certificate.")

    @model_validator(mode="after")
    def _both(self) -> Self:
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("cert_file and key_file belong together")
        return self

    def trusted(self) -> Trust:
        """The same for the wire."""
        version = f"{self.min_version[3]}.{self.min_version[4]}"
        return Trust(not self.insecure_skip_verify, self.ca_file, self.cert_file, self.key_file, version)


class BasicAuth(_Part):
    """User name and password."""

    username: str = Field(description="User name.")
    password: SecretStr = Field(default=SecretStr(""), description="Password.")


class Authorization(_Part):
    """An `Authorization` header."""

    type: str = Field(default="Bearer", min_length=1, description="Its scheme.")
    credentials: SecretStr = Field(description="What follows the scheme.")


class HttpConfig(_Part):
    """Alertmanager's http_config, as far as it is honoured."""

    authorization: Authorization | None = Field(default=None, description="An `Authorization` header.")
    basic_auth: BasicAuth | None = Field(default=None, description="User name and password.")
    tls_config: TlsConfig | None = Field(default=None, description="Whom to trust.")


class Reach(BaseModel):
    """The keys that notifiers for an address of one's own share; `authorization` may be said in one way only."""

    bearer_token: SecretStr | None = Field(default=None, description="Sent as `Authorization: Bearer …`.")
    basic_auth: BasicAuth | None = Field(default=None, description="User name and password.")
    tls_config: TlsConfig | None = Field(default=None, description="Whom to trust.")
    http_config: HttpConfig | None = Field(default=None, description="The same in Alertmanager's words.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        http = self.http_config or HttpConfig()
        if (
            sum(way is not None for way in (self.bearer_token, self.basic_auth, http.authorization, http.basic_auth))
            > 1
        ):
            raise ValueError("one of bearer_token, basic_auth and http_config's authorization is enough")
        return self

    def credentials(self) -> dict[str, str]:
        """The headers that say who we are."""
        http = self.http_config or HttpConfig()
        basic = self.basic_auth or http.basic_auth
        if self.bearer_token is not None:
            said = f"Bearer {self.bearer_token.get_secret_value()}"
        elif basic is not None:
            pair = f"{basic.username}:{basic.password.get_secret_value()}"
            said = f"Basic {base64.b64encode(pair.encode('utf-8', 'surrogatepass')).decode()}"
        elif http.authorization is not None:
            said = f"{http.authorization.type} {http.authorization.credentials.get_secret_value()}"
        else:
            return {}
        if not said.isprintable():
            raise NotDelivered("the credentials hold a character that no header may", retry=False, reason="authError")
        return {"Authorization": said}

    async def trust(self) -> dict[str, Any]:
        """What aiohttp is to be told about TLS. Raises NotDelivered where a file can't be used."""
        tls = self.tls_config or (self.http_config or HttpConfig()).tls_config
        if tls is None:
            return {}
        named = {"server_hostname": tls.server_name} if tls.server_name else {}
        return {"ssl": await tls_context(tls), **named}


async def tls_context(tls: TlsConfig) -> ssl.SSLContext:
    """The context for these settings, read once, off the event loop. Raises NotDelivered."""
    with Patience(READING_FILES) as patience:
        try:
            return await context_for(tls.trusted(), False, patience)
        except WireError as why:
            raise NotDelivered(why.sentence, retry=True) from None
