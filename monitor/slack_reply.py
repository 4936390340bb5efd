"""Says something to whoever pressed a button in Slack, at the address that came with the press."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import aiohttp

PATIENCE = aiohttp.ClientTimeout(total=5.0)
SLACK = "hooks.slack.com"


async def reply(http: aiohttp.ClientSession, payload: Any, text: str, api_url: str) -> None:
    """Send the text; that it can't be sent changes nothing that was done.

    Only Slack's own host is spoken to, or that of `api_url`. Source: Slack, "Handling user interaction", response_url.
    """
    address = payload.get("response_url") if isinstance(payload, dict) else None
    if not text or not isinstance(address, str) or not _is_slacks(address, api_url):
        return
    try:
        async with http.post(address, json=ephemeral(text), timeout=PATIENCE, allow_redirects=False):
            pass
    except (aiohttp.ClientError, TimeoutError):
        return


def ephemeral(text: str) -> dict[str, Any]:
    """A text for the eyes of one person, which leaves the message as it is."""
    return {"response_type": "ephemeral", "replace_original": False, "text": text}


def _is_slacks(address: str, api_url: str) -> bool:
    try:
        there, own = urlsplit(address), urlsplit(api_url)
    except ValueError:
        return False
    return (there.scheme, there.netloc) in (("https", SLACK), (own.scheme, own.netloc))
