"""Secrets in configuration values: found wherever they stand, and shown in the open only where that is meant."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, SecretStr

from checks.base import Url, find_secrets, revealed


class Inner(BaseModel):
    model_config = {"arbitrary_types_allowed": True}

    keys: int = 7
    """A name that a mapping has too."""
    items: dict[str, SecretStr] = {"a": SecretStr("one"), "b": SecretStr("")}
    where: tuple[Url, ...] = (Url("http://user:two@host/"), Url("http://host/"))


class Outer(BaseModel):
    inner: Inner = Inner()
    values: list[SecretStr] = [SecretStr("three")]


def test_they_are_found_in_whatever_holds_them() -> None:
    assert find_secrets(Outer()) == ["one", "two", "three"]


def test_revealed_they_are_plain_values() -> None:
    assert revealed(Outer()) == {
        "inner": {"keys": 7, "items": {"a": "one", "b": ""}, "where": ["http://user:two@host/", "http://host/"]},
        "values": ["three"],
    }


@pytest.mark.parametrize(
    ("written", "shown", "secrets"),
    [
        ("http://h/a?x=1&token=s3same%2Fs3same", "http://h/a?x=1&token=***", ["s3same%2Fs3same", "s3same/s3same"]),
        ("http://h/a?apiKey=s3same", "http://h/a?apiKey=***", ["s3same"]),
        ("http://h/a?X-Amz-Signature=0123456&b", "http://h/a?X-Amz-Signature=***&b", ["0123456"]),
        ("http://h/a?access_token=short", "http://h/a?access_token=***", []),
        ("http://h/a?sslpassword=s3same#x", "http://h/a?sslpassword=***#x", ["s3same"]),
        ("http://u:one@h/?auth=secret2", "http://u:***@h/?auth=***", ["one", "secret2"]),
        ("http://u@h/?api%5Fkey=secret2", "http://***@h/?api%5Fkey=***", ["secret2"]),
        ("http://h/a?author=somebody&keyword=monkey&sslmode=require", None, []),
        ("http://h/a?token=&b=token", None, []),
        ("http://h/a?", None, []),
    ],
)
def test_an_address_shows_neither_password_nor_what_its_parameters_keep_secret(
    written: str, shown: str | None, secrets: list[str]
) -> None:
    assert str(Url(written)) == (shown or written)
    assert find_secrets(Url(written)) == secrets
    assert Url(written).reveal() == written
