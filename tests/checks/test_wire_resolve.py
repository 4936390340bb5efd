"""Names, asked of name servers that are up, lie, or are dead."""

import asyncio
from collections.abc import Iterator

import pytest

from checks.base import Errored, Reason
from checks.http import Http
from checks.wire import resolve as names
from checks.wire.patience import Patience
from tests.checks.name_servers import ADDRESS, answer, serving
from tests.checks.web import ask


@pytest.fixture(autouse=True)
def back_to_normal() -> Iterator[None]:
    yield
    names.use_name_servers(None)


async def test_an_answer_is_not_repeated_for_as_long_as_its_time_to_live() -> None:
    asked = 0

    def count(question: bytes) -> list[bytes]:
        nonlocal asked
        asked += 1
        return answer(ADDRESS)(question)

    async with serving(count) as port:
        names.use_name_servers([f"127.0.0.1:{port}"])
        async with asyncio.timeout(5):
            while asked < 3:
                with Patience(5) as patience:
                    [address] = await names.resolve("shop.example.com", 80, "4", patience)
                    assert address[1] == ("192.0.2.1", 80)
                await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [(3, "cannot resolve shop.example.com: no such name"), (2, "cannot resolve shop.example.com: ")],
)
async def test_a_name_that_has_no_address_is_the_targets_fault(code: int, sentence: str) -> None:
    async with serving(answer(code=code)) as port:
        names.use_name_servers([f"127.0.0.1:{port}"])
        asked = await ask(Http.model_validate({"name": "n", "url": "http://shop.example.com/", "timeout": "5s"}))
    assert not isinstance(asked.fault, Errored)
    assert asked.reason is Reason.DNS
    assert asked.sentence.startswith(sentence)


async def test_a_name_server_that_is_silent_is_ours_and_delays_nobody() -> None:
    async with serving(lambda _: []) as port:
        names.use_name_servers([f"127.0.0.1:{port}"])
        check = Http.model_validate({"name": "n", "url": "http://shop.example.com/", "timeout": "500ms"})
        hanging = [asyncio.ensure_future(ask(check)) for _ in range(50)]
        with Patience(5) as patience:
            assert await names.resolve("localhost", 80, "any", patience)
        assert not [task for task in hanging if task.done()]
        for task in hanging:
            asked = await task
            assert isinstance(asked.fault, Errored)
            assert asked.sentence == "cannot resolve shop.example.com: no answer from a name server within 0.5 s"
