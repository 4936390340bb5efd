"""`python -m tests.mutations [FILE…]`: plants bugs one at a time, and lists those that no test catches."""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.mutations.covered import COVERED, EQUAL
from tests.mutations.planting import Mutation, mutations, shortened
from tests.mutations.trial import ROOT, Trials


class Planted(NamedTuple):
    """One bug, where it goes, and the sentence that says why nothing could tell it (empty: something must)."""

    file: str
    mutation: Mutation
    equal: str

    @property
    def where(self) -> str:
        return f"{self.file}:{self.mutation.line}"


def all_of(files: list[str]) -> Iterator[Planted]:
    """Every bug that can be planted into these files."""
    reviewed = {(one.file, one.line, one.before, one.after): one.why for one in EQUAL}
    for file in files:
        for one in mutations((ROOT / file).read_text(encoding="utf-8")):
            key = file, one.text, shortened(one.before), shortened(one.after)
            yield Planted(file, one, reviewed.get(key, ""))


def main() -> int:
    """Plant, run, report; exit 1 where a bug survived."""
    asked = _asked()
    chosen = list(all_of(asked.files))
    equal = sum(bool(one.equal) for one in chosen)
    chosen = [one for one in chosen if not one.equal]
    if asked.sample and asked.sample < len(chosen):
        chosen = sorted(random.Random(asked.seed).sample(chosen, asked.sample), key=lambda one: one.where)
    began, survivors = time.monotonic(), []
    with Trials() as trials:
        for file in dict.fromkeys(one.file for one in chosen):
            if (healthy := trials.run(COVERED[file])).caught:
                sys.exit(f"the tests of {file} fail without any bug planted:\n{healthy.said}")
        for number, one in enumerate(chosen, 1):
            verdict = trials.plant(one.file, one.mutation, COVERED[one.file])
            if not verdict.caught:
                survivors.append(one)
                sys.stderr.write(f"\r{one.where} {one.mutation.function}: {one.mutation}\n")
            if sys.stderr.isatty():
                sys.stderr.write(f"\r{number} of {len(chosen)}, {len(survivors)} survive ")
    _report(asked, len(chosen), equal, survivors, time.monotonic() - began)
    return int(bool(survivors))


def _asked() -> Any:
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("files", nargs="*", metavar="FILE", help="such as alerts/telling.py; without one, all")
    parser.add_argument("--sample", type=int, metavar="N", help="only so many, drawn from all")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (default 0)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON at the end")
    asked = parser.parse_args()
    asked.files = asked.files or list(COVERED)
    if unknown := [name for name in asked.files if name not in COVERED]:
        parser.error(f"no tests are named for {', '.join(unknown)}: see tests/mutations/covered.py")
    return asked


def _report(asked: Any, planted: int, equal: int, survivors: list[Planted], seconds: float) -> None:
    caught = planted - len(survivors)
    if asked.json:
        listed = [{"file": one.file, "line": one.mutation.line, "mutation": str(one.mutation)} for one in survivors]
        found = {"planted": planted, "caught": caught, "equal": equal, "survivors": listed}
        sys.stdout.write(json.dumps(found) + "\n")
        return
    share = f"{caught} of {planted} planted bugs caught ({caught / max(planted, 1):.1%}) in {seconds:.0f} s"
    sys.stdout.write(f"{share}; {equal} more change nothing that anybody could tell\n")


if __name__ == "__main__":
    sys.exit(main())
