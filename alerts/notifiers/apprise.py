"""Tells the long tail of services (Telegram, Matrix, SMS …) through the apprise library, an extra."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import warnings
from collections.abc import Mapping
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, SecretStr, field_validator

from alerts.notifiers import _letter as letter
from alerts.notifiers.base import NotDelivered, Notifier, Receipt
from alerts.templates import Template, Texts
from alerts.vocabulary import Notification
from alerts.wording import cut, headline, one_line
from checks.base import printable

if TYPE_CHECKING:
    from aiohttp import ClientSession

MISSING = "apprise is not installed; pip install runwatch[apprise]"
LONGEST_BODY = 20_000
SHORTEST_SECRET = 5
_PIECES = re.compile(r"[/:@?&=,#]+")


class Apprise(Notifier):
    """Every address is told; one that takes it is enough, and what the others said is in the log.

    An address that must be told whatever becomes of the others belongs into an item of its own.
    """

    per_minute: ClassVar[float] = 60.0
    most_alerts: ClassVar[int] = 20
    unheard: ClassVar[frozenset[str]] = frozenset({"acknowledged", "changed"})

    urls: tuple[SecretStr, ...] = Field(min_length=1, description="Apprise's addresses, such as `tgram://token/chat`.")
    title: Template | None = Field(default=None, description="The title, in place of the headline.")
    body: Template | None = Field(default=None, description="The text, in place of facts and steps.")

    @field_validator("urls", mode="before")
    @classmethod
    def _several(cls, given: object) -> object:
        return [given] if isinstance(given, str) else given

    @field_validator("urls")
    @classmethod
    def _understood(cls, urls: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for number, url in enumerate(urls, 1):
            _service(url.get_secret_value(), number)
        return urls

    @property
    def mergeable(self) -> bool:
        """What goes through it keeps neither thread nor incident that we know."""
        return True

    @property
    def limit_key(self) -> str:
        return f"apprise:{self.urls[0].get_secret_value()}"

    async def send(self, note: Notification, http: ClientSession, reference: Mapping[str, str]) -> Receipt:
        """Apprise blocks: it runs in a thread of its own, which nobody waits for longer than the caller's deadline."""
        texts = Texts(note)
        title, body = self.message(note, texts)
        urls = [url.get_secret_value() for url in self.urls]
        failures = await _in_a_thread(urls, title, body, "success" if note.status == "resolved" else "failure")
        if len(failures) == len(urls):
            raise NotDelivered("; ".join(failures), retry=True, reason="other")
        return Receipt(note="; ".join([*texts.complaints, *failures]))

    def message(self, note: Notification, texts: Texts) -> tuple[str, str]:
        """Title and body."""
        title = one_line(texts.of("title", self.title, "")) or headline(note)
        body = printable(texts.of("body", self.body, "")) if self.body is not None else ""
        if not body.strip() or texts.complaints:
            body = letter.plain(note, texts.complaints)
        return cut(title, 250), cut(body, LONGEST_BODY)

    def preview(self, note: Notification, texts: Texts) -> dict[str, str]:
        """See Notifier."""
        title, body = self.message(note, texts)
        return {"title": title, "body": body}


@lru_cache(maxsize=1)
def _library() -> ModuleType:
    """Apprise with its plugins; ValueError with a sentence where it is not installed."""
    with warnings.catch_warnings():
        # It imports a module that Python 3.13 has no more; that is nothing for whoever runs us.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            import apprise
        except ImportError:
            raise ValueError(MISSING) from None
        apprise.Apprise.instantiate("json://localhost")
    return apprise


def _service(url: str, number: int) -> Any:
    """Apprise's own object for an address; ValueError with a sentence that does not quote the address."""
    apprise = _library()
    try:
        # Without a limit of its own it works in the thread that calls it, so that its complaints are found.
        asset = apprise.AppriseAsset(service_timeout=0)
    except (AttributeError, TypeError):
        asset = apprise.AppriseAsset()
    made = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    if made is None:
        schema = url.partition("://")[0] if "://" in url else ""
        known = f"apprise can't use the {_schema(url)} address" if schema else "it has no schema such as tgram://"
        raise ValueError(f"address {number} of urls can't be used: {known}")
    return made


def _schema(url: str) -> str:
    found = re.match(r"[a-z0-9]+(?=://)", url.lower())
    return f"{found[0]}://" if found else "unknown"


class _Complaints(logging.Handler):
    """What apprise logs while one thread sends: its calls return no more than true or false."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread and len(self.said) < 5:
            self.said.append(" ".join(printable(record.getMessage()).split()))


async def _in_a_thread(urls: list[str], title: str, body: str, sort: str) -> list[str]:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[list[str]] = loop.create_future()

    def settle(failures: list[str]) -> None:
        if not done.done():
            done.set_result(failures)

    def work() -> None:
        failures = _tell(urls, title, body, sort)
        try:
            loop.call_soon_threadsafe(settle, failures)
        except RuntimeError:
            # The loop has ended: nobody waits any more.
            return

    # A daemon thread: one that hangs in somebody's socket must not keep the process from stopping.
    threading.Thread(target=work, name="runwatch-apprise", daemon=True).start()
    return await done


def _tell(urls: list[str], title: str, body: str, sort: str) -> list[str]:
    """Tell every address; a sentence for each that could not be."""
    heard = _Complaints()
    log = logging.getLogger("apprise")
    log.addHandler(heard)
    failures = []
    try:
        for number, url in enumerate(urls, 1):
            heard.said.clear()
            try:
                told = _told(_service(url, number), title, body, sort)
            except (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError) as why:
                told = False
                heard.said.append(f"{type(why).__name__}: {why}")
            if not told:
                why_not = _without(url, "; ".join(heard.said))
                failures.append(f"apprise could not deliver to {_schema(url)}" + (f": {why_not}" if why_not else ""))
    finally:
        log.removeHandler(heard)
    return failures


def _told(service: Any, title: str, body: str, sort: str) -> bool:
    one = _library().Apprise()
    one.add(service)
    # Said to be plain, so that each service escapes it as its own format needs.
    return bool(one.notify(title=title, body=body, notify_type=sort, body_format="text"))


def _without(url: str, text: str) -> str:
    """The text without what is secret in the address: every part of it but the schema."""
    for piece in sorted(_PIECES.split(url)[1:], key=len, reverse=True):
        if len(piece) >= SHORTEST_SECRET:
            text = text.replace(piece, "***")
    return cut(text, 400)
