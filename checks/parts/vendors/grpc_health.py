"""The health protocol of gRPC, grpc.health.v1: the question as bytes, and what the answer means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import unquote

from checks.base import Errored, Failed, Reason
from checks.parts.vendors import protobuf
from checks.wire.certificates import visible

PATH = "/grpc.health.v1.Health/Check"

SERVING = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
CODES = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip
"""Status codes by number (grpc.io, doc/statuscodes.md)."""

Headers = Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Status:
    """How the call ended: its code, and what the server says to it."""

    code: int
    message: str

    @property
    def name(self) -> str:
        """The code by its name."""
        return CODES[self.code] if self.code < len(CODES) else f"code {self.code}"


def question(service: str) -> bytes:
    """A HealthCheckRequest in gRPC's frame: a byte for "not compressed", four of length, the message."""
    message = protobuf.field(1, service) if service else b""
    return b"\0" + len(message).to_bytes(4, "big") + message


def status_of(headers: Headers, trailers: Headers, name: str) -> Status:
    """How the call ended. Raises Failed and Errored where the answer is not one of gRPC."""
    http = headers.get(b":status", b"").decode("latin-1")
    if http in ("401", "403"):
        raise Errored(Reason.AUTH, f"cannot ask {name}: it answers HTTP {http}; the check's headers are not accepted")
    if http == "429":
        raise Errored(Reason.RATE_LIMITED, f"cannot ask {name}: it answers HTTP 429, too many requests")
    if http != "200":
        raise Failed(Reason.STATUS, f"{name} answers HTTP {visible(http)} in place of gRPC")
    kind = headers.get(b"content-type", b"").decode("latin-1")
    if not kind.startswith("application/grpc"):
        raise Failed(Reason.PROTOCOL, f"{name} answers HTTP/2 but not gRPC: content type {visible(kind)!r}")
    ended = trailers if b"grpc-status" in trailers else headers
    code = ended.get(b"grpc-status", b"")
    if not code.isdigit() or len(code) > 9:
        raise Failed(Reason.PROTOCOL, f"{name} ended its answer without a gRPC status")
    said = unquote(ended.get(b"grpc-message", b"")[:2000].decode("latin-1"))
    return Status(int(code), visible(said, 300))


def serving_of(body: bytes, name: str) -> str:
    """What a HealthCheckResponse in gRPC's frame says. Raises Failed where it is none."""
    try:
        if len(body) < 5 or len(body) != 5 + int.from_bytes(body[1:5], "big"):
            raise ValueError("not one whole message")
        if body[0]:
            raise ValueError("compressed, which nobody asked for")
        number = protobuf.Message(body[5:]).number(1)
    except ValueError as why:
        raise Failed(Reason.PROTOCOL, f"{name} gave a malformed answer: {why}") from None
    return SERVING[number] if 0 <= number < len(SERVING) else f"status {number}"


def refuse(status: Status, service: str, name: str) -> NoReturn:
    """Raise what a call that did not end with OK means."""
    said = f": {status.message}" if status.message else ""
    match status.name:
        case "UNIMPLEMENTED":
            sentence = f"cannot tell whether {name} serves: it has no health service (grpc.health.v1){said}"
            raise Errored(Reason.PROTOCOL, sentence)
        case "UNAUTHENTICATED" | "PERMISSION_DENIED":
            raise Errored(Reason.AUTH, f"cannot ask {name}: {status.name}{said}; check the headers of this check")
        case "RESOURCE_EXHAUSTED":
            raise Errored(Reason.RATE_LIMITED, f"cannot ask {name}: RESOURCE_EXHAUSTED{said}")
        case "NOT_FOUND":
            raise Failed(Reason.STATUS, f"{name} knows no service {service!r}{said}")
        case "DEADLINE_EXCEEDED":
            raise Failed(Reason.READ_TIMEOUT, f"{name} did not answer before the deadline{said}")
        case other:
            raise Failed(Reason.STATUS, f"{name} answers {other}{said}")
