"""What every notifier shares: its configuration, one way to send, and what comes of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from alerts.templates import Texts
from alerts.vocabulary import Notification
from alerts.wording import cut, headline, one_line
from checks.base import find_secrets

if TYPE_CHECKING:
    # For types only: a configuration is read and validated without it, in 100 ms less.
    from aiohttp import ClientResponse, ClientSession


def _web_address(text: SecretStr) -> SecretStr:
    if not text.get_secret_value().startswith(("http://", "https://")):
        raise ValueError("an address that begins with http:// or https:// is wanted")
    return text


HookUrl = Annotated[SecretStr, AfterValidator(_web_address)]
"""An address whose path is itself the key to a channel: never shown."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The receiver accepted. `reference` is what later messages to the same group need (a thread, an id)."""

    reference: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


class NotDelivered(Exception):
    """The receiver did not accept. `retry` False: asking again can't help (a revoked token, an invalid event).

    `after` is the receiver's own word for how long to wait, in seconds. `why` is a sentence; `reason` is one of
    Alertmanager's words: clientError, serverError, contextDeadlineExceeded, authError, rateLimited, other.
    """

    def __init__(self, why: str, *, retry: bool, reason: str = "other", after: float | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.retry = retry
        self.reason = reason
        self.after = after


class Notifier(BaseModel):
    """One configured way to reach people, inside a receiver; its fields are the keys of `<kind>_configs`.

    `send` asks once. `reference` is what the last accepted message of this group returned. Retries, back-off,
    deadline and limits are the caller's; `per_minute` is the pace that the destination allows for one `limit_key`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    kind: ClassVar[str] = ""
    per_minute: ClassVar[float] = 600.0
    most_alerts: ClassVar[int] = 50
    """Alerts in one message at most; more are counted (`Notification.left_out`, `.tally`). 0 for all."""
    unheard: ClassVar[frozenset[str]] = frozenset()
    """Reasons (of vocabulary.REASONS) that this kind is never told: what nobody wants as a message of its own."""
    repeat_every: ClassVar[float | None] = None
    """Seconds between repetitions that the protocol asks for while anything fires, whatever the route says."""

    send_resolved: bool = Field(default=True, description="Tell the resolve too.")

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        cls.kind = cls.kind or cls.__module__.rpartition(".")[2]

    async def send(self, note: Notification, http: ClientSession, reference: Mapping[str, str]) -> Receipt:
        """Send once, or raise NotDelivered."""
        raise NotImplementedError

    @property
    def mergeable(self) -> bool:
        """Whether messages about several groups may go as one when it is behind: it keeps no thread, no incident."""
        return False

    def preview(self, note: Notification, texts: Texts) -> Any:
        """What would be sent, as plain data for people to look at: no secrets."""
        return {"text": headline(note)}

    @property
    def limit_key(self) -> str:
        """Which destinations share one pace: a routing key, a channel."""
        return self.kind


def refusal(who: str, answer: ClientResponse, said: str) -> NotDelivered:
    """What an HTTP answer that does not accept means: 408, 429 and 5xx are worth another try, the rest is not.

    A redirection counts as a refusal: whoever follows it asks anew with GET, and the page would be lost in silence.
    """
    sentence = f"{who} answered {answer.status}: {said.strip()[:300] or 'nothing'}"
    if answer.status == 429:
        return NotDelivered(sentence, retry=True, reason="rateLimited", after=retry_after(answer))
    if answer.status >= 500 or answer.status == 408:
        return NotDelivered(sentence, retry=True, reason="serverError", after=retry_after(answer))
    reason = "authError" if answer.status in (401, 403) else "clientError"
    return NotDelivered(sentence, retry=False, reason=reason)


LONGEST_SENTENCE = 500
SHORTEST_HIDDEN = 4
"""Characters of what is worth hiding: less would only make the sentence unreadable."""


def sayable(text: str, notifier: Notifier) -> str:
    """A sentence about a destination as it may be logged, shown and sent: one line, cut, none of its secrets in it.

    Libraries name the whole address that they could not reach, receivers echo what they refuse.
    """
    hidden: set[str] = set()
    for secret in find_secrets(dict(notifier)):
        hidden.add(secret)
        try:
            parts = urlsplit(secret)
        except ValueError:
            continue
        if parts.netloc:
            pieces = [parts.path, unquote(parts.path), parts.query, parts.username or "", parts.password or ""]
            hidden.update(pieces)
    for piece in sorted((one for one in hidden if len(one) >= SHORTEST_HIDDEN), key=len, reverse=True):
        text = text.replace(piece, "***")
    return one_line(cut(text, LONGEST_SENTENCE))


def unusable(why: Exception) -> str:
    """What is wrong with a destination that was kept, without its values: they hold secrets."""
    if isinstance(why, ValidationError):
        return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in why.errors(include_input=False))
    return str(why)


async def said(answer: ClientResponse, most: int = 500) -> str:
    """The beginning of what an answer says, in bytes at most `most`: whoever answers may send without an end."""
    heard = bytearray()
    async for piece in answer.content.iter_any():
        heard += piece
        if len(heard) >= most:
            break
    return bytes(heard[:most]).decode("utf-8", "replace")


def retry_after(answer: ClientResponse) -> float | None:
    """Seconds that the receiver asks us to wait, from a number or a date (RFC 9110, 10.2.3); None when it does not."""
    text = answer.headers.get("Retry-After", "").strip()
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None
