"""Who may change something: anybody on this machine, or who holds a token; never a foreign page in a browser."""

from __future__ import annotations

import base64
import hmac
import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

OPEN = frozenset({"/-/healthy", "/-/ready"})
SIGNED = frozenset({"/hooks/slack", "/hooks/pagerduty"})
"""What is asked for a signature instead, over the whole request."""
SECRET_ADDRESSES = ("/ping/{", "/api/push/{")
"""How the routes begin whose addresses hold a secret of their own."""


def guard(tokens: Iterable[str], loopback_only: bool) -> Middleware:
    """A middleware. With tokens, everything but health wants one, as Bearer or as the password of Basic.

    A page of another origin can make a browser send a request here, so a request with a foreign Origin, or, where we
    listen on loopback only, with a Host that is not loopback, may change nothing.
    """
    held = [token.encode() for token in tokens]

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in SIGNED or _has_secret_address(request):
            return await handler(request)
        if held and request.path not in OPEN and not _has_token(request, held):
            answer = web.json_response({"error": "a token is needed: Authorization: Bearer …"}, status=401)
            # A browser then asks its user: any name, the token as the password.
            answer.headers["WWW-Authenticate"] = 'Basic realm="runwatch: any name, a token as the password"'
            return answer
        if request.method not in ("GET", "HEAD") and _from_elsewhere(request, loopback_only):
            return web.json_response({"error": "this request comes from another page: refused"}, status=403)
        return await handler(request)

    return check


def _has_secret_address(request: web.Request) -> bool:
    # By the route that was found, not by the path, which is not normalised yet.
    resource = request.match_info.route.resource
    return resource is not None and resource.canonical.startswith(SECRET_ADDRESSES)


def _has_token(request: web.Request, held: list[bytes]) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    token = given.encode("utf-8", "surrogateescape")
    if scheme.lower() == "basic":
        try:
            token = base64.b64decode(token, validate=True).partition(b":")[2]
        except ValueError:
            return False
    elif scheme.lower() != "bearer":
        return False
    return any(hmac.compare_digest(token, one) for one in held)


def _from_elsewhere(request: web.Request, loopback_only: bool) -> bool:
    origin = request.headers.get("Origin")
    if origin is not None and _place(origin) != request.host:
        return True
    # A name that somebody else's DNS points at 127.0.0.1 (rebinding) is not one of ours.
    return loopback_only and not is_loopback(request.host.rpartition(":")[0] or request.host)


def _place(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    host = host.strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
