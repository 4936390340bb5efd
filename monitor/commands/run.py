"""`runwatch run`: the daemon."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import resource
import sys
from collections.abc import Callable
from typing import cast

from monitor.app import App
from monitor.commands.say import complain
from monitor.config import ConfigError, find, load
from monitor.logs import configure
from monitor.store.connection import StoreUnusable

COLLECT_AFTER = (2_000, 5, 1_000)
"""Sizes of the garbage collector's generations: a walk through the middle one stalls the loop by 4 ms at 5,000 checks,
one through everything by 50, so that comes once in ten million objects (cycles are made by failures only)."""


def main(asked: argparse.Namespace) -> int:
    """Exit 0 after a stop that was asked for, 1 when the configuration or the store can't be used."""
    # What is made until the daemon runs is there to stay: looking for garbage in it costs the start 70 ms.
    gc.disable()
    environ = dict(os.environ)
    try:
        where = find(asked.config, environ)
        config = load(where, environ)
    except ConfigError as error:
        complain(f"cannot start, the configuration has errors:\n{error}")
        return 1
    _raise_file_limit()
    level, style = asked.log_level or config.log_level, asked.log_format or config.log_format
    writer, redact = configure(level, style, sys.stdout)
    try:
        app = App(config, where, environ, writer, redact)
        app.debug = level == "debug"
        return _run(app)
    finally:
        writer.close()


def _run(app: App) -> int:
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        try:
            runner.run(_live(app))
        except StoreUnusable as why:
            complain(str(why))
            return 1
        except OSError as why:
            complain(f"cannot listen on {app.config.server.host}:{app.config.server.port}: {why.strerror or why}")
            return 1
    return 0


async def _live(app: App) -> None:
    try:
        await app.build()
    except BaseException:
        await app.close()
        raise
    # What was made up to here lives as long as the daemon: the collector need not look at it again.
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    gc.enable()
    await app.run()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    # uvloop is an extra; the socket engine gains little from it, aiohttp's side (page, metrics, deliveries) a fifth.
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return cast(Callable[[], asyncio.AbstractEventLoop], uvloop.new_event_loop)


def _raise_file_limit() -> None:
    # A probe is a socket: a thousand hanging targets need a thousand descriptors.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
