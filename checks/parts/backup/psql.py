"""Gives a dump in SQL to psql, decompressed, and so that the dump can't make psql run programs."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

from checks.base import Errored, Reason, Run
from checks.parts.backup.content import CHUNK, Unreadable, decoder_of
from checks.parts.backup.files import Backup
from checks.parts.pool import in_pool
from checks.parts.program import Ended, run_program
from checks.wire.certificates import visible


def complaints_of(ended: Ended) -> str:
    """What a program of PostgreSQL said was wrong."""
    return visible(ended.errors.decode("utf-8", "replace").strip(), 600)


async def by_psql(newest: Backup, run: Run, env: dict[str, str], seconds: float) -> Ended:
    """Give a dump in SQL to psql, decompressed.

    psql would carry out `\\!` and other commands of its own that a dump can hold; \\restrict forbids them all.
    """
    apart = Run({}, run.at)
    words = ["psql", "--no-psqlrc", "--quiet", "--output=/dev/null", "--set=ON_ERROR_STOP=1"]
    knows = await run_program(apart, [*words, "--command=\\restrict runwatch"], env, "/", seconds / 4)
    if knows.code:
        raise Errored(
            Reason.INTERNAL,
            "cannot try a restore: our psql can't be kept from carrying out commands that a dump holds; install one of "
            f"2025-08 or newer (17.6, 16.10, 15.14, 14.19, 13.22): {complaints_of(knows)}",
        )
    token = os.urandom(16).hex()
    reader, writer = os.pipe2(os.O_CLOEXEC)
    pour = _Pour(newest.path, writer, b"\\set ON_ERROR_STOP 0\n\\restrict %s\n" % token.encode())
    pouring = asyncio.ensure_future(in_pool(Run({}), pour.run))
    try:
        ended = await run_program(Run(run.memory, run.at), words, env, "/", seconds * 0.7, stdin=reader)
    finally:
        # With its other end closed, a writer that nobody reads from any more ends.
        os.close(reader)
        if pour.cancel():
            pouring.cancel()
        await asyncio.wait([pouring])
    problem = "" if pouring.cancelled() else pouring.result()
    if problem:
        raise Unreadable(problem)
    return ended


class _Pour:
    """Decompresses a file into a pipe, in a thread that owns the pipe's end."""

    def __init__(self, path: str, descriptor: int, first: bytes) -> None:
        self._path = path
        self._descriptor = descriptor
        self._first = first
        self._lock = threading.Lock()
        self._taken = False

    def _take(self) -> bool:
        with self._lock:
            taken, self._taken = self._taken, True
        return not taken

    def cancel(self) -> bool:
        """Close the pipe's end, if the thread has not begun; whether it had not."""
        if not self._take():
            return False
        os.close(self._descriptor)
        return True

    def run(self) -> str:
        """What is wrong with the file, or ""."""
        if not self._take():
            return ""
        with os.fdopen(self._descriptor, "wb", buffering=0) as pipe, open(self._path, "rb") as stream:
            try:
                pipe.write(self._first)
                data = stream.read(CHUNK)
                decoder, _ = decoder_of(data)
                while data:
                    for piece in decoder.feed(data):
                        _write(pipe, piece)
                    data = stream.read(CHUNK)
                decoder.end()
            except BrokenPipeError:
                # psql has ended, and says itself why.
                return ""
            except Unreadable as why:
                return str(why)
        return ""


def _write(pipe: Any, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[pipe.write(view) :]
