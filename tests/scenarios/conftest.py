"""The installations, each started once, and a daemon on hurried time for each scenario."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import pytest
import pytest_asyncio

from monitor.demo.installation import Installation
from monitor.demo.installations import installation
from tests.scenarios.hurry import HurriedLoop
from tests.scenarios.threaded import STARTS_WITHIN, Threaded
from tests.scenarios.watch import Watch
from tests.skips import had


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Scenarios live on hurried time."""
    return {"hurried": HurriedLoop}


@pytest.hookimpl(tryfirst=True)  # before those who read the group
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The scenarios of one system share its installation: they run in one process (with --dist=loadgroup)."""
    for item in items:
        if "tests/scenarios/test_" in item.nodeid:
            item.add_marker(pytest.mark.xdist_group(_system(item)))
            # The first one starts the whole installation.
            item.add_marker(pytest.mark.timeout(180))


RUNNING = pytest.StashKey[dict[type[Installation], Threaded]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """An installation ends with the last scenario of its system: nothing of it stirs while others are tested."""
    try:
        yield
    finally:
        if nextitem is None or _system(nextitem) != _system(item):
            running = item.session.stash.get(RUNNING, {})
            while running:
                running.popitem()[1].end()


def _system(item: pytest.Item) -> str:
    """The system that a scenario's file is named after; empty for other tests."""
    file = Path(item.nodeid.partition("::")[0])
    return file.stem.removeprefix("test_").partition("_")[0] if file.parent.name == "scenarios" else ""


@pytest.fixture(scope="session")
def installed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[type[Installation]], Threaded]:
    """Gives an installation in its thread; it is started at the first call."""
    running = request.session.stash.setdefault(RUNNING, {})

    def give(kind: type[Installation]) -> Threaded:
        if kind not in running:
            folder = tmp_path_factory.mktemp(kind.name)
            # Servers that step down from root must be able to reach their folders.
            for parent in (folder, *folder.parents):
                if parent.is_relative_to(tmp_path_factory.getbasetemp().parent):
                    parent.chmod(0o755)
            threaded = Threaded(kind(folder / "installation"))
            try:
                with had():
                    threaded.wait(threaded.installation.start(), STARTS_WITHIN)
            except BaseException:
                threaded.end()
                raise
            running[kind] = threaded
        return running[kind]

    return give


@pytest_asyncio.fixture
async def watching(
    installed: Callable[[type[Installation]], Threaded], tmp_path: Path
) -> AsyncIterator[Callable[[str | type[Installation]], Watch]]:
    """Gives a daemon, not yet started, that watches an installation, or that of a system's name."""
    made: list[Watch] = []

    def give(which: str | type[Installation]) -> Watch:
        kind = installation(which) if isinstance(which, str) else which
        made.append(Watch(installed(kind), tmp_path))
        return made[-1]

    yield give
    for watch in made:
        try:
            await watch.stop()
        finally:
            await watch.threaded.call(watch.installation.heal_all(), STARTS_WITHIN)


@pytest_asyncio.fixture
async def watch(request: pytest.FixtureRequest, watching: Callable[[str | type[Installation]], Watch]) -> Watch:
    """The same for the system that the test's file is named after."""
    return watching(request.path.stem.removeprefix("test_").partition("_")[0])
