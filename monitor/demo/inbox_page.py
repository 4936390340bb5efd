"""The inbox as its readers see it: Slack's channels with colour bars and threads, PagerDuty's incidents, mails."""

from __future__ import annotations

import html
import json
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import ChainableUndefined, Environment, FileSystemLoader
from markupsafe import Markup

from checks.units import show_duration

if TYPE_CHECKING:
    from monitor.demo.inbox import Received
    from monitor.demo.inbox_rules import Desk

_TOKEN = re.compile(
    r"```(?P<block>.*?)```|`(?P<code>[^`\n]+)`|<(?P<url>https?://[^|>\s]+)(?:\|(?P<title>[^>]*))?>"
    r"|(?<!\w)\*(?P<bold>[^*\n]+)\*(?!\w)",
    re.DOTALL,
)


def mrkdwn(text: Any) -> Markup:
    """Slack's markup as HTML; everything else is text."""
    text = str(text)
    pieces, at = [], 0
    for token in _TOKEN.finditer(text):
        pieces.append(_plain(text[at : token.start()]))
        at = token.end()
        if token["block"] is not None:
            pieces.append(f"<pre>{_plain(token['block'].strip(), lines=False)}</pre>")
        elif token["code"] is not None:
            pieces.append(f"<code>{_plain(token['code'])}</code>")
        elif token["bold"] is not None:
            pieces.append(f"<b>{_plain(token['bold'])}</b>")
        else:
            pieces.append(f'<a href="{html.escape(token["url"])}">{_plain(token["title"] or token["url"])}</a>')
    return Markup("".join([*pieces, _plain(text[at:])]))


def _plain(text: str, *, lines: bool = True) -> str:
    # Slack's own escapes of & < > become characters first, so that they are escaped once.
    safe = html.escape(html.unescape(text))
    return safe.replace("\n", "<br>") if lines else safe


def details(value: Any) -> str:
    """A value of custom_details as a person reads it."""
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def clock(at: float) -> str:
    """Unix seconds as the time of day here."""
    return time.strftime("%H:%M:%S", time.localtime(at))


# Chainable: what a message lacks is shown as nothing.
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, undefined=ChainableUndefined
)
_TEMPLATES.filters |= {"mrkdwn": mrkdwn, "details": details, "clock": clock, "duration": show_duration}


def render(
    desk: Desk,
    hooks: Sequence[Received],
    faults: Sequence[str],
    *,
    mails: Sequence[Received] = (),
    names: Mapping[str, str] | None = None,
    pressable: bool = False,
) -> str:
    """The page as HTML, the newest on top; `pressable`: somebody listens for its buttons."""
    template = _TEMPLATES.get_template("inbox.html")
    open_now = sum(incident.status != "resolved" for incident in desk.incidents)
    return template.render(
        channels=desk.channels,
        incidents=desk.incidents[::-1],
        open_now=open_now,
        hooks=list(hooks)[::-1],
        mails=list(mails)[::-1],
        names=names or {},
        faults=faults,
        pressable=pressable,
    )
