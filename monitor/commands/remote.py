"""Commands that talk to the running daemon: `alerts` and `test-alert`."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import time
import urllib.error
import urllib.request
from typing import Any

from monitor.commands.say import complain, data, out, table

TIMEOUT = 10.0
WAIT_FOR_ACCEPTANCE = 60.0
LOOK_EVERY = 0.2


class NoAnswer(Exception):
    """The daemon could not be asked; the text is a sentence."""


class Daemon:
    """The API of a running daemon. Raises NoAnswer."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self._base = (asked.url or os.environ.get("RUNWATCH_URL") or _configured(asked)).strip().rstrip("/")
        self._token = asked.token or os.environ.get("RUNWATCH_TOKEN")
        if self._token and (not self._token.isprintable() or not self._token.isascii()):
            raise NoAnswer("the token holds characters that no token has: a line feed at its end, perhaps")

    def ask(self, path: str, body: object = None) -> Any:
        """GET, or POST where there is a body."""
        if not self._base.startswith(("http://", "https://")):
            raise NoAnswer(f"{self._base!r} is not an address; write --url http://127.0.0.1:9876")
        try:
            request = urllib.request.Request(f"{self._base}{path}")
            if self._token:
                request.add_header("Authorization", f"Bearer {self._token}")
            if body is not None:
                request.data = json.dumps(body).encode()
                request.add_header("Content-Type", "application/json")
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refused:
            raise NoAnswer(f"the daemon at {self._base} refuses: {_said(refused)}") from None
        except (OSError, ValueError, http.client.HTTPException) as why:
            reason = " ".join(str(getattr(why, "reason", why)).split()) or type(why).__name__
            raise NoAnswer(
                f"cannot reach a daemon at {self._base}: {reason}; start `runwatch run`, or say where it is with --url"
            ) from None


def _said(refused: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(refused)["error"])
    except (ValueError, KeyError, TypeError, OSError):
        return f"HTTP {refused.code}"


def _configured(asked: argparse.Namespace) -> str:
    from monitor.config import ConfigError, find, load

    environ = dict(os.environ)
    try:
        server = load(find(asked.config, environ), environ).server
    except ConfigError:
        return "http://127.0.0.1:9876"
    host = f"[{server.host}]" if ":" in server.host else server.host
    return f"http://{host}:{server.port}"


def main(asked: argparse.Namespace) -> int:
    """Exit 0, or 1 with a sentence."""
    try:
        return _alerts(asked) if asked.command == "alerts" else _test_alert(asked)
    except NoAnswer as why:
        complain(str(why))
        return 1


def _alerts(asked: argparse.Namespace) -> int:
    alerts = Daemon(asked).ask("/api/v1/alerts")
    if asked.system:
        alerts = [alert for alert in alerts if alert["labels"].get("system") == asked.system]
    if asked.json:
        data(alerts)
        return 0
    if not alerts:
        out("nothing fires")
        return 0
    rows = [
        [
            alert["phase"],
            alert["severity_word"],
            alert["alert"],
            alert["check"],
            alert["since"][:19].replace("T", " "),
            alert["sentence"] or f"{alert['value']}, {alert['limit']}",
            f"not told: {alert['withheld']}" if alert["withheld"] else "",
        ]
        for alert in alerts
    ]
    table(["PHASE", "SEVERITY", "ALERT", "CHECK", "SINCE (UTC)", "WHAT", ""], rows)
    return 0


def _test_alert(asked: argparse.Namespace) -> int:
    daemon = Daemon(asked)
    body = {"receiver": asked.receiver, "severity": asked.severity, "channel": asked.channel}
    sent = daemon.ask("/api/v1/test-alert", body) | {"receiver": asked.receiver}
    return watch_deliveries(daemon, [sent], resolves=True, as_json=asked.json)


def watch_deliveries(daemon: Daemon, sent: list[dict[str, Any]], resolves: bool, as_json: bool) -> int:
    """Say what becomes of test alerts as it happens; 1 when not all were accepted. `resolves`: wait for those too."""
    started = time.monotonic()
    seen: dict[tuple[str, str], dict[str, Any]] = {}
    expected = sum(len(one["notifiers"]) for one in sent) * (2 if resolves else 1)
    for one in sent:
        if not as_json:
            out(f"test alert {one['fingerprint']} to {one['receiver']}: {', '.join(one['notifiers']) or 'no notifier'}")
    while len(seen) < expected and time.monotonic() - started < WAIT_FOR_ACCEPTANCE:
        time.sleep(LOOK_EVERY)
        for one in sent:
            for entry in daemon.ask(f"/api/v1/deliveries?alert={one['fingerprint']}"):
                key = (entry.get("parcel", ""), entry["kind"])
                ended = entry["status"] in ("delivered", "dead") and (resolves or entry["reason"] != "resolved")
                if ended and key not in seen:
                    seen[key] = entry
                    if not as_json:
                        _tell(entry)
    if as_json:
        data(list(seen.values()))
    accepted = sum(entry["status"] == "delivered" for entry in seen.values())
    if accepted < expected or not expected:
        complain(f"{accepted} of {expected} messages were accepted within {WAIT_FOR_ACCEPTANCE:g} s; see the log")
        return 1
    return 0


def _tell(entry: dict[str, Any]) -> None:
    took = entry["ended"] - entry["created"]
    word = "resolve" if entry["reason"] == "resolved" else "page"
    if entry["status"] == "delivered":
        whom = f"{entry['receiver']} by {entry['kind']}"
        out(f"  {whom}: {word} accepted after {took:.2f} s, {entry['attempts']} attempt(s)")
    else:
        out(f"  {entry['receiver']} by {entry['kind']}: {word} refused: {entry['error']}")
