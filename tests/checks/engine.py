"""A fixture: a real container engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from monitor.demo.parts.engine import Engine
from tests.skips import had


@contextmanager
def container_engine() -> Iterator[Engine]:
    """One that runs; all that it started is gone afterwards. Skips where containers can't be run."""
    engine = Engine()
    try:
        with had():
            engine.open()
        yield engine
    finally:
        engine.close()
