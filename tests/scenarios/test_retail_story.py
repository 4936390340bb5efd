"""Retail's secrets stay where they are, whatever goes wrong."""

from __future__ import annotations

from tests.scenarios.secrecy import keeps_its_secrets
from tests.scenarios.watch import Watch


async def test_no_secret_is_told(watch: Watch) -> None:
    await keeps_its_secrets(watch, "R02", "R06.password")
