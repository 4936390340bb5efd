"""The mutation check itself: what it plants, that known bugs are caught, and that one nobody looks for is not."""

import ast

from tests.mutations.covered import COVERED, EQUAL
from tests.mutations.planting import mutations, planted, shortened
from tests.mutations.trial import ROOT, Trials

SOURCE = '''
LIMIT = 5

def f(a: int, b: int = 1) -> bool:
    """Text."""
    if a < b and not a:
        g(a, b)
        return True
    return min(a, b) - 1 in (b,)
'''
PLANTED = [
    (4, "1  →  2"),
    (6, "a < b  →  (a <= b)"),
    (6, "a < b  →  (a >= b)"),
    (6, "a < b and not a  →  ((a < b) or (not a))"),
    (6, "a < b and not a  →  (not (a < b and not a))"),
    (6, "not a  →  a"),
    (7, "g(a, b)  →  pass"),
    (7, "a, b  →  b, a"),
    (8, "return True  →  pass"),
    (8, "True  →  False"),
    (9, "return min(a, b) - 1 in (b,)  →  pass"),
    (9, "min(a, b)  →  max(a, b)"),
    (9, "min(a, b) - 1  →  (min(a, b) + 1)"),
    (9, "min(a, b) - 1  →  min(a, b)"),
    (9, "min(a, b) - 1 in (b,)  →  ((min(a, b) - 1) not in ((b,)))"),
    (9, "1  →  2"),
]
KNOWN = [
    (
        "alerts/lifecycle.py",
        "lasted >= wanted - min(SLACK, wanted / 100)  →  (lasted > (wanted - min(SLACK, wanted / 100)))",
    ),
    ("alerts/lifecycle.py", "life.phase is Phase.PENDING  →  (life.phase is not Phase.PENDING)"),
    ("alerts/telling.py", "now >= ready  →  (now > ready)"),
    ("alerts/telling.py", "scene.open | scene.muted  →  (scene.open & scene.muted)"),
    ("alerts/telling.py", "pace is None or not scene.open  →  ((pace is None) and (not scene.open))"),
]
NEAR = {
    "alerts/lifecycle.py": ["alerts/test_lifecycle.py"],
    "alerts/telling.py": ["alerts/test_telling.py", "alerts/test_muting.py"],
}


def test_what_is_planted():
    assert [(one.line, str(one)) for one in mutations(SOURCE)] == PLANTED


def test_every_planted_bug_is_a_program_and_no_two_are_the_same():
    for file in COVERED:
        source = (ROOT / file).read_text(encoding="utf-8")
        found = [planted(source, one) for one in mutations(source)]
        for text in found:
            ast.parse(text)
        assert source not in found
        assert len(found) == len(set(found)) > 10


def test_all_that_is_named_is_there():
    for file, tests in COVERED.items():
        assert [name for name in (*tests, f"../{file}") if not (ROOT / "tests" / name).is_file()] == []
    there = {
        (file, one.text, shortened(one.before), shortened(one.after))
        for file in COVERED
        for one in mutations((ROOT / file).read_text(encoding="utf-8"))
    }
    assert [one for one in EQUAL if one[:4] not in there] == [], "reviewed, but can't be planted any more"


def test_known_bugs_are_caught_and_one_that_no_test_looks_for_is_not():
    with Trials() as trials:
        for file, known in KNOWN:
            source = (ROOT / file).read_text(encoding="utf-8")
            bug = next(one for one in mutations(source) if str(one) == known)
            assert trials.plant(file, bug, NEAR[file]).caught, known
            assert (trials.copy / file).read_text(encoding="utf-8") == source
        assert not trials.plant(file, bug, ["alerts/test_lifecycle.py"]).caught
        assert not trials.run(NEAR[file]).caught
