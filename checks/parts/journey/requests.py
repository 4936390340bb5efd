"""Makes the request of a journey's step: places filled, body built, credentials only for whom they are meant."""

from __future__ import annotations

import mimetypes
import secrets
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import quote, urlencode, urljoin, urlsplit

import orjson

from checks.base import Errored, Failed, Reason, Run, Url
from checks.parts.http.request import Hop, Sender, web_address
from checks.parts.journey.placeholders import Values, fill, fill_json, is_one
from checks.parts.journey.steps import Step, Upload
from checks.parts.pool import in_pool
from checks.units import show_size

LARGEST_FILE = 16 * 2**20


async def request(step: Step, base: Url, sender: Sender, values: Values, run: Run) -> tuple[Hop, Sender]:
    """The first request of a step, still without cookies, and as whom to go on from it.

    `sender` is for the origin of `base`; another gets nothing of it that is secret. Where an answer has chosen the
    origin, not even the step's own headers. Raises Failed where what was captured does not fit its place.
    """
    body, content_type = await _body(step, values, run)
    try:
        url = address(step, base, values)
        own = tuple((name, fill(value.get_secret_value(), values)) for name, value in step.headers.items())
        home = Hop(sender, base, "GET", b"").origin
        plain = Sender((), "", "", sender.trust, sender.server_name)
        there = Hop(plain, url, "GET", b"").origin
        if there != home:
            sender = sender.stripped()
        given = {name.lower() for name, _ in own}
        if "authorization" in given:
            sender = replace(sender, authorization="")
        kept = tuple((name, value) for name, value in sender.headers if name.lower() not in given)
        sender = replace(sender, headers=kept + own, content_type=content_type)
        if there != home and is_one(step.url):
            sender = sender.stripped()
        return Hop(sender, url, step.asks_with, body), sender
    except UnicodeEncodeError:
        raise Failed(Reason.BODY, "cannot send what was captured: no header can hold its characters") from None
    except ValueError as why:
        raise Failed(Reason.BODY, f"cannot make the request out of what was captured: {why}") from None


def address(step: Step, base: Url, values: Values) -> Url:
    """Where a step asks, as a link on a page of `base` leads. ValueError with a sentence where that is nowhere."""
    if is_one(step.url):
        link = fill(step.url, values).strip()
    else:
        link = fill(step.url, values, partial(quote, safe="", errors="replace"))
    parts = urlsplit(base.reveal())
    root = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    joined = urljoin(root.geturl(), link) if link else root.geturl()
    if "@" in urlsplit(joined).netloc:
        raise ValueError("an address with credentials in it")
    return web_address(Url(joined))


async def _body(step: Step, values: Values, run: Run) -> tuple[bytes, str]:
    """The body and its media type."""
    if step.body is not None:
        return fill(step.body, values).encode("utf-8", "replace"), "text/plain; charset=utf-8"
    if step.json_body is not None:
        return orjson.dumps(fill_json(step.json_body, values)), "application/json"
    fields = {name: fill(text, values) for name, text in step.form.items()}
    if step.files:
        boundary = f"runwatch{secrets.token_hex(12)}"
        return await _multipart(boundary, fields, step, values, run), f"multipart/form-data; boundary={boundary}"
    if fields:
        return urlencode(fields, errors="replace").encode(), "application/x-www-form-urlencoded"
    return b"", ""


async def _multipart(boundary: str, fields: dict[str, str], step: Step, values: Values, run: Run) -> bytes:
    """RFC 7578, with names escaped as the WHATWG's form submission has it."""
    pieces = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{_escaped(name)}"\r\n\r\n{text}\r\n'.encode(
            "utf-8", "replace"
        )
        for name, text in fields.items()
    ]
    for name, upload in step.files.items():
        content = upload.content()
        if content is None:
            content = await _file(upload, run)
        elif upload.text is not None:
            content = fill(upload.text, values).encode("utf-8", "replace")
        called = fill(upload.name, values) or Path(upload.file).name or "file"
        media = upload.type or mimetypes.guess_type(called)[0] or "application/octet-stream"
        head = f'form-data; name="{_escaped(name)}"; filename="{_escaped(called)}"\r\nContent-Type: {media}'
        pieces += [f"--{boundary}\r\nContent-Disposition: {head}\r\n\r\n".encode("utf-8", "replace"), content, b"\r\n"]
    return b"".join([*pieces, f"--{boundary}--\r\n".encode()])


def _escaped(name: str) -> str:
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


async def _file(upload: Upload, run: Run) -> bytes:
    try:
        return await in_pool(run, _read, upload)
    except Failed as hanging:
        # Our own disk, not the target's.
        raise Errored(Reason.INTERNAL, f"cannot read the file {upload.file} to send: {hanging.sentence}") from None


def _read(upload: Upload) -> bytes:
    try:
        with Path(upload.file).open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as why:
        said = (why.strerror or str(why)).lower()
        raise Errored(Reason.INTERNAL, f"cannot read the file {upload.file} to send: {said}") from None
    if len(content) > LARGEST_FILE:
        raise Errored(Reason.INTERNAL, f"the file {upload.file} is larger than {show_size(LARGEST_FILE)}")
    return content
