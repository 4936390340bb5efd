"""What the second terminal does: it asks the running demo. Imports little, so that it answers at once."""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote

ANSWERS_WITHIN = 60.0
CONTROL = "control.json"
NOT_RUNNING = "no demo is running; start one with `runwatch demo`"


class CannotDo(Exception):
    """A wish that the demo can't fulfil, with the reason in one sentence."""


def tell(action: str, what: str | None = None, system: str | None = None) -> int:
    """Tell the demo in the other terminal to break, to heal or to say how it is; exit 0, or 1 with a sentence.

    What can be broken is also said of a system that does not run.
    """
    try:
        if action == "break" and not what:
            raise CannotDo("cannot break nothing; `runwatch demo faults` says what can be broken")
        said = _faults(system) if action == "faults" and system else ask(action, what)
    except CannotDo as why:
        sys.stderr.write(f"runwatch: {why}\n")
        return 1
    sys.stdout.write(said + "\n")
    return 0


def _faults(system: str) -> str:
    from monitor.demo.faults import listed
    from monitor.demo.installations import installation

    return listed(installation(system))


def home() -> Path:
    """Where the demo keeps what it needs while it runs."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local/state")
    return Path(state).absolute() / "runwatch" / "demo"


def ask(action: str, what: str | None = None, folder: Path | None = None) -> str:
    """What the running demo answers; CannotDo with its reason, or where none is running."""
    wish = "say how the demo is" if action == "status" else action
    there = known(folder or home())
    if not there:
        raise CannotDo(f"cannot {wish}: {NOT_RUNNING}")
    request = urllib.request.Request(
        f"{there['url']}/{action}" + (f"/{quote(what, safe='')}" if what else ""),
        method="POST",
        headers={"Authorization": f"Bearer {there['token']}"},
    )
    # The system's proxy has no business on loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=ANSWERS_WITHIN) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as refusal:
        with refusal:
            said = f"cannot {wish}: the demo answers {refusal.code}, and its own terminal says why"
            raise CannotDo(refusal.read().decode() if refusal.code == 409 else said) from None
    except (urllib.error.URLError, ConnectionError):
        raise CannotDo(f"cannot {wish}: {NOT_RUNNING}") from None
    except TimeoutError:
        raise CannotDo(f"cannot {wish}: the demo does not answer within {ANSWERS_WITHIN:.0f} s") from None


def known(folder: Path) -> dict[str, Any]:
    """How the running demo can be reached: `url`, `token`, `pid`; empty where none runs."""
    try:
        found = json.loads((folder / CONTROL).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) and {"url", "token"} <= found.keys() else {}
