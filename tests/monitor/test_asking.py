"""How much the checks ask of whom: as a rule, at worst, and against the limits that a configuration names."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from checks.base import Asks
from monitor.asking import Demand, Limit, demands
from monitor.config import Config, ConfigError, load

HOME = {"HOME": "/home/somebody"}


def configured(folder: Path, text: str) -> Config:
    file = folder / "runwatch.yaml"
    file.write_text(dedent(text))
    return load(file, HOME)


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        configured(folder, text)
    return [str(one).removeprefix(f"{folder}/runwatch.yaml:") for one in caught.value.problems]


@pytest.mark.parametrize(
    ("demand", "seconds", "usual", "worst"),
    [
        (Demand("a", Asks("x"), 30, 1), 60, 2, 3),
        (Demand("a", Asks("x"), 30, 3), 60, 2, 9),
        (Demand("a", Asks("x"), 45, 1), 60, 60 / 45, 3),
        (Demand("a", Asks("x"), 300, 2), 60, 0.2, 4),
        (Demand("a", Asks("x"), 30, 2, at_once=3), 60, 2, 12),
        (Demand("a", Asks("x", 2, 5), 60, 2), 60, 2, 20),
        (Demand("a", Asks("x", 0.5, 1, diagnosis=7), 60, 1), 120, 1, 10),
    ],
)
def test_how_much_is_asked(demand: Demand, seconds: float, usual: float, worst: int) -> None:
    assert demand.usual(seconds) == pytest.approx(usual)
    assert demand.worst(seconds) == worst


@pytest.mark.parametrize(
    ("pattern", "covers"),
    [
        ("https://shop.example/store/*", True),
        ("https://shop.example/store/items?all=1", True),
        ("https://shop.example/store/item", False),
        ("https://shop.example/*/items*", True),
        ("*", True),
        ("POST https://shop.example/store/*", True),
        ("GET https://shop.example/store/*", False),
        ("https://shop.example/store/items.all=1", False),
        ("https://shop.example/store/[i]tems*", False),
    ],
)
def test_what_a_limit_is_about(pattern: str, covers: bool) -> None:
    one = Demand("a", Asks("https://shop.example/store/items?all=1", method="POST"), 30, 1)
    assert Limit("shop", "L", ("http://other/", pattern), 1, 60, 0.1).of([one]) == ([one] if covers else [])


CHECKS = """
    systems:
      - system: shop
        limits: %s
        checks:
          - {name: health, kind: http, url: "https://shop.example/store/health", depends_on: [base]}
          - {name: base, kind: tcp, address: "db:1", depends_on: [ground], retries: 0}
          - {name: ground, kind: tls, file: /etc/cert.pem}
      - system: mall
        checks:
          - {name: items, kind: http, url: "https://shop.example/store/items", interval: 5m, depends_on: [shop/base]}
"""


def test_an_outage_asks_what_depends_and_what_is_depended_on_once_more(tmp_path: Path) -> None:
    config = configured(tmp_path, CHECKS % "[]")
    found = {one.check: (one.interval, one.attempts, one.at_once) for one in demands(config.checks, config.ancestors)}
    assert found == {"shop/health": (30, 2, 2), "shop/base": (30, 1, 3), "mall/items": (300, 2, 2)}


def test_a_limit_that_is_kept_stands_in_the_configuration(tmp_path: Path) -> None:
    said = "[{name: API, match: 'https://shop.example/store/*', requests: 180}]"
    assert configured(tmp_path, CHECKS % said).limits == (
        Limit("shop", "API", ("https://shop.example/store/*",), 180, 60, 0.1),
    )


def test_one_that_the_checks_may_come_over_is_refused_with_all_of_them(tmp_path: Path) -> None:
    [problem] = problems(tmp_path, CHECKS % "[{name: API, match: ['https://shop.example/store/*'], requests: 179}]")
    assert problem == (
        "4:14: systems[0].limits[0]: API allows 179 requests in 1m, 17.9 of them ours (share 10 %); at worst the "
        "checks ask 18: shop/health 10, mall/items 8. Ask less often, or with fewer retries, or set a larger share"
    )


def test_many_checks_are_named_by_those_that_ask_most(tmp_path: Path) -> None:
    one = "{kind: http, url: 'http://a.example/%d', interval: %ds, retries: 0}"
    checks = ", ".join(one % (number, 10 * number) for number in range(1, 8))
    [problem] = problems(tmp_path, f"limits: [{{name: A, match: '*', requests: 1}}]\nchecks: [{checks}]")
    assert "ask 24: default/a.example-1 7, default/a.example-2 4, default/a.example-3 3, " in problem
    assert "default/a.example-4 3 and 3 more. Ask less" in problem


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("[{match: a, requests: 1}]", "limits[0].name: name is missing"),
        ("[{name: A, requests: 1}]", "limits[0].match: match is missing"),
        ("[{name: A, match: [], requests: 1}]", "limits[0].match: at least 1 wanted, 0 given"),
        ("[{name: A, match: '', requests: 1}]", "limits[0].match: it is empty"),
        ("[{name: A, match: a}]", "limits[0].requests: requests is missing"),
        ("[{name: A, match: a, requests: 0}]", "limits[0].requests: it must be at least 1"),
        ("[{name: A, match: a, requests: 1, per: 60}]", "limits[0].per: a duration needs its unit: 60s"),
        ("[{name: A, match: a, requests: 1, share: 110%}]", "limits[0].share: it must be at most 1"),
        ("[{name: A, match: a, requests: 1, each: 1m}]", "limits[0].each: unknown key 'each'"),
        ("[{name: A, match: a, requests: 1}, {name: A, match: b, requests: 1}]", "there is a limit 'A' already, in "),
        ("{name: A}", "limits: a list is wanted"),
        ("[a]", "limits[0]: a limit is wanted: name: …, match: …, requests: …, per: …"),
    ],
)
def test_mistakes(tmp_path: Path, said: str, expected: str) -> None:
    assert any(expected in problem for problem in problems(tmp_path, CHECKS % said))


def test_a_journeys_steps_count_each_at_its_own_address(tmp_path: Path) -> None:
    config = configured(
        tmp_path,
        """
        checks:
          - name: order
            kind: journey
            url: https://ann:secret@shop.example/api/
            steps:
              - {name: in, url: auth/user, body: x, capture: {id: id, next: next}}
              - {name: see, url: "orders/{{id}}?full=1"}
              - {name: go on, url: "{{next}}"}
        """,
    )
    [check] = config.checks.values()
    assert [(one.method, one.target) for one in check.asks()] == [
        ("POST", "https://shop.example/api/auth/user"),
        ("GET", "https://shop.example/api/orders/{{id}}?full=1"),
        ("GET", "{{next}}"),
    ]
    assert [one.attempts for one in demands(config.checks, config.ancestors)] == [1, 1, 1]
