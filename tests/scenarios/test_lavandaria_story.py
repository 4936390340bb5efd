"""Lavandaria's secrets stay where they are, whatever goes wrong."""

from __future__ import annotations

from tests.scenarios.records import Proof, record
from tests.scenarios.secrecy import keeps_its_secrets
from tests.scenarios.watch import Watch


async def test_no_secret_is_told(watch: Watch) -> None:
    await keeps_its_secrets(watch, "L01.login", "L13", "L12")
    record(
        Proof("lavandaria", "L15", "no secret is in logs, metrics, pages, messages: each is looked for after faults")
    )
