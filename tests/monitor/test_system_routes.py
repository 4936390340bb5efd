"""The route of a system: the top one where it is alone, else a branch for the system's alerts."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from alerts.matching import Matcher
from alerts.routing import match
from monitor.cli import main
from monitor.config import Config, ConfigError, load
from monitor.planning import plan_of

HOME = {"HOME": "/home/somebody"}

SHOP = """\
system: shop
route:
  receiver: shop-on-call
  group_by: [check]
  repeat_interval: 1h
  escalation: [{after: 15m, receiver: shop-lead}]
  routes:
    - {matchers: [severity=low], receiver: shop-chat, active_time_intervals: [shop-hours]}
receivers: [{name: shop-on-call}, {name: shop-lead}, {name: shop-chat}]
time_intervals: [{name: shop-hours, time_intervals: [{weekdays: ["monday:friday"]}]}]
inhibit_rules: [{source_matchers: [alertname=A], target_matchers: [alertname=B], equal: [system]}]
maintenance: [{name: shop-night, cron: "0 3 * * *", duration: 1h}]
checks: [{name: front, kind: http, url: "http://shop.example/"}]
"""
BANK = """\
system: bank
route: {receiver: bank-on-call}
receivers: [{name: bank-on-call}]
time_intervals: [{name: bank-hours, time_intervals: [{weekdays: [sunday]}]}]
inhibit_rules: [{source_matchers: [alertname=C], target_matchers: [alertname=D], equal: [system]}]
maintenance: [{name: bank-night, cron: "0 4 * * *", duration: 1h}]
checks: [{name: front, kind: http, url: "http://bank.example/"}]
"""
TOP = """\
include: [shop.yaml, bank.yaml]
route:
  receiver: operators
  group_wait: 30s
  repeat_interval: 12h
  max_reminders: 3
  escalation: [{after: 1h, receiver: shop-lead}]
  routes: [{matchers: [severity=critical], receiver: everybody}]
receivers: [{name: operators}, {name: everybody}]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.yaml").write_text(SHOP)
    (tmp_path / "bank.yaml").write_text(BANK)
    (tmp_path / "runwatch.yaml").write_text(TOP)
    return tmp_path


def loaded(folder: Path, text: str = TOP) -> Config:
    (folder / "runwatch.yaml").write_text(dedent(text))
    return load(folder / "runwatch.yaml", HOME)


def told(config: Config, **labels: str) -> list[str]:
    assert config.route is not None
    return [one.receiver for one in match(config.route, labels)]


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text)
    return [str(one).removeprefix(f"{folder}/") for one in caught.value.problems]


def test_alone_it_is_the_top_route(folder: Path) -> None:
    for file in ("shop.yaml", "bank.yaml"):
        config = load(folder / file, HOME)
        assert config.warnings == () and config.route is not None and config.route.matchers == ()
    assert told(config, system="runwatch") == ["bank-on-call"]
    assert told(load(folder / "shop.yaml", HOME), system="runwatch", severity="low") == ["shop-chat"]
    item = loaded(folder, "systems: [{system: bank, route: {receiver: one}}]\nreceivers: [{name: one}]")
    assert told(item, system="runwatch") == ["one"]


def test_beside_a_top_route_it_is_a_branch_for_its_system_tried_first(folder: Path) -> None:
    config = loaded(folder)
    assert config.route is not None
    shop, bank, everybody = config.route.routes
    assert (shop.matchers, bank.matchers) == ((Matcher("system", "=", "shop"),), (Matcher("system", "=", "bank"),))
    assert everybody.receiver == "everybody"
    assert told(config, system="shop", severity="critical") == ["shop-on-call"]
    assert told(config, system="shop", severity="low") == ["shop-chat"]
    assert told(config, system="bank", severity="critical") == ["bank-on-call"]
    assert told(config, system="runwatch", severity="critical") == ["everybody"]
    assert told(config, system="runwatch", severity="high") == ["operators"]


def test_what_it_does_not_say_it_has_from_the_top_route(folder: Path) -> None:
    config = loaded(folder)
    assert config.route is not None
    shop, bank, _ = config.route.routes
    assert (shop.group_by, shop.group_wait, shop.repeat_interval, shop.max_reminders) == (("check",), 30, 3600, 3)
    assert [step.receiver for step in shop.escalation] == ["shop-lead"] and shop.escalation[0].after == 900
    assert (bank.group_by, bank.repeat_interval) == (("system", "alertname"), 12 * 3600)
    assert bank.escalation[0].after == 3600
    assert shop.routes[0].group_by == ("check",) and shop.routes[0].matchers == (Matcher("severity", "=", "low"),)
    plain = loaded(folder, "include: [bank.yaml]\nroute: {receiver: bank-on-call, group_by: [check]}")
    assert plain.route is not None and plain.route.routes[0].group_by == ("check",)


def test_its_empty_list_of_labels_is_one_group_alone_and_as_a_branch(folder: Path) -> None:
    (folder / "bank.yaml").write_text("system: bank\nroute: {receiver: a, group_by: []}\nreceivers: [{name: a}]")
    alone = load(folder / "bank.yaml", HOME).route
    assert alone is not None and alone.group_by == ()
    beside = loaded(folder).route
    assert beside is not None and beside.routes[1].group_by == ()


def test_it_may_stand_in_an_item_of_systems(folder: Path) -> None:
    config = loaded(
        folder,
        """
        route: {receiver: operators}
        receivers: [{name: operators}, {name: night}]
        systems:
          - {system: night, route: {receiver: night}}
          - route: {repeat_interval: 1h}
        """,
    )
    assert told(config, system="night") == ["night"] and told(config, system="default") == ["operators"]
    assert config.route is not None and config.route.routes[1].repeat_interval == 3600


def test_the_lists_of_all_files_add_up_and_the_order_is_that_of_the_files(folder: Path) -> None:
    plan = plan_of(loaded(folder))
    assert set(plan.receivers) == {"operators", "everybody", "shop-on-call", "shop-lead", "shop-chat", "bank-on-call"}
    assert set(plan.time_intervals) == {"shop-hours", "bank-hours"}
    assert [rule.source[0].text for rule in plan.inhibit_rules] == ["A", "C"]
    assert [(one.name, one.matchers) for one in plan.maintenance] == [
        ("shop-night", (Matcher("system", "=", "shop"),)),
        ("bank-night", (Matcher("system", "=", "bank"),)),
    ]
    assert plan.route is not None
    assert [route.receiver for route in plan.route.routes] == ["shop-on-call", "bank-on-call", "everybody"]


def test_several_without_a_top_route_leave_the_monitors_own_alerts_to_nobody(folder: Path) -> None:
    [problem] = problems(folder, "include: [shop.yaml, bank.yaml]")
    assert problem == (
        "shop.yaml:2:1: route: several systems have a route (shop, bank), and none is the top one: nobody would hear "
        "of the monitor's own alerts (system=runwatch), nor of any other system's; say who hears of them: "
        "route: {receiver: …} in a file without system"
    )


@pytest.mark.parametrize(
    ("bank", "expected"),
    [
        ("route: {matchers: [a=b]}", "bank.yaml:2:9: route.matchers: the route of a system takes all alerts of the "
         "system; it can't have matchers"),
        ("route: {continue: true}", "bank.yaml:2:9: route.continue: the route of a system takes all alerts"),
        ("route: {receiver: nobody}", "bank.yaml:2:19: route.receiver: there is no receiver 'nobody'"),
        ("route: [a]", "bank.yaml:2:8: route: keys with values are wanted"),
        ("systems: [{system: bank, route: {receiver: everybody}}]\nroute: {receiver: everybody}",
         "bank.yaml:2:26: systems[0].route: the route of the system 'bank' is said already, in "),
        ("systems: [{system: [], route: {}}]", "bank.yaml:2:20: systems[0].system: a name without / is wanted"),
    ],
)  # fmt: skip
def test_mistakes(folder: Path, bank: str, expected: str) -> None:
    (folder / "bank.yaml").write_text(f"system: bank\n{bank}")
    assert any(problem.startswith(expected) for problem in problems(folder, TOP))


def test_a_second_top_route_is_refused(folder: Path) -> None:
    (folder / "bank.yaml").write_text("route: {receiver: everybody}")
    [problem] = problems(folder, TOP)
    assert problem.startswith("bank.yaml:1:1: route: route is said already, in ")


def test_explain_shows_the_way_through_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "-c", str(folder / "runwatch.yaml"), "--route", "system=shop,severity=low"]) == 0
    said = capsys.readouterr().out
    assert '{system="shop"} → {severity="low"} → shop-chat' in said
