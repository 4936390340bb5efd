"""How to ask a server for encryption on a connection that begins in plain text."""

from __future__ import annotations

import re

from checks.base import Failed, Reason
from checks.wire.connect import Line
from checks.wire.patience import Patience

LINE_MOST = 8192

# What to wait for, and what to say then; the last answer says whether we may begin.
_TALKS: dict[str, tuple[tuple[bytes, bytes], ...]] = {
    # RFC 3207
    "smtp": ((rb"^220[ -]", b"EHLO runwatch\r\n"), (rb"(?m)^250 ", b"STARTTLS\r\n"), (rb"^220 ", b"")),
    # RFC 3501, section 6.2.1
    "imap": ((rb"^\* OK", b"a1 STARTTLS\r\n"), (rb"(?m)^a1 OK", b"")),
    # PostgreSQL's SSLRequest: eight bytes, answered by S or N.
    "postgres": ((rb"^", b"\x00\x00\x00\x08\x04\xd2\x16\x2f"), (rb"^S", b"")),
}


async def start_tls(line: Line, protocol: str, patience: Patience) -> None:
    """Bring `line` to the point where the TLS handshake may begin. Raises Failed, and WireError as `line` does."""
    patience.doing("read", "read_timeout", f"{line.name} did not agree to encryption")
    for wanted, say in _TALKS[protocol]:
        heard = b""
        while not re.search(wanted, heard):
            # PostgreSQL answers with one byte, after which the handshake follows.
            data = await line.recv(1 if protocol == "postgres" else LINE_MOST)
            heard += data
            if not data or len(heard) > LINE_MOST or _refused(protocol, heard):
                said = heard[:80].decode("utf-8", "replace").strip()
                raise Failed(Reason.PROTOCOL, f"{line.name} does not agree to encryption: it said {said!r}")
        if say:
            await line.send(say)


def _refused(protocol: str, heard: bytes) -> bool:
    patterns = {"smtp": rb"(?m)^[45]\d\d ", "imap": rb"(?m)^(a1 (NO|BAD)|\* BYE)", "postgres": rb"^[^S]"}
    return re.search(patterns[protocol], heard) is not None
