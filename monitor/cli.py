"""The command line. Nothing but argparse is imported until a command is known, so that `--help` answers at once."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from typing import Any

from monitor import __version__

EXAMPLES = """\
first steps:
  runwatch demo                       a whole system of real servers, watched; break it and see the page arrive
  runwatch init                       write a first configuration here
  runwatch validate                   every error of the configuration at once, with file and line
  runwatch check                      ask everything once and print a table (exit 0, 1, 2 or 3)
  runwatch run                        the daemon
"""


def parser() -> argparse.ArgumentParser:
    """Every command with its options."""
    top = argparse.ArgumentParser(
        prog="runwatch",
        description="Turns an operations runbook into running checks, and pages with what broke and what to do.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"runwatch {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    config = argparse.ArgumentParser(add_help=False)
    config.add_argument(
        "-c", "--config", metavar="FILE-OR-FOLDER", help="else $RUNWATCH_CONFIG, ./runwatch.yaml, /etc/runwatch/"
    )
    as_json = argparse.ArgumentParser(add_help=False)
    as_json.add_argument("--json", action="store_true", help="print JSON instead of text for people")
    remote = argparse.ArgumentParser(add_help=False)
    remote.add_argument("--url", help="address of the daemon (else $RUNWATCH_URL, else the configuration's)")
    remote.add_argument("--token", help="token for its API (else $RUNWATCH_TOKEN)")

    run = commands.add_parser("run", parents=[config], help="the daemon: watch, show, page")
    run.add_argument("--log-level", choices=["debug", "info", "warning", "error"])
    run.add_argument("--log-format", choices=["auto", "console", "json"])

    check = commands.add_parser("check", parents=[config, as_json], help="ask every check once and print a table")
    check.add_argument("names", nargs="*", metavar="NAME", help="only these: name, or system/name")
    check.add_argument("--system", metavar="S", help="only the checks of one system")

    commands.add_parser("validate", parents=[config, as_json], help="every error of the configuration at once")
    requests = commands.add_parser(
        "requests",
        parents=[config, as_json],
        help="how much the checks ask of whom, and of each limit",
    )
    requests.add_argument("--system", metavar="S", help="only the checks and the limits of one system")
    commands.add_parser("schema", help="the configuration's JSON Schema, for editors")
    kinds = commands.add_parser("kinds", parents=[config, as_json], help="what can be checked, with its measurements")
    kinds.add_argument("kind", nargs="?", metavar="KIND")
    init = commands.add_parser("init", help="write a first configuration")
    init.add_argument("folder", nargs="?", default=".", help="where (default: here)")
    init.add_argument("--target", metavar="URL", help="a service of yours to begin with")

    demo = commands.add_parser("demo", help="a system of real servers on this machine, watched by runwatch")
    demo.add_argument("action", nargs="?", choices=["run", "break", "heal", "status", "faults"], default="run")
    demo.add_argument("what", nargs="?", metavar="FAULT", help="what to break or to heal: see `runwatch demo faults`")
    demo.add_argument(
        "--system", metavar="S", help="which: capliquify, dakkah, iamenu, lavandaria, retail; else a small shop"
    )
    demo.add_argument("--listen", metavar="HOST:PORT", default="127.0.0.1:9876", help="where the page shall be")

    alerts = commands.add_parser("alerts", parents=[config, as_json, remote], help="what fires now")
    alerts.add_argument("--system", metavar="S", help="only those of one system")

    test = commands.add_parser(
        "test-alert", parents=[config, as_json, remote], help="a marked alert through the real chain to one receiver"
    )
    test.add_argument("--receiver", required=True, metavar="R")
    test.add_argument("--severity", default="critical", metavar="P0", help="critical, high … or a system's own word")
    test.add_argument("--channel", metavar="KIND", help="only its notifiers of one kind, such as slack")

    _on_call(commands, config, as_json, remote)

    templates = commands.add_parser("template", help="what messages look like, and what a template makes")
    doing = templates.add_subparsers(dest="action", metavar="ACTION", required=True)
    render = doing.add_parser("render", parents=[config, as_json], help="a message, or a template, with a sample")
    render.add_argument("--receiver", metavar="R", help="everything that each notifier of it would send")
    render.add_argument("--field", metavar="KEY", help="only this template of the receiver, such as title")
    own = render.add_mutually_exclusive_group()
    own.add_argument("--template", metavar="TEXT", help="a template that stands nowhere yet")
    own.add_argument("--file", metavar="F", help="the same, from a file")
    samples = ["firing", "resolved", "acknowledged", "escalated", "storm"]
    render.add_argument("--sample", choices=samples, default="firing", help="which notification to render")
    render.add_argument("--dialect", choices=["text", "html", "slack"], default="text", help="how --template escapes")
    return top


def _on_call(commands: Any, *parents: argparse.ArgumentParser) -> None:
    """What the people on call ask of the daemon."""
    who = argparse.ArgumentParser(add_help=False)
    who.add_argument("--by", metavar="NAME", help="who asks (default: the user of this machine)")
    duration = argparse.ArgumentParser(add_help=False)
    duration.add_argument("--for", dest="duration", metavar="2h", help="for how long")
    ending = argparse.ArgumentParser(add_help=False, parents=[duration])
    ending.add_argument("--until", metavar="TIME", help="until then: 2026-12-01T09:00, or business-hours")

    ack = commands.add_parser("ack", parents=[*parents, who, duration], help="say that you have it: no more escalation")
    ack.add_argument("alerts", nargs="*", metavar="ALERT", help="name, check, or the beginning of a fingerprint")
    ack.add_argument("--matcher", action="append", default=[], metavar="M", help='such as system="shop"')
    ack.add_argument("--undo", action="store_true", help="nobody has it any more")

    silences = commands.add_parser("silence", help="do not tell what matches, for a while")
    doing = silences.add_subparsers(dest="action", metavar="ACTION", required=True)
    add = doing.add_parser("add", parents=[*parents, who, ending], help="silence what matches all of these")
    add.add_argument("matchers", nargs="+", metavar="MATCHER", help='such as system="shop" or severity=~"low|medium"')
    add.add_argument("--comment", required=True, help="why")
    add.add_argument("--until-resolved", action="store_true", help="end it when what it silences has ended")
    listing = doing.add_parser("list", parents=list(parents), help="what is silenced")
    listing.add_argument("--all", action="store_true", help="those that have ended too")
    extend = doing.add_parser("extend", parents=[*parents, ending], help="another end")
    extend.add_argument("id", metavar="ID")
    expire = doing.add_parser("expire", parents=list(parents), help="end it now")
    expire.add_argument("ids", nargs="+", metavar="ID")

    explain = commands.add_parser("explain", parents=list(parents), help="why somebody was, or was not, told")
    explain.add_argument("alert", nargs="?", metavar="ALERT", help="name, check, or the beginning of a fingerprint")
    explain.add_argument("--route", metavar="LABELS", help="where labels would lead: severity=critical,system=shop")

    drill = commands.add_parser("drill", parents=[*parents, duration], help="a marked alert to everybody, measured")
    drill.add_argument("--receiver", action="append", metavar="R", help="only these (may be said again)")
    drill.add_argument("--severity", default="low", choices=["critical", "high", "medium", "low"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. A user's mistake ends in a sentence on stderr, never in a traceback."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # whoever started us has closed it
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    asked = parser().parse_args(arguments)
    try:
        code = _dispatch(asked)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 130
    except OSError as why:
        if why.errno not in (errno.EPIPE, errno.ENOSPC, errno.EIO) or why.filename is not None:
            raise
        # Our reader (head, less) has gone, or the disk is full; nothing may be written any more, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if why.errno == errno.EPIPE:
            return 0
        sys.stderr.write(f"runwatch: cannot write what there is to say: {why.strerror}\n")
        return 1


def _dispatch(asked: argparse.Namespace) -> int:
    match asked.command:
        case "run":
            from monitor.commands import run

            return run.main(asked)
        case "check":
            from monitor.commands import check

            return check.main(asked)
        case "validate" | "schema" | "kinds" | "init":
            from monitor.commands import configuration

            return configuration.main(asked)
        case "requests":
            from monitor.commands import requests

            return requests.main(asked)
        case "demo":
            from monitor.commands import demo

            return demo.main(asked)
        case "ack" | "silence" | "explain" | "drill":
            from monitor.commands import oncall

            return oncall.main(asked)
        case "template":
            from monitor.commands import template

            return template.main(asked)
        case _:
            from monitor.commands import remote

            return remote.main(asked)
