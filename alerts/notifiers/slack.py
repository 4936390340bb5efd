"""Tells a Slack channel: one message per group that changes with it, and a thread for what follows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, SecretStr, model_validator

from alerts.notifiers.base import HookUrl, NotDelivered, Notifier, Receipt, refusal, retry_after
from alerts.vocabulary import Alert, Notification, Severity
from alerts.wording import cut, evidence, facts, headline, links, summary
from checks.base import printable

if TYPE_CHECKING:
    from aiohttp import ClientSession

COLOURS = {
    Severity.CRITICAL: "#c8102e",
    Severity.HIGH: "#e8590c",
    Severity.MEDIUM: "#f2c037",
    Severity.LOW: "#4c8bf5",
}
GREEN = "#2f9e44"
LONGEST_SECTION = 3_000
LONGEST_MESSAGE = 12_000
MOST_ALERTS = 5

PASSING = frozenset(
    {"ratelimited", "rate_limited", "fatal_error", "internal_error", "request_timeout", "service_unavailable"}
    | {"team_added_to_org"}
)
MISSHAPEN = frozenset(
    {"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long", "too_many_attachments"}
    | {"invalid_attachments"}
)
GONE = frozenset({"channel_not_found", "message_not_found", "cant_update_message", "edit_window_closed"})


class Slack(Notifier):
    """By bot token: the group's message is updated and its history goes into its thread. By webhook: a message each.

    Slack answers 200 with `ok: false` to what it refuses; a refusal of the layout is sent once more as plain text.
    """

    per_minute: ClassVar[float] = 60.0

    api_url: HookUrl | None = Field(
        default=None, description="An incoming webhook; with `bot_token`, the API's address."
    )
    bot_token: SecretStr | None = Field(default=None, description="A bot token (xoxb-…) with chat:write.")
    channel: str = Field(default="", description="Channel name or id; needed with `bot_token`.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.bot_token is None and self.api_url is None:
            raise ValueError("needs api_url (an incoming webhook) or bot_token with channel")
        if self.bot_token is not None and not self.channel:
            raise ValueError("bot_token needs a channel")
        return self

    @property
    def limit_key(self) -> str:
        return f"slack:{self.channel}:{self.api_url.get_secret_value() if self.api_url else ''}"

    async def send(self, note: Notification, http: ClientSession, reference: Mapping[str, str]) -> Receipt:
        """Source: Slack's chat.postMessage, chat.update and incoming webhooks; limits of Block Kit."""
        if self.bot_token is None:
            await self._hook(http, message(note))
            return Receipt()
        posted = dict(reference)
        if not posted.get("ts"):
            answer = await self._call(http, "chat.postMessage", {"channel": self.channel, **message(note)})
            return Receipt({"ts": str(answer["ts"]), "channel": str(answer.get("channel", self.channel))})
        where = {"channel": posted["channel"], "ts": posted["ts"]}
        answer = await self._call(http, "chat.update", {**where, **message(note)}, may_be_gone=True)
        if not answer.get("ok"):
            return await self.send(note, http, {})
        follow = {"channel": posted["channel"], "thread_ts": posted["ts"], "text": cut(_follow(note), 3_000)}
        # The update above can be said twice without harm, so that the one that can't comes last.
        await self._call(http, "chat.postMessage", follow)
        return Receipt(where)

    async def _hook(self, http: ClientSession, content: dict[str, Any]) -> None:
        assert self.api_url is not None
        async with http.post(self.api_url.get_secret_value(), json=content) as answer:
            said = (await answer.text())[:300]
            if answer.status == 200:
                return
            if said.strip() in MISSHAPEN and "attachments" in content:
                await self._hook(http, {"text": content["text"]})
                return
            raise refusal("Slack", answer, said)

    async def _call(
        self, http: ClientSession, method: str, content: dict[str, Any], may_be_gone: bool = False
    ) -> dict[str, Any]:
        assert self.bot_token is not None
        base = self.api_url.get_secret_value().rstrip("/") if self.api_url else "https://slack.com/api"
        headers = {"Authorization": f"Bearer {self.bot_token.get_secret_value()}"}
        async with http.post(f"{base}/{method}", json=content, headers=headers) as answer:
            if answer.status != 200:
                raise refusal("Slack", answer, (await answer.text())[:300])
            try:
                said = await answer.json(content_type=None)
            except ValueError:
                said = None
            if not isinstance(said, dict):
                raise NotDelivered("Slack's answer is not JSON", retry=True, reason="serverError")
            wait = retry_after(answer)
        if said.get("ok"):
            return said
        error = str(said.get("error", "no reason given"))
        if error in GONE and may_be_gone:
            return said
        if error in MISSHAPEN and "attachments" in content:
            return await self._call(http, method, {**content, "attachments": [], "text": content["text"]})
        reason = "rateLimited" if "limited" in error else "serverError" if error in PASSING else "clientError"
        raise NotDelivered(f"Slack refuses {method}: {error}", retry=error in PASSING, reason=reason, after=wait)


def message(note: Notification) -> dict[str, Any]:
    """The headline as text (for the lock screen), the rest in one attachment with the severity's colour."""
    colour = GREEN if note.status == "resolved" else COLOURS[note.severity]
    blocks: list[dict[str, Any]] = []
    left = LONGEST_MESSAGE
    for alert in note.alerts[:MOST_ALERTS]:
        for text in _sections(alert, note):
            part = cut(text, min(LONGEST_SECTION, left))
            left -= len(part)
            if left > 200:
                blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": part}})
    if len(note.alerts) > MOST_ALERTS:
        more = f"… and {len(note.alerts) - MOST_ALERTS} more alerts in this group"
        blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": more}]})
    buttons = [
        {"type": "button", "text": {"type": "plain_text", "text": title[:75]}, "url": address}
        for title, address in links(note)
        if len(address) <= 3_000
    ]
    if buttons:
        blocks.append({"type": "actions", "elements": buttons[:5]})
    text = escaped(cut(headline(note), 3_000))
    return {"text": text, "attachments": [{"color": colour, "fallback": text, "blocks": blocks[:50]}]}


def _sections(alert: Alert, note: Notification) -> list[str]:
    told = "\n".join(f"*{title}:* {escaped(cut(text, 600))}" for title, text in facts(alert, note.at))
    sections = [
        f"*{escaped(alert.name)}* · {escaped(alert.check)}\n{escaped(cut(summary(alert, note.at), 1_000))}",
        told,
    ]
    if alert in note.firing:
        if alert.evidence:
            sections.append(f"*Evidence*\n```{escaped(evidence(alert, 1_800))}```")
        if alert.runbook.text:
            title = escaped(alert.runbook.title or "Runbook")
            sections.append(f"*What to do: {title}*\n{escaped(cut(alert.runbook.text, 1_800))}")
    return sections


def _follow(note: Notification) -> str:
    said = {"added": "More fire", "changed": "Some have ended", "reminder": "Still firing", "resolved": "Resolved"}
    return f"{said.get(note.reason, 'Again')}: {escaped(headline(note))}"


def escaped(text: str) -> str:
    """Text that Slack shows as it is: no markup, no mention, nothing invisible."""
    return printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
