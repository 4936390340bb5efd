"""What the answer of a name server must be, judged record by record; and how far one serial is behind another."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from checks.base import Failed, Reason
from checks.parts.regex import Re2, found
from checks.wire.certificates import visible
from checks.wire.dnsmessage import Message, Record

Code = Literal[
    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH",
    "NOTZONE", "BADVERS", "BADCOOKIE",
]  # fmt: skip

AS_WRITTEN = frozenset({"TXT", "CAA", "DNSKEY", "RRSIG"})
"""Types whose data says something else in other letters."""

IN_PIECES = {"DS": 3, "DNSKEY": 3, "TLSA": 3, "SSHFP": 2}
"""Types whose data ends, after so many words, in digits that people break into several words."""


class Matching(BaseModel):
    """Regular expressions over the records of a section, each read as `name ttl IN type data`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    some: Re2 | None = Field(default=None, description="At least one record must match.")
    every: Re2 | None = Field(default=None, description="All records must match.")
    none: Re2 | None = Field(default=None, description="No record may match.")
    not_every: Re2 | None = Field(default=None, description="The records may not all match.")

    def check(self, section: str, records: tuple[Record, ...]) -> None:
        """Raise Failed assertion for the first expression that is not met. No records match nothing, and not all."""
        lines = [str(record) for record in records]
        for word in ("some", "every", "none", "not_every"):
            expression = getattr(self, word)
            if expression is None:
                continue
            matched = [line for line in lines if found(expression, line)]
            others = [line for line in lines if line not in matched]
            match word:
                case "some" if not matched:
                    raise _unmet(f"no record of the {section} section matches {expression!r}", others)
                case "every" if others:
                    raise _unmet(f"a record of the {section} section does not match {expression!r}", others)
                case "none" if matched:
                    raise _unmet(f"a record of the {section} section matches {expression!r}", matched)
                case "not_every" if lines and not others:
                    raise _unmet(f"every record of the {section} section matches {expression!r}", matched)


def _unmet(sentence: str, lines: list[str]) -> Failed:
    return Failed(Reason.ASSERTION, f"{sentence}: {visible(lines[0], 200)}" if lines else sentence)


def _listed_codes(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class Expect(BaseModel):
    """What the answer must be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: Annotated[tuple[Code, ...], BeforeValidator(_listed_codes), Field(min_length=1)] = Field(
        default=("NOERROR",), description="The answer's code, or a list of those that are good."
    )
    answers: tuple[str, ...] | None = Field(default=None, description="Exactly these records, in any order.")
    includes: tuple[str, ...] = Field(default=(), description="These records among others.")
    at_least: int = Field(default=1, ge=0, description="How many records there must be, where the code is NOERROR.")
    authoritative: bool | None = Field(
        default=None, description="true: the server must answer for the zone itself (AA); false: it must not."
    )
    authenticated: bool | None = Field(
        default=None, description="true: the server, a validating resolver, must vouch for the answer (AD); false: not."
    )
    signed: bool | None = Field(default=None, description="true: the answer must carry signatures (RRSIG); false: not.")
    answer: Matching = Field(default=Matching(), description="What the records of the answer must match.")
    authority: Matching = Field(default=Matching(), description="The same for its authority section.")
    additional: Matching = Field(default=Matching(), description="The same for its additional section.")

    @property
    def wants_dnssec(self) -> bool:
        """Whether signatures and validation have to be asked for."""
        return self.authenticated is not None or self.signed is not None

    def check(self, message: Message, about: str, kind: str) -> None:
        """Raise Failed with the first difference; `about` names what was asked, `kind` is its type."""
        why = f" ({visible(message.why)})" if message.why else ""
        if message.code not in self.code:
            raise Failed(Reason.DNS, f"{message.code} for {about}, expected {' or '.join(self.code)}{why}")
        self._check_records(message, about, kind)
        if self.authoritative is not None and message.authoritative != self.authoritative:
            word = "not authoritative" if self.authoritative else "authoritative, which nobody expects"
            raise Failed(Reason.ASSERTION, f"the answer about {about} is {word}")
        if self.authenticated is not None and message.authenticated != self.authenticated:
            word = f"not authenticated: no DNSSEC validation vouches for it{why}"
            word = word if self.authenticated else "authenticated, which nobody expects"
            raise Failed(Reason.ASSERTION, f"the answer about {about} is {word}")
        if self.signed is not None and is_signed(message) != self.signed:
            word = "without signatures (RRSIG)" if self.signed else "signed, which nobody expects"
            raise Failed(Reason.ASSERTION, f"the answer about {about} is {word}")
        self.answer.check("answer", message.answers)
        self.authority.check("authority", message.authority)
        self.additional.check("additional", message.additional)

    def _check_records(self, message: Message, about: str, kind: str) -> None:
        there = {plain(record.data, kind): record.data for record in message.answers if record.type == kind}
        exactly = {plain(text, kind): text for text in self.answers or ()}
        wanted = exactly | {plain(text, kind): text for text in self.includes}
        if message.code == "NOERROR" and self.answers is None and len(there) < self.at_least:
            raise Failed(Reason.DNS, f"{len(there)} records for {about}, expected at least {self.at_least}")
        if missing := [wanted[text] for text in wanted if text not in there]:
            raise Failed(Reason.ASSERTION, f"{about} lacks {_listed(missing)}; it is {_listed(list(there.values()))}")
        if self.answers is not None and (surplus := [there[text] for text in there if text not in exactly]):
            raise Failed(Reason.ASSERTION, f"{about} also has {_listed(surplus)}, which nobody expects")


def is_signed(message: Message) -> bool:
    """Whether the answer carries signatures."""
    return any(record.type == "RRSIG" for record in message.answers)


def plain(text: str, kind: str) -> str:
    """A record's data for comparing: names without regard to case and final dot, digits without spaces."""
    if kind in IN_PIECES:
        words = text.split()
        text = " ".join([*words[: IN_PIECES[kind]], "".join(words[IN_PIECES[kind] :])])
    if kind in AS_WRITTEN:
        return text
    if kind == "AAAA":
        return _address(text)
    return " ".join(word.rstrip(".") or word for word in text.lower().split(" "))


def _address(text: str) -> str:
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        return text.lower()


def behind(primary: int, secondary: int) -> int:
    """How many versions a zone's copy is behind, negative where it is ahead; serials go round (RFC 1982)."""
    distance = (primary - secondary) % 2**32
    return distance if distance < 2**31 else distance - 2**32


def _listed(texts: list[str]) -> str:
    shown = sorted(texts)
    more = f" and {len(shown) - 5} more" if len(shown) > 5 else ""
    return (", ".join(visible(text) for text in shown[:5]) or "nothing") + more
