"""Secrets in configuration values: found wherever they stand, and shown in the open only where that is meant."""

from __future__ import annotations

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
