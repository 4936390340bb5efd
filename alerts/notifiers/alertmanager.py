"""Hands alerts on to Alertmanagers, as Prometheus does: all that fire, again and again, and their ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import aiohttp
import orjson
from pydantic import Field, model_validator

from alerts.notifiers._http import Reach
from alerts.notifiers.base import HookUrl, NotDelivered, Notifier, Receipt, refusal, said
from alerts.templates import Texts
from alerts.vocabulary import Alert, Notification, Phase
from alerts.wording import cut, page_of, rfc3339, summary
from checks.base import printable
from checks.units import Duration

if TYPE_CHECKING:
    from aiohttp import ClientSession

REPEAT = 60.0
LIVES = 4 * REPEAT
"""Seconds after which an Alertmanager takes an alert for ended that nobody has repeated: what Prometheus allows."""
AT_ONCE = 250
"""Alerts in one request: making one holds the event loop up for 2 ms."""
LONGEST_TEXT = 8_000
MOST_PAIRS = 500


class Alertmanager(Reach, Notifier):
    """Each message goes to every address; one that takes it is enough. 5xx is tried again, 4xx is not.

    Grouping, silences and receivers there are that Alertmanager's own.
    """

    per_minute: ClassVar[float] = 600.0
    most_alerts: ClassVar[int] = 0
    unheard: ClassVar[frozenset[str]] = frozenset({"acknowledged"})
    repeat_every: ClassVar[float | None] = REPEAT

    url: HookUrl | None = Field(
        default=None, description="An Alertmanager's address, such as http://alertmanager:9093."
    )
    urls: tuple[HookUrl, ...] = Field(default=(), description="The addresses of all members of a cluster.")
    timeout: Duration = Field(default=9.0, gt=0, description="How long to wait for each of them.")

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if (self.url is None) == (not self.urls):
            raise ValueError("either url or urls is wanted")
        return self

    @property
    def limit_key(self) -> str:
        return f"alertmanager:{self._addresses()[0]}"

    def preview(self, note: Notification, texts: Texts) -> list[dict[str, Any]]:
        """See Notifier."""
        return [posted for batch in batched(note, note.at) for posted in batch]

    def _addresses(self) -> list[str]:
        given = [self.url] if self.url is not None else self.urls
        return [one.get_secret_value().rstrip("/") for one in given]

    async def send(self, note: Notification, http: ClientSession, reference: Mapping[str, str]) -> Receipt:
        """Source: Alertmanager's API v2, POST /alerts, and "Sending alerts" in its documentation on clients."""
        batches = []
        for batch in batched(note, max(note.at, time.time())):
            batches.append(orjson.dumps(batch))
            await asyncio.sleep(0)
        if not batches:
            return Receipt(note="none of the alerts has a label: an Alertmanager takes none without")
        trust = await self.trust()
        turns = [self._post(http, address, batches, trust) for address in self._addresses()]
        refusals = [refused for refused in await asyncio.gather(*turns) if refused is not None]
        if len(refusals) == len(turns):
            raise next((refused for refused in refusals if refused.retry), refusals[0])
        return Receipt(note="; ".join(refused.why for refused in refusals))

    async def _post(
        self, http: ClientSession, address: str, batches: Iterable[bytes], trust: dict[str, Any]
    ) -> NotDelivered | None:
        headers = {"Content-Type": "application/json", **self.credentials()}
        path = f"{address}/api/v2/alerts"
        try:
            async with asyncio.timeout(self.timeout):
                for batch in batches:
                    async with http.post(path, data=batch, headers=headers, allow_redirects=False, **trust) as answer:
                        if answer.status // 100 != 2:
                            return refusal("the Alertmanager", answer, await said(answer))
        except TimeoutError:
            why = f"the Alertmanager did not answer within {self.timeout:g} s"
            return NotDelivered(why, retry=True, reason="contextDeadlineExceeded")
        except aiohttp.ClientError as why:
            return NotDelivered(f"cannot reach the Alertmanager: {why}", retry=True, reason="other")
        return None


def batched(note: Notification, now: float) -> Iterator[list[dict[str, Any]]]:
    """The alerts as API v2 takes them, some hundred at a time."""
    made = [_posted(alert, note, now) for alert in note.alerts if any(alert.labels.values())]
    for start in range(0, len(made), AT_ONCE):
        yield made[start : start + AT_ONCE]


def _posted(alert: Alert, note: Notification, now: float) -> dict[str, Any]:
    ends = now + LIVES if alert.phase is Phase.FIRING else max(alert.resolved_at, alert.since)
    texts = {
        "summary": summary(alert, note.at),
        "runbook_url": alert.runbook.url,
        "acknowledged_by": alert.acked_by,
    } | alert.annotations
    if len(alert.labels) > MOST_PAIRS:
        texts["labels_cut"] = f"{len(alert.labels) - MOST_PAIRS} more labels were left out"
    return {
        "labels": _pairs(alert.labels),
        "annotations": _pairs(texts),
        "startsAt": rfc3339(alert.since or now),
        "endsAt": rfc3339(ends),
        "generatorURL": page_of(note, alert),
    }


def _pairs(pairs: Mapping[str, str]) -> dict[str, str]:
    """Labels in their order by name, so that a cut keeps the same ones each time."""
    kept = sorted((name, text) for name, text in pairs.items() if text)[:MOST_PAIRS]
    return {printable(name): printable(cut(text, LONGEST_TEXT)) for name, text in kept}
