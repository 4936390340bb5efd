"""Routes, groups, inhibits, silences and mutes as Alertmanager itself does, on thousands of made-up cases."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from alerts.inhibition import Inhibitor
from alerts.intervals import muted
from alerts.matching import Matcher, parse_matchers
from alerts.routing import group_labels, match
from alerts.vocabulary import Alert, Severity, fingerprint
from monitor.config import Config, load
from monitor.demo.parts.alertmanager import Alertmanager
from tests.alertmanager import DEADLINE, alertmanager, amtool
from tests.system.language import Made, configuration

AT_ONCE = 2
"""Processes of amtool at a time."""


def included(folder: Path, text: str) -> Config:
    """Our reading of the file that Alertmanager reads, included as it is."""
    (folder / "alertmanager.yml").write_text(text, encoding="utf-8")
    (folder / "runwatch.yaml").write_text("include: [alertmanager.yml]")
    return load(folder / "runwatch.yaml", {"HOME": "/home/somebody"})


async def all_of(commands: list[tuple[str, ...]]) -> list[tuple[int, str, str]]:
    """What amtool says to each of these."""
    free = asyncio.Semaphore(AT_ONCE)

    async def one(arguments: tuple[str, ...]) -> tuple[int, str, str]:
        async with free:
            return await amtool(*arguments)

    return await asyncio.gather(*map(one, commands))


def receivers(config: Config, labels: dict[str, str]) -> list[str]:
    assert config.route is not None
    return [route.receiver for route in match(config.route, labels)]


def told(count: int, what: str) -> None:
    """Say how many cases were compared: a differential test that compares nothing passes as well."""
    print(f"{count} cases of {what} compared")  # noqa: T201


@pytest.mark.parametrize("seed", range(4))
async def test_amtool_finds_the_same_receivers(tmp_path: Path, seed: int) -> None:
    made = Made(seed)
    config = included(tmp_path, configuration(route=made.tree()))
    file = f"--config.file={tmp_path / 'alertmanager.yml'}"
    cases = [made.labels() for _ in range(150)]
    asked = [[f"{name}={json.dumps(text, ensure_ascii=False)}" for name, text in one.items()] for one in cases]
    said = await all_of([("config", "routes", "test", file, *pairs) for pairs in asked])
    assert all(code == 0 for code, _, _ in said), said
    answers = [output.strip().split(",") for _, output, _ in said]

    differing = [
        (labels, theirs, ours)
        for labels, theirs in zip(cases, answers, strict=True)
        if theirs != (ours := receivers(config, labels))
    ]
    assert not differing
    assert len({tuple(answer) for answer in answers}) > 5
    told(len(cases), "routing by amtool")


async def posted(server: Alertmanager, alerts: list[dict[str, str]]) -> None:
    ends = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    await server.post("/api/v2/alerts", [{"labels": labels, "endsAt": ends} for labels in alerts])


def alert(labels: dict[str, str]) -> Alert:
    return Alert(fingerprint(labels), labels, "", Severity.HIGH)


@pytest.mark.parametrize("seed", range(100, 102))
async def test_alertmanager_routes_and_groups_the_same_alerts_alike(tmp_path: Path, seed: int) -> None:
    made = Made(seed)
    text = configuration(route=made.tree())
    config = included(tmp_path, text)
    alerts = made.alerts(1000)
    by_print = {fingerprint(labels): labels for labels in alerts}
    ours = {key: receivers(config, labels) for key, labels in by_print.items()}
    assert config.route is not None
    our_groups = {
        (route.receiver, frozenset(group_labels(route, labels).items()), key)
        for key, labels in by_print.items()
        for route in match(config.route, labels)
    }

    async with alertmanager(tmp_path, text) as server:
        await posted(server, alerts)
        answer = await server.get("/api/v2/alerts")
        theirs = {one["fingerprint"]: [receiver["name"] for receiver in one["receivers"]] for one in answer}
        their_groups: set[Any] = set()
        async with asyncio.timeout(DEADLINE):
            while len({key for _, _, key in their_groups}) < len(alerts):
                their_groups = {
                    (group["receiver"]["name"], frozenset(group["labels"].items()), one["fingerprint"])
                    for group in await server.get("/api/v2/alerts/groups")
                    for one in group["alerts"]
                }

    assert theirs == ours
    assert their_groups == our_groups
    assert len({tuple(names) for names in ours.values()}) > 10
    told(len(alerts), "routing and grouping by Alertmanager")


@pytest.mark.parametrize("seed", range(200, 203))
async def test_alertmanager_inhibits_the_same_alerts(tmp_path: Path, seed: int) -> None:
    made = Made(seed)
    last = {"source_match": {"last": "cause"}, "target_match": {"last": "symptom"}}
    text = configuration(
        route={"receiver": "r0", "group_wait": "1h"}, inhibit_rules=[*(made.rule() for _ in range(4)), last]
    )
    config = included(tmp_path, text)
    alerts = [alert(labels) for labels in made.alerts(300)]
    ends = [alert({"last": "symptom"}), alert({"last": "cause"})]
    inhibitor = Inhibitor(config.inhibit_rules)
    inhibitor.sources([*alerts, *ends])
    ours = {one.fingerprint for one in [*alerts, *ends] if inhibitor.why(one)[0]}

    async with alertmanager(tmp_path, text) as server:
        await posted(server, [one.labels for one in alerts])
        await posted(server, [one.labels for one in ends])
        theirs: set[str] = set()
        async with asyncio.timeout(DEADLINE):
            # It learns of sources in their order: once it knows the last one it knows all.
            while ends[0].fingerprint not in theirs:
                answer = await server.get("/api/v2/alerts")
                theirs = {one["fingerprint"] for one in answer if one["status"]["inhibitedBy"]}
        answer = await server.get("/api/v2/alerts")
        theirs = {one["fingerprint"] for one in answer if one["status"]["inhibitedBy"]}

    assert theirs == ours
    assert 10 < len(ours) < len(alerts)
    told(len(alerts), "inhibition by Alertmanager")


async def test_alertmanager_silences_the_same_alerts(tmp_path: Path) -> None:
    made = Made(300)
    alerts = made.alerts(400)
    starts = datetime.now(UTC)
    silences: dict[str, tuple[Matcher, ...]] = {}
    async with alertmanager(tmp_path, configuration(route={"receiver": "r0", "group_wait": "1h"})) as server:
        await posted(server, alerts)
        while len(silences) < 60:
            matchers = [Matcher(*made.matcher()) for _ in range(made.random.randint(1, 3))]  # type: ignore[arg-type]
            if all(one.matches({}) for one in matchers):
                continue
            content = {
                "matchers": [
                    {"name": one.name, "value": one.text, "isRegex": "~" in op, "isEqual": op[0] == "="}
                    for one in matchers
                    for op in [one.operator]
                ],
                "startsAt": starts.isoformat(), "endsAt": (starts + timedelta(hours=1)).isoformat(),
                "createdBy": "test", "comment": "test",
            }  # fmt: skip
            silences[(await server.post("/api/v2/silences", content))["silenceID"]] = tuple(matchers)
        answer = await server.get("/api/v2/alerts")

    theirs = {one["fingerprint"]: set(one["status"]["silencedBy"]) for one in answer}
    ours = {
        fingerprint(labels): {key for key, matchers in silences.items() if all(one.matches(labels) for one in matchers)}
        for labels in alerts
    }
    assert theirs == ours
    assert any(ours.values()) and not all(ours.values())
    told(len(alerts) * len(silences), "silencing by Alertmanager")


def spans(made: Made, now: datetime) -> dict[str, Any]:
    """Times around now, so that about half of them hold."""
    draw = made.random
    there = now + timedelta(days=draw.choice((-1, 0, 0, 0, 1)))
    days = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    months = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october")
    last = (there.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    parts: dict[str, Any] = {}
    if draw.random() < 0.5:
        hour = draw.randint(0, 22)
        parts["times"] = [
            {"start_time": f"{hour:02}:{draw.choice(('00', '30'))}", "end_time": f"{draw.randint(hour + 1, 24):02}:00"}
        ]
    if draw.random() < 0.4:
        parts["weekdays"] = draw.choice(
            ([days[there.weekday()].title()], ["monday:friday"], ["sunday", "tuesday:thursday"])
        )
    if draw.random() < 0.4:
        parts["days_of_month"] = draw.choice(
            ([str(there.day)], [f"{there.day - last.day - 1}"], ["1:15"], ["-10:-1"], [f"1:{there.day}", "31"])
        )
    if draw.random() < 0.3:
        parts["months"] = draw.choice(([str(there.month)], ["1:6"], ["july:december"], [months[there.month % 10]]))
    if draw.random() < 0.3:
        parts["years"] = draw.choice(
            ([str(there.year)], [f"{there.year - 3}:{there.year}"], [f"{there.year + 1}:2100"])
        )
    if draw.random() < 0.6:
        parts["location"] = draw.choice(
            ("Asia/Tokyo", "America/St_Johns", "Australia/Lord_Howe", "UTC", "Europe/Berlin")
        )
    return parts


async def test_alertmanager_keeps_the_same_routes_quiet(tmp_path: Path) -> None:
    made = Made(400)
    now = datetime.now(UTC)
    names = [f"i{number}" for number in range(60)]
    intervals = [
        {"name": name, "time_intervals": [spans(made, now) for _ in range(made.random.randint(1, 2))]} for name in names
    ]
    quiet = (
        {},
        {"mute_time_intervals": 1},
        {"active_time_intervals": 1},
        {"mute_time_intervals": 1, "active_time_intervals": 2},
    )
    routes = [
        {"match": {"number": str(number)}, "receiver": "hook", "group_by": ["number"]}
        | {key: made.random.sample(names, most) for key, most in made.random.choice(quiet).items()}
        for number in range(300)
    ]
    heard: set[str] = set()

    async def hear(request: web.Request) -> web.Response:
        heard.add((await request.json())["groupLabels"]["number"])
        return web.Response()

    listener = web.AppRunner(application := web.Application())
    application.router.add_post("/", hear)
    await listener.setup()
    site = web.TCPSite(listener, "127.0.0.1", 0)
    await site.start()
    text = json.dumps({
        "route": {"receiver": "hook", "group_wait": "0s", "routes": routes},
        "receivers": [{"name": "hook", "webhook_configs": [{"url": f"http://127.0.0.1:{listener.addresses[0][1]}/"}]}],
        "time_intervals": intervals,
    })  # fmt: skip
    config = included(tmp_path, text)
    assert config.route is not None
    before = [muted(route, config.time_intervals, datetime.now(UTC).timestamp()) for route in config.route.routes]
    try:
        async with alertmanager(tmp_path, text) as server:
            await posted(server, [{"number": str(number)} for number in range(len(routes))])
            await server.logged("Notify success|Notifications not sent", len(routes))
    finally:
        await listener.cleanup()
    after = [muted(route, config.time_intervals, datetime.now(UTC).timestamp()) for route in config.route.routes]

    for number, (why, later) in enumerate(zip(before, after, strict=True)):
        if bool(why) == bool(later):
            assert (str(number) in heard) == (not why), (routes[number], why)
    assert 50 < len(heard) < len(routes) - 50
    told(len(routes), "muting by Alertmanager")


async def test_what_alertmanager_reads_as_matchers_is_read_alike(tmp_path: Path) -> None:
    made = Made(500)
    texts = [
        "a",
        "=",
        "a=",
        "=b",
        'a="b',
        "a=~(",
        'a="b",',
        ',a="b"',
        "{a=b}}",
        '{a="b"',
        "a=b}",
        "",
        "{}",
        'a="\\',
        "a=b c",
    ]
    pieces = (
        "a",
        "b:",
        "=",
        "!=",
        "=~",
        "!~",
        '"',
        '"x"',
        ",",
        " ",
        "\\",
        "\\n",
        '\\"',
        "{",
        "}",
        "x",
        "[",
        "ü",
        "1",
        "\n",
    )
    while len(texts) < 220:
        shape = made.random.random()
        if shape < 0.6:
            texts.append("".join(made.random.choice(pieces) for _ in range(made.random.randint(2, 7))))
        else:
            text = ",".join(made.matchers(2))
            cut = made.random.randrange(len(text))
            texts.append(text[:cut] + made.random.choice(pieces) + text[cut + made.random.randint(0, 1) :])

    def tree(*written: str) -> str:
        routes = [{"matchers": [one], "receiver": "r1"} for one in written]
        return configuration(route={"receiver": "r0", "routes": routes})

    files = [tmp_path / f"{number}.yml" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_text(tree(text), encoding="utf-8")
    theirs = [code == 0 for code, _, _ in await all_of([("check-config", str(file)) for file in files])]
    good = [text for text, accepted in zip(texts, theirs, strict=True) if accepted]
    file = tmp_path / "good.yml"
    file.write_text(tree(*good), encoding="utf-8")
    code, shown, complaints = await amtool("config", "routes", "show", f"--config.file={file}")
    assert code == 0, complaints
    # As it shows them, without the frame that it draws.
    said = [
        line.split("{", 1)[1].rpartition("}")[0]
        for line in shown.splitlines()
        if "receiver: r1" in line and "{" in line
    ]
    order = ("=", "!=", "=~", "!~")
    ours = [
        ",".join(map(str, sorted(found, key=lambda one: (one.name, one.text, order.index(one.operator)))))
        for found in map(parse_matchers, good)
    ]
    assert said == [text for text in ours if text]
    assert 30 < len(good) < len(texts) - 30

    for text in (text for text, accepted in zip(texts, theirs, strict=True) if not accepted):
        # What only the syntax of later versions reads has a name that it puts in quotes, or a value that it cuts off.
        try:
            found = parse_matchers(text)
        except ValueError:
            continue
        assert any(set(text) & set('"\\ü\n1') for _ in found), text
    told(len(texts), "reading by amtool")
