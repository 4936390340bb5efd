"""CapLiquify's `health-monitor -Mode once`: every check once, on demand, and the exit code tells."""

from __future__ import annotations

import json

from tests.scenarios.commands import typed
from tests.scenarios.records import Proof, record
from tests.scenarios.watch import Watch

OK, CRITICAL, UNKNOWN = 0, 2, 3


async def test_one_pass_tells_by_its_exit_code(watch: Watch) -> None:
    await watch.quiet("5m")
    well = await typed(watch, "check", "--system", "capliquify")
    every = len(watch.app.config.checks)
    assert well.code == OK, well
    assert well.out.endswith(f"{every} ok, 0 failed, 0 can't be told\n")
    await watch.breaks("C03")
    down = await typed(watch, "check", "--system", "capliquify", "--json")
    assert down.code == CRITICAL
    failed = {one["check"]: one["sentence"] for one in json.loads(down.out) if one["outcome"] == "failed"}
    assert failed.keys() == {"capliquify/database", "capliquify/production"}
    assert "connection refused" in failed["capliquify/database"]
    one = await typed(watch, "check", "capliquify/frontend")
    assert (one.code, one.out.splitlines()[-1]) == (OK, "1 ok, 0 failed, 0 can't be told")
    nobody = await typed(watch, "check", "--system", "capliquity")
    assert nobody.code == UNKNOWN and "known: capliquify" in nobody.err
    await watch.heals()
    assert (await typed(watch, "check", "--system", "capliquify")).code == OK
    record(Proof("capliquify", "C02", "`runwatch check` exits 0 when all is well and 2 when the database is killed"))
