"""Tells a Slack channel: one message per group that changes with it, and a thread for what follows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import orjson
from pydantic import Field, SecretStr, model_validator

from alerts.notifiers._slack_message import follow_up, message
from alerts.notifiers.base import HookUrl, NotDelivered, Notifier, Receipt, refusal, retry_after, said
from alerts.templates import SlackTemplate, Template, Texts
from alerts.vocabulary import Notification
from alerts.wording import cut

if TYPE_CHECKING:
    from aiohttp import ClientSession

LONGEST_ANSWER = 1_000_000

PASSING = frozenset(
    {"ratelimited", "rate_limited", "fatal_error", "internal_error", "request_timeout", "service_unavailable"}
    | {"team_added_to_org", "rollup_error"}
)
"""Errors that are over by themselves."""
MISSHAPEN = frozenset(
    {"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long", "too_many_attachments"}
    | {"invalid_attachments", "invalid_arguments"}
)
"""Errors about the layout: the same is said once more as plain text."""
UNKNOWN_TO_THEM = frozenset(
    {"invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive", "missing_scope"}
    | {"no_permission", "not_allowed_token_type", "access_denied", "invalid_token", "no_service", "no_team"}
    | {"team_disabled", "no_active_hooks", "org_login_required", "ekm_access_denied", "action_prohibited"}
)
"""Errors about who we are: somebody has to mend the token or the webhook."""
GONE = frozenset({"channel_not_found", "message_not_found", "cant_update_message", "edit_window_closed"})
LOUD = frozenset({"escalated", "reminder", "unmuted"})
"""Reasons that the channel hears of too: a reply in a thread alone reaches nobody who does not follow it."""


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
    title: SlackTemplate | None = Field(default=None, description="The headline, also on the lock screen.")
    text: SlackTemplate | None = Field(default=None, description="What stands below it, in place of facts and steps.")
    username: Template | None = Field(default=None, description="The sender's name; wants chat:write.customize.")
    icon_emoji: Template | None = Field(default=None, description="The sender's icon, such as `:fire:`.")
    icon_url: Template | None = Field(default=None, description="The sender's icon as a picture.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.bot_token is None and self.api_url is None:
            raise ValueError("needs api_url (an incoming webhook) or bot_token with channel")
        if self.bot_token is not None and not self.channel:
            raise ValueError("bot_token needs a channel")
        return self

    @property
    def mergeable(self) -> bool:
        """A webhook's messages stand alone; a bot's are updated, each its own."""
        return self.bot_token is None

    @property
    def limit_key(self) -> str:
        return f"slack:{self.channel}:{self.api_url.get_secret_value() if self.api_url else ''}"

    async def send(self, note: Notification, http: ClientSession, reference: Mapping[str, str]) -> Receipt:
        """Source: Slack's chat.postMessage, chat.update and incoming webhooks; limits of Block Kit."""
        texts = Texts(note)
        content = self.message(note, texts)
        sender = self._sender(texts)
        if self.bot_token is None:
            await self._hook(http, content | sender)
            return Receipt(note=texts.note)
        posted = dict(reference)
        if posted.get("ts"):
            where = {"channel": posted["channel"], "ts": posted["ts"]}
            answer = await self._call(http, "chat.update", {**where, **content}, may_be_gone=True)
            if answer.get("ok"):
                follow: dict[str, Any] = {"channel": posted["channel"], "thread_ts": posted["ts"]}
                follow |= {"text": cut(follow_up(note, content["text"]), 3_000), **sender}
                follow |= {"reply_broadcast": True} if note.reason in LOUD else {}
                # The update above can be said twice without harm, so that the one that can't comes last.
                await self._call(http, "chat.postMessage", follow)
                return Receipt(where, texts.note)
        answer = await self._call(http, "chat.postMessage", {"channel": self.channel, **content, **sender})
        return Receipt({"ts": str(answer["ts"]), "channel": str(answer.get("channel", self.channel))}, texts.note)

    def message(self, note: Notification, texts: Texts) -> dict[str, Any]:
        """What is posted, but for channel and sender."""
        title = texts.of("title", self.title, "").strip()
        body = texts.of("text", self.text, "").strip() if self.text is not None else None
        return message(note, title, body or None, texts.complaints)

    def preview(self, note: Notification, texts: Texts) -> dict[str, Any]:
        """See Notifier."""
        return self.message(note, texts) | self._sender(texts)

    def _sender(self, texts: Texts) -> dict[str, str]:
        keys = {"username": self.username, "icon_emoji": self.icon_emoji, "icon_url": self.icon_url}
        made = {key: texts.of(key, template, "").strip() for key, template in keys.items()}
        return {key: cut(text, 1_000 if key == "icon_url" else 80) for key, text in made.items() if text}

    async def _hook(self, http: ClientSession, content: dict[str, Any]) -> None:
        assert self.api_url is not None
        async with http.post(self.api_url.get_secret_value(), json=content, allow_redirects=False) as answer:
            if answer.status == 200:
                return
            error = (await said(answer, 300)).strip()
            if error in MISSHAPEN and "attachments" in content:
                await self._hook(http, {"text": content["text"]})
                return
            refused = refusal("Slack", answer, error)
            raise _of_ours(refused) if error in UNKNOWN_TO_THEM else refused

    async def _call(
        self, http: ClientSession, method: str, content: dict[str, Any], may_be_gone: bool = False
    ) -> dict[str, Any]:
        assert self.bot_token is not None
        base = self.api_url.get_secret_value().rstrip("/") if self.api_url else "https://slack.com/api"
        headers = {"Authorization": f"Bearer {self.bot_token.get_secret_value()}"}
        async with http.post(f"{base}/{method}", json=content, headers=headers, allow_redirects=False) as answer:
            heard = await said(answer, LONGEST_ANSWER)
            if answer.status != 200:
                raise refusal("Slack", answer, heard)
            wait = retry_after(answer)
        try:
            told = orjson.loads(heard)
        except orjson.JSONDecodeError:
            told = None
        if not isinstance(told, dict) or (told.get("ok") and method == "chat.postMessage" and not told.get("ts")):
            raise NotDelivered("Slack's answer is not what its API answers", retry=True, reason="serverError")
        if told.get("ok"):
            return told
        error = str(told.get("error", "no reason given"))
        if error in GONE and may_be_gone:
            return told
        if error in MISSHAPEN and "attachments" in content:
            return await self._call(http, method, {**content, "attachments": [], "text": content["text"]})
        reason = "rateLimited" if "limited" in error else "serverError" if error in PASSING else "clientError"
        sentence = f"Slack refuses {method}: {error}{_details(told)}"
        refused = NotDelivered(sentence, retry=error in PASSING, reason=reason, after=wait)
        raise _of_ours(refused) if error in UNKNOWN_TO_THEM else refused


def _of_ours(refused: NotDelivered) -> NotDelivered:
    return NotDelivered(refused.why, retry=False, reason="authError")


def _details(told: dict[str, Any]) -> str:
    """What Slack adds to an error: the scope that is missing, the block that is wrong."""
    needed = told.get("needed")
    meta = told.get("response_metadata")
    messages = meta.get("messages") if isinstance(meta, dict) else None
    more = [f"it needs the scope {needed}"] if needed else []
    more += [str(one) for one in messages[:3]] if isinstance(messages, list) else []
    return f" ({cut('; '.join(more), 300)})" if more else ""
