"""A system's shipped configuration as the demo runs it: hurried, and without the checks whose parts are not there."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from checks.units import parse_duration
from monitor.asking import Limit, demands
from monitor.config import Config, load
from monitor.config.problems import Place
from monitor.config.reading import read

INTERVAL, HOLD, RETRY, GROUP = "5s", "10s", "500ms", "10s"
"""What an interval, a `for`, a `retry_interval` and a `group_interval` are at most."""
ROOT = "runwatch.yaml"
BUTTONS = {"hooks": {"slack": {"signing_secret": "${DEMO_SLACK_SIGNING_SECRET}", "api_url": "${SLACK_API_URL}"}}}
"""So that the buttons of messages in the inbox do what they say."""
ABOUT = f"every check every {INTERVAL}, no hold longer than {HOLD}"

VARIABLE = re.compile(r"\$\{([A-Za-z_]\w*)(?::-([^}]*))?\}")
_ELSEWHERE = re.compile(r"://|^[\w-]+(\.[\w-]+)*\.[a-z]{2,}(:\d+)?$")
"""A default that leads out of this machine."""


@dataclass
class Hurried:
    """The file to run with; `left_out` are checks that need what is not there, `slow` those that a limit slows down."""

    file: Path
    left_out: list[str] = field(default_factory=list)
    slow: list[str] = field(default_factory=list)


def prepare(shipped: Path, folder: Path, environ: Mapping[str, str]) -> Hurried:
    """Write a hurried copy of a configuration and of what lies beside it into `folder`; ConfigError where it is wrong.

    `environ` are the installation's variables: a check that needs another, or has a default that leads elsewhere, is
    left out. Limits count in full, because nobody but us asks; what would go over one keeps its interval.
    """
    shutil.copytree(shipped.parent, folder, dirs_exist_ok=True)
    documents: dict[Path, dict[str, Any]] = {
        file: read(file, file.relative_to(folder), _as_it_is)[0] for file in sorted(folder.rglob("*.yaml"))
    }
    left_out = without(documents.values(), environ)
    root = folder / ROOT
    if root not in documents:
        documents[root] = {"include": [shipped.name], "on_call": BUTTONS}
    _write(documents)
    usual = load(root, environ)
    held = _held(usual)
    _write({file: hurried(document, (), held) for file, document in documents.items()})
    slow = _over(usual.limits, load(root, environ))
    if slow:
        _write({file: hurried(document, slow, held) for file, document in documents.items()})
        load(root, environ)
    return Hurried(root, sorted(left_out), sorted(slow))


def without(documents: Collection[dict[str, Any]], environ: Mapping[str, str]) -> set[str]:
    """Takes out the checks that can't be asked with these variables, and says which; none depends on them any more."""
    gone = set()
    for document in documents:
        if "checks" in document:
            missing = [check for check in document["checks"] if not _can_be_asked(check, environ)]
            document["checks"] = [check for check in document["checks"] if check not in missing]
            gone |= {str(check.get("name")) for check in missing}
    for one in [one for document in documents for one in (document, *document.get("checks", []))]:
        if "depends_on" in one:
            one["depends_on"] = [name for name in one["depends_on"] if name.rpartition("/")[2] not in gone]
    return gone


def hurried(
    document: Mapping[str, Any], slow: Collection[str] = (), held: Mapping[str, Collection[str]] = MappingProxyType({})
) -> dict[str, Any]:
    """One file of it with short intervals and holds, and without limits; `slow` are checks that keep their interval.

    `held` are, by check, the alerts that are held for long, whether or not the file says so.
    """
    new = {key: value for key, value in document.items() if key != "limits"}
    if "route" in new:
        new["route"] = _route(new["route"])
    if "checks" in new:
        usual = new.get("defaults", {}).get("interval")
        new["checks"] = [
            check if check.get("name") in slow else _faster(check, usual, held.get(str(check.get("name")), ()))
            for check in new["checks"]
        ]
    if "defaults" in new or "checks" in new:
        new["defaults"] = {**new.get("defaults", {}), "retry_interval": RETRY}
    return new


def _faster(check: Mapping[str, Any], usual: Any, held: Collection[str]) -> dict[str, Any]:
    new = {**check, "interval": _at_most(check.get("interval", usual), INTERVAL)}
    if "retry_interval" in check:
        new["retry_interval"] = _at_most(check["retry_interval"], RETRY)
    alerts = check.get("alerts")
    if alerts is not None:
        listed = alerts if isinstance(alerts, list) else [alerts]
        named = {alert.get("alert") for alert in listed if isinstance(alert, dict)}
        # Of those that the kind recommends, the hold stands nowhere in the file.
        new["alerts"] = [
            *(_sooner(one, held) if isinstance(one, dict) else one for one in listed),
            *({"alert": name, "for": HOLD} for name in sorted(set(held) - named)),
        ]
    return new


def _sooner(alert: Mapping[str, Any], held: Collection[str]) -> Mapping[str, Any]:
    if "for" in alert:
        return {**alert, "for": _at_most(alert["for"], HOLD)}
    return {**alert, "for": HOLD} if "when" not in alert and alert.get("alert") in held else alert


def _route(route: Mapping[str, Any], top: bool = True) -> dict[str, Any]:
    new = dict(route)
    if top or "group_interval" in route:
        new["group_interval"] = _at_most(route.get("group_interval"), GROUP)
    if "routes" in route:
        new["routes"] = [_route(one, top=False) for one in route["routes"]]
    return new


def _at_most(stated: Any, most: str) -> Any:
    """The shorter of both; what can't be read before its variables are filled counts as long."""
    try:
        return stated if parse_duration(str(stated)) <= parse_duration(most) else most
    except ValueError:
        return most


def _can_be_asked(value: Any, environ: Mapping[str, str]) -> bool:
    return all(
        name in environ or (default is not None and not _ELSEWHERE.search(default))
        for text in _texts(value)
        for name, default in ((found[1], found[2]) for found in VARIABLE.finditer(text.replace("$$", "")))
    )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(key)
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _write(documents: Mapping[Path, Mapping[str, Any]]) -> None:
    for file, document in documents.items():
        file.write_text(json.dumps(document, indent=1))


def _held(config: Config) -> dict[str, set[str]]:
    """By name of the check, its alerts that are held for longer than HOLD."""
    most = parse_duration(HOLD)
    held: dict[str, set[str]] = {}
    for thresholds in config.thresholds.values():
        for one in thresholds:
            if one.hold > most:
                held.setdefault(one.check.partition("/")[2], set()).add(one.alert)
    return held


def _over(limits: Iterable[Limit], hurried: Config) -> set[str]:
    """Names of the checks that could go over a limit, were all of it ours."""
    asked, over = demands(hurried.checks, hurried.ancestors), set()
    for limit in limits:
        ours = limit.of(asked)
        if sum(one.worst(limit.per) for one in ours) > limit.requests:
            over |= {one.check.partition("/")[2] for one in ours}
    return over


def _as_it_is(text: str, place: Place) -> str:
    return text
