"""`python -m docs.generate`: writes the generated parts of the documentation anew; `--check` only says what is untrue.

A part stands between `<!-- generated: NAME -->` and `<!-- end of generated -->`; all else on a page is written by hand.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from docs import truth
from docs.markdown import Page
from docs.render import KINDS, block
from docs.source import ROOT
from monitor.kinds_doc import documents

PAGES = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**/*.md", "deploy/*/README.md")
ELSEWHERE = "docs/figures.md"
"""Written by `python -m bench`, which measures for minutes."""

_PART = re.compile(r"(<!-- generated: (?P<name>[^>]*?) -->\n)(?P<content>.*?)(<!-- end of generated -->)", re.DOTALL)
FRESH = "# {kind}\n\n<!-- generated: kind {kind} -->\n<!-- end of generated -->\n"
"""The page of a kind that has none yet."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit 0, or 1 with `--check` where something is untrue."""
    asked = argparse.ArgumentParser(prog="python -m docs.generate", description=__doc__)
    asked.add_argument("--check", action="store_true", help="change nothing; fail with what is untrue")
    if asked.parse_args(arguments).check:
        problems = stale() + untrue()
        for problem in problems:
            sys.stderr.write(problem + "\n")
        sys.stderr.write(f"docs: {len(problems)} untrue\n" if problems else "docs: true\n")
        return 1 if problems else 0
    for path, text in _pages().items():
        new = filled(text)
        if not (ROOT / path).is_file() or (ROOT / path).read_text(encoding="utf-8") != new:
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / path).write_text(new, encoding="utf-8")
            sys.stdout.write(f"wrote {path}\n")
    return 0


def filled(text: str) -> str:
    """A page with its generated parts as they have to be."""
    return _PART.sub(lambda part: f"{part[1]}\n{block(part['name'])}\n\n{part[4]}", text)


def stale() -> list[str]:
    """How each generated part differs from what it has to be, as a diff for each page."""
    found = []
    for path, text in _pages().items():
        there = (ROOT / path).read_text(encoding="utf-8") if (ROOT / path).is_file() else ""
        lines = difflib.unified_diff(
            there.splitlines(), filled(text).splitlines(), str(path), "from the code", lineterm=""
        )
        difference = "\n".join(lines)
        if difference:
            found.append(f"{difference}\n{path} is out of date; run `make docs`")
    return found


def untrue() -> list[str]:
    """What the pages say that is not so, each as `page:line: sentence`."""
    return truth.problems([Page(path, (ROOT / path).read_text(encoding="utf-8")) for path in _there()])


def _there() -> list[Path]:
    found = {file.relative_to(ROOT) for pattern in PAGES for file in ROOT.glob(pattern)}
    return sorted(found)


def _pages() -> dict[Path, str]:
    """Every page with its text; those that are still missing with what a kind's page begins with."""
    pages = {path: (ROOT / path).read_text(encoding="utf-8") for path in _there() if str(path) != ELSEWHERE}
    for one in documents():
        pages.setdefault(Path(KINDS, f"{one.kind}.md"), FRESH.format(kind=one.kind))
    return pages


if __name__ == "__main__":
    sys.exit(main())
