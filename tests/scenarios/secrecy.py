"""Looks for every secret of an installation in all that the daemon has said while things went wrong (row L15)."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterable
from pathlib import Path

from tests.scenarios.watch import Watch

SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD)$")
PASSWORD = re.compile(r"://[^:/@\s]*:([^@/\s]+)@")
IN_A_FILE = re.compile(r"^\w*(?:KEY|TOKEN|SECRET|PASSWORD)\w*=(\S+)$", re.MULTILINE)
ASKED = (
    "/", "/metrics", "/-/healthy", "/api/v1/checks", "/api/v1/alerts", "/api/v1/silences", "/api/v2/status",
    "/api/v2/alerts", "/api/v2/receivers",
)  # fmt: skip


def secrets_of(environment: dict[str, str]) -> dict[str, str]:
    """Every secret by the variable that holds it, its address, or its file."""
    found = {}
    for name, value in environment.items():
        if SECRET_NAME.search(name):
            found[name] = value
        if inside := PASSWORD.search(value):
            found[f"{name}'s password"] = inside[1]
        if name.endswith("_FILE") and Path(value).is_file():
            held = IN_A_FILE.findall(Path(value).read_text())
            found |= {f"{name}, secret {number}": secret for number, secret in enumerate(held)}
    return {name: secret for name, secret in found.items() if len(secret) >= 6}


async def keeps_its_secrets(watch: Watch, *faults: str) -> None:
    """Break all of these, so that much is said, with what is refused because of credentials; then read all of it."""
    secrets = secrets_of(watch.installation.environment)
    assert len(secrets) > 1
    await watch.quiet("2m")
    before = max((message.number for message in watch.installation.inbox.messages), default=0)
    for fault in faults:
        await watch.threaded.call(watch.installation.break_part(fault))
    await watch.passes("7m")
    told = {alert.fingerprint: alert for one in watch.app.told for alert in one.firing.values()}
    assert told, "nobody was told anything"
    said = {path: await _answer(watch, path) for path in ASKED}
    for fingerprint in told:
        for question in ("explain", "deliveries"):
            path = f"/api/v1/{question}?alert={fingerprint}"
            said[path] = await _answer(watch, path)
    for message in watch.installation.inbox.messages:
        if message.number > before:
            # The key is how PagerDuty knows for whom a page is.
            body = {**message.body, "routing_key": ""} if isinstance(message.body, dict) else message.body
            said[f"message {message.number} to {message.path}"] = json.dumps(body)
    await watch.stop()
    said["the log"] = watch.log.getvalue()
    assert all(alert.name in said["the log"] and alert.name in said["/metrics"] for alert in told.values())
    assert not list(_betrayed(said, secrets)), "secrets were told"


def _betrayed(said: dict[str, str], secrets: dict[str, str]) -> Iterable[str]:
    for where, text in said.items():
        for name, secret in secrets.items():
            if secret in text:
                at = text.index(secret)
                yield f"{name} in {where}: …{text[max(0, at - 60) : at]}<here>"


async def _answer(watch: Watch, path: str) -> str:
    def ask() -> str:
        with urllib.request.urlopen(watch.app.address.rstrip("/") + path, timeout=10) as answer:
            return str(answer.read().decode())

    return str(await watch.loop.run_in_executor(None, ask))
