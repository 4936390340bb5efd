"""Dakkah's limits: whatever happens, runwatch asks no more than its share of them, and never what is limited most."""

from __future__ import annotations

from monitor.asking import Limit, demands
from monitor.demo.installations.dakkah_shop import DakkahShop
from tests.scenarios.records import Proof, record
from tests.scenarios.watch import Watch

QUIET, OUTAGE, AFTER = 10, 5, 5
"""Minutes."""


def shop(watch: Watch) -> DakkahShop:
    assert isinstance(watch.installation, DakkahShop)
    return watch.installation


async def each_minute(watch: Watch, minutes: int) -> list[int]:
    """How often the store was asked in each of so many minutes."""
    asked, counts = shop(watch).store.asked, []
    for _ in range(minutes):
        before = len(asked)
        await watch.passes("1m")
        counts.append(len(asked) - before)
    return counts


def limit(watch: Watch, name: str) -> Limit:
    return next(one for one in watch.app.config.limits if one.name == name)


async def test_the_store_is_never_asked_more_than_the_share_of_its_limit(watch: Watch) -> None:
    """While all is well, while the database is gone and everything asks again, and when it comes back."""
    shops = ("store", "cors", "backend", "storefront", "admin", "database")
    watch.only = lambda key: key.partition("/")[2] in shops
    await watch.start(f"{QUIET + OUTAGE + AFTER}m")
    sites = [shop(watch).store, shop(watch).backend, shop(watch).storefront]
    for site in sites:
        site.asked.clear()
    well = await each_minute(watch, QUIET)
    await watch.breaks("D07")
    down = await each_minute(watch, OUTAGE)
    await watch.heals()
    back = await each_minute(watch, AFTER)
    store = limit(watch, "store API")
    counted = store.of(demands(watch.app.config.checks, watch.app.config.ancestors))
    assert sum(well[1:]) / (QUIET - 1) <= 1.3, "more than a probe a minute of its health, one in five of its preflight"
    assert max(down) > max(well[1:]), "no probe was asked again"
    assert max(*well, *down, *back) <= sum(one.worst(store.per) for one in counted) <= store.ours == 18
    assert limit(watch, "logging in").requests == 20
    assert not [one.path for site in sites for one in site.asked if "auth" in one.path]
    most = max(*well, *down, *back)
    shown = f"through an outage the store API, which allows 120 requests a minute, gets {most} at most, logging in none"
    record(Proof("dakkah", "D16", f"{shown}; `validate` refuses what could come over 15 %"))
