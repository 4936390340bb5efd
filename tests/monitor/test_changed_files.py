"""Files that change are read again: those that change while they are read too, and none of them for ever."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from monitor.housekeeping import Files


@dataclass
class App:
    """Reads its files at a reload, as they are then. `meanwhile` runs once, when they are read and not taken over."""

    main: Path
    includes: tuple[Path, ...] = ()
    refuses: bool = False
    meanwhile: Callable[[], object] | None = None
    loaded: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.config = SimpleNamespace(files=(self.main,))

    async def reload(self, why: str) -> str:
        files = (self.main, *self.includes)
        self.loaded.append(" ".join(file.read_text() for file in files))
        if self.meanwhile is not None:
            self.meanwhile()
            self.meanwhile = None
        if self.refuses:
            return "refused"
        self.config = SimpleNamespace(files=files)
        return ""


@pytest.fixture
def app(tmp_path: Path) -> App:
    main = tmp_path / "runwatch.yaml"
    main.write_text("1")
    return App(main)


async def looks(files: Files, app: App, times: int = 4) -> list[str]:
    """What these looks have loaded."""
    app.loaded.clear()
    for _ in range(times):
        await files.look(app)
    return app.loaded


async def test_what_does_not_change_is_not_read_again(app: App) -> None:
    assert await looks(Files(app), app) == []


@pytest.mark.parametrize("refuses", [False, True])
async def test_a_change_is_read_once_even_if_it_is_refused(app: App, refuses: bool) -> None:
    files = Files(app)
    app.refuses = refuses
    app.main.write_text("22")
    assert await looks(files, app) == ["22"]


@pytest.mark.parametrize("refuses", [False, True])
async def test_a_change_while_they_are_read_is_seen_by_the_next_look(app: App, refuses: bool) -> None:
    files = Files(app)
    app.refuses = refuses
    app.main.write_text("22")
    app.meanwhile = lambda: app.main.write_text("333")
    assert await looks(files, app) == ["22", "333"]


async def test_files_that_were_not_known_are_looked_at_once_more(app: App, tmp_path: Path) -> None:
    files = Files(app)
    extra = tmp_path / "more" / "extra.yaml"
    extra.parent.mkdir()
    extra.write_text("a")
    app.includes = (extra,)
    app.main.write_text("22")
    app.meanwhile = lambda: extra.write_text("bb")
    assert await looks(files, app) == ["22 a", "22 bb"]
    extra.write_text("ccc")
    assert await looks(files, app) == ["22 ccc"]
    app.includes = ()
    app.main.write_text("333")
    assert await looks(files, app) == ["333", "333"]
    assert await looks(files, app) == []
