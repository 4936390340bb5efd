"""Looks whether the newest object in S3, or in a store that speaks its language, is there, young, and no smaller."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, Field, model_validator

from checks.base import DURATION, Asks, Check, Errored, Failed, Measurement, Reason, Recommended, Run, Url
from checks.parts import network as _network
from checks.parts.aws.asking import Aws, Credentials, web_address
from checks.parts.aws.s3_listing import Listing, Stored, Tally, read_listing, size
from checks.parts.aws.signature import encoded
from checks.parts.pool import in_pool
from checks.parts.regex import Re2, compiled
from checks.units import Duration, show_duration, show_size
from checks.wire.certificates import visible

PAGE = 1000
NEWEST = "s3's newest objects"
_PLACEHOLDER = re.compile(r"%(.?)")

M = Measurement
MEASUREMENTS = (
    DURATION,
    M("objects", "count", "Objects that match."),
    M("total_bytes", "bytes", "Size of all of them."),
    M("newest_age_seconds", "seconds", "Time since the newest was written."),
    M("newest_bytes", "bytes", "Size of the newest."),
    M("newest_size_ratio", "ratio", "Size of the newest / size of the one before it."),
    M("oldest_age_seconds", "seconds", "Time since the oldest was written."),
    M("retained", "count", "Objects no older than `retention`."),
    M("expired", "count", "Objects older than `retention`: nothing prunes them."),
)
RECOMMENDED = (
    Recommended("BackupOld", "newest_age_seconds > 26h", "high", "A day's backup is missing, with two hours of grace."),
    Recommended("BackupEmpty", "newest_bytes == 0", "high", "There is a file, and nothing in it."),
    Recommended("BackupShrunken", "newest_size_ratio < 50%", "high", "Half of what was there the time before is gone."),
    Recommended("BackupsNotPruned", "expired > 0", "low", "What should be gone is kept, and paid for.", 86400.0),
)


def _prefix(text: str) -> str:
    for code in _PLACEHOLDER.findall(text):
        if code not in ("Y", "m", "d", "j", "%"):
            raise ValueError(f"%{code} is none of %Y, %m, %d, %j; write %% for a percent sign")
    return text


class S3(Check):
    """Objects in a bucket of S3, or of any store that speaks its language: the newest, the one before, and how many."""

    measurements: ClassVar[tuple[Measurement, ...]] = MEASUREMENTS
    recommended: ClassVar[tuple[Recommended, ...]] = RECOMMENDED

    bucket: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{1,62}$", description="Name of the bucket.")
    prefix: Annotated[str, AfterValidator(_prefix)] = Field(
        default="", description="What the keys begin with; %Y, %m, %d and %j stand for the date in UTC."
    )
    days: int = Field(default=2, ge=1, le=31, description="Days back from today that a date in `prefix` stands for.")
    match: Re2 = Field(default="", description="Regular expression that a key must match somewhere.")
    object: str = Field(default="", max_length=1024, description="The one object to look at, in place of a listing.")
    at_least: int = Field(default=1, ge=0, description="Objects that there must be.")
    retention: Duration | None = Field(default=None, gt=0, description="Age from which on objects must be gone.")
    max_objects: int = Field(default=10_000, ge=1, le=100_000, description="Objects to list at most.")
    region: str = Field(default="us-east-1", pattern=r"^[a-z0-9-]+$", description="The bucket's region.")
    endpoint_url: Annotated[Url, AfterValidator(web_address)] | None = Field(
        default=None, description="Address of another store, such as https://minio.example.com:9000."
    )
    credentials: Credentials = Field(default=Credentials(), description="Who asks.")
    tls: _network.TlsSettings = Field(default=_network.TlsSettings(), description="Settings of the encryption.")
    interval: Duration = Field(default=300.0, gt=0, description="Time from one probe's start to the next.")
    timeout: Duration = Field(default=20.0, gt=0, description="When an unanswered probe counts as failed.")

    @model_validator(mode="after")
    def _either(self) -> Self:
        if self.object and (self.prefix or self.match or self.retention):
            raise ValueError("object is the one to look at; prefix, match and retention are for a listing")
        return self

    @property
    def target(self) -> str:
        """The bucket and where in it."""
        return f"s3://{self.bucket}/{self.object or self.prefix}"

    def asks(self) -> tuple[Asks, ...]:
        """One request for an object; of a listing one for each prefix, more where they hold over a thousand."""
        base, path = self._where()
        lists = 1 if self.object else len(self._prefixes(0.0))
        most = 1 if self.object else lists + self.max_objects // PAGE
        return (Asks(f"{base}{path}", lists, most),)

    async def probe(self, run: Run) -> None:
        """Ask for the one object, or list all that match; record; judge their number."""
        base, path = self._where()
        right = "s3:GetObject, and s3:ListBucket to be told of a missing one" if self.object else "s3:ListBucket"
        aws = Aws(
            self.target if self.object else f"S3 bucket {self.bucket}", base, self.region, "s3", self.timeout,
            credentials=self.credentials, tls=self.tls, rights=right, run=run,
        )  # fmt: skip
        async with aws:
            if self.object:
                await self._head(aws, f"{path}/{encoded(self.object, slashes=True)}", run)
                return
            self._judge(await self._list(aws, path or "/", run), run)

    def _where(self) -> tuple[Url, str]:
        """Address and path of the bucket: its own name, but a path where a certificate would not fit that name."""
        domain = f"{self.region}.amazonaws.com" + (".cn" if self.region.startswith("cn-") else "")
        if self.endpoint_url is not None:
            return self.endpoint_url, f"/{self.bucket}"
        if "." in self.bucket:
            return Url(f"https://s3.{domain}"), f"/{self.bucket}"
        return Url(f"https://{self.bucket}.s3.{domain}"), ""

    def _prefixes(self, at: float) -> list[str]:
        today = datetime.fromtimestamp(at, UTC)
        days = [today - timedelta(days=back) for back in range(self.days)]
        return list(dict.fromkeys(day.strftime(self.prefix) for day in days))

    async def _list(self, aws: Aws, path: str, run: Run) -> Tally:
        found, listed = Tally(), 0
        for prefix in self._prefixes(run.at):
            query = {"list-type": "2", "max-keys": str(PAGE), "prefix": prefix, "encoding-type": "url"}
            more = True
            while more:
                page = await _page(aws, path, query, run)
                listed += len(page.objects)
                found.add(
                    [one for one in page.objects if self._matches(one.key)], run.at - (self.retention or math.inf)
                )
                query["continuation-token"] = page.next
                more = bool(page.next)
                if more and (listed >= self.max_objects or not page.objects):
                    raise Errored(
                        Reason.INTERNAL,
                        f"cannot tell the newest object in {self.target}: it lists them by name, and there are more "
                        f"than {listed}; narrow prefix, such as by a date, or raise max_objects",
                    )
        return found

    def _matches(self, key: str) -> bool:
        return not self.match or compiled(self.match).search(key.encode("utf-8", "replace")) is not None

    def _judge(self, found: Tally, run: Run) -> None:
        run.memory[NEWEST] = found.newest
        run.record("objects", found.count)
        run.record("total_bytes", found.total)
        if found.newest:
            newest = found.newest[-1]
            run.record("newest_age_seconds", max(0.0, run.at - newest.modified))
            run.record("newest_bytes", newest.size)
            run.record("oldest_age_seconds", max(0.0, run.at - found.oldest))
        if len(found.newest) > 1 and found.newest[-2].size:
            run.record("newest_size_ratio", found.newest[-1].size / found.newest[-2].size)
        if self.retention is not None:
            run.record("expired", found.expired)
            run.record("retained", found.count - found.expired)
        if found.count < self.at_least:
            what = f" that match {self.match!r}" if self.match else ""
            where = ", ".join(f"s3://{self.bucket}/{prefix}" for prefix in self._prefixes(run.at)[:3])
            raise Failed(Reason.ASSERTION, f"{found.count} objects{what} in {where}, expected at least {self.at_least}")

    async def _head(self, aws: Aws, path: str, run: Run) -> None:
        answer = await aws.ask("HEAD", path)
        try:
            modified = parsedate_to_datetime(answer.headers["Last-Modified"]).timestamp()
            now = Stored(modified, self.object, size(answer.headers["Content-Length"]))
        except (KeyError, ValueError, TypeError):
            raise Failed(Reason.BODY, f"{aws.name} did not say how old and how large {self.object} is") from None
        run.memory[NEWEST] = [now]
        run.record("objects", 1)
        run.record("newest_age_seconds", max(0.0, run.at - now.modified))
        run.record("newest_bytes", now.size)
        before = _before(run.kept, now)
        if before:
            run.record("newest_size_ratio", now.size / before)

    async def diagnose(self, run: Run) -> None:
        """The newest objects of the last probe."""
        newest: list[Stored] = run.memory.get(NEWEST, [])
        lines = [
            f"{visible(one.key, 200)}, {show_size(one.size)}, {show_duration(max(0.0, run.at - one.modified))} old"
            for one in reversed(newest)
        ]
        run.evidence("newest objects", "\n".join(lines) or "none")


async def _page(aws: Aws, path: str, query: dict[str, str], run: Run) -> Listing:
    answer = await aws.ask("GET", path, query)
    try:
        return await in_pool(run, read_listing, answer.body)
    except ValueError as why:
        raise Failed(Reason.BODY, f"{aws.name} did not answer with a listing: {visible(str(why), 200)}") from None


def _before(kept: dict[str, Any], now: Stored) -> float:
    """Size of the object that was there before the present one, as far as it was seen; 0 where none was."""
    match kept.get("object"):
        case {"key": now.key, "modified": float(modified), "size": int(last), "before": int(before)}:
            before = before if modified == now.modified else last
        case _:
            before = 0
    kept["object"] = {"key": now.key, "modified": now.modified, "size": now.size, "before": before}
    return before
