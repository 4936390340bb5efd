"""How a second terminal reaches the running demo: an endpoint on loopback whose address and token are in a file."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import urllib.error
import urllib.request
from collections.abc import Iterator
from hmac import compare_digest
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiohttp import web

from monitor.demo.faults import listed
from monitor.demo.installation import CannotDo, Installation
from monitor.demo.process import NotStarted

ANSWERS_WITHIN = 30.0
NOT_RUNNING = "no demo is running; start one with `runwatch demo`"


def home() -> Path:
    """Where the demo keeps what it needs while it runs."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local/state")
    return Path(state).absolute() / "runwatch" / "demo"


@contextlib.contextmanager
def the_only_one(folder: Path) -> Iterator[None]:
    """Hold the folder for as long as this process lives; CannotDo where another demo holds it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = _known(folder).get("pid", "unknown")
            raise CannotDo(
                f"cannot start the demo: one is running already (process {who}); end it with Ctrl-C there, "
                "or ask it with `runwatch demo status`"
            ) from None
        yield
    finally:
        os.close(lock)


class Control:
    """The endpoint; start it with `async with`."""

    def __init__(self, installation: Installation, folder: Path, addresses: dict[str, str]) -> None:
        self._installation = installation
        self._file = folder / "control.json"
        self._addresses = addresses
        self._token = secrets.token_urlsafe(24)
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> None:
        app = web.Application()
        app.add_routes([web.post("/{action}", self._act), web.post("/{action}/{what}", self._act)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        new = self._file.with_suffix(".new")
        new.unlink(missing_ok=True)
        new.touch(mode=0o600)
        new.write_text(json.dumps({"url": url, "token": self._token, "pid": os.getpid(), **self._addresses}))
        new.replace(self._file)

    async def __aexit__(self, *_: object) -> None:
        self._file.unlink(missing_ok=True)
        if self._runner is not None:
            await self._runner.cleanup()

    async def _act(self, request: web.Request) -> web.Response:
        if not compare_digest(request.headers.get("Authorization", ""), f"Bearer {self._token}"):
            raise web.HTTPForbidden
        action, what = request.match_info["action"], request.match_info.get("what", "")
        try:
            return web.Response(text=await self._done(action, what))
        except (CannotDo, NotStarted) as why:
            return web.Response(status=409, text=str(why))

    async def _done(self, action: str, what: str) -> str:
        installation = self._installation
        match action:
            case "break":
                return await installation.break_part(what)
            case "heal":
                return await (installation.heal_part(what) if what else installation.heal_all())
            case "status":
                return _status(installation)
            case "faults":
                return listed(type(installation))
        raise CannotDo(f"cannot {action}: the demo knows break, heal, status and faults")


def _status(installation: Installation) -> str:
    faults = installation.faults()
    lines = [f"{what} is broken: {faults[what].sentence}" for what in installation.broken] or ["nothing is broken"]
    lines += [f"{what} does not run here: {why}" for what, why in installation.missing.items()]
    return "\n".join([*lines, f"the inbox is at {installation.inbox.url}"])


def ask(action: str, what: str | None = None, folder: Path | None = None) -> str:
    """What the running demo answers; CannotDo with its reason, or where none is running."""
    wish = "say how the demo is" if action == "status" else action
    known = _known(folder or home())
    if not known:
        raise CannotDo(f"cannot {wish}: {NOT_RUNNING}")
    request = urllib.request.Request(
        f"{known['url']}/{action}" + (f"/{quote(what, safe='')}" if what else ""),
        method="POST",
        headers={"Authorization": f"Bearer {known['token']}"},
    )
    # The system's proxy has no business on loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=ANSWERS_WITHIN) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as refusal:
        with refusal:
            raise CannotDo(refusal.read().decode() if refusal.code == 409 else f"cannot {wish}: {refusal}") from None
    except (urllib.error.URLError, ConnectionError):
        raise CannotDo(f"cannot {wish}: {NOT_RUNNING}") from None
    except TimeoutError:
        raise CannotDo(f"cannot {wish}: the demo does not answer within {ANSWERS_WITHIN:.0f} s") from None


def _known(folder: Path) -> dict[str, Any]:
    try:
        known = json.loads((folder / "control.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return known if isinstance(known, dict) and {"url", "token"} <= known.keys() else {}
