"""`runwatch validate`, `schema`, `kinds` and `init`: everything about the configuration but running it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from monitor.commands.say import complain, data, out
from monitor.config import Config, ConfigError, Problem, find, load

FIRST = """\
# A first configuration. `runwatch validate` checks it, `runwatch check` asks everything once, `runwatch run` watches.
# Every key: `runwatch kinds`, docs/configuration.md. For your editor: `runwatch schema > runwatch.schema.json`.

defaults: {{interval: 30s, timeout: 10s}}

# Who is told. Until you name somebody, alerts show on the page and in the log only.
# route: {{receiver: on-call}}
# receivers:
#   - name: on-call
#     slack_configs: [{{api_url: "${{SLACK_WEBHOOK_URL}}"}}]
#     pagerduty_configs: [{{routing_key: "${{PAGERDUTY_ROUTING_KEY}}"}}]

checks:
  - name: website
    kind: http
    url: {target}
    alerts:
      - {{alert: WebsiteDown, when: failed, severity: critical}}
      - {{alert: WebsiteSlow, when: duration_seconds > 2s, for: 2m, severity: medium}}
"""


def main(asked: argparse.Namespace) -> int:
    """Exit 0, or 1 with sentences."""
    match asked.command:
        case "validate":
            return _validate(asked)
        case "schema":
            from monitor.config.schema import schema

            data(schema())
            return 0
        case "kinds":
            return _kinds(asked)
        case _:
            return _init(Path(asked.folder), asked.target)


def _validate(asked: argparse.Namespace) -> int:
    environ = dict(os.environ)
    problems: tuple[Problem, ...] = ()
    config: Config | None = None
    try:
        config = load(find(asked.config, environ), environ)
    except ConfigError as error:
        problems = error.problems
    warnings = config.warnings if config else ()
    if asked.json:
        data({"valid": config is not None, "problems": _plain(problems), "warnings": _plain(warnings)})
    else:
        for problem in problems:
            out(str(problem))
        for warning in warnings:
            out(f"{warning} (warning)")
        if config is not None:
            thresholds = sum(map(len, config.thresholds.values()))
            out(f"good: {len(config.checks)} checks, {thresholds} alerts, {len(config.receivers)} receivers")
        else:
            complain(f"{len(problems)} problem{'s' if len(problems) > 1 else ''}: this configuration can't be used")
    return 0 if config is not None else 1


def _plain(problems: tuple[Problem, ...]) -> list[dict[str, Any]]:
    return [
        {
            "file": one.place.file,
            "line": one.place.line,
            "column": one.place.column,
            "path": one.path,
            "sentence": one.sentence,
        }
        for one in problems
    ]


def _kinds(asked: argparse.Namespace) -> int:
    from monitor.kinds_doc import as_text, document, documents, overview

    folders: tuple[Path, ...] = ()
    if asked.config:
        environ = dict(os.environ)
        try:
            folders = load(find(asked.config, environ), environ).plugins
        except ConfigError as error:
            complain(str(error))
            return 1
    try:
        found = document(asked.kind, folders) if asked.kind else documents(folders)
    except ValueError as why:
        complain(str(why))
        return 1
    if asked.json:
        data([one.as_json() for one in found])
    else:
        out("\n\n".join(map(as_text, found)) if asked.kind else overview(found))
    return 0


def _init(folder: Path, target: str | None) -> int:
    file = folder / "runwatch.yaml"
    text = FIRST.format(target=target or "https://example.com/")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as new:
            new.write(text)
    except FileExistsError:
        complain(f"{file} is there already: nothing was changed")
        return 1
    except OSError as why:
        complain(f"cannot write {file}: {why.strerror}")
        return 1
    where = "" if folder == Path() else f" -c {file}"
    out(f"wrote {file}; next:\n  runwatch validate{where}\n  runwatch check{where}\n  runwatch run{where}")
    return 0
