"""`alerts: recommended`: the thresholds that a kind has good reasons for."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from alerts.thresholds import parse
from alerts.vocabulary import Severity
from checks.base import DURATION
from monitor.config import ConfigError, load
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
    checks:
      - {name: tank, kind: tank, alerts: %s}
"""


def thresholds(folder: Path, alerts: str) -> dict[str, tuple[str, str, str, float, float]]:
    (folder / "kinds").mkdir(exist_ok=True)
    (folder / "kinds" / "tank.py").write_text(KIND)
    (folder / "runwatch.yaml").write_text(dedent(CONFIGURATION))
    (folder / "shop.yaml").write_text(dedent(SYSTEM % alerts))
    config = load(folder / "runwatch.yaml", {"HOME": "/home/somebody"})
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
