"""An HTTP answer as people and assertions see it: its text, its JSON, and why its status is wrong."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from checks.base import Failed, Reason
from checks.parts.http.expect import Expect, brief
from checks.units import show_size
from checks.wire.http1 import Answer

SHOWN = 1000
"""Characters of a body that become evidence."""

CHARSETS = frozenset({"utf-8", "iso-8859-1", "latin-1", "us-ascii", "windows-1252", "utf-16"})


def check_status(answer: Answer, expect: Expect, with_credentials: bool) -> None:
    """Raise Failed where the status is not an expected one."""
    status = answer.status
    if expect.accepts(status):
        return
    wanted = ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in expect.status)
    retry = answer.header(b"retry-after") if status in (429, 503) else None
    after = f" (Retry-After: {brief(retry.decode('latin-1'))})" if retry else ""
    reason = Reason.STATUS
    if status == 429:
        reason = Reason.RATE_LIMITED
    elif status in (401, 407) and with_credentials:
        reason = Reason.AUTH
    raise Failed(reason, f"status is {status}, expected {wanted}{after}")


def check_readable(answer: Answer) -> None:
    """Raise Failed body where the body is compressed in a way that could not be undone."""
    if answer.encoding:
        raise Failed(Reason.BODY, f"cannot read the body: it is compressed with {brief(answer.encoding)}")


def timestamp(value: bytes) -> float | None:
    """A date of HTTP in Unix seconds; None where it is none."""
    try:
        return parsedate_to_datetime(value.decode("latin-1")).timestamp()
    except (ValueError, OverflowError):
        return None


def text(answer: Answer, most: int) -> str:
    """The first `most` characters of the body."""
    kind = (answer.header(b"content-type") or b"").decode("latin-1").lower()
    charset = kind.partition("charset=")[2].partition(";")[0].strip(" \"'")
    # No character of these encodings takes more than four bytes.
    piece = bytes(answer.body[: most * 4])
    return piece.decode(charset if charset in CHARSETS else "utf-8", "replace")[:most]


def excerpt(answer: Answer) -> str:
    """The answer's first line and the beginning of its body, control characters made visible."""
    kind = (answer.header(b"content-type") or b"no content type").decode("latin-1")
    start = text(answer, SHOWN)
    shown = "".join(letter if letter.isprintable() or letter == "\n" else f"\\x{ord(letter):02x}" for letter in start)
    more = "…" if len(answer.body) > len(start.encode()) or answer.truncated else ""
    return f"HTTP/{answer.version} {answer.status}, {brief(kind)}\n{shown}{more}"


def document(answer: Answer) -> Any:
    """The body as JSON; Failed body where it is none, or more of it would be needed than was read."""
    if answer.truncated:
        size = show_size(max(answer.length or 0, answer.received, len(answer.body)))
        raise Failed(Reason.BODY, f"cannot read the body as JSON: it is larger than allowed ({size} or more)")
    try:
        return orjson.loads(answer.body)
    except orjson.JSONDecodeError as why:
        start = f"it begins with {brief(text(answer, 60))}" if answer.body else "it is empty"
        raise Failed(Reason.BODY, f"the body is no JSON: {start} ({why})") from None
