"""What is acknowledged is on disk: whole, once, and read back as it was."""

import asyncio
import resource
import sqlite3

import pytest

from alerts.outbox import Changes, Entry, NotKept, Parcel
from alerts.telling import Telling
from checks.base import Outcome, Reason, Result
from monitor.store.connection import StoreUnusable
from monitor.store.history import KEPT_SECONDS, History
from monitor.store.recall import Probe
from monitor.store.sqlite import SqliteStore
from tests.alerts.notes import alert, note


def telling() -> Telling:
    return Telling("k", "t", "on-call", "g", {"a": "b"}, "dedup", {"kind": "webhook"}, told=["x"], last_sent=5.0)


def parcel(name: str = "p", created: float = 1.0) -> Parcel:
    return Parcel(name, "k", "t", {"kind": "webhook", "config": {"url": "http://h/"}}, note(), created, attempts=2)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "runwatch.db"


async def test_everything_comes_back_as_it_was(path):
    store = SqliteStore(path)
    one = alert(sentence="naïve 🔥 \x00", measured=(("queue", "mail"),))
    await store.write(
        Changes(
            alerts={one.fingerprint: one},
            tellings={"k": telling()},
            parcels={"late": parcel("late", 2.0), "early": parcel("early", 1.0)},
            references={"t": {"ts": "1.2"}},
        )
    )
    store.close()
    again = SqliteStore(path)
    kept = again.load()
    assert (kept.alerts, kept.tellings, kept.references) == ([one], [telling()], {"t": {"ts": "1.2"}})
    assert [one.id for one in kept.parcels] == ["early", "late"]
    assert kept.parcels[0] == parcel("early", 1.0)
    await again.write(
        Changes(alerts={one.fingerprint: None}, tellings={"k": None}, parcels={"late": None}, references={"t": {}})
    )
    kept = again.load()
    assert (kept.alerts, kept.tellings, kept.references, [one.id for one in kept.parcels]) == ([], [], {}, ["early"])
    again.close()


async def test_those_who_wait_together_are_written_together(path):
    store = SqliteStore(path)
    entries = [
        Entry(f"p{number}", "t", "r", "webhook", "first", "d", "delivered", 1, 1.0, float(number))
        for number in range(500)
    ]
    await asyncio.gather(*[store.write(Changes(entries=[entry])) for entry in entries])
    assert [entry["parcel"] for entry in await store.entries(3)] == ["p499", "p498", "p497"]
    store.close()


async def test_what_can_not_be_written_is_said_and_nothing_of_it_is_there(path):
    store = SqliteStore(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        with pytest.raises(NotKept, match=r"cannot write .*runwatch\.db"):
            await store.write(Changes(parcels={"p": parcel()}, tellings={"k": telling()}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    await store.write(Changes(parcels={"q": parcel("q")}))
    await store.prune()
    kept = store.load()
    assert ([one.id for one in kept.parcels], kept.tellings) == (["q"], [])
    store.close()


def test_a_folder_that_can_not_be_made_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnusable, match="give the daemon a folder it may write"):
        SqliteStore(tmp_path / "file" / "runwatch.db")


def test_a_store_of_a_newer_version_is_left_alone(path):
    SqliteStore(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE name = 'version'")
    connection.close()
    with pytest.raises(StoreUnusable, match="written by a newer runwatch"):
        SqliteStore(path)


def test_only_its_owner_may_read_it(path):
    SqliteStore(path).close()
    assert path.stat().st_mode & 0o077 == 0


async def test_history_keeps_what_every_probe_yielded_for_a_day(tmp_path):
    history = History(tmp_path / "results.db")
    now = 10 * KEPT_SECONDS
    for number in range(1_200):
        history.keep("s/c", Result(Outcome.OK, now + number, 0.001))
    history.keep("s/d", Result(Outcome.FAILED, now - KEPT_SECONDS - 1, 0.5, Reason.STATUS))
    history.close()
    assert (history.trouble, history.dropped) == ("", 0)
    history = History(tmp_path / "results.db")
    await history.prune(now)
    history.close()
    with sqlite3.connect(tmp_path / "results.db") as connection:
        [count] = connection.execute("SELECT count(*) FROM results").fetchone()
        keys = dict(connection.execute("SELECT key, id FROM checks"))
    connection.close()
    assert (count, keys) == (1_200, {"s/c": 1, "s/d": 2})


async def test_windows_and_memories_come_back_as_they_were_when_last_written(tmp_path):
    history, now = History(tmp_path / "results.db"), 1_000_000.0
    labels = (("table", 'a "b"'), ("z", "ü"))
    history.keep("s/c", Result(Outcome.OK, now - 500, 0.1), [("age_seconds", 1.0, ()), ("size_bytes", 2.0, labels)])
    history.keep("s/c", Result(Outcome.OK, now - 50, 0.2), [("age_seconds", 3.0, ())])
    history.keep("s/d", Result(Outcome.FAILED, now - 50, 0.5, Reason.STATUS))
    history.keep("s/e", Result(Outcome.OK, now - 20, 0.5))
    history.keep_memory("s/c", now, "file /x", b'{"at": 1}')
    history.keep_memory("s/c", now, "file /x", b'{"at": 2}')
    assert await history.settled() == ""
    other = History(tmp_path / "results.db")
    assert other.memories() == {"s/c": ("file /x", b'{"at": 2}')}
    assert list(other.probes({"s/c": 600.0, "s/d": 60.0}, now)) == [
        Probe("s/c", now - 500, Outcome.OK, 0.1, [("age_seconds", 1.0, ()), ("size_bytes", 2.0, labels)]),
        Probe("s/c", now - 50, Outcome.OK, 0.2, [("age_seconds", 3.0, ())]),
        Probe("s/d", now - 50, Outcome.FAILED, 0.5, []),
    ]
    assert [probe.check for probe in other.probes({"s/c": 100.0}, now)] == ["s/c"]
    assert list(other.probes({}, now)) == []
    await other.prune(now + KEPT_SECONDS - 100, ["s/c"])
    assert [probe.at for probe in other.probes({"s/c": 1e6}, now)] == [now - 50]
    await other.prune(now + 40 * 86_400, ["s/c"])
    assert other.memories()
    await other.prune(now + 40 * 86_400, [])
    assert not other.memories()
    other.close()
    history.close()


async def test_all_who_wait_for_it_are_told_once_it_is_written_or_can_not_be(tmp_path):
    history = History(tmp_path / "results.db")

    async def keep(number: int) -> str:
        history.keep_memory(f"s/{number}", 1.0, "a", b"{}")
        said = await history.settled()
        assert said or f"s/{number}" in history.memories()
        return said

    assert set(await asyncio.gather(*map(keep, range(50)))) == {""}
    blocker = sqlite3.connect(tmp_path / "results.db", isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    assert "locked" in await keep(51)
    blocker.execute("ROLLBACK")
    blocker.close()
    assert await history.settled() == ""
    assert "s/51" in history.memories()
    history.close()
