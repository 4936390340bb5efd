"""Asks an Alertmanager which alerts are active, whether its cluster stands, and whether its own messages arrive."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from checks.base import Asks, Errored, Failed, Measurement, Reason, Recommended, Run
from checks.parts.api import Api
from checks.parts.http.expect import brief
from checks.parts.pool import in_pool
from checks.parts.vendors import alertmanager as answers
from checks.parts.vendors.web_api import ApiCheck, exported
from checks.units import show_duration

SHOWN = 10
"""Alerts that become evidence, one a line."""
MOST_INTEGRATIONS = 40
MUCH = 64 * 1024
"""Bytes from which on an answer is read in a thread."""

LabelName = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]


class Alertmanager(ApiCheck):
    """The active alerts of an Alertmanager, the members of its cluster, and the messages that it could not send."""

    called: ClassVar[str] = "Alertmanager"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement("alerts", "count", "Active alerts by the labels of `by`.", labels=("exported_severity",)),
        Measurement("alerts_active", "count", "Active alerts, all together."),
        Measurement("oldest_alert_seconds", "seconds", "How long the oldest of them has been active."),
        Measurement("watchdog", "bool", "Whether the `watchdog` alert is active."),
        Measurement("cluster_ready", "bool", "Whether it is ready to send: its cluster has settled, or it is alone."),
        Measurement(
            "cluster_peers", "count", "Members of its cluster that it sees, itself among them.",
            also="alertmanager_cluster_members",
        ),
        Measurement(
            "notifications_failed", "count", "Messages that it could not send since the last probe.",
            labels=("integration",),
        ),
        Measurement(
            "notifications_sent", "count", "Messages that it tried to send since the last probe.",
            labels=("integration",),
        ),
    )  # fmt: skip
    recommended: ClassVar[tuple[Recommended, ...]] = (
        Recommended("AlertsActive", "alerts_active > 0", "high", "Somebody else's monitoring has found something."),
        Recommended(
            "AlertmanagerNotReady", "cluster_ready == false", "medium", "Pages wait or come twice.", hold=300.0
        ),
        Recommended(
            "AlertmanagerCannotSend", "notifications_failed > 0", "high", "Its pages reach nobody.", hold=300.0
        ),
    )

    filters: tuple[str, ...] = Field(
        default=(), description='Alertmanager\'s matchers, such as severity="critical"; all must match.'
    )
    receiver: str = Field(
        default="", description="Only alerts for receivers that this regular expression matches whole."
    )
    silenced: bool = Field(default=False, description="Whether silenced alerts count as active.")
    inhibited: bool = Field(default=False, description="Whether inhibited alerts count as active.")
    by: tuple[LabelName, ...] = Field(default=("severity",), description="Labels to count alerts by.")
    max_series: int = Field(default=50, ge=1, le=1000, description="Label sets to count apart; the rest are (others).")
    watchdog: str = Field(
        default="", description="Name of an alert that is always active; without it the way from Prometheus is broken."
    )
    peers: int = Field(default=0, ge=0, description="Members that its cluster must have at least.")
    notifications: bool = Field(default=True, description="Whether to read from /metrics how its messages fare.")

    @model_validator(mode="after")
    def _labels_differ(self) -> Alertmanager:
        names = [exported(name) for name in self.by]
        if len(set(names)) < len(names):
            raise ValueError("`by` names a label twice")
        return self

    def declared(self) -> tuple[Measurement, ...]:
        """`alerts` by the labels that are configured."""
        first = self.measurements[0]
        counted = Measurement(first.name, first.unit, first.help, tuple(exported(name) for name in self.by))
        return (counted, *self.measurements[1:])

    def asks(self) -> tuple[Asks, ...]:
        """Two requests; one more with `notifications`, one more with `watchdog`."""
        number = 2 + self.notifications + bool(self.watchdog)
        return (Asks(self.target, number, number),)

    async def probe(self, run: Run) -> None:
        """Two requests; one more with `notifications`, one more with `watchdog`."""
        async with self.api() as api:
            cluster = answers.cluster(await api.ask("GET", "/api/v2/status"))
            run.record("cluster_ready", cluster.status != "settling")
            run.record("cluster_peers", cluster.peers)
            self._record(await self._alerts(api, self.filters, self.silenced, self.inhibited, run), run)
            if self.notifications:
                await self._record_messages(api, run)
            alive = bool(self.watchdog) and await self._is_active(api, self.watchdog)
        if self.watchdog:
            run.record("watchdog", alive)
            if not alive:
                raise Failed(Reason.ASSERTION, f"{self.where} has no active {self.watchdog}: alerts no longer reach it")
        if cluster.peers < self.peers:
            raise Failed(Reason.ASSERTION, f"{self.where} sees {cluster.peers} of {self.peers} members of its cluster")

    async def _alerts(
        self, api: Api, filters: Sequence[str], silenced: bool, inhibited: bool, run: Run
    ) -> answers.Digest:
        asked: dict[str, str | Sequence[str]] = {
            "active": "true", "silenced": _word(silenced), "inhibited": _word(inhibited), "filter": filters,
        }  # fmt: skip
        if self.receiver:
            asked["receiver"] = self.receiver
        answer = await api.ask("GET", "/api/v2/alerts", asked, accept=(200, 400))
        if answer.status == 400:
            said = brief(answer.text(300), 300)
            raise Errored(Reason.INTERNAL, f"{self.where} refuses the filters or the receiver: {said}")
        how = self.by, self.max_series, SHOWN, self.watchdog
        return (
            await in_pool(run, answers.digest, answer, *how)
            if len(answer.body) > MUCH
            else answers.digest(answer, *how)
        )

    async def _is_active(self, api: Api, name: str) -> bool:
        asked = {"active": "true", "silenced": "true", "inhibited": "true", "filter": f"alertname={json.dumps(name)}"}
        return answers.digest(await api.ask("GET", "/api/v2/alerts", asked), (), 1, 0, "").count > 0

    def _record(self, active: answers.Digest, run: Run) -> None:
        run.record("alerts_active", active.count)
        for labels, count in active.by_labels:
            run.record("alerts", count, **dict(zip(map(exported, self.by), labels, strict=True)))
        if active.oldest:
            run.record("oldest_alert_seconds", max(0.0, run.at - active.oldest[0].since))
            run.evidence("Active alerts, the oldest first", "\n".join(_line(one, run) for one in active.oldest))

    async def _record_messages(self, api: Api, run: Run) -> None:
        """Where there is no /metrics, such as behind Mimir, nothing is known of them."""
        answer = await api.ask("GET", "/metrics", accept=())
        if answer.status != 200:
            return
        for integration, (total, failed) in answers.sent(answer, MOST_INTEGRATIONS).items():
            for name, count in (("notifications_sent", total), ("notifications_failed", failed)):
                grown = run.growth(name, count, integration=integration)
                if grown is not None:
                    run.record(name, grown, integration=integration)


def _line(one: answers.Active, run: Run) -> str:
    severity = one.labels.get("severity", "")
    since = show_duration(max(0.0, run.at - one.since))
    return f"{brief(one.name).strip(chr(34))} ({severity + ', ' if severity else ''}{since}): {one.summary}"


def _word(flag: bool) -> str:
    return "true" if flag else "false"
