"""Signs requests to AWS, and to what speaks its language: Signature Version 4, as AWS publishes it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Keys:
    """Who asks; `token` belongs to credentials that expire."""

    id: str
    secret: str
    token: str = ""


def encoded(text: str, *, slashes: bool = False) -> str:
    """Percent-encoded as AWS counts it: all but letters, digits and -._~; a path keeps its slashes."""
    return quote(text, safe="/-._~" if slashes else "-._~")


def query_string(query: Mapping[str, str]) -> str:
    """The query in the one form that is signed and sent."""
    return "&".join(f"{name}={value}" for name, value in sorted((encoded(n), encoded(v)) for n, v in query.items()))


def signed(
    keys: Keys, region: str, service: str, at: datetime,
    method: str, path: str, query: str, headers: Mapping[str, str], body: bytes,
) -> dict[str, str]:  # fmt: skip
    """The headers to send: those given, `Host` among them, and what proves who asks. `path` and `query` are encoded.

    `at` is the time now in UTC: AWS refuses what is over a few minutes off.
    """
    stamp = at.strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    sent = {**headers, "X-Amz-Date": stamp, "X-Amz-Content-Sha256": digest}
    if keys.token:
        sent["X-Amz-Security-Token"] = keys.token
    plain = sorted((name.lower(), " ".join(value.split())) for name, value in sent.items())
    names = ";".join(name for name, _ in plain)
    lines = "".join(f"{name}:{value}\n" for name, value in plain)
    request = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{digest}"
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    text = f"{ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{keys.secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    proof = f"{ALGORITHM} Credential={keys.id}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**sent, "Authorization": proof}
