"""Asks AWS, or what speaks its language, by signed requests; says in our words whose fault a refusal is.

No SDK: its clients take 140 ms of CPU to make, have to be kept and closed, and retry on their own. Only to find
credentials that are not configured here (a profile, a role, an instance's) the library that knows those ways is asked.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from checks.base import Errored, Failed, Reason, Run, Url
from checks.parts import network as _network
from checks.parts.api import Answer, Api
from checks.parts.aws.signature import Keys, query_string, signed
from checks.parts.pool import in_pool
from checks.units import show_duration
from checks.wire.certificates import visible

LARGEST = 4 * 2**20
FOUND = "aws credentials"
SHARE = 0.6
"""Of the probe's time that finding credentials may take: the rest is for the question."""

SKEWED = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
THROTTLED = frozenset(
    {
        "LimitExceededException", "RequestLimitExceeded", "RequestThrottled", "SlowDown", "Throttling",
        "ThrottlingException", "TooManyRequestsException",
    }
)  # fmt: skip
DENIED = frozenset({"AccessDenied", "AccessDeniedException", "AllAccessDisabled", "UnauthorizedOperation"})
STRANGERS = frozenset(
    {
        "ExpiredToken", "ExpiredTokenException", "IncompleteSignature", "InvalidAccessKeyId", "InvalidClientTokenId",
        "InvalidSignatureException", "InvalidToken", "MissingAuthenticationTokenException", "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)  # fmt: skip
ELSEWHERE = frozenset({"AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect"})
MISSING = frozenset({"NoSuchBucket", "NoSuchKey", "ResourceNotFoundException"})

_XML_CODE = re.compile(rb"<Code>([^<]{1,100})</Code>")
_XML_MESSAGE = re.compile(rb"<Message>([^<]{1,500})</Message>")


class Credentials(BaseModel):
    """Who asks. Without a key, it is found as AWS' own tools find it: environment, profile, role of the machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    access_key_id: str = Field(default="", pattern=r"^[!-~]*$", description="An access key's id.")
    secret_access_key: SecretStr = Field(default=SecretStr(""), description="Its secret.")
    session_token: SecretStr = Field(default=SecretStr(""), description="Its token, where it is one that expires.")
    profile: str = Field(default="", description="Profile of ~/.aws/config, which may assume a role.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        given = bool(self.access_key_id), bool(self.secret_access_key.get_secret_value())
        if any(given) and not all(given):
            raise ValueError("access_key_id and secret_access_key belong together")
        if self.profile and any(given):
            raise ValueError("write a key or a profile, not both")
        return self

    async def found(self, run: Run, seconds: float) -> Keys:
        """The keys to sign with, found within `seconds`. Raises Errored."""
        if self.access_key_id:
            return Keys(
                self.access_key_id, self.secret_access_key.get_secret_value(), self.session_token.get_secret_value()
            )
        start = "cannot find credentials for AWS"
        try:
            async with asyncio.timeout(seconds):
                return await self._find(run)
        except ImportError:
            remedy = "pip install 'runwatch[aws]', or configure access_key_id"
            raise Errored(Reason.INTERNAL, f"{start}: the library that finds them is not installed; {remedy}") from None
        except TimeoutError:
            sentence = f"{start}: no answer within {show_duration(seconds)} from where they come from"
            raise Errored(Reason.INTERNAL, sentence) from None
        except Failed:
            raise Errored(Reason.INTERNAL, f"{start}: where they come from hangs since the probe before") from None

    async def _find(self, run: Run) -> Keys:
        found, error = await in_pool(run, _found, run.memory.get(FOUND), self.profile)
        if error:
            raise Errored(Reason.AUTH, f"cannot find credentials for AWS: {visible(error, 200)}")
        run.memory[FOUND] = found
        frozen = await in_pool(run, found.get_frozen_credentials)
        return Keys(frozen.access_key, frozen.secret_key, frozen.token or "")


def _found(known: Any, profile: str) -> tuple[Any, str]:
    """What holds the credentials and renews them, and why there is none. Blocks."""
    import botocore.exceptions
    import botocore.session

    try:
        known = known or botocore.session.Session(profile=profile or None).get_credentials()
        if known is None:
            return None, "none are configured, in the environment, in a profile, or given to this machine"
        known.get_frozen_credentials()
    except botocore.exceptions.BotoCoreError as why:
        return None, str(why)
    except botocore.exceptions.ClientError as why:
        return None, str(why)
    return known, ""


class Aws:
    """One service of AWS in one region, for the length of one probe. `requests` counts what was asked.

    `rights` are the actions that the monitor's role must be allowed, for the sentence which says that it is not.
    """

    def __init__(
        self, name: str, base: Url, region: str, service: str, seconds: float, *,
        credentials: Credentials, tls: _network.TlsSettings, rights: str, run: Run,
    ) -> None:  # fmt: skip
        self.name = name
        self.requests = 0
        self._base = base
        self._region = region
        self._service = service
        self._rights = rights
        self._credentials = credentials
        self._seconds = seconds
        self._run = run
        self._keys = Keys("", "")
        self._api = Api(name, base.reveal(), seconds, tls=tls, largest=LARGEST)

    async def __aenter__(self) -> Self:
        self._keys = await self._credentials.found(self._run, self._seconds * SHARE)
        await self._api.__aenter__()
        return self

    async def __aexit__(self, *how: object) -> None:
        await self._api.__aexit__(*how)

    async def call(self, target: str, question: Mapping[str, Any], version: str = "1.1") -> Answer:
        """The answer to one operation of a service that speaks JSON. Raises Failed or Errored."""
        headers = {"Content-Type": f"application/x-amz-json-{version}", "X-Amz-Target": target}
        return await self.ask("POST", "/", headers=headers, body=orjson.dumps(question))

    async def ask(
        self, method: str, path: str, query: Mapping[str, str] | None = None,
        *, headers: Mapping[str, str] | None = None, body: bytes = b"",
    ) -> Answer:  # fmt: skip
        """The answer to one request, its status 200; `path` is encoded. Raises Failed or Errored."""
        asked = query_string(query or {})
        whole = {"Host": self._base.parts.netloc.rpartition("@")[2], **(headers or {})}
        proven = signed(
            self._keys, self._region, self._service, datetime.now(UTC), method, path, asked, whole, body
        )  # fmt: skip
        where = f"{path}?{asked}" if asked else path
        answer = await self._api.ask(
            method, where, accept=(), headers=proven, content=body or None, encoded=True
        )  # fmt: skip
        self.requests += 1
        if answer.status != 200:
            raise self._refused(answer)
        return answer

    def _refused(self, answer: Answer) -> Failed | Errored:
        """What a refusal means: whose fault it is, and what is to be done."""
        code, message = _code(answer)
        for secret in (self._keys.token, self._keys.secret):
            # A refused signature is answered with all that should have been signed, the token among it.
            message = message.replace(secret, "***") if secret else message
        said = visible(f"{code}: {message}" if code and message else code or message or str(answer.status), 500)
        start, skew = f"cannot ask {self.name}", _skew(answer)
        if code in SKEWED or (code in STRANGERS and abs(skew) > 240):
            ahead = "ahead of" if skew > 0 else "behind"
            clock = f"the clock of this machine is {show_duration(abs(skew))} {ahead} AWS'"
            return Errored(Reason.INTERNAL, f"{start}: {clock}, which accepts no such signature: {said}")
        if code in THROTTLED or answer.status == 429:
            return Errored(Reason.RATE_LIMITED, f"{start}: the monitor is asked to come less often: {said}")
        if code in STRANGERS or answer.status == 401:
            return Errored(Reason.AUTH, f"{start}: it does not accept our credentials: {said}")
        if code in DENIED or answer.status == 403:
            return Errored(Reason.AUTH, f"{start}: it does not let the monitor look: {said}; allow it {self._rights}")
        if code in ELSEWHERE or answer.status in (301, 307):
            region = visible(answer.headers.get("x-amz-bucket-region", ""), 30)
            remedy = f"set region: {region}" if region else "set the region that it is in"
            return Errored(Reason.INTERNAL, f"{start}: it is in another region; {remedy}: {said}")
        if code in MISSING or answer.status == 404:
            return Failed(Reason.ASSERTION, f"{start}: it is not there: {said}")
        if answer.status < 500:
            return Errored(Reason.INTERNAL, f"{start}: it does not understand what we ask: {said}")
        return Failed(Reason.STATUS, f"{start}: it answered {answer.status}: {said}")


def _code(answer: Answer) -> tuple[str, str]:
    """The word for the error, and AWS' sentence, in either of its languages."""
    name = answer.headers.get("x-amzn-errortype", "")
    if answer.body.lstrip()[:1] == b"{":
        try:
            body = answer.json()
        except Failed:
            body = {}
        name = str(body.get("__type") or name)
        message = str(body.get("message") or body.get("Message") or "")
    else:
        code, sentence = _XML_CODE.search(answer.body), _XML_MESSAGE.search(answer.body)
        name = code[1].decode("utf-8", "replace") if code else name
        message = sentence[1].decode("utf-8", "replace") if sentence else ("" if code else answer.text(200))
    return name.rpartition("#")[2].partition(":")[0], message


def _skew(answer: Answer) -> float:
    """Seconds that our clock is ahead of the answer's; 0 where it names no time."""
    try:
        there = parsedate_to_datetime(answer.headers.get("Date", ""))
        return (datetime.now(UTC) - there).total_seconds()
    except (TypeError, ValueError):
        return 0.0


def address(endpoint_url: Url | None, service: str, region: str) -> Url:
    """Where a service answers: as configured, or AWS' own address in that region."""
    if endpoint_url is not None:
        return endpoint_url
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return Url(f"https://{service}.{region}.{domain}")


def web_address(url: Url) -> Url:
    """An endpoint_url that is one."""
    parts = url.parts
    if parts.scheme not in ("http", "https"):
        raise ValueError("an address such as https://minio.example.com:9000 is wanted")
    if parts.path.strip("/") or parts.query or parts.fragment or parts.username:
        raise ValueError("only a scheme, a host and a port are wanted")
    _network.endpoint(url, _network.port_of(url))
    return Url(url.reveal().rstrip("/"))
