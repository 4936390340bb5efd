"""What seems a container engine is one to the checks that ask it."""

from __future__ import annotations

from checks.base import Reason, Run
from checks.container import Container
from checks.logfile import Logfile
from monitor.demo.parts.recorded_engine import RecordedEngine
from tests.checks.probing import Memory, asked, fails


def value(run: Run, name: str) -> float:
    return next(value for known, value, _ in run.measurements if known == name)


async def test_its_containers_run_and_are_well() -> None:
    async with RecordedEngine("db", "app") as engine:
        check = Container.model_validate({"name": "c", "url": engine.url, "containers": ["db", "app"]})
        memory: Memory = {}
        await asked(check, memory)
        run = await asked(check, memory)
        assert value(run, "containers_running") == 2 and value(run, "memory_used_ratio") == 0.25
        other = check.model_copy(update={"containers": ("cache",)})
        await fails(other, Reason.ASSERTION, "there is no container cache")


async def test_its_logs_are_followed() -> None:
    async with RecordedEngine("app") as engine:
        followed = {"name": "app", "engine": engine.url}
        check = Logfile.model_validate({"name": "l", "container": followed, "patterns": {"errors": "ERROR"}})
        memory: Memory = {}
        engine.log("app", "ERROR before anybody looked")
        assert value(await asked(check, memory), "errors_total") == 0
        for line in ("ERROR one", "well", "ERROR two"):
            engine.log("app", line)
        run = await asked(check, memory)
        assert (value(run, "errors"), value(run, "records")) == (2, 3)
        assert value(await asked(check, memory), "errors_total") == 2
