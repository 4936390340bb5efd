"""A few rounds of kill -9; `python -m tests.system.kill_rounds` runs as many as wanted."""

import os

from tests.system.kill_rounds import rounds


async def test_no_kill_loses_a_page(tmp_path):
    tally = await rounds(tmp_path, 2, seed=int.from_bytes(os.urandom(4)))
    assert (tally.rounds, tally.kills) == (2, 4)
