"""What the vendors accept and what becomes of it: PagerDuty's events and incidents, Slack's channels and threads.

Sources: PagerDuty's "Events API v2" schema; Slack's "Incoming webhooks", "chat.postMessage", "chat.update" and the
limits of Block Kit.
"""

from __future__ import annotations

import time
import uuid
import zlib
from dataclasses import dataclass, field
from typing import Any

PAGERDUTY_LARGEST = 512 * 1024
MOST_BLOCKS = 50
LONGEST_SECTION = 3_000
LONGEST_SUM = 13_200
"""Characters over all blocks of a message."""
SEVERITIES = ("critical", "error", "warning", "info")
ACTIONS = ("trigger", "acknowledge", "resolve")


@dataclass
class Post:
    """A Slack message with its thread."""

    ts: str
    at: float
    body: dict[str, Any]
    edits: int = 0
    thread: list[Post] = field(default_factory=list)


@dataclass
class Incident:
    """A PagerDuty incident; `events` is how many it took in."""

    number: int
    routing_key: str
    dedup_key: str
    opened: float
    payload: dict[str, Any]
    links: list[dict[str, str]]
    status: str = "triggered"
    changed: float = 0.0
    events: int = 1


class Desk:
    """What the readers see: channels with their posts, and incidents in the order of their opening."""

    def __init__(self) -> None:
        self.channels: dict[str, list[Post]] = {}
        self.incidents: list[Incident] = []
        self._names: dict[str, str] = {}
        self._last_ts = 0.0

    def post(self, channel: str, body: dict[str, Any]) -> Post:
        """A new message in a channel, or in a thread of it where the body names one that exists."""
        now = time.time()
        # A ts is unique in its channel, whatever the clock says.
        self._last_ts = max(now, self._last_ts + 1e-6)
        new = Post(f"{self._last_ts:.6f}", now, body)
        posts = self.channels.setdefault(channel, [])
        parent = next((old for old in posts if old.ts == body.get("thread_ts")), None)
        (posts if parent is None else parent.thread).append(new)
        return new

    def call(self, method: str, authorization: str, body: Any) -> dict[str, Any]:
        """The answer of Slack's Web API, which is 200 even where it refuses."""
        problem = _call_problem(method, authorization, body)
        if problem:
            return {"ok": False, "error": problem}
        if method == "auth.test":
            return {"ok": True, "team": "demo", "user": "runwatch", "team_id": "T0DEMO", "user_id": "U0DEMO"}
        asked = body["channel"]
        if method == "chat.postMessage":
            name = self._names.get(asked, asked if asked.startswith("#") else f"#{asked}")
            identity = f"C{zlib.crc32(name.encode()):010d}"
            self._names[identity] = name
            new = self.post(name, body)
            return {"ok": True, "channel": identity, "ts": new.ts, "message": {"text": body.get("text", "")}}
        return self._update(asked, body)

    def _update(self, identity: str, body: dict[str, Any]) -> dict[str, Any]:
        if identity not in self._names:
            return {"ok": False, "error": "channel_not_found"}
        posts = self.channels.get(self._names[identity], [])
        old = next((post for parent in posts for post in (parent, *parent.thread) if post.ts == body.get("ts")), None)
        if old is None:
            return {"ok": False, "error": "message_not_found"}
        old.body = old.body | body
        old.edits += 1
        return {"ok": True, "channel": identity, "ts": old.ts, "text": body.get("text", "")}

    def page(self, event: dict[str, Any]) -> str:
        """Take in a valid event; its dedup key. What concerns no open incident is dropped without a word, as there."""
        key = str(event.get("dedup_key") or uuid.uuid4().hex)
        now = time.time()
        of = (event["routing_key"], key)
        known = next((one for one in reversed(self.incidents) if (one.routing_key, one.dedup_key) == of), None)
        is_open = known is not None and known.status != "resolved"
        if known is not None and is_open:
            known.events += 1
            known.changed = now
            if event["event_action"] != "trigger":
                known.status = {"acknowledge": "acknowledged", "resolve": "resolved"}[event["event_action"]]
        elif event["event_action"] == "trigger":
            number = len(self.incidents) + 1
            links = event.get("links") or []
            self.incidents.append(Incident(number, *of, opened=now, payload=event["payload"], links=links, changed=now))
        return key


def event_problems(event: Any) -> list[str]:
    """Why PagerDuty would answer 400; empty where it would not."""
    if not isinstance(event, dict):
        return ["JSON parse error"]
    problems = []
    key = event.get("routing_key")
    if not isinstance(key, str):
        problems.append("'routing_key' is missing or blank")
    elif len(key) != 32:
        problems.append("Length of 'routing_key' is incorrect (should be 32 characters)")
    action = event.get("event_action")
    if action not in ACTIONS:
        problems.append(f"'event_action' must be one of {', '.join(ACTIONS)}")
    dedup = event.get("dedup_key")
    if dedup is not None and (not isinstance(dedup, str) or len(dedup) > 255):
        problems.append("'dedup_key' must be a string of at most 255 characters")
    if action in ("acknowledge", "resolve") and not dedup:
        problems.append("'dedup_key' is missing or blank")
    if action == "trigger":
        problems += _payload_problems(event.get("payload"))
        problems += _link_problems(event)
    return problems


def _payload_problems(payload: Any) -> list[str]:
    if not isinstance(payload, dict):
        return ["'payload' is missing or blank"]
    problems = [
        f"'payload.{name}' is missing or blank"
        for name in ("summary", "source", "severity")
        if not isinstance(payload.get(name), str) or not payload[name].strip()
    ]
    if len(str(payload.get("summary", ""))) > 1024:
        problems.append("'payload.summary' is longer than 1024 characters")
    if payload.get("severity") not in SEVERITIES:
        problems.append(f"'payload.severity' must be one of {', '.join(SEVERITIES)}")
    if not isinstance(payload.get("custom_details", {}), dict):
        problems.append("'payload.custom_details' must be an object")
    problems += [
        f"'payload.{name}' must be a string"
        for name in ("timestamp", "component", "group", "class")
        if not isinstance(payload.get(name, ""), str)
    ]
    return problems


def _link_problems(event: dict[str, Any]) -> list[str]:
    links, images = event.get("links") or [], event.get("images") or []
    if not isinstance(links, list) or not all(isinstance(link, dict) and link.get("href") for link in links):
        return ["'links' must be a list of objects with 'href'"]
    if not isinstance(images, list) or not all(
        isinstance(image, dict) and str(image.get("src", "")).startswith("https://") for image in images
    ):
        return ["'images' must be a list of objects with an https 'src'"]
    return []


def slack_problem(body: Any) -> tuple[int, str]:
    """Status and text that an incoming webhook answers: 200 and ok, or what it has against the body."""
    if not isinstance(body, dict):
        return 400, "invalid_payload"
    problem = _message_problem(body)
    return (400, problem) if problem else (200, "ok")


def _call_problem(method: str, authorization: str, body: Any) -> str:
    if not authorization.startswith("Bearer "):
        return "not_authed"
    if not authorization.startswith("Bearer xoxb-"):
        return "invalid_auth"
    if method == "auth.test":
        return ""
    if method not in ("chat.postMessage", "chat.update"):
        return "unknown_method"
    if not isinstance(body, dict):
        return "invalid_json"
    if not isinstance(body.get("channel"), str) or not body["channel"]:
        return "channel_not_found"
    return _message_problem(body)


def _message_problem(body: dict[str, Any]) -> str:
    attachments = body.get("attachments") or []
    if not isinstance(attachments, list) or not all(isinstance(one, dict) for one in attachments):
        return "invalid_attachments"
    if len(attachments) > 100:
        return "too_many_attachments"
    if not (body.get("text") or body.get("blocks") or attachments):
        return "no_text"
    lists = [one.get("blocks") or [] for one in (body, *attachments)]
    if not all(isinstance(one, list) for one in lists):
        return "invalid_blocks"
    blocks = [block for one in lists for block in one]
    if len(blocks) > MOST_BLOCKS or not all(isinstance(block, dict) and block.get("type") for block in blocks):
        return "invalid_blocks"
    texts = [str(block.get("text", {}).get("text", "")) for block in blocks if isinstance(block.get("text"), dict)]
    sections = [block for block in blocks if block["type"] == "section"]
    if any(not section.get("text") and not section.get("fields") for section in sections):
        return "invalid_blocks"
    if any(len(text) > LONGEST_SECTION for text in texts):
        return "invalid_blocks"
    if any(_interactive_problem(block) for block in blocks):
        return "invalid_blocks"
    return "msg_blocks_too_long" if sum(map(len, texts)) > LONGEST_SUM else ""


def _interactive_problem(block: dict[str, Any]) -> bool:
    """Whether a row of buttons or a context is not as Block Kit wants it."""
    elements = block.get("elements")
    if block["type"] not in ("actions", "context"):
        return False
    most = 25 if block["type"] == "actions" else 10
    if not isinstance(elements, list) or not 0 < len(elements) <= most:
        return True
    if block["type"] == "context":
        return any(not isinstance(one, dict) or not one.get("text") for one in elements)
    names = [one.get("action_id") for one in elements if isinstance(one, dict)]
    return len(set(names)) < len(elements) or any(map(_button_problem, elements))


def _button_problem(button: dict[str, Any]) -> bool:
    title = button.get("text") or {}
    return (
        button.get("type") != "button"
        or title.get("type") != "plain_text"
        or not 0 < len(str(title.get("text", ""))) <= 75
        or not 0 < len(str(button.get("action_id") or "")) <= 255
        or len(str(button.get("value", ""))) > 2_000
        or len(str(button.get("url", ""))) > 3_000
        or button.get("style", "primary") not in ("primary", "danger")
    )
