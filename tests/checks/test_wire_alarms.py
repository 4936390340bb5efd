"""Deadlines on virtual time: each at its time, none after it was taken back."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from checks.wire.alarms import alarms
from tests.clock import run


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.5, 2.0]), st.sampled_from([1.0, 2.0, 5.0]), st.sampled_from([None, 0.3, 1.5])
        ),
        max_size=30,
    )
)
def test_each_rings_at_its_time_unless_it_was_taken_back(wanted):
    """Of each: the pause before it is set, its length, and when it is taken back."""

    async def main():
        loop = asyncio.get_running_loop()
        rung, expected = [], []
        for number, (pause, seconds, back) in enumerate(wanted):
            await asyncio.sleep(pause)
            alarm = alarms(loop).set(loop, seconds, lambda number=number: rung.append((number, round(loop.time(), 3))))
            if back is None or back > seconds:
                expected.append((number, round(loop.time() + seconds, 3)))
            else:
                loop.call_later(back, alarm.off)
        await asyncio.sleep(10)
        assert sorted(rung) == sorted(expected)
        assert alarms(loop)._queues == {}

    run(main())


def test_one_that_rings_may_take_back_and_set_others():
    async def main():
        loop = asyncio.get_running_loop()
        rung = []
        own = alarms(loop)

        def first():
            rung.append("first")
            second.off()
            own.set(loop, 1, lambda: rung.append("third"))

        own.set(loop, 1, first)
        second = own.set(loop, 1, lambda: rung.append("second"))
        await asyncio.sleep(3)
        assert rung == ["first", "third"]

    run(main())


def test_what_was_taken_back_is_not_kept():
    async def main():
        loop = asyncio.get_running_loop()
        for _ in range(1_000):
            alarms(loop).set(loop, 60, print).off()
        assert len(alarms(loop)._queues[60]) == 1

    run(main())
