"""What Slack and PagerDuty send us when somebody acts there: signed requests, answered soon."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import orjson
import structlog
from aiohttp import web

from checks.base import printable
from monitor.api.signatures import PATIENCE, Seen, pagerduty_signed, slack_signed
from monitor.api.v2_requests import Wrong, body
from monitor.presses import acknowledge, firing_of, give_back, pressed
from monitor.slack_reply import ephemeral, reply

if TYPE_CHECKING:
    from alerts.vocabulary import Alert
    from monitor.app import App

log = structlog.get_logger()

LARGEST = 1_000_000
REPEATED_FOR = 48 * 3600.0
"""Seconds for which PagerDuty sends an event again."""
SKEW = 60.0
"""Seconds by which PagerDuty's clock may be behind ours."""
GRACE = 900.0
"""Seconds for which somebody has an alert who resolved its incident there, while it still fires."""
MOST_KEYS = 100


def routes(app: App) -> list[web.RouteDef]:
    """The routes of this file. They are signed, so that they need neither token nor origin."""
    hooks = Hooks(app)
    return [web.post("/hooks/slack", hooks.slack), web.post("/hooks/pagerduty", hooks.pagerduty)]


class Hooks:
    """One method per route."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._pressed = Seen(2 * PATIENCE)
        self._events = Seen(REPEATED_FOR)

    async def slack(self, request: web.Request) -> web.StreamResponse:
        """A button was pressed. Source: Slack, "Handling user interaction" and "Verifying requests from Slack"."""
        hook = self._app.config.on_call.hooks.slack
        if hook is None or hook.signing_secret is None:
            return _said("Slack's requests are not expected: set on_call.hooks.slack.signing_secret", 404)
        try:
            content = await body(request, LARGEST)
        except Wrong as why:
            return _said(str(why), why.status)
        if content.startswith(b"ssl_check=1"):
            return web.Response()
        stamp, signature = (request.headers.get(f"X-Slack-{name}", "") for name in ("Request-Timestamp", "Signature"))
        wall = time.time()
        if not slack_signed(hook.signing_secret.get_secret_value(), stamp, content, signature, wall):
            return self._refused(request, "its signature is not Slack's, or is older than five minutes")
        if self._pressed.before(signature, wall):
            return self._refused(request, "it was here before")
        payload = _payload(content)
        if isinstance(payload, dict) and payload.get("type") == "url_verification":
            return web.json_response({"challenge": str(payload.get("challenge", ""))[:1_000]})
        text = await pressed(self._app, payload)
        answer = web.Response(body=orjson.dumps(ephemeral(text)) if text else b"", content_type="application/json")
        await answer.prepare(request)
        await answer.write_eof()
        # Slack shows a text to whoever pressed only where it is sent to the press's own address; the press is answered.
        await reply(self._app.http, payload, text, hook.api_url)
        return answer

    async def pagerduty(self, request: web.Request) -> web.StreamResponse:
        """Something became of an incident: 2xx whatever it is, once it is signed. Source: PagerDuty, "Webhooks V3"."""
        hook = self._app.config.on_call.hooks.pagerduty
        if hook is None:
            return _said("PagerDuty's requests are not expected: set on_call.hooks.pagerduty.secrets", 404)
        try:
            content = await body(request, LARGEST)
        except Wrong as why:
            return _said(str(why), why.status)
        secrets = [secret.get_secret_value() for secret in hook.secrets]
        if not pagerduty_signed(secrets, content, request.headers.get("X-PagerDuty-Signature", "")):
            return self._refused(request, "none of its signatures is by a secret that we know")
        event = _event(content)
        name = event.get("id")
        if not isinstance(name, str) or not name:
            return _said("taken, and nothing done: this is not an event", 202)
        if self._events.before(name, time.time()):
            return _said("taken before", 202)
        return _said(await self._happened(event), 202)

    def _refused(self, request: web.Request, why: str) -> web.StreamResponse:
        log.warning("hook refused", path=request.path, sender=request.remote, why=why)
        return _said(f"refused: {why}", 401)

    async def _happened(self, event: dict[str, Any]) -> str:
        """Do what an event asks for; a sentence about it."""
        app, agent = self._app, event.get("agent")
        agent = agent if isinstance(agent, dict) else {}
        firing = firing_of(app, _keys(event.get("data")), self._occurred(event) + SKEW)
        if not firing:
            return "taken, and nothing done: nothing fires here that this is about"
        who = f"pagerduty:{printable(str(agent.get('summary') or 'somebody'))[:120]}"
        match event.get("event_type"):
            case "incident.acknowledged" if _by_somebody(agent):
                await acknowledge(app, firing, who)
            case "incident.unacknowledged" | "incident.reopened":
                await give_back(app, firing, "pagerduty:", f"given back in PagerDuty by {who}")
            case "incident.resolved" if agent and _by_somebody(agent):
                await self._resolved_there(firing, who)
            case _:
                return "taken, and nothing done: only acknowledging and resolving change something here"
        return "taken"

    async def _resolved_there(self, firing: Sequence[Alert], who: str) -> None:
        """Somebody says that it is over, and it still fires: theirs for a while, then told again."""
        app = self._app
        log.warning("resolved elsewhere", by=who, alerts=[alert.name for alert in firing][:10])
        for alert in firing:
            app.engine.findings.note(alert, app.clock.now(), "resolved elsewhere", f"by {who}, while it fires")
        await acknowledge(app, firing, who, GRACE, over="pagerduty:")

    def _occurred(self, event: dict[str, Any]) -> float:
        """When it happened, in steady Unix seconds; now where it does not say."""
        try:
            at = datetime.fromisoformat(event["occurred_at"])
        except (KeyError, TypeError, ValueError):
            return self._app.clock.now()
        return at.timestamp() - self._app.engine.wall_ahead


def _payload(content: bytes) -> Any:
    """The JSON in the form's field `payload`, or as the whole body; None for what is neither."""
    try:
        if content.lstrip()[:1] == b"{":
            return orjson.loads(content)
        fields = parse_qs(content.decode(), max_num_fields=20)
        return orjson.loads(fields["payload"][0]) if "payload" in fields else None
    except (ValueError, KeyError):
        return None


def _event(content: bytes) -> dict[str, Any]:
    try:
        event = orjson.loads(content)["event"]
    except (ValueError, KeyError, TypeError):
        return {}
    return event if isinstance(event, dict) else {}


def _by_somebody(agent: dict[str, Any]) -> bool:
    """Whether a person did it, as far as we are told: what we sent there comes back as an integration's doing."""
    return str(agent.get("type") or "user").startswith("user")


def _keys(data: Any) -> list[str]:
    """The dedup keys in an incident: its own, and those of its alerts where it holds several."""
    if not isinstance(data, dict):
        return []
    alerts = data.get("alerts")
    given = [data.get("incident_key")]
    given += [one.get("alert_key") for one in alerts if isinstance(one, dict)] if isinstance(alerts, list) else []
    return [key for key in given[:MOST_KEYS] if isinstance(key, str) and key]


def _said(text: str, status: int) -> web.Response:
    return web.Response(text=text + "\n", status=status)
