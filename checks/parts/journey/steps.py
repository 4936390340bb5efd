"""One step of a journey as it is configured: its request, what its answer must be, what is captured from it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator, model_validator

from checks.parts.http.exchange import Method
from checks.parts.http.expect import Expect, JsonPath
from checks.parts.http.request import is_sensitive
from checks.parts.journey.placeholders import wanted
from checks.parts.regex import Re2
from checks.units import Duration

FieldText = Annotated[str, BeforeValidator(lambda value: _field_text(value))]


def _field_text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


class Upload(BaseModel):
    """A file to send: from the disk of the machine that runwatch runs on, or written here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str = Field(default="", description="Path of the file to send.")
    text: str | None = Field(default=None, description="Its content as text, in place of a file.")
    base64: str | None = Field(default=None, description="Its content in base64, in place of a file.")
    name: str = Field(default="", description="Name to send; else that of the file.")
    type: str = Field(default="", pattern=r"^[\w.+-]*(/[\w.+-]+)?$", description="Media type; else by the name.")

    @model_validator(mode="after")
    def _one_content(self) -> Upload:
        if sum((bool(self.file), self.text is not None, self.base64 is not None)) != 1:
            raise ValueError("one of file, text and base64 is wanted")
        try:
            base64.b64decode(self.base64 or "", validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("base64 does not hold base64") from None
        return self

    def content(self) -> bytes | None:
        """What is written here; None for a file."""
        if self.text is not None:
            return self.text.encode()
        return base64.b64decode(self.base64) if self.base64 is not None else None


class Capture(BaseModel):
    """Where in an answer a value stands."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: JsonPath | None = Field(default=None, alias="json", description="JMESPath into the JSON body.")
    header: str = Field(default="", description="Name of a header.")
    cookie: str = Field(default="", description="Name of a cookie.")
    regex: Re2 | None = Field(
        default=None, description="RE2 in the body, or in `header`; its first group, or all of it."
    )
    show: bool = Field(default=False, description="Whether it may be shown; else it is masked as a secret.")

    @model_validator(mode="after")
    def _one_place(self) -> Capture:
        places = (
            self.path is not None,
            bool(self.header),
            bool(self.cookie),
            self.regex is not None and not self.header,
        )
        if sum(places) != 1:
            raise ValueError("one of json, header, cookie and regex is wanted, or regex within a header")
        return self


class Step(BaseModel):
    """One request and what is expected of its answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=100, description="What it does, for people; label of its measurements.")
    url: str = Field(default="", description="Address, relative to the journey's.")
    method: Method | None = Field(
        default=None, description="The method; without it POST where something is sent, else GET."
    )
    headers: dict[str, SecretStr] = Field(default={}, description="Headers to send; never shown.")
    body: str | None = Field(default=None, description="Text to send.")
    json_body: Any = Field(default=None, description="Value to send as JSON.")
    form: dict[str, FieldText] = Field(default={}, description="Fields of a form to send.")
    files: dict[str, Upload] = Field(default={}, description="Files to send with the form, by their fields.")
    expect: Expect = Field(default=Expect(), description="What the answer must be.")
    capture: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], Capture] = Field(
        default={},
        description="Values to keep for later steps, as `{{name}}`; a text is a JMESPath into the JSON body.",
    )
    timeout: Duration | None = Field(default=None, gt=0, description="Time that this step may take.")
    always: bool = Field(default=False, description="Do it even if a step before has failed: for cleaning up.")
    follow_redirects: bool = Field(default=True, description="Whether to go where a redirect points.")

    @field_validator("capture", mode="before")
    @classmethod
    def _short_form(cls, held: Any) -> Any:
        if not isinstance(held, dict):
            return held
        return {name: {"json": inner} if isinstance(inner, str) else inner for name, inner in held.items()}

    @model_validator(mode="after")
    def _consistent(self) -> Step:
        ways = (self.body is not None, self.json_body is not None, bool(self.form or self.files))
        if sum(ways) > 1:
            raise ValueError("only one of body, json_body and form (with files) can be sent")
        if "@" in self.url.partition("?")[0].partition("//")[2].partition("/")[0]:
            raise ValueError("write credentials as basic_auth or headers, not in a step's url")
        for name, value in self.headers.items():
            text = f"{name}: {value.get_secret_value()}"
            if not name or not text.isprintable() or not text.isascii() or set(name) & set(' :"'):
                raise ValueError(f"the header {name!r} holds what no header can")
        return self

    @property
    def asks_with(self) -> str:
        """The method that is used."""
        sends = self.body is not None or self.json_body is not None or bool(self.form or self.files)
        return self.method or ("POST" if sends else "GET")

    @property
    def changes(self) -> bool:
        """Whether doing it twice may differ from doing it once (RFC 9110, 9.2.1)."""
        return self.asks_with not in ("GET", "HEAD", "OPTIONS")

    def wants(self) -> Iterator[str]:
        """The names of captured values that it uses."""
        yield from wanted([self.url, self.body, self.json_body, self.form, self.expect.values])
        yield from wanted([value.get_secret_value() for value in self.headers.values()])
        yield from wanted([[one.text, one.name] for one in self.files.values()])

    def secrets(self) -> Iterator[str]:
        """What it sends under names that secrets have."""
        yield from (value.get_secret_value() for name, value in self.headers.items() if is_sensitive(name))
        yield from _sensitive(self.form)
        yield from _sensitive(self.json_body)


def _sensitive(held: Any, under: str = "") -> Iterator[str]:
    if isinstance(held, dict):
        for name, inner in held.items():
            yield from _sensitive(inner, str(name))
    elif isinstance(held, list):
        for inner in held:
            yield from _sensitive(inner, under)
    elif isinstance(held, str) and len(held) > 3 and is_sensitive(under) and not list(wanted(held)):
        yield held
