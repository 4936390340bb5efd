"""The s3 kind against moto, which verifies signatures and rights, and against answers that no store would give."""

from __future__ import annotations

import secrets
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from alerts.thresholds import parse
from checks.base import Failed, Reason
from checks.parts.aws.s3_listing import read_listing
from checks.s3 import S3
from monitor.demo.parts.aws import REGION, Moto
from tests.checks import web
from tests.checks.probing import asked, cancelled, errs, evidence, fails, result_of, value, values
from tests.faults import FaultProxy

DAY = 86400.0


def check(moto: Moto, bucket: str, **fields: Any) -> S3:
    keys = {"access_key_id": moto.key_id, "secret_access_key": moto.secret}
    return S3(
        name="backups", **{"bucket": bucket, "endpoint_url": moto.url, "region": REGION, "credentials": keys, **fields}
    )


def at(port: int, **fields: Any) -> S3:
    """A check of a store on loopback that is none."""
    keys = {"access_key_id": "AKIA", "secret_access_key": "s3same"}
    return S3(
        name="backups", **{"bucket": "box", "endpoint_url": f"http://127.0.0.1:{port}", "credentials": keys, **fields}
    )


@pytest.fixture
def bucket(s3: Any) -> str:
    name = f"backups-{secrets.token_hex(6)}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    return name


async def test_the_newest_its_age_and_its_size_beside_the_one_before(moto: Moto, s3: Any, bucket: str) -> None:
    began = time.time()
    for number, size in enumerate((1000, 2000, 500)):
        s3.put_object(Bucket=bucket, Key=f"postgres/{number} ö+%.sql.gz", Body=b"x" * size)
    s3.put_object(Bucket=bucket, Key="postgres/latest.txt", Body=b"2")
    s3.put_object(Bucket=bucket, Key="redis/dump.rdb", Body=b"x")
    run = await asked(check(moto, bucket, prefix="postgres/", match=r"\.sql\.gz$"))
    assert value(run, "objects") == 3
    assert value(run, "total_bytes") == 3500
    # LastModified counts whole seconds, and ties are decided by name.
    assert value(run, "newest_bytes") == 500
    assert value(run, "newest_size_ratio") == 0.25
    assert 0 <= value(run, "newest_age_seconds") <= value(run, "oldest_age_seconds") <= time.time() - began + 1
    assert not values(run, "expired")
    await check(moto, bucket).diagnose(run)
    assert evidence(run, "newest objects").startswith("postgres/2 ö+%.sql.gz, 500 B, ")


async def test_age_and_retention_go_by_the_probes_time(moto: Moto, s3: Any, bucket: str) -> None:
    for number in range(3):
        s3.put_object(Bucket=bucket, Key=f"{number}.gz", Body=b"x")
    later = await asked(check(moto, bucket, retention="30d"), at=time.time() + 31 * DAY)
    assert value(later, "newest_age_seconds") == pytest.approx(31 * DAY, abs=60)
    assert (value(later, "expired"), value(later, "retained")) == (3, 0)
    now = await asked(check(moto, bucket, retention="30d"))
    assert (value(now, "expired"), value(now, "retained")) == (0, 3)


async def test_a_date_in_the_prefix_stands_for_today_and_the_day_before(moto: Moto, s3: Any, bucket: str) -> None:
    for day in ("2026-11-20", "2026-11-21", "2026-11-22"):
        s3.put_object(Bucket=bucket, Key=f"pg/{day}/dump.gz", Body=b"x")
    midnight = 1_795_305_600.0  # 2026-11-22 00:00 UTC
    ask = check(moto, bucket, prefix="pg/%Y-%m-%d/")
    assert value(await asked(ask, at=midnight + 60), "objects") == 2
    assert value(await asked(ask, at=midnight + DAY + 60), "objects") == 1
    with pytest.raises(Failed, match=r"0 objects in s3://.*2026-11-24/, .*2026-11-23/, expected at least 1"):
        await asked(ask, at=midnight + 2 * DAY)
    assert value(await asked(check(moto, bucket, prefix="pg/%Y-%m-%d/", days=3), at=midnight + 60), "objects") == 3


async def test_pages_are_read_to_their_end_or_it_can_not_tell(moto: Moto, s3: Any, bucket: str) -> None:
    for number in range(1001):
        s3.put_object(Bucket=bucket, Key=f"{number:05}", Body=b"")
    run = await asked(check(moto, bucket))
    assert value(run, "objects") == 1001
    await check(moto, bucket).diagnose(run)
    newest = evidence(run, "newest objects").splitlines()
    assert [line.partition(",")[0] for line in newest] == [f"{number:05}" for number in range(1000, 990, -1)]
    await errs(check(moto, bucket, max_objects=900), Reason.INTERNAL, "there are more than 1000", "raise max_objects")


async def test_nothing_there_has_failed_unless_nothing_is_wanted(moto: Moto, bucket: str) -> None:
    result = await fails(check(moto, bucket, prefix="pg/"), Reason.ASSERTION, f"0 objects in s3://{bucket}/pg/")
    assert value(result, "objects") == 0
    run = await asked(check(moto, bucket, at_least=0))
    assert not values(run, "newest_age_seconds")


async def test_one_key_is_compared_with_what_was_there_before_it(moto: Moto, s3: Any, bucket: str) -> None:
    ask = check(moto, bucket, object="pg/latest ö.sql.gz")
    await fails(ask, Reason.ASSERTION, "latest ö.sql.gz: it is not there")
    s3.put_object(Bucket=bucket, Key="pg/latest ö.sql.gz", Body=b"x" * 1000)
    memory: dict[Any, Any] = {}
    run = await asked(ask, memory)
    assert value(run, "newest_bytes") == 1000
    assert value(run, "newest_age_seconds") < 60
    assert not values(run, "newest_size_ratio")
    memory["kept"]["object"]["modified"] -= DAY
    s3.put_object(Bucket=bucket, Key="pg/latest ö.sql.gz", Body=b"x" * 250)
    for _ in range(2):
        assert value(await asked(ask, memory), "newest_size_ratio") == 0.25
    memory["kept"]["object"] = {"key": 1, "modified": "x"}
    assert not values(await asked(ask, memory), "newest_size_ratio")


async def test_no_bucket_is_its_failure_and_no_right_is_ours(moto: Moto, bucket: str) -> None:
    await fails(
        check(moto, "nowhere-at-all"), Reason.ASSERTION, "S3 bucket nowhere-at-all: it is not there", "NoSuchBucket"
    )
    guest = moto.user(f"guest-{bucket}")
    await errs(check(moto, bucket, credentials=guest), Reason.AUTH, "AccessDenied", "allow it s3:ListBucket")
    await errs(check(moto, bucket, object="a", credentials=guest), Reason.AUTH, "allow it s3:GetObject")
    reader = moto.user(f"reader-{bucket}", "s3:ListBucket")
    assert value(await asked(check(moto, bucket, at_least=0, credentials=reader)), "objects") == 0


async def test_wrong_credentials_are_ours_and_do_not_show(moto: Moto, bucket: str) -> None:
    wrong = {"access_key_id": moto.key_id, "secret_access_key": "wr0ng-s3cret"}
    await errs(check(moto, bucket, credentials=wrong), Reason.AUTH, "does not accept our credentials", "SignatureDoes")
    stranger = {"access_key_id": "AKIANOBODY", "secret_access_key": "wr0ng-s3cret"}
    await errs(check(moto, bucket, credentials=stranger), Reason.AUTH, "InvalidAccessKeyId")


def page(*objects: str, top: str = "<IsTruncated>false</IsTruncated>") -> bytes:
    return f'<ListBucketResult xmlns="http://s3/">{top}{"".join(objects)}</ListBucketResult>'.encode()


ONE = "<Contents><Key>a</Key><LastModified>2026-11-22T02:00:05.000Z</LastModified><Size>1</Size></Contents>"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "it is no XML"),
        (b"{}", "it is no XML"),
        (b"<html><body>Welcome</body></html>", "does not say whether it is complete"),
        (page(ONE)[:-5], "it is no XML"),
        (page(top="<IsTruncated>true</IsTruncated>"), "does not say whether it is complete"),
        (page("<Contents><Key>a</Key></Contents>"), "an object has no LastModified"),
        (page(ONE.replace("<Size>1<", "<Size>-1<")), "is no size"),
        (page(ONE.replace("<Size>1<", "<Size>9e99<")), "is no size"),
        (page(ONE.replace("Z<", "<")), "names no time zone"),
        (page(ONE.replace("2026", "yester")), "Invalid isoformat"),
        (b'<!DOCTYPE a [<!ENTITY a "aaaa">]>' + page(ONE), "declares a document type"),
        (b"<a>" * 100_000, "nested too deep"),
        (page(ONE.replace(">a<", ">\x01<")), "it is no XML"),
        (b"x" * (5 * 2**20), "is larger than 4 MiB"),
    ],
)
async def test_what_is_no_listing_is_no_good_answer(body: bytes, words: str) -> None:
    async with web.serving(web.reply(body)) as store:
        await fails(at(store.port), Reason.BODY, words)


async def test_a_listing_without_end_is_left(moto: Moto) -> None:
    for objects in ("", ONE):
        more = page(objects, top="<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>")
        async with web.serving(web.reply(more)) as store:
            await errs(at(store.port, max_objects=3), Reason.INTERNAL, "cannot tell the newest")
            assert len(store.requests) == 3 if objects else 1


@pytest.mark.parametrize(
    "headers", [(), ("Last-Modified: yesterday",), ("Last-Modified: Sun, 22 Nov 2026 02:00:05 GMT",)]
)
async def test_a_head_that_says_too_little_is_no_good_answer(headers: tuple[str, ...]) -> None:
    answer = web.reply(b"", "200 OK", *headers, length=len(headers) == 1 and "yesterday" in headers[0])
    async with web.serving(answer) as store:
        await fails(at(store.port, object="a"), Reason.BODY, "did not say how old and how large a is")


async def test_nobody_there_silence_and_half_an_answer(moto: Moto, bucket: str) -> None:
    await fails(at(web.closed_port()), Reason.CONNECT_REFUSED)
    async with web.serving(web.hang) as silent:
        await fails(at(silent.port, timeout="1s"), Reason.READ_TIMEOUT)
    async with FaultProxy("127.0.0.1", moto.port) as proxy:
        proxy.cut_after = 100
        await fails(at(proxy.port), Reason.PROTOCOL)


async def test_cancelled_it_leaves_nothing(moto: Moto, bucket: str) -> None:
    await result_of(check(moto, bucket))
    async with web.serving(web.hang) as silent:
        await cancelled(at(silent.port), silent)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"prefix": "pg/%H/"}, "%H is none of"),
        ({"prefix": "100%"}, "% is none of"),
        ({"object": "a", "prefix": "b"}, "object is the one to look at"),
        ({"match": "("}, "is no regular expression"),
        ({"bucket": "a/b"}, "String should match"),
        ({"endpoint_url": "http://x/minio"}, "only a scheme"),
        ({"credentials": {"access_key_id": "A"}}, "belong together"),
    ],
)
def test_what_can_not_be_meant_is_refused_at_load(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        S3(name="x", **{"bucket": "box", **fields})


@pytest.mark.parametrize(
    ("bucket", "region", "address"),
    [
        ("retail-backups", "eu-west-1", "https://retail-backups.s3.eu-west-1.amazonaws.com"),
        ("retail.backups", "eu-west-1", "https://s3.eu-west-1.amazonaws.com"),
        ("retail-backups", "cn-north-1", "https://retail-backups.s3.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_aws_own_address_fits_its_certificate(bucket: str, region: str, address: str) -> None:
    found, path = S3(name="x", bucket=bucket, region=region)._where()
    assert str(found) == address
    assert path == ("/retail.backups" if "." in bucket else "")


def test_recommended_conditions_are_of_its_measurements() -> None:
    for one in S3.recommended:
        parse(one.when, {measured.name: measured for measured in S3.measurements})


@given(st.binary() | st.text().map(lambda text: page(f"<Contents>{text}</Contents>")))
def test_any_bytes_are_a_listing_or_a_sentence(body: bytes) -> None:
    try:
        read_listing(body)
    except ValueError as why:
        assert str(why)
