"""The documentation of kinds says what their declarations say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from checks.base import Check
from checks.kinds import load, names
from monitor.kinds_doc import as_text, document, documents, overview


def test_every_kind_is_there_with_a_summary_and_described_keys() -> None:
    found = documents()
    assert {one.kind for one in found if one.sort == "check"} == set(names("checks"))
    assert {"slack", "pagerduty", "webhook"} <= {one.kind for one in found if one.sort == "notifier"}
    for one in found:
        assert one.trouble == ""
        assert one.summary
        assert all(key.description for key in (*one.keys, *one.common_keys)), one.kind
        assert json.loads(json.dumps(one.as_json()))["kind"] == one.kind


def test_every_declared_measurement_is_there_with_its_families() -> None:
    for one in documents():
        if one.sort == "check":
            declared = {measurement.name for measurement in load("checks", one.kind, Check).measurements}
            assert {reading.name for reading in one.measurements} == declared | {"duration_seconds"}
            assert all(reading.metrics[0] == f"runwatch_{one.kind}_{reading.name}" for reading in one.measurements)


def test_the_text_of_http() -> None:
    [http] = document("http")
    lines = as_text(http).splitlines()
    assert lines[0] == "http (check)"
    assert any(line.split()[:2] == ["url", "address,"] and "required" in line for line in lines)
    assert any(line.startswith("  interval ") and "duration, default 30s." in line for line in lines)
    assert any(line.startswith("    username ") for line in lines)
    assert any(line.startswith("  phase_seconds{phase} ") for line in lines)
    assert any("probe_http_duration_seconds" in line for line in lines)
    assert all(len(line) <= 100 for line in lines)
    assert not any(line.startswith("  system ") for line in lines)


def test_an_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="there is no kind 'htp'; did you mean 'http'"):
        document("htp")


def test_plugins_are_documented_and_broken_ones_say_why(tmp_path: Path) -> None:
    (tmp_path / "doc_good.py").write_text(
        'from checks.base import Check\nclass Good(Check):\n    """Does good."""\n    size: int = 3\n'
    )
    (tmp_path / "doc_broken.py").write_text("import not_there_at_all\n")
    found = documents([tmp_path])
    assert "doc_good       check     Does good." in overview(found)
    [broken] = [one for one in found if one.kind == "doc_broken" and one.sort == "check"]
    assert "cannot load the kind 'doc_broken': ModuleNotFoundError" in as_text(broken)
    [good] = document("doc_good", [tmp_path])
    assert [(key.name, key.type, key.default) for key in good.keys] == [("size", "whole number", "3")]
