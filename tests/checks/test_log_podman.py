"""The log of a real container, on a real engine."""

from __future__ import annotations

import pytest

from checks.base import KEPT, Reason
from checks.logfile import Logfile
from tests.checks.engine import container_engine
from tests.checks.probing import Memory, asked, evidence, fails, value

LOOP = "while :; do while test ! -e /tmp/go; do sleep 0.02; done; rm /tmp/go; echo ERROR more; echo fine >&2; done"


def follow(url: str, start_at: str) -> Logfile:
    container = {"name": "app", "engine": url}
    return Logfile(name="log", container=container, start_at=start_at, patterns={"errors": "ERROR"})


@pytest.mark.parametrize("terminal", [(), ("-t",)])
async def test_each_line_of_a_real_container_counts_once_also_after_it_was_made_anew(terminal: tuple[str, ...]) -> None:
    with container_engine() as engine:
        engine.run("app", *terminal, command=f"echo started; echo ERROR one; echo ERROR two >&2; {LOOP}")
        whole, new = follow(engine.url, "beginning"), follow(engine.url, "end")
        memories: dict[str, Memory] = {"whole": {}, "new": {}}
        run = await asked(whole, memories["whole"])
        while value(run, "records_total") < 3:
            run = await asked(whole, memories["whole"])
        assert value(run, "errors_total") == 2
        assert value(await asked(new, memories["new"]), "records") == 0

        engine.podman("exec", "app", "touch", "/tmp/go")
        memories["whole"] = {KEPT: memories["whole"][KEPT]}
        for check, memory, records, errors in ((whole, memories["whole"], 5, 3), (new, memories["new"], 2, 1)):
            run = await asked(check, memory)
            while value(run, "records_total") < records:
                run = await asked(check, memory)
            run = await asked(check, memory)
            assert (value(run, "records_total"), value(run, "errors_total")) == (records, errors)
        assert memories["new"]["last records"]["errors"] == "ERROR more"

        engine.podman("rm", "-f", "-t", "0", "app")
        await fails(whole, Reason.STATUS, "has no such container", memory=memories["whole"])
        engine.run("app", *terminal, command="sleep 1; echo ERROR of the new one; sleep 1000")
        run = await asked(whole, memories["whole"])
        while value(run, "records_total") < 6:
            run = await asked(whole, memories["whole"])
        assert evidence(run, "errors") == "ERROR of the new one"
