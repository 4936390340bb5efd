"""What anybody may send to our own API: no field of any type breaks it, and nothing that is taken breaks it later."""

import itertools
import json
from pathlib import Path

import pytest

from monitor.api.asked import Refused, flag_of, name_of, seconds_of, text_of, texts_of, time_of
from tests.daemon import Daemon

CONFIGURATION = """
route: {receiver: team}
receivers: [{name: team, webhook_configs: [{url: "http://127.0.0.1:9/"}]}]
"""
SILENCE = {"matchers": ["system=shop"], "for": "1h", "by": "ann", "comment": "deploy"}
BODIES = {
    "/api/v1/silences": SILENCE,
    "/api/v1/ack": {"matchers": ["system=shop"], "by": "ann", "for": "1h"},
    "/api/v1/unack": {"matchers": ["system=shop"], "by": "ann"},
    "/api/v1/drill": {"receivers": ["team"], "severity": "low", "for": "1s"},
    "/api/v1/test-alert": {"receiver": "team", "severity": "low"},
}
HOSTILE = (
    None, True, 0, -1, 1.5, 1e300, "", "\0", "\u202e", "x" * 100_000, "9" * 400 + "s", "99999999999999999y", "-5s",
    [], [None], [[]], [1], ["\0"], {}, {"a": {}},
)  # fmt: skip


async def test_no_field_of_any_type_breaks_the_daemon(tmp_path: Path):
    async with Daemon(tmp_path, CONFIGURATION) as daemon:
        for (path, body), value in itertools.product(BODIES.items(), HOSTILE):
            for key in {*body, "until", "until_resolved"}:
                given = {name: one for name, one in body.items() if (key, name) != ("until", "for")} | {key: value}
                status, text = await daemon.get(path, "POST", json=given)
                assert status < 500, (path, given)
                assert status < 300 or "error" in json.loads(text)
        for raw in (b"null", b"nan", b"[" * 100_000, b"\xff", b'{"by": "\\ud800"}'):
            for path in BODIES:
                assert (await daemon.get(path, "POST", data=raw))[0] == 400
        for path in ("/api/v1/silences?all", "/api/v2/silences", "/api/v1/alerts", "/metrics", "/"):
            assert (await daemon.get(path))[0] == 200


async def test_a_silence_has_an_end_that_a_calendar_knows_and_no_key_that_nobody_reads(tmp_path: Path):
    async with Daemon(tmp_path, CONFIGURATION) as daemon:
        for wrong, said in (
            ({"for": "99999999999y"}, "is longer than ten thousand years"),
            ({"for": "9000y"}, "must end before the year 9999"),
            ({"untl": "business-hours"}, "unknown key 'untl'; did you mean until?"),
            ({"until_resolved": "no"}, "until_resolved: true or false is wanted"),
            ({"comment": ["deploy"]}, "comment: a text is wanted"),
        ):
            status, text = await daemon.get("/api/v1/silences", "POST", json=SILENCE | wrong)
            assert (status, said in text) == (400, True), text


async def test_who_is_nobody_is_refused_and_not_an_error_of_ours(tmp_path: Path):
    async with Daemon(tmp_path, CONFIGURATION) as daemon:
        for headers in ({"Origin": "http://["}, {"Origin": "null"}, {"Host": "[::1"}, {"Host": "evil.example"}):
            status, _ = await daemon.get("/api/v1/silences", "POST", json=SILENCE, headers=headers)
            assert status == 403


async def test_a_silence_that_is_yet_to_begin_is_made_longer_and_still_begins_then(tmp_path: Path):
    async with Daemon(tmp_path, CONFIGURATION) as daemon:
        matchers = [{"name": "system", "value": "shop", "isRegex": False, "isEqual": True}]
        planned = {"matchers": matchers, "startsAt": "2090-01-01T00:00:00Z", "endsAt": "2090-01-01T01:00:00Z"}
        _, text = await daemon.get("/api/v2/silences", "POST", json=planned | {"createdBy": "ann", "comment": "move"})
        path = f"/api/v1/silences/{json.loads(text)['silenceID']}/extend"
        status, text = await daemon.get(path, "POST", json={"until": "2090-01-01T05:00:00Z"})
        held = json.loads(text)
        assert (status, held["state"], held["starts_at"]) == (200, "pending", "2090-01-01T00:00:00.000Z")
        assert held["ends_at"] == "2090-01-01T05:00:00.000Z"


@pytest.mark.parametrize(
    ("read", "wrong"),
    [
        (texts_of, "x"), (texts_of, [""]), (texts_of, [1]), (text_of, 1), (flag_of, 1), (flag_of, "true"),
        (name_of, " "), (name_of, None), (name_of, "x" * 201), (seconds_of, "0s"), (seconds_of, 5),
    ],
)  # fmt: skip
def test_each_field_has_its_type(read, wrong):
    with pytest.raises(Refused):
        read({"key": wrong}, "key")


def test_what_is_not_said_is_empty():
    assert (texts_of({}, "key"), text_of({"key": None}, "key"), flag_of({}, "key")) == ([], "", False)


@pytest.mark.parametrize("text", ["", "tomorrow", "0001-01-01", "2026-13-01", "9999-12-31T23:59:59-14:00"])
def test_a_time_is_one_that_exists(text):
    with pytest.raises(Refused, match="is not a time"):
        time_of(text)
