"""Finding kinds by their files' names, and files dropped into a folder."""

import pytest

from checks import kinds
from checks.base import Check

TEN_LINES = '''"""Counts the lines of a file."""
from pathlib import Path
from checks.base import Check, Failed, Measurement, Reason, Run

class Lines(Check):
    path: Path
    measurements = (Measurement("lines", "count", "Lines in the file."),)
    async def probe(self, run: Run) -> None:
        run.record("lines", len(self.path.read_text().splitlines()))
'''


def test_a_dropped_file_is_a_kind_and_unchanged_it_is_the_same_one(tmp_path):
    (tmp_path / "lines.py").write_text(TEN_LINES)
    first = kinds.load("checks", "lines", Check, [tmp_path])
    assert (first.kind, kinds.load("checks", "lines", Check, [tmp_path])) == ("lines", first)
    assert "lines" in kinds.names("checks", [tmp_path])
    (tmp_path / "lines.py").write_text(TEN_LINES + "# changed\n")
    assert kinds.load("checks", "lines", Check, [tmp_path]) is not first


def test_a_broken_file_leaves_nothing_behind(tmp_path):
    (tmp_path / "broken.py").write_text("raise RuntimeError('boom')")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="boom"):
            kinds.load("checks", "broken", Check, [tmp_path])


def test_an_unknown_kind_names_the_nearest():
    with pytest.raises(kinds.UnknownKind, match="did you mean 'postgres'"):
        kinds.load("checks", "postgre", Check)


def test_what_is_no_kind_is_none():
    assert not {"base", "kinds", "units", "wire"} & set(kinds.names("checks"))


@pytest.mark.parametrize("kind", kinds.names("checks"))
def test_a_kind_is_known_by_its_files_name(kind: str) -> None:
    assert kinds.load("checks", kind, Check).kind == kind
