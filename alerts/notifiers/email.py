"""Tells people by e-mail: plain and HTML, in one thread for each opening of a group."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as WIRE
from email.utils import formataddr, formatdate, getaddresses
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

from pydantic import ConfigDict, Field, SecretStr, WithJsonSchema, field_validator, model_validator

from alerts.notifiers import _letter as letter
from alerts.notifiers._http import TlsConfig
from alerts.notifiers._smtp import Server, hand_over, host_and_port
from alerts.notifiers.base import Notifier, Receipt
from alerts.templates import HtmlTemplate, Template, Texts
from alerts.vocabulary import Notification, Severity
from alerts.wording import cut, headline, one_line
from checks.base import printable

if TYPE_CHECKING:
    from aiohttp import ClientSession

LONGEST_SUBJECT = 250
SUBMISSIONS = 465
OUR_OWN = frozenset(
    {"message-id", "in-reply-to", "references", "date", "mime-version", "from", "to", "cc", "bcc", "sender"}
    | {"content-type", "content-transfer-encoding"}
)
"""Headers that threads and delivery hang on."""


Addresses = Annotated[
    tuple[str, ...],
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


class Email(Notifier):
    """One mail for each message, in one thread; a 4xx answer is tried again, a 5xx answer is not.

    TLS is required unless `require_tls: false`; a password goes over TLS only, or over this machine's loopback.
    """

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    per_minute: ClassVar[float] = 120.0
    unheard: ClassVar[frozenset[str]] = frozenset({"acknowledged", "changed"})

    to: Addresses = Field(description="Who gets it: addresses in a list, or in one text with commas.")
    sender: str = Field(alias="from", description="Who it is from, such as `On call <oncall@example.com>`.")
    smarthost: str = Field(description="The server to hand mails to, as host:port.")
    hello: str = Field(default="localhost", description="What we call ourselves.")
    auth_username: str = Field(default="", description="User name; without one we don't log in.")
    auth_password: SecretStr | None = Field(default=None, description="Password.")
    auth_identity: str = Field(default="", description="The identity to act as, if not the user name's.")
    require_tls: bool = Field(default=True, description="Send over TLS or not at all.")
    implicit_tls: bool | None = Field(default=None, description="TLS from the first byte; by itself on port 465.")
    tls_config: TlsConfig = Field(default=TlsConfig(), description="Whom to trust.")
    headers: dict[str, Template] = Field(default={}, description="More headers; `Subject` stands in for ours.")
    subject: Template | None = Field(default=None, description="The subject.")
    text: Template | None = Field(default=None, description="The plain text.")
    html: HtmlTemplate | None = Field(default=None, description="The HTML; `''` sends plain text alone.")

    @field_validator("to", mode="before")
    @classmethod
    def _several(cls, given: object) -> object:
        pairs = getaddresses([given]) if isinstance(given, str) else []
        return [formataddr(pair) if pair[1].isascii() else pair[1] for pair in pairs] or given

    @field_validator("to")
    @classmethod
    def _somebody(cls, to: tuple[str, ...]) -> tuple[str, ...]:
        if not to:
            raise ValueError("at least one address is wanted")
        for one in to:
            address_in(one)
        return to

    @field_validator("sender")
    @classmethod
    def _someone(cls, sender: str) -> str:
        address_in(sender)
        return sender

    @field_validator("smarthost")
    @classmethod
    def _reachable(cls, smarthost: str) -> str:
        host_and_port(smarthost)
        return smarthost

    @field_validator("hello")
    @classmethod
    def _named(cls, hello: str) -> str:
        if not hello or not hello.isascii() or not hello.isprintable() or " " in hello:
            raise ValueError("a host's name is wanted")
        return hello

    @field_validator("headers")
    @classmethod
    def _allowed(cls, headers: dict[str, Template]) -> dict[str, Template]:
        for name in headers:
            if not name or not all("!" <= char <= "~" and char != ":" for char in name):
                raise ValueError(f"{name!r} is not the name of a header")
            if name.lower() in OUR_OWN:
                hint = f"; say {name.lower()}: beside it" if name.lower() in ("from", "to") else ""
                raise ValueError(f"the header {name} can't be set here{hint}")
        return headers

    @model_validator(mode="after")
    def _one_subject(self) -> Self:
        if self.subject is not None and any(name.lower() == "subject" for name in self.headers):
            raise ValueError("the subject is said twice: in subject and in headers")
        if self.auth_username and self.auth_password is None:
            raise ValueError("auth_username needs auth_password")
        return self

    @property
    def mergeable(self) -> bool:
        """Better one mail that says much than twenty that come late."""
        return True

    @property
    def limit_key(self) -> str:
        return f"email:{self.smarthost}"

    async def send(self, note: Notification, http: ClientSession, reference: Mapping[str, str]) -> Receipt:
        """Source: RFC 5321, 3207 and 4954; RFC 5322, 3.6.4 for threads; Alertmanager's email_config for the keys."""
        texts = Texts(note)
        mail = self.message(note, reference, texts)
        refused = await hand_over(
            self._server(), address_in(self.sender), self._everybody(), mail.as_bytes(policy=WIRE)
        )
        kept = {"message_id": reference.get("message_id") or str(mail["Message-ID"])}
        kept["subject"] = reference.get("subject") or str(mail["Subject"])
        return Receipt(kept, "; ".join([*texts.complaints, *refused]))

    def _everybody(self) -> list[Address]:
        return [address_in(one) for one in self.to]

    def _server(self) -> Server:
        host, port = host_and_port(self.smarthost)
        return Server(
            host,
            port,
            hello=self.hello,
            require_tls=self.require_tls,
            implicit_tls=port == SUBMISSIONS if self.implicit_tls is None else self.implicit_tls,
            tls=self.tls_config,
            username=self.auth_username,
            password=self.auth_password,
            identity=self.auth_identity,
        )

    def message(self, note: Notification, reference: Mapping[str, str], texts: Texts) -> EmailMessage:
        """The mail. A retry of the same notification has the same Message-ID, so that a doubled one is seen as such."""
        mail = EmailMessage(policy=WIRE)
        sender = address_in(self.sender)
        identity = f"{note.dedup_key}\n{note.receiver}\n{note.reason}\n{note.at!r}"
        digest = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        mail["From"] = sender
        mail["To"] = self._everybody()
        mail["Subject"] = self._subject(note, reference, texts)
        mail["Date"] = formatdate(note.at, usegmt=True)
        mail["Message-ID"] = f"<runwatch.{digest}@{sender.domain}>"
        if reference.get("message_id"):
            mail["In-Reply-To"] = mail["References"] = reference["message_id"]
        mail["Auto-Submitted"] = "auto-generated"
        if note.status == "firing" and note.severity is Severity.CRITICAL:
            mail["Importance"] = "high"
        for name, template in self.headers.items():
            text = one_line(texts.of(f"headers.{name}", template, ""))
            if text and name.lower() != "subject":
                del mail[name]
                mail[name] = text
        plain = texts.of("text", self.text, "") if self.text is not None else ""
        html = texts.of("html", self.html, "") if self.html is not None else ""
        mail.set_content(printable(plain) or letter.plain(note, texts.complaints), cte="quoted-printable")
        if html or self.html is None or texts.complaints:
            mail.add_alternative(printable(html) or letter.html(note, texts.complaints), "html", cte="quoted-printable")
        return mail

    def preview(self, note: Notification, texts: Texts) -> dict[str, str]:
        """See Notifier."""
        mail = self.message(note, {}, texts)
        parts = {sort: mail.get_body((sort,)) for sort in ("plain", "html")}
        made = {sort: str(part.get_content()) for sort, part in parts.items() if part is not None}
        return {"From": str(mail["From"]), "To": str(mail["To"]), "Subject": str(mail["Subject"])} | made

    def _subject(self, note: Notification, reference: Mapping[str, str], texts: Texts) -> str:
        """The first subject of a thread stays its subject: clients that look at it keep the mails together."""
        template = self.subject or next((one for name, one in self.headers.items() if name.lower() == "subject"), None)
        own = one_line(texts.of("subject", template, "")) if template is not None else ""
        if own:
            return cut(own, LONGEST_SUBJECT)
        first = reference.get("subject")
        if not first:
            return cut(headline(note), LONGEST_SUBJECT)
        return f"Resolved: {first}" if note.status == "resolved" else f"Re: {first}"


def address_in(text: str) -> Address:
    """The one address in a text, with its name; ValueError with a sentence where there is none."""
    found = getaddresses([text])
    name, spec = found[0] if len(found) == 1 else ("", "")
    user, at, domain = spec.rpartition("@")
    if not (at and user and domain) or not spec.isascii() or not spec.isprintable() or " " in spec or ".." in domain:
        raise ValueError(f"{cut(text, 80)!r} is not one address, such as team@example.com")
    try:
        return Address(one_line(name), user, domain)
    except (ValueError, IndexError):
        raise ValueError(f"{cut(text, 80)!r} is not an address, such as team@example.com") from None
