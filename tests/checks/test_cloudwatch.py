"""The cloudwatch kind against moto, and against pages whose order, emptiness and strangeness a test decides."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from alerts.thresholds import parse
from checks.base import Reason
from checks.cloudwatch import Cloudwatch, _times
from checks.parts.aws.cloudwatch_logs import Found, LogEvent
from monitor.demo.parts.aws import REGION, Moto
from tests.checks import web
from tests.checks.probing import asked, cancelled, errs, evidence, fails, result_of, value, values

NOW = 1_795_360_000.0
KEYS = {"access_key_id": "AKIA", "secret_access_key": "s3same"}


def check(moto: Moto, *groups: str, **fields: Any) -> Cloudwatch:
    keys = {"access_key_id": moto.key_id, "secret_access_key": moto.secret}
    return Cloudwatch(
        name="logs", **{"log_groups": groups, "endpoint_url": moto.url, "region": REGION, "credentials": keys, **fields}
    )


@pytest.fixture
def group(logs: Any) -> str:
    name = f"/shop/{secrets.token_hex(6)}"
    logs.create_log_group(logGroupName=name)
    logs.create_log_stream(logGroupName=name, logStreamName="app")
    return name


def write(logs: Any, group: str, *messages: tuple[float, str]) -> None:
    events = [{"timestamp": int(at * 1000), "message": message} for at, message in messages]
    logs.put_log_events(logGroupName=group, logStreamName="app", logEvents=events)


async def test_errors_are_counted_and_the_newest_event_is_timed(moto: Moto, logs: Any, group: str) -> None:
    now = time.time()
    write(logs, group, (now - 900, "ERROR old"), (now - 100, "ERROR one"), (now - 90, "ERROR two"), (now - 45, "fine"))
    ask = check(moto, group, patterns={"errors": "ERROR"})
    run = await asked(ask, at=now)
    assert value(run, "events", pattern="errors", log_group=group) == 2
    assert value(run, "events_per_second") == 2 / 300
    assert value(run, "newest_age_seconds") == pytest.approx(45, abs=0.01)
    assert value(run, "ingestion_delay_seconds") >= 45
    assert value(run, "complete") == 1
    assert value(run, "requests") == 2
    await ask.diagnose(run)
    assert "ERROR one" in evidence(run, f"last events: errors in {group}")
    assert "fine" in evidence(run, f"last events: {group}")


async def test_a_log_that_fell_silent_has_the_age_that_is_known(moto: Moto, logs: Any, group: str) -> None:
    memory: dict[Any, Any] = {}
    now = time.time()
    assert value(await asked(check(moto, group), memory, at=now), "newest_age_seconds") == 3600
    write(logs, group, (now - 10, "fine"))
    assert value(await asked(check(moto, group), memory, at=now), "newest_age_seconds") == pytest.approx(10, abs=0.01)
    kept = json.loads(json.dumps(memory["kept"]))
    run = await asked(check(moto, group), {"kept": kept}, at=now + 7200)
    assert value(run, "newest_age_seconds") == pytest.approx(7210, abs=0.01)
    assert not values(run, "ingestion_delay_seconds")


async def test_forbidden_words_are_found_and_what_is_around_them_is_not_shown(
    moto: Moto, logs: Any, group: str
) -> None:
    now = time.time()
    memory: dict[Any, Any] = {}
    ask = check(moto, group, words=["password", "cardNumber"])
    assert value(await asked(ask, memory, at=now - 1), "forbidden_events") == 0
    write(logs, group, (now, 'login {"password":"hunter2"}'), (now, "card 4111 1111 1111 1111 bought"))
    run = await asked(ask, memory, at=now)
    assert value(run, "forbidden_events") == 1
    text = evidence(run, f"forbidden words in {group}")
    assert text.endswith("UTC *** (holds 'password') in app")
    await ask.diagnose(run)
    shown = str(run.evidences)
    assert "hunter2" not in shown and "4111" not in shown
    # A pause of ours hides nothing.
    write(logs, group, (now + 5, "password=1"))
    later = await asked(ask, {"kept": json.loads(json.dumps(memory["kept"]))}, at=now + 3000)
    assert value(later, "forbidden_events") == 2


async def test_no_group_is_its_failure_and_no_right_is_ours(moto: Moto, group: str) -> None:
    await fails(check(moto, "/no/such"), Reason.ASSERTION, "log group /no/such in eu-central-1", "is not there")
    guest = moto.user(f"logs-guest-{group.replace('/', '-')}")
    await errs(check(moto, group, credentials=guest), Reason.AUTH, "allow it logs:FilterLogEvents")


async def test_several_groups_each_have_their_own_numbers(moto: Moto, logs: Any, group: str) -> None:
    other = f"{group}-other"
    logs.create_log_group(logGroupName=other)
    logs.create_log_stream(logGroupName=other, logStreamName="app")
    now = time.time()
    write(logs, other, (now, "ERROR"))
    run = await asked(check(moto, group, other, patterns={"errors": "ERROR"}, newest=False), at=now)
    assert value(run, "events", log_group=group) == 0
    assert value(run, "events", log_group=other) == 1


Answer = Callable[[dict[str, Any]], Any]


def scripted(answer: Answer, asked: list[dict[str, Any]]) -> web.Handle:
    """A handler that answers each question as the test decides."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
            question = json.loads(await reader.readexactly(length))
            asked.append(question)
            writer.write(web.reply(json.dumps(answer(question)).encode()).replace(b"Connection: close\r\n", b""))
            await writer.drain()

    return handle


def at(port: int, **fields: Any) -> Cloudwatch:
    return Cloudwatch(
        name="logs",
        **{"log_groups": ["shop"], "endpoint_url": f"http://127.0.0.1:{port}", "credentials": KEYS, **fields},
    )


def event(at: float, message: str = "x", delay: float = 1.0) -> dict[str, Any]:
    return {"timestamp": int(at * 1000), "ingestionTime": int((at + delay) * 1000), "message": message}


async def test_empty_pages_are_passed_over_until_the_last(moto: Moto) -> None:
    pages = {None: ([], "b"), "b": ([event(NOW - 9)], "c"), "c": ([], "d"), "d": ([event(NOW - 5)] * 2, None)}

    def answer(question: dict[str, Any]) -> Any:
        events, token = pages[question.get("nextToken")]
        return {"events": events, **({"nextToken": token} if token else {})}

    questions: list[dict[str, Any]] = []
    async with web.serving(scripted(answer, questions)) as there:
        json_pattern = '{ $.service = "community" && $.level = "ERROR" }'
        run = await asked(at(there.port, patterns={"errors": json_pattern}, newest=False), at=NOW)
        assert (value(run, "events"), value(run, "complete"), value(run, "requests")) == (3, 1, 4)
        assert questions[0]["filterPattern"] == json_pattern
        assert questions[0]["startTime"] == int((NOW - 300) * 1000)
        short = await asked(at(there.port, patterns={"errors": "ERROR"}, newest=False, pages=2), at=NOW)
        assert (value(short, "events"), value(short, "complete"), value(short, "requests")) == (1, 0, 2)


async def test_a_search_for_words_that_did_not_end_is_taken_up_again_where_it_was(moto: Moto) -> None:
    endless = True

    def answer(question: dict[str, Any]) -> Any:
        return {"events": [], **({"nextToken": "n"} if endless else {})}

    questions: list[dict[str, Any]] = []
    memory: dict[Any, Any] = {}
    async with web.serving(scripted(answer, questions)) as there:
        ask = at(there.port, words=["ssn"], newest=False, pages=3)
        await asked(ask, memory, at=NOW)
        endless = False
        await asked(ask, memory, at=NOW + 1200)
        await asked(ask, memory, at=NOW + 1800)
        await asked(ask, memory, at=NOW + 99999)
        starts = [question["startTime"] / 1000 for question in questions]
    assert starts == [NOW - 300] * 3 + [NOW + 900, NOW + 1200 - 120, NOW + 99999 - 3900]
    assert questions[0]["filterPattern"] == '?"ssn"'


async def test_the_delay_is_the_95th_percentile_and_arns_are_identifiers(moto: Moto) -> None:
    events = [event(NOW - 20 + number / 10, delay=number) for number in range(100)]
    questions: list[dict[str, Any]] = []
    arn = "arn:aws:logs:eu-west-1:123456789012:log-group:shop"
    async with web.serving(scripted(lambda _: {"events": events}, questions)) as there:
        run = await asked(at(there.port, log_groups=[arn]), at=NOW)
    assert value(run, "ingestion_delay_seconds") == 94
    assert value(run, "newest_age_seconds") == pytest.approx(10.1)
    assert questions[0]["logGroupIdentifier"] == arn


async def test_of_a_busy_log_the_delay_is_of_the_windows_beginning_and_the_newest_of_just_now(moto: Moto) -> None:
    def answer(question: dict[str, Any]) -> Any:
        start = question["startTime"] / 1000
        if start == NOW - 30:
            return {"events": [event(NOW - 29), event(NOW - 2)]}
        return {"events": [event(start, delay=200)] * 50, "nextToken": "n"}

    questions: list[dict[str, Any]] = []
    async with web.serving(scripted(answer, questions)) as there:
        run = await asked(at(there.port), at=NOW)
    assert value(run, "ingestion_delay_seconds") == 200
    assert value(run, "newest_age_seconds") == 2
    assert len(questions) == 2


async def test_a_line_ahead_of_time_does_not_hide_that_no_other_comes(moto: Moto) -> None:
    memory: dict[Any, Any] = {}
    async with web.serving(scripted(lambda _: {"events": [event(NOW + 10**9)]}, [])) as there:
        assert value(await asked(at(there.port), memory, at=NOW), "newest_age_seconds") == 0
    async with web.serving(scripted(lambda _: {"events": []}, [])) as there:
        assert value(await asked(at(there.port), memory, at=NOW + 7200), "newest_age_seconds") == 7200


async def test_a_busy_log_that_says_nothing_just_now_is_as_old_as_what_was_seen(moto: Moto) -> None:
    def answer(question: dict[str, Any]) -> Any:
        start = question["startTime"] / 1000
        return {"events": [event(NOW - 250)], "nextToken": "n"} if start == NOW - 300 else {"events": []}

    async with web.serving(scripted(answer, [])) as there:
        assert value(await asked(at(there.port), at=NOW), "newest_age_seconds") == 250


@pytest.mark.parametrize(
    "answer",
    [
        {}, {"events": None}, {"events": [1]}, {"events": [{"timestamp": "1", "message": "x"}]}, {"events": [{}]},
        {"events": [{"timestamp": -1, "message": "x"}]}, {"events": [{"timestamp": 10**30, "message": "x"}]},
        {"events": [], "nextToken": 5}, [], 7, None, {"events": [{"timestamp": 1, "message": ["x"]}]},
    ],
)  # fmt: skip
async def test_what_is_no_page_is_no_good_answer(answer: Any) -> None:
    async with web.serving(web.reply(json.dumps(answer).encode())) as there:
        await fails(at(there.port), Reason.BODY, "did not answer with")


METRICS = {"errors": {"namespace": "AWS/ApplicationELB", "metric": "5XX", "dimensions": {"LoadBalancer": "app/x"},
                      "statistic": "Sum"}}  # fmt: skip


async def test_a_metrics_newest_value_and_its_age() -> None:
    questions: list[dict[str, Any]] = []
    found = {
        "MetricDataResults": [
            {"Id": "m0", "Timestamps": [NOW - 60, NOW - 120], "Values": [7.0, 3.0]},
            {"Id": "m1", "Timestamps": [], "Values": []},
        ]
    }
    async with web.serving(scripted(lambda _: found, questions)) as there:
        run = await asked(at(there.port, log_groups=[], metrics=METRICS), at=NOW)
        assert (value(run, "metric", metric="errors"), value(run, "metric_age_seconds")) == (7.0, 60)
    [query] = questions[0]["MetricDataQueries"]
    assert query["MetricStat"]["Metric"]["Dimensions"] == [{"Name": "LoadBalancer", "Value": "app/x"}]
    assert query["MetricStat"]["Period"] == 60
    for strange in (
        {},
        {"MetricDataResults": [1]},
        {"MetricDataResults": [{"Id": "m0", "Timestamps": ["x"], "Values": [1]}]},
    ):
        async with web.serving(web.reply(json.dumps(strange).encode())) as there:
            await fails(at(there.port, log_groups=[], metrics=METRICS), Reason.BODY)


async def test_nobody_there_and_silence() -> None:
    await fails(at(web.closed_port()), Reason.CONNECT_REFUSED)
    async with web.serving(web.hang) as silent:
        await fails(at(silent.port, timeout="1s"), Reason.READ_TIMEOUT)


async def test_cancelled_it_leaves_nothing(moto: Moto, group: str) -> None:
    assert (await result_of(check(moto, group))).reason is None
    async with web.serving(web.hang) as silent:
        await cancelled(at(silent.port), silent)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "log_groups or metrics are wanted"),
        ({"log_groups": ["a"], "words": ['a"b']}, "can't be searched for"),
        ({"log_groups": ["a"], "words": [" "]}, "can't be searched for"),
        ({"metrics": {"a": {"namespace": "a", "metric": "b", "statistic": "Mean"}}}, "String should match"),
        ({"metrics": {"a": {"namespace": "a", "metric": "b", "period": "90s"}}}, "multiple of 60"),
    ],
)
def test_what_can_not_be_meant_is_refused_at_load(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Cloudwatch(name="x", **fields)


def test_recommended_conditions_are_of_its_measurements() -> None:
    for one in Cloudwatch.recommended:
        parse(one.when, {measured.name: measured for measured in Cloudwatch.measurements})


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=200))
def test_the_percentile_is_the_least_value_that_95_in_100_do_not_exceed(delays: list[float]) -> None:
    p95 = Found(delays=delays).p95()
    assert p95 == min(one for one in delays if sum(each <= one for each in delays) >= 0.95 * len(delays))


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_anything_kept_is_read_or_passed_over(kept: Any) -> None:
    held = {"newest": kept}
    _times(held, "newest")["shop"] = 1.0
    assert held["newest"]["shop"] == 1.0


def test_a_line_for_evidence_is_short_and_prints() -> None:
    line = LogEvent(NOW, NOW, "app", "a\x1b[31m" + "b" * 10_000).line(())
    assert len(line) < 350 and line.isprintable()
