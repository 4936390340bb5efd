"""What must never be logged is found, and shown nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.base import Failed, Reason, Run
from checks.parts.logfile.forbidden import Forbid, is_card
from tests.checks.logs import CARD, Log, add
from tests.checks.probing import evidence, fails, value

LEAKS = [
    ("password", 'login {"user":"ann","password":"hunter2"}', "hunter2"),
    ("password", "POST /login password=hunter2&x=1", "hunter2"),
    ("password", r'body="{\"password\":\"hunter2\"}"', "hunter2"),
    ("password", "userPassword: hunter2", "hunter2"),
    ("password", "password=x ", "password=x"),
    ("password", "<password>hunter2</password>", "hunter2"),
    ("password", '"password": ["hunter2", "x"]', "hunter2"),
    ("password", "'old_password' => 'hun ter2'", "ter2"),
    ("cardNumber", '"card_number":"1234"', "1234"),
    ("creditCard", "credit-card: tok-9f8e7d", "tok-9f8e7d"),
    ("ssn", "SSN=078-05-1120", "078-05-1120"),
    ("card", f"paid with {CARD}.", CARD[:-4]),
    ("card", "paid with 378282246310005 ok", "37828224631"),
    ("card", "pan:4242424242424242", "424242424242"),
]


@pytest.mark.parametrize(("what", "line", "secret"), LEAKS)
async def test_what_must_never_be_logged_is_found_and_never_shown(log: Path, what: str, line: str, secret: str) -> None:
    add(log, "fine", f"ERROR {line}", "fine")
    follower = Log(log, forbid={})
    result = await fails(follower.check, Reason.ASSERTION, "must never be logged", what, memory=follower.memory)
    assert value(result, "forbidden", what=what) == 1
    assert all(secret not in text for _, text in result.evidence)
    assert "***" in evidence(result, "errors")
    assert secret not in str(follower.memory)
    run = Run(follower.memory)
    await follower.check.diagnose(run)
    assert run.evidences
    assert all(secret not in text for _, text in run.evidences)


@pytest.mark.parametrize(
    "line",
    ["password: ***", '"password":null', 'password=""', "password=[REDACTED]", "classname=5", "assn=3",
     "order 4111111111111112", "id 550e8400-e29b-41d4-a716-411111111111", "1760046060891", "4.111111111111111",
     "cardNumber=************1111", "0000000000000000", "forgot password"],
)  # fmt: skip
async def test_what_is_harmless_is_not_reported(log: Path, line: str) -> None:
    add(log, line)
    await Log(log, forbid={}).ask()


async def test_known_harmless_lines_own_patterns_and_own_keys(log: Path) -> None:
    add(log, "password=example in the manual", "PT50000201231234567890154", "pin_code=77", f"{CARD}")
    forbid = {"words": ["pinCode"], "cards": False, "patterns": {"iban": r"\bPT50\d{21}\b"}, "unless": "manual"}
    result = await fails(Log(log, forbid=forbid).check, Reason.ASSERTION, "pinCode, iban (2 records)")
    assert value(result, "forbidden", what="iban") == 1
    assert "PT50" not in str(result.evidence)


async def test_a_forbidden_word_fails_for_a_while_and_retries_lose_no_count(log: Path) -> None:
    follower = Log(log, forbid={}, retries=1, keep_failing_for="10m")
    add(log, "ERROR password=x1")

    async def attempt(after: float) -> Run:
        follower.now += after
        run = Run(follower.memory, follower.now)
        with pytest.raises(Failed, match="must never be logged"):
            await follower.check.probe(run)
        return run

    assert value(await attempt(0), "errors") == 1
    assert value(await attempt(1), "errors") == 1, "the answer that counts is the last one"
    add(log, "ERROR fine")
    await attempt(60)
    assert value(await attempt(1), "errors_total") == 2
    follower.restart()
    await attempt(500)
    run = await follower.ask(after=200)
    assert value(run, "errors_total") == 2


@pytest.mark.parametrize(
    ("digits", "known"),
    [("4111111111111111", True), ("5555555555554444", True), ("2223003122003222", True), ("378282246310005", True),
     ("30569309025904", True), ("6011111111111117", True), ("3530111333300000", True), ("6200000000000005", True),
     ("4222222222222", True), ("411111111111111", False), ("5555555555554445", False), ("1234567812345670", False),
     ("9111111111111111", False), ("2220990000000001", False)],
)  # fmt: skip
def test_card_numbers_by_issuer_length_and_check_digit(digits: str, known: bool) -> None:
    assert is_card(digits) == known


@given(
    st.binary(max_size=400),
    st.sampled_from(["hunter2", "s3cr3t!"]),
    st.sampled_from(["password=", '"ssn": "', "cardNumber:"]),
)
def test_masking_never_lets_a_value_through(noise: bytes, secret: str, key: str) -> None:
    text = noise + b" " + key.encode() + secret.encode()
    assert secret.encode() not in Forbid().masked(text.replace(b"\n", b" "))
