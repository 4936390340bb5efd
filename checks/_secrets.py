"""Configuration values that hold secrets: addresses that print masked, and finding what must not be shown."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import SplitResult, unquote, unquote_plus, urlsplit

from pydantic import BaseModel, GetCoreSchemaHandler, SecretStr
from pydantic_core import core_schema

MASK = "***"
SHORTEST = 6
"""Characters of a parameter's value from which it is looked for in other texts: a shorter one stands everywhere."""

_PARAMETER = re.compile(r"(?P<name>[^&;=]+)=(?P<value>[^&;]+)")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_SECRET_WORDS = frozenset(
    ("pass", "passwd", "passphrase", "password", "pwd", "pw", "secret", "token", "key", "apikey", "auth",
     "authorization", "credential", "credentials", "sig", "signature")
)  # fmt: skip
_SECRET_ENDS = ("password", "secret", "token", "apikey", "signature")


def _is_secret(name: str) -> bool:
    """Whether a parameter of this name is likely to hold a secret: api_key, accessToken, X-Amz-Signature."""
    name = unquote(name)
    return name.lower().endswith(_SECRET_ENDS) or any(word.lower() in _SECRET_WORDS for word in _WORD.findall(name))


class Url:
    """An address that may carry credentials: prints masked everywhere; `reveal()` gives the whole of it."""

    __slots__ = ("_text", "parts")

    def __init__(self, text: str) -> None:
        try:
            self.parts: SplitResult = urlsplit(text)
            port_is_a_number = self.parts.port
        except ValueError as why:
            raise ValueError(f"not an address: {why}") from None
        del port_is_a_number
        self._text = text

    def reveal(self) -> str:
        """The address with its credentials: for connecting, never for showing."""
        return self._text

    def secrets(self) -> tuple[str, ...]:
        """What must not be shown: the password as written, and parameters such as ?token=, written or decoded."""
        found = [self.parts.password] if self.parts.password else []
        for one in _PARAMETER.finditer(self.parts.query):
            if _is_secret(one["name"]):
                forms = dict.fromkeys((one["value"], unquote(one["value"]), unquote_plus(one["value"])))
                found += [form for form in forms if len(form) >= SHORTEST]
        return tuple(found)

    def __str__(self) -> str:
        parts = self.parts
        query = _PARAMETER.sub(lambda one: f"{one['name']}={MASK}" if _is_secret(one["name"]) else one[0], parts.query)
        if query != parts.query:
            parts = parts._replace(query=query)
        elif parts.password is None and parts.username is None:
            return self._text
        if parts.password is None and parts.username is None:
            return parts.geturl()
        where = parts.netloc.rpartition("@")[2]
        who = MASK if parts.username and not parts.password else f"{parts.username}:{MASK}"
        return parts._replace(netloc=f"{who}@{where}").geturl()

    def __repr__(self) -> str:
        return f"Url({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Url) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        from_text = core_schema.no_info_after_validator_function(cls, core_schema.str_schema(min_length=1))
        return core_schema.json_or_python_schema(
            json_schema=from_text,
            python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), from_text]),
            serialization=core_schema.plain_serializer_function_ser_schema(str),
        )


def find_secrets(value: Any) -> list[str]:
    """The secret strings anywhere inside a configuration value."""
    if isinstance(value, SecretStr):
        return [value.get_secret_value()] if value.get_secret_value() else []
    if isinstance(value, Url):
        return list(value.secrets())
    if isinstance(value, BaseModel):
        return find_secrets(value.__dict__)
    if isinstance(value, dict):
        return [secret for item in value.values() for secret in find_secrets(item)]
    if isinstance(value, list | tuple):
        return [secret for item in value for secret in find_secrets(item)]
    return []


def revealed(value: Any) -> Any:
    """A configuration value with its secrets in the open: for the outbox, which keeps a destination as it was."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Url):
        return value.reveal()
    if isinstance(value, BaseModel):
        return revealed(value.__dict__)
    if isinstance(value, dict):
        return {name: revealed(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [revealed(item) for item in value]
    return value
