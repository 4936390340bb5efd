"""The kernel's clock: a latency is the target's, whatever the event loop was doing meanwhile."""

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from checks.base import Run
from checks.http import Http
from checks.wire import clock
from tests.checks.web import ask, reply, serving

HOLD = 0.02


@contextmanager
def holding(loop: asyncio.AbstractEventLoop, blocked: float) -> Iterator[int]:
    """A target in a thread that answers after 20 ms, and has the loop blocked from the moment it is asked."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                if blocked:
                    loop.call_soon_threadsafe(time.sleep, blocked)
                threading.Event().wait(HOLD)
                connection.sendall(reply(b"fine"))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


async def stamped(port: int) -> bool:
    """Whether this kernel stamps what it receives; says so where not."""
    check = Http.model_validate({"name": "n", "url": f"http://127.0.0.1:{port}/"})
    for _ in range(20):
        # The kernel switches stamping on a little after it was first asked to.
        run = Run()
        await check.probe(run)
        if run.clock == "kernel":
            return True
    return False


async def test_a_blocked_loop_does_not_lengthen_a_latency() -> None:
    loop = asyncio.get_running_loop()
    with holding(loop, 0) as port:
        if not await stamped(port):
            pytest.skip("this kernel does not stamp received packets")
    with holding(loop, 1) as port:
        asked = await ask(Http.model_validate({"name": "n", "url": f"http://127.0.0.1:{port}/"}))
    assert asked.run.clock == "kernel"
    assert asked.run.took is not None
    assert HOLD <= asked.run.took < 0.5


async def test_without_stamps_the_loops_clock_is_used_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    # An option that no kernel knows.
    monkeypatch.setattr(clock, "SO_TIMESTAMPING", 9999)
    monkeypatch.setattr(clock, "_anchored", False)
    async with serving(reply(b"fine")) as web:
        asked = await ask(Http.model_validate({"name": "n", "url": web.url()}))
    assert asked.fault is None
    assert asked.run.clock == "loop"
    assert asked.run.took is not None
    assert asked.run.took > 0


def message(wall: float) -> list[tuple[int, int, bytes]]:
    data = struct.pack("qqqqqq", int(wall), int(wall % 1 * 1e9), 0, 0, 0, 0)
    return [(socket.SOL_SOCKET, clock.SO_TIMESTAMPING, data)]


def test_a_stamp_is_translated_to_monotonic_time() -> None:
    offset = clock.wall_offset()
    at = time.monotonic() - 0.05
    came, by_kernel = clock.arrival(message(at + offset), offset)
    assert by_kernel
    assert came == pytest.approx(at, abs=0.001)


def test_a_preemption_between_the_readings_of_two_clocks_costs_no_stamp(monkeypatch: pytest.MonkeyPatch) -> None:
    offset = clock.wall_offset()
    at = time.monotonic()
    away = 0.0

    def late() -> float:
        nonlocal away
        away = 0.01
        return time.time() + away

    monkeypatch.setattr(clock, "monotonic", lambda: time.monotonic() + away)
    monkeypatch.setattr(clock, "time", late)
    came, by_kernel = clock.arrival(message(at + offset), offset)
    assert by_kernel
    assert came == pytest.approx(at, abs=0.001)


@pytest.mark.parametrize(
    ("ancillary", "step"),
    [
        ([], 0.0),
        ([(socket.SOL_SOCKET, clock.SO_TIMESTAMPING, b"short")], 0.0),
        (message(0.0), 0.0),
        (message(time.time() + 3600), 0.0),
        (message(time.time()), 3600.0),
        (message(time.time()), -3600.0),
        (message(time.time()), 0.01),
    ],
    ids=["none", "short", "empty", "future", "set-back", "set-forward", "small-step"],
)
def test_a_stamp_that_can_not_be_right_is_not_believed(ancillary: Any, step: float) -> None:
    before = time.monotonic()
    came, by_kernel = clock.arrival(ancillary, clock.wall_offset() + step)
    assert not by_kernel
    assert before <= came <= time.monotonic()
