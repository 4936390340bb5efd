"""How the running demo is reached by a second terminal: an endpoint on loopback, its address and token in a file."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from hmac import compare_digest
from pathlib import Path

from aiohttp import web

from monitor.demo.faults import listed
from monitor.demo.installation import CannotDo, Installation
from monitor.demo.process import NotStarted
from monitor.demo.telling import CONTROL, known


@contextlib.contextmanager
def the_only_one(folder: Path) -> Iterator[None]:
    """Hold the folder for as long as this process lives; CannotDo where another demo holds it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = known(folder).get("pid", "unknown")
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
        self._file = folder / CONTROL
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
