"""`alerts: recommended`: the thresholds that a kind has good reasons for."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from alerts.thresholds import parse
from alerts.vocabulary import Severity
from checks.base import DURATION
from monitor.config import Config, ConfigError, load
from monitor.config.kinds import check_kinds

KIND = '''
"""A kind of the test's own."""
from checks.base import Check, Measurement, Recommended

class Tank(Check):
    """A tank."""
    measurements = (Measurement("level_ratio", "ratio", "How full."),)
    recommended = (
        Recommended("TankNearlyFull", "level_ratio > 80%", "medium", "It overflows at 100 %.", hold=300),
        Recommended("TankFull", "level_ratio > 95%", "high", "It overflows."),
    )
'''

CONFIGURATION = """
    plugins: [kinds]
    include: [shop.yaml]
"""
SYSTEM = """
    system: shop
    severities: {P1: high, P2: medium}
    respond_within: {P2: 4h}
    runbook: playbooks.md
    checks:
      - name: tank
        kind: tank
        %s
"""


def configured(folder: Path, alerts: str, runbook: str = "") -> Config:
    (folder / "kinds").mkdir(exist_ok=True)
    (folder / "kinds" / "tank.py").write_text(KIND)
    (folder / "runwatch.yaml").write_text(dedent(CONFIGURATION))
    (folder / "playbooks.md").write_text("# Tank\n## Full\nOpen the valve.\n")
    said = f"alerts: {alerts}" if alerts else f"runbook: {runbook}"
    (folder / "shop.yaml").write_text(dedent(SYSTEM % said))
    return load(folder / "runwatch.yaml", {"HOME": "/home/somebody"})


def thresholds(folder: Path, alerts: str) -> dict[str, tuple[str, str, str, float, float]]:
    config = configured(folder, alerts)
    return {
        one.alert: (one.when.text, one.severity.value, one.severity_word, one.hold, one.respond_within)
        for one in config.thresholds["shop/tank"]
    }


NEARLY = ("level_ratio > 80%", "medium", "P2", 300.0, 14_400.0)
FULL = ("level_ratio > 95%", "high", "P1", 0.0, 0.0)
FAILED = ("failed", "high", "P1", 0.0, 0.0)


def test_the_word_stands_for_failed_and_what_the_kind_recommends_in_the_systems_words(tmp_path: Path) -> None:
    found = thresholds(tmp_path, "recommended")
    assert found == {"TankFailed": FAILED, "TankNearlyFull": NEARLY, "TankFull": FULL}


def test_among_others_it_adds_what_they_do_not_name(tmp_path: Path) -> None:
    found = thresholds(tmp_path, "[{alert: TankFull, when: level_ratio > 90%, severity: P2}, recommended]")
    assert found == {
        "TankFull": ("level_ratio > 90%", "medium", "P2", 0.0, 14_400.0),
        "TankFailed": FAILED,
        "TankNearlyFull": NEARLY,
    }


def test_no_second_alert_is_added_for_failing(tmp_path: Path) -> None:
    found = thresholds(tmp_path, "[{alert: TankGone, when: failed, severity: P2}, recommended]")
    assert set(found) == {"TankGone", "TankNearlyFull", "TankFull"}


def test_an_alert_without_a_condition_is_the_recommended_one_of_its_name(tmp_path: Path) -> None:
    found = thresholds(tmp_path, "[{alert: TankNearlyFull}]")
    assert found == {"TankNearlyFull": NEARLY}


def test_what_it_says_goes_before_the_recommendation(tmp_path: Path) -> None:
    found = thresholds(tmp_path, "[{alert: TankNearlyFull, for: 1m, severity: P1}, {alert: TankFull, severity: low}]")
    assert found == {
        "TankNearlyFull": ("level_ratio > 80%", "high", "P1", 60.0, 0.0),
        "TankFull": ("level_ratio > 95%", "low", "low", 0.0, 0.0),
    }


def test_among_others_and_the_word_it_is_there_once(tmp_path: Path) -> None:
    found = thresholds(tmp_path, "[recommended, {alert: TankNearlyFull, severity: P1}]")
    assert found == {
        "TankFailed": FAILED,
        "TankNearlyFull": ("level_ratio > 80%", "high", "P1", 300.0, 0.0),
        "TankFull": FULL,
    }


def test_it_keeps_the_reason_unless_it_says_another(tmp_path: Path) -> None:
    said = "[{alert: TankFull, annotations: {summary: Full}}, {alert: TankNearlyFull, annotations: {description: Now}}]"
    full, nearly = configured(tmp_path, said).thresholds["shop/tank"]
    assert full.annotations == {"description": "It overflows.", "summary": "Full"}
    assert nearly.annotations == {"description": "Now"}


def test_the_runbook_of_a_check_is_that_of_its_alerts_that_name_none(tmp_path: Path) -> None:
    text = """[{alert: TankFull, runbook: "#full"}, {alert: Own, when: failed, runbook: "https://a/b"}, recommended]
        runbook: "#tank"
    """
    found = {
        one.alert: one.runbook.title or one.runbook.url for one in configured(tmp_path, text).thresholds["shop/tank"]
    }
    assert found == {"TankFull": "Full", "Own": "https://a/b", "TankNearlyFull": "Tank"}
    [alone] = configured(tmp_path, "", runbook='"#tank"').thresholds["shop/tank"]
    assert (alone.alert, alone.runbook.title) == ("TankFailed", "Tank")


@pytest.mark.parametrize(
    ("alerts", "sentence"),
    [
        ("[{alert: TankFul}]", "alerts[0].when: when is missing; did you mean TankFull, which the kind recommends?"),
        ("[{alert: Other, severity: high}]", "alerts[0].when: when is missing"),
        ("[{alert: TankFull, runbook: '#nowhere'}]", "alerts[0].runbook: playbooks.md has no section #nowhere"),
        ("[{alert: TankFull, when: 5}]", "alerts[0].when: a text is wanted"),
        ("[{alert: TankFull, sverity: P1}]", "alerts[0].sverity: unknown key 'sverity'; did you mean 'severity'?"),
        ("[{alert: TankFull, severity: P7}]", "alerts[0].severity: 'P7' is no severity of the system 'shop'"),
        ("[{alert: TankFull}, {alert: TankFull}]", "there is an alert 'TankFull' of this severity already"),
        ("recommended\n        runbook: [a]", "checks[0].runbook: a text is wanted"),
        ("recommended\n        runbook: '#nowhere'", "checks[0].runbook: playbooks.md has no section #nowhere"),
        ("recommended\n        runbook: nowhere", 'checks[0].runbook: write "#section"'),
    ],
)
def test_mistakes_about_recommended_ones(tmp_path: Path, alerts: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configured(tmp_path, alerts)
    assert any(sentence in str(one) for one in caught.value.problems), [str(one) for one in caught.value.problems]


def test_one_that_this_check_does_not_measure_is_refused_where_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "runwatch.yaml").write_text(
        "checks: [{kind: postgres, dsn: 'postgresql://h/x', alerts: [{alert: PostgresSlowStatements}]}]"
    )
    with pytest.raises(ConfigError, match="is not measured as this check is configured"):
        load(tmp_path / "runwatch.yaml", {"HOME": "/home/somebody"})


def test_another_word_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the word recommended; did you mean 'recommended'"):
        thresholds(tmp_path, "recomended")


@pytest.mark.parametrize("kind", check_kinds().names())
def test_what_kinds_recommend_can_be_judged_and_says_why(kind: str) -> None:
    model = check_kinds().load(kind)
    assert not isinstance(model, str), model
    known = {one.name: one for one in (DURATION, *model.measurements)}
    assert len({one.alert for one in model.recommended}) == len(model.recommended)
    for one in model.recommended:
        assert parse(one.when, known).text == one.when
        assert Severity(one.severity)
        assert one.why.endswith(".")
        assert one.hold >= 0


def test_a_window_that_has_only_begun_raises_nothing() -> None:
    kinds = check_kinds()
    for kind in kinds.names():
        found = kinds.load(kind)
        assert not isinstance(found, str)
        for one in found.recommended:
            # One sample is all there is after the first start: its average is no average yet.
            assert one.hold or "avg(" not in one.when, (kind, one.alert)
