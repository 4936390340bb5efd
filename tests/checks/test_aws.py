"""Signatures as botocore makes them, credentials from where AWS' tools find them, and whose fault a refusal is."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.base import Errored, Reason, Run
from checks.cloudwatch import Cloudwatch
from checks.parts.aws.asking import FOUND, Credentials
from checks.parts.aws.signature import Keys, encoded, query_string, signed
from checks.s3 import S3
from monitor.demo.parts.aws import REGION, Moto
from tests.checks import web
from tests.checks.probing import asked, errs, fails

NOW = datetime(2026, 11, 22, 2, 0, 5, tzinfo=UTC)
plain = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


@given(
    st.dictionaries(plain, plain, max_size=3), plain, st.binary(max_size=40), st.text("abc=/+", max_size=9),
    st.sampled_from(["s3", "logs"]),
)  # fmt: skip
def test_a_signature_is_the_one_that_botocore_makes(
    query: dict[str, str], path: str, body: bytes, token: str, service: str
) -> None:
    from botocore.auth import S3SigV4Auth, SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    class Then(S3SigV4Auth if service == "s3" else SigV4Auth):  # type: ignore[misc]
        """Whose clock stands still."""

        def _modify_request_before_signing(self, request: Any) -> None:
            request.context["timestamp"] = NOW.strftime("%Y%m%dT%H%M%SZ")
            super()._modify_request_before_signing(request)

    where = "/" + (encoded(path, slashes=True) if service == "s3" else "")
    text = query_string(query)
    mine = signed(
        Keys("AKIA", "s3same", token), "eu-west-1", service, NOW, "POST", where, text,
        {"Host": "x.example:9000", "X-Amz-Target": "a  b "}, body,
    )  # fmt: skip
    request = AWSRequest("POST", f"http://x.example:9000{where}?{text}", {"X-Amz-Target": "a  b "}, body)
    request.headers["X-Amz-Content-SHA256"] = mine["X-Amz-Content-Sha256"]
    request.context["timestamp"] = mine["X-Amz-Date"]
    request.headers["X-Amz-Date"] = mine["X-Amz-Date"]
    if token:
        request.headers["X-Amz-Security-Token"] = token
    signer = Then(Credentials("AKIA", "s3same", token or None), service, "eu-west-1")
    canonical = signer.canonical_request(request)
    assert mine["Authorization"].endswith(
        f"Signature={signer.signature(signer.string_to_sign(request, canonical), request)}"
    )


@pytest.fixture(autouse=True)
def nothing_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials of this machine."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


def check(moto: Moto, **credentials: str) -> S3:
    return S3(name="x", bucket="box-of-aws", endpoint_url=moto.url, region=REGION, credentials=credentials, at_least=0)


@pytest.fixture
def bucket(s3: Any) -> None:
    s3.create_bucket(Bucket="box-of-aws", CreateBucketConfiguration={"LocationConstraint": REGION})


@pytest.mark.usefixtures("bucket")
async def test_credentials_come_from_the_environment_or_a_profile(
    moto: Moto, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await errs(check(moto), Reason.AUTH, "cannot find credentials for AWS: none are configured")
    await errs(check(moto, profile="shop"), Reason.AUTH, "config profile (shop) could not be found")
    lines = f"aws_access_key_id = {moto.key_id}\naws_secret_access_key = {moto.secret}\n"
    (tmp_path / "credentials").write_text(f"[shop]\n{lines}")
    memory: dict[Any, Any] = {}
    await asked(check(moto, profile="shop"), memory)
    assert FOUND in memory
    (tmp_path / "credentials").unlink()
    await asked(check(moto, profile="shop"), memory)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", moto.key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", moto.secret)
    await asked(check(moto))


async def test_a_source_of_credentials_that_fails_or_hangs_is_ours(moto: Moto, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(
        f"[profile broken]\ncredential_process = {sys.executable} -c 'raise SystemExit(3)'\n"
        f"[profile slow]\ncredential_process = {sys.executable} -c 'import time; time.sleep(2)'\n"
    )
    await errs(check(moto, profile="broken"), Reason.AUTH, "cannot find credentials for AWS")
    slow = check(moto, profile="slow").model_copy(update={"timeout": 0.2})
    memory: dict[Any, Any] = {}
    # The program that it waits for has its pipes until it ends.
    for words in ("no answer within 120 ms from where they come from", "hangs since the probe before"):
        with pytest.raises(Errored, match=words) as caught:
            await slow.probe(Run(memory))
        assert caught.value.reason is Reason.INTERNAL


async def test_without_the_library_a_sentence_says_what_to_install(moto: Moto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    await errs(check(moto), Reason.INTERNAL, "pip install 'runwatch[aws]'")


def coded(code: str, status: str = "400 Bad Request", *headers: str) -> bytes:
    body = b'{"__type":"com.amazonaws.logs#%s","message":"said \\u0007so"}' % code.encode()
    return web.reply(body, status, "Content-Type: application/x-amz-json-1.1", *headers)


def xml(code: str, status: str = "400 Bad Request", *headers: str) -> bytes:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>said so</Message></Error>".encode()
    return web.reply(body, status, *headers)


LATE = f"Date: {format_datetime(datetime.now(UTC) - timedelta(hours=1))}"


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        (coded("ThrottlingException"), Reason.RATE_LIMITED, "come less often: ThrottlingException: said �so"),
        (xml("SlowDown", "503 Slow Down"), Reason.RATE_LIMITED, "come less often: SlowDown: said so"),
        (coded("ExpiredTokenException"), Reason.AUTH, "does not accept our credentials: ExpiredTokenException"),
        (xml("ExpiredToken"), Reason.AUTH, "does not accept our credentials: ExpiredToken"),
        (coded("UnrecognizedClientException"), Reason.AUTH, "does not accept our credentials"),
        (coded("AccessDeniedException"), Reason.AUTH, "allow it logs:FilterLogEvents"),
        (web.reply(b"", "403 Forbidden"), Reason.AUTH, "does not let the monitor look"),
        (xml("RequestTimeTooSkewed", "403 Forbidden", LATE), Reason.INTERNAL, "the clock of this machine is 1h"),
        (coded("InvalidSignatureException", "400 x", LATE), Reason.INTERNAL, "ahead of AWS'"),
        (coded("InvalidSignatureException"), Reason.AUTH, "does not accept our credentials"),
        (xml("PermanentRedirect", "301 x", "x-amz-bucket-region: eu-west-3"), Reason.INTERNAL, "set region: eu-west-3"),
        (coded("InvalidParameterException"), Reason.INTERNAL, "does not understand what we ask"),
        (web.reply(b"{", "400 x", "x-amzn-errortype: ValidationError:http://x"), Reason.INTERNAL, "ValidationError"),
        (web.reply(b"<html>\x1b[2J", "418 x"), Reason.INTERNAL, "does not understand"),
    ],
)  # fmt: skip
async def test_what_is_no_fault_of_the_logs_is_our_error(answer: bytes, reason: Reason, words: str) -> None:
    async with web.serving(answer) as there:
        await errs(logs_at(there.port), reason, words)


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        (coded("ResourceNotFoundException"), Reason.ASSERTION, "it is not there: ResourceNotFoundException: said �so"),
        (coded("ServiceUnavailableException", "503 x"), Reason.STATUS, "it answered 503: ServiceUnavailableException"),
        (web.reply(b"", "500 x"), Reason.STATUS, "answered 500"),
        (web.reply(b"[]"), Reason.BODY, "did not answer with a page of events"),
        (web.reply(b"<html>"), Reason.BODY, "did not answer with JSON"),
    ],
)
async def test_what_is_its_fault_is_a_failure(answer: bytes, reason: Reason, words: str) -> None:
    async with web.serving(answer) as there:
        await fails(logs_at(there.port), reason, words)


async def test_what_aws_repeats_of_a_token_is_not_shown(moto: Moto) -> None:
    answer = web.reply(
        b'{"__type":"InvalidSignatureException","message":"x-amz-security-token:t0ken-of-an-hour"}', "403 x"
    )
    async with web.serving(answer) as there:
        run, keys = Run(), Keys("AKIA", "s3same", "t0ken-of-an-hour")

        class Found(Credentials):
            """As a role of the machine gives them."""

            async def found(self, run: Run, seconds: float) -> Keys:
                return keys

        ask = logs_at(there.port).model_copy(update={"credentials": Found()})
        with pytest.raises(Errored, match=r"security-token:\*\*\*") as caught:
            await ask.probe(run)
        assert "t0ken" not in caught.value.sentence


def logs_at(port: int) -> Cloudwatch:
    keys = {"access_key_id": "AKIA", "secret_access_key": "s3same"}
    return Cloudwatch(name="x", log_groups=["shop"], endpoint_url=f"http://127.0.0.1:{port}", credentials=keys)
