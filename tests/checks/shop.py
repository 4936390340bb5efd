"""A small shop to go through: login by form with a CSRF token and a session, orders, photos; it checks what it gets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.typedefs import Handler

SESSION, TOKEN = "s3ss10n+abc==", "eyJhbGciOi.J-token/with.slashes"


@dataclass
class Shop:
    """What has happened in it, and how it misbehaves."""

    url: str = ""
    orders: dict[int, dict[str, object]] = field(default_factory=dict)
    photos: list[tuple[str, str, bytes]] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    """Requests that are answered with 500, such as `POST /orders`."""


@asynccontextmanager
async def shop() -> AsyncIterator[Shop]:
    """One on loopback."""
    here = Shop()

    @web.middleware
    async def seeing(request: web.Request, handler: Handler) -> web.StreamResponse:
        here.seen.append(f"{request.method} {request.path}")
        if here.seen[-1] in here.broken:
            return web.json_response({"error": "broken", "access_token": TOKEN, "session": SESSION}, status=500)
        return await handler(request)

    app = web.Application(middlewares=[seeing])
    app.add_routes([
        web.get("/login", _login_page), web.post("/login", _login), web.get("/home", _home),
        web.post("/api/token", _token), web.post("/orders", _order), web.get("/orders/{id}", _read_order),
        web.delete("/orders/{id}", _delete), web.post("/orders/{id}/photo", _photo),
    ])  # fmt: skip
    app[SHOP] = here
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        here.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield here
    finally:
        await runner.cleanup()


SHOP = web.AppKey("shop", Shop)


async def _login_page(request: web.Request) -> web.Response:
    answer = web.Response(text='<input name="csrf" value="c/s&r f">', content_type="text/html")
    answer.headers["Set-Cookie"] = "visitor=v1; Path=/"
    return answer


async def _login(request: web.Request) -> web.Response:
    form = await request.post()
    good = (form["user"], form["password"], form["csrf"]) == ("anna", "s3same+", "c/s&r f")
    if not good or "visitor=v1" not in request.headers.get("Cookie", ""):
        raise web.HTTPForbidden
    return web.Response(status=302, headers={"Location": "/home", "Set-Cookie": f"session={SESSION}; Path=/; HttpOnly"})


async def _home(request: web.Request) -> web.Response:
    _signed_in(request)
    return web.Response(text="Hello Anna")


def _signed_in(request: web.Request) -> None:
    if f"session={SESSION}" not in request.headers.get("Cookie", ""):
        raise web.HTTPUnauthorized


async def _token(request: web.Request) -> web.Response:
    _signed_in(request)
    return web.json_response({"access_token": TOKEN, "user": {"id": 7}})


async def _order(request: web.Request) -> web.Response:
    if request.headers["Authorization"] != f"Bearer {TOKEN}":
        raise web.HTTPUnauthorized
    order = await request.json()
    number = 1000 + len(request.app[SHOP].orders)
    request.app[SHOP].orders[number] = order
    return web.json_response({"order": {"id": number}}, status=201, headers={"Location": f"/orders/{number}"})


async def _read_order(request: web.Request) -> web.Response:
    number = int(request.match_info["id"])
    return web.json_response({"id": number, **request.app[SHOP].orders[number]})


async def _delete(request: web.Request) -> web.Response:
    _signed_in(request)
    request.app[SHOP].orders.pop(int(request.match_info["id"]))
    return web.Response(status=204)


async def _photo(request: web.Request) -> web.Response:
    form = await request.post()
    upload = form["photo"]
    assert isinstance(upload, web.FileField)
    request.app[SHOP].photos.append((upload.filename, upload.content_type, upload.file.read()))
    return web.json_response({"caption": str(form["caption"])})
