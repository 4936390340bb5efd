"""What waits for the sockets of an event loop goes with it."""

import asyncio

from checks.wire.ready import ready
from tests.leaks import open_files


async def wait_for_sockets() -> None:
    assert ready(asyncio.get_running_loop()) is ready(asyncio.get_running_loop())


def test_a_loop_that_is_closed_leaves_no_file_open() -> None:
    loops = [asyncio.new_event_loop() for _ in range(5)]
    before = open_files()
    for loop in loops:
        loop.run_until_complete(wait_for_sockets())
        loop.close()  # and is not freed yet
    with asyncio.Runner() as last:
        last.run(wait_for_sockets())
        opened = {file for file in open_files() - before if "eventpoll" in str(file)}
        assert len(opened) <= 2, "the last loop's own, and what it waits with"
