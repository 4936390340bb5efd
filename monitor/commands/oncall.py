"""Commands for people on call, who ask the daemon: `ack`, `silence`, `explain`, `drill`."""

from __future__ import annotations

import argparse
import getpass
import os
from typing import Any
from urllib.parse import quote

from monitor.commands.remote import Daemon, NoAnswer, watch_deliveries
from monitor.commands.say import complain, data, out, table


def main(asked: argparse.Namespace) -> int:
    """Exit 0, or 1 with a sentence."""
    try:
        match asked.command:
            case "ack":
                return _acknowledge(asked)
            case "silence":
                return _silence(asked)
            case "drill":
                return _drill(asked)
            case _:
                return _explain_route(asked) if asked.route is not None else _explain(asked)
    except NoAnswer as why:
        complain(str(why))
        return 1


def _who(asked: argparse.Namespace) -> str:
    if asked.by:
        return str(asked.by)
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def _acknowledge(asked: argparse.Namespace) -> int:
    if not asked.alerts and not asked.matcher:
        complain("say what: `runwatch ack DatabaseDown`, or --matcher system=shop; `runwatch alerts` lists what fires")
        return 1
    body = {"alerts": asked.alerts, "matchers": asked.matcher, "by": _who(asked), "for": asked.duration}
    answer = Daemon(asked).ask("/api/v1/unack" if asked.undo else "/api/v1/ack", body)
    taken = answer["unacknowledged" if asked.undo else "acknowledged"]
    if asked.json:
        data(taken)
    for alert in [] if asked.json else taken:
        said = "nobody has it any more" if asked.undo else f"{body['by']} has it"
        out(f"{alert['alert']} on {alert['check']}: {said}")
    if not taken:
        complain("none of what fires is meant by that")
        return 1
    return 0


def _silence(asked: argparse.Namespace) -> int:
    daemon = Daemon(asked)
    match asked.action:
        case "add":
            body = {
                "matchers": asked.matchers, "for": asked.duration, "until": asked.until, "by": _who(asked),
                "comment": asked.comment, "until_resolved": asked.until_resolved,
            }  # fmt: skip
            found = [daemon.ask("/api/v1/silences", body)]
        case "extend":
            body = {"for": asked.duration, "until": asked.until}
            found = [daemon.ask(f"/api/v1/silences/{quote(asked.id, safe='')}/extend", body)]
        case "expire":
            found = [daemon.ask(f"/api/v1/silences/{quote(one, safe='')}/expire", {}) for one in asked.ids]
        case _:
            found = daemon.ask("/api/v1/silences" + ("?all" if asked.all else ""))
    if asked.json:
        data(found)
    elif not found:
        out("nothing is silenced")
    else:
        table(
            ["ID", "STATE", "ENDS (UTC)", "BY", "MATCHERS", "COMMENT"],
            [
                [one["id"], one["state"], _time(one["ends_at"]), one["by"], ",".join(one["matchers"]), one["comment"]]
                for one in found
            ],
        )
    return 0


def _drill(asked: argparse.Namespace) -> int:
    daemon = Daemon(asked)
    body = {"receivers": asked.receiver, "severity": asked.severity, "for": asked.duration}
    held = daemon.ask("/api/v1/drill", body)
    if not held:
        complain("no receiver has a way to be told")
        return 1
    return watch_deliveries(daemon, held, resolves=False, as_json=asked.json)


def _explain(asked: argparse.Namespace) -> int:
    if not asked.alert:
        complain("say which alert: `runwatch explain DatabaseDown`, or --route severity=critical,system=shop")
        return 1
    found = Daemon(asked).ask(f"/api/v1/explain?alert={quote(asked.alert, safe='')}")
    if asked.json:
        data(found)
        return 0
    for number, one in enumerate(found):
        if number:
            out("")
        _tell(one)
    return 0


def _tell(one: dict[str, Any]) -> None:
    """One alert, as a person reads it: what it is, what was decided, what was sent, what comes next."""
    out(f"{one['name']}  {one['fingerprint']}")
    for line in _state(one["alert"]):
        out(f"  {' '.join(line.splitlines())}")
    decided = [f"{_time(step['at'])}  {step['step']:14}  {step['why']}" for step in one["decisions"]]
    sent = [
        f"{_time(entry['at'])}  {entry['receiver']} by {entry['kind']}: {entry['reason']}, {entry['status']}, "
        f"attempt {entry['attempts']}{_because(entry['error'])}"
        for entry in one["attempts"]
    ]
    waiting = [
        f"{_time(entry['next'])}  {entry['receiver']} by {entry['kind']}: {entry['reason']}, not accepted yet, "
        f"{entry['attempts']} attempts{_because(entry['error'])}"
        for entry in one["waiting"]
    ]
    for title, lines in (("decided", decided), ("sent", sent + waiting), ("next", [*map(_next, one["next"])])):
        if lines:
            out(f"\n{title}")
        for line in lines:
            out(f"  {' '.join(line.splitlines())}")


def _state(alert: dict[str, Any] | None) -> list[str]:
    if alert is None:
        return ["it is over, and everybody who was told knows"]
    until = alert["acked_until"]
    lasting = "" if not until or until.startswith("0001") else f" until {_time(until)}"
    lines = [
        f"{alert['phase']} since {_time(alert['since'])}, {alert['severity_word'] or alert['severity']}",
        alert["sentence"],
        alert["withheld"] and f"not told: {alert['withheld']}",
        alert["acked_by"] and f"{alert['acked_by']} has it{lasting}",
    ]
    return [line for line in lines if line]


def _next(way: dict[str, Any]) -> str:
    whom = way["receiver"] + (f" by {way['by']}" if way["by"] else "")
    if way["muted"]:
        return f"{whom}: nothing, {way['muted']}"
    if way["next_reason"]:
        return f"{whom}: {way['next_reason']} at {_time(way['next_at'])}: {way['why']}"
    return f"{whom}: nothing until something changes: {way['why']}"


def _because(error: str) -> str:
    return f": {error}" if error else ""


def _explain_route(asked: argparse.Namespace) -> int:
    """Where a label set would go, by the configuration alone."""
    import time

    from alerts.explaining import routes_taken
    from alerts.nearest import nearest
    from checks.units import show_duration
    from monitor.config import ConfigError, find, load
    from monitor.planning import plan_of

    try:
        labels = label_set(asked.route)
    except ValueError as why:
        complain(f"{why}; write --route severity=critical,system=shop")
        return 1
    environ = dict(os.environ)
    try:
        plan = plan_of(load(find(asked.config, environ), environ))
    except ConfigError as why:
        complain(str(why))
        return 1
    taken = routes_taken(plan, labels, time.time())
    if asked.json:
        data([
            {"receiver": one.path[-1].receiver, "matchers": [_matchers(route) for route in one.path],
             "group": dict(one.group), "muted": one.quiet}
            for one in taken
        ])  # fmt: skip
        return 0 if taken else 1
    if not taken:
        complain("there is no route: nobody is told of any alert")
        return 1
    looked_at = _labels_of(plan.route)
    for name in labels:
        near = nearest(name, looked_at) if name not in looked_at else None
        if near:
            complain(f"no route looks at the label {name}; did you mean {near}?")
    for one in taken:
        route = one.path[-1]
        out(" → ".join(_matchers(step) for step in one.path) + f" → {route.receiver}")
        receiver = plan.receivers.get(route.receiver)
        ways = ", ".join(notifier.kind for notifier in receiver.notifiers) if receiver else ""
        out(f"  tells {route.receiver} by {ways or 'nothing: it has no notifier'}")
        out(f"  grouped as {', '.join(f'{name}={text}' for name, text in one.group.items()) or 'everything together'}")
        out(
            f"  first after {show_duration(route.group_wait)}, news every {show_duration(route.group_interval)}, "
            f"reminders every {show_duration(route.repeat_interval)}"
        )
        for step in route.escalation:
            after = show_duration(step.after) if step.after is not None else "the system's own time to respond"
            out(f"  {step.receiver} hears when nobody has acknowledged it after {after}")
        if one.quiet:
            out(f"  quiet now: {one.quiet}")
    return 0


def label_set(text: str) -> dict[str, str]:
    """The labels in `severity=critical,system="a, b"`, quoted where need be; ValueError for anything else."""
    from alerts.matching import parse_matchers

    matchers = parse_matchers(text)
    for matcher in matchers:
        if matcher.operator != "=":
            raise ValueError(f"{str(matcher)[:200]} is not a label but a condition")
    if not matchers and "{" not in text:
        raise ValueError("no label is named")
    return {matcher.name: matcher.text for matcher in matchers}


def _labels_of(route: Any) -> set[str]:
    """Every label that a route or one below it looks at."""
    return {matcher.name for matcher in route.matchers}.union(*map(_labels_of, route.routes))


def _matchers(route: Any) -> str:
    return "{" + ",".join(str(matcher) for matcher in route.matchers) + "}"


def _time(text: str) -> str:
    return text[:19].replace("T", " ")
