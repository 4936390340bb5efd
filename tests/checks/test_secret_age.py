"""The secret_age kind on real files: its age however it is told, and that nothing of the secret ever gets out."""

from __future__ import annotations

import datetime
import json
import os
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from alerts.thresholds import parse
from checks.base import KEPT, Failed, Outcome, Reason, Run
from checks.parts.secret_state import State
from checks.secret_age import SecretAge
from tests.checks.probing import Memory, asked, errs, fails, result_of, value, values

DAY = 86_400.0
NOW = datetime.datetime(2026, 9, 16, tzinfo=datetime.UTC).timestamp()
SECRET = "b1946ac92492d2347c6235b4d2611184"


def put(path: Path, text: str, age: float = 0.0) -> Path:
    path.write_text(text)
    os.utime(path, (NOW - age, NOW - age))
    return path


def check(path: Path, **fields: Any) -> SecretAge:
    return SecretAge(name="secret", path=str(path), **fields)


async def look(path: Path, memory: Memory | None = None, at: float = NOW, **fields: Any) -> Run:
    return await asked(check(path, **fields), {} if memory is None else memory, at)


async def refused(path: Path, words: str, **fields: Any) -> Run:
    run = Run({}, NOW)
    with pytest.raises(Failed, match=words) as why:
        await check(path, **fields).probe(run)
    assert SECRET not in why.value.sentence
    return run


async def test_the_file_tells_how_old_it_is(tmp_path: Path) -> None:
    path = put(tmp_path / "session", SECRET, 60 * DAY)
    run = await look(path, since="modified")
    assert value(run, "age_seconds") == 60 * DAY
    assert value(run, "age_ratio") == pytest.approx(2 / 3)
    assert value(run, "changed_timestamp") == NOW - 60 * DAY
    assert values(run, "definitions") == {}
    run = await refused(path, "60d old, it has to be changed every 30d", since="modified", max_age="30d")
    assert value(run, "max_age_seconds") == 30 * DAY


async def test_a_file_that_is_written_anew_with_the_same_secret_does_not_make_it_younger(tmp_path: Path) -> None:
    path = put(tmp_path / ".env", f"SESSION_SECRET={SECRET}\nPORT=1\n", 50 * DAY)
    memory: Memory = {}
    fields: dict[str, Any] = {"variable": "SESSION_SECRET"}
    assert value(await look(path, memory, **fields), "age_seconds") == 50 * DAY
    put(path, f"PORT=2\nSESSION_SECRET='{SECRET}'\n")
    memory = {KEPT: memory[KEPT]}
    assert value(await look(path, memory, NOW + DAY, **fields), "age_seconds") == 51 * DAY
    put(path, f"SESSION_SECRET={SECRET[::-1]}\n", -2 * DAY)
    memory = {KEPT: memory[KEPT]}
    assert value(await look(path, memory, NOW + 3 * DAY, **fields), "age_seconds") == DAY
    assert value(await look(path, memory, NOW + 4 * DAY, **fields), "age_seconds") == 2 * DAY


async def test_an_older_file_with_the_same_secret_shows_that_it_is_older(tmp_path: Path) -> None:
    path = put(tmp_path / ".env", f"SESSION_SECRET={SECRET}\n", DAY)
    memory: Memory = {}
    fields: dict[str, Any] = {"variable": "SESSION_SECRET"}
    assert value(await look(path, memory, **fields), "age_seconds") == DAY
    put(path, f"SESSION_SECRET={SECRET}\n", 50 * DAY)
    assert value(await look(path, memory, **fields), "age_seconds") == 50 * DAY
    put(path, f"SESSION_SECRET={SECRET}\n")
    assert value(await look(path, memory, **fields), "age_seconds") == 50 * DAY


async def test_what_is_kept_is_a_salted_hash_and_nothing_else(tmp_path: Path) -> None:
    path = put(tmp_path / "a", SECRET)
    one: Memory = {}
    two: Memory = {}
    await look(path, one)
    await look(path, two)
    kept, other = one[KEPT]["secret"], two[KEPT]["secret"]
    assert SECRET not in json.dumps(kept)
    assert kept["hash"] != other["hash"], "a salt of its own for each"
    assert SECRET not in repr(one)


async def test_what_did_not_change_is_not_hashed_again(tmp_path: Path) -> None:
    path = put(tmp_path / "a", SECRET, DAY)
    memory: Memory = {}
    await look(path, memory)
    first = memory["secret"].state
    await look(path, memory)
    assert memory["secret"].state == first
    memory[KEPT]["secret"]["hash"] = "0" * 64
    assert value(await look(path, memory, NOW), "age_seconds") == DAY, "another hash: the value changed"


@pytest.mark.parametrize(
    "kept", [5, {}, {"salt": "x", "hash": "y", "since": "z"}, {"salt": "0" * 32, "hash": "0" * 64}]
)
async def test_whatever_an_older_version_kept_the_probe_goes_on(tmp_path: Path, kept: Any) -> None:
    path = put(tmp_path / "a", SECRET, 5 * DAY)
    assert value(await look(path, {KEPT: {"secret": kept}}), "age_seconds") == 5 * DAY
    assert State.read(kept) is None


@pytest.mark.parametrize(
    ("text", "days"),
    [
        (f"# rotated: 2026-09-06\nNAME={SECRET}\n", 10),
        (f"#Rotated 2026-09-06T00:00Z\nexport NAME = '{SECRET}'\n", 10),
        (f"NAME={SECRET} # changed on 2026-09-14", 2),
        (f'NAME="{SECRET}" # set: 2026-09-15', 1),
        (f"# rotated: 2026-01-01\nNAME=old\nX=1\n# rotated: 2026-09-06\nNAME={SECRET}\r\n", 10),
        (f"# rotated: 2026-01-01\nOTHER=x\n# updated at 2026-09-11\nNAME={SECRET}", 5),
    ],
)
async def test_a_marker_beside_it_tells_when_it_was_changed(tmp_path: Path, text: str, days: int) -> None:
    run = await look(put(tmp_path / ".env", text), since="marker", variable="NAME")
    assert value(run, "age_seconds") == days * DAY
    assert value(run, "definitions") == text.count("NAME")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"NAME={SECRET}\n", "no date such as"),
        (f"# rotated: 2026-09-06\nOTHER=1\nNAME={SECRET}\n", "no date such as"),
        (f"# rotated: 2026-99-99\nNAME={SECRET}\n", "no date such as"),
        (f"# rotated: 2036-09-06\nNAME={SECRET}\n", "still to come"),
        ("# rotated: 2026-09-06\nNAME=\n", "is empty"),
        ("# rotated: 2026-09-06\nNAME=''\n", "is empty"),
        (f"# NAME={SECRET}\nMYNAME={SECRET}\nNAMES={SECRET}", "does not set NAME"),
        ("", "does not set NAME"),
    ],
)
async def test_an_age_that_nobody_can_tell_fails(tmp_path: Path, text: str, words: str) -> None:
    await refused(put(tmp_path / ".env", text), words, since="marker", variable="NAME")


async def test_a_certificate_has_its_own_dates(tmp_path: Path) -> None:
    authority = trustme.CA()
    day = datetime.timedelta(days=1)
    now = datetime.datetime.now(datetime.UTC)
    made = authority.issue_cert("a.example", not_before=now - 100 * day, not_after=now + 20 * day)
    path = tmp_path / "a.pem"
    made.cert_chain_pems[0].write_to_path(path)
    at = now.timestamp()
    run = await look(path, at=at, since="certificate", max_age="365d")
    assert value(run, "age_seconds") == pytest.approx(100 * DAY, abs=2)
    assert value(run, "expires_in_seconds") == pytest.approx(20 * DAY, abs=2)
    await fails(check(path, since="certificate"), Reason.ASSERTION, "100d", "every 90d")
    authority.issue_cert("b", not_before=now - 9 * day, not_after=now - day).cert_chain_pems[0].write_to_path(path)
    await fails(check(path, since="certificate"), Reason.TLS_EXPIRED, "has expired")
    path.write_text("no certificate")
    await fails(check(path, since="certificate"), Reason.PROTOCOL, "no readable certificate")


@pytest.mark.parametrize(
    ("mode", "found"), [(0o600, (0, 0, 0)), (0o640, (0, 0, 1)), (0o644, (1, 0, 1)), (0o666, (1, 1, 1))]
)
async def test_who_may_read_it(tmp_path: Path, mode: int, found: tuple[int, int, int]) -> None:
    path = put(tmp_path / "a", SECRET)
    path.chmod(mode)
    run = await look(path)
    assert tuple(value(run, name) for name in ("world_readable", "world_writable", "group_readable")) == found


async def test_what_is_no_such_file(tmp_path: Path) -> None:
    await fails(check(tmp_path / "none"), Reason.ASSERTION, "there is no such file")
    await fails(check(tmp_path), Reason.PROTOCOL, "it is a directory")
    os.mkfifo(tmp_path / "pipe")
    await fails(check(tmp_path / "pipe"), Reason.PROTOCOL, "it is a pipe")
    put(tmp_path / "empty", " \n")
    await fails(check(tmp_path / "empty"), Reason.ASSERTION, "is empty")
    with (tmp_path / "huge").open("wb") as stream:
        stream.truncate(2**30)
    await fails(check(tmp_path / "huge"), Reason.PROTOCOL, "too large for a secret")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
async def test_no_right_to_read_is_ours(tmp_path: Path) -> None:
    path = put(tmp_path / "a", SECRET)
    path.chmod(0o600)
    os.seteuid(65534)
    try:
        await errs(check(path), Reason.AUTH, "cannot read", "permission denied")
    finally:
        os.seteuid(0)


@given(st.binary(max_size=300))
async def test_no_content_breaks_it_or_gets_out(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("secret") / "a"
    path.write_bytes(b"NAME=" + content)
    result = await result_of(check(path, variable="NAME", since="marker"))
    assert result.outcome is not Outcome.ERROR
    assert not result.evidence


def test_recommended_conditions_are_of_its_measurements() -> None:
    for one in SecretAge.recommended:
        parse(one.when, {measured.name: measured for measured in SecretAge.measurements})


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"path": "x"}, "no absolute path"),
        ({"since": "marker"}, "marker wants variable"),
        ({"since": "certificate", "variable": "A"}, "no variable"),
        ({"variable": "A=B"}, "should match pattern"),
    ],
)
def test_what_can_not_be_is_refused_with_a_sentence(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError) as why:
        SecretAge(**{"name": "secret", "path": "/run/secrets/a", **fields})
    assert sentence in str(why.value)
