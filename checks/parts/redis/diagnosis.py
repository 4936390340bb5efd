"""What a person would ask a troubled Redis next: memory, slow and costly commands, biggest keys, who is connected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from checks.base import Run
from checks.parts.redis.answers import number, pairs, parse_info, slow_entry
from checks.parts.redis.link import Link
from checks.parts.redis.resp import Refused, Reply
from checks.parts.redis.sample import AT_ONCE, scan, scanned, shape
from checks.units import show_duration, show_size
from checks.wire.certificates import visible

MOST_KEYS = 1000
MOST_SECONDS = 1.5
MOST_CLIENTS = 1000
"""Beyond which nobody is listed: CLIENT LIST would cost the server more than the answer is worth."""
SHOWN = 5

MEMORY = (
    ("used_memory_human", "used"), ("maxmemory_human", "of"), ("maxmemory_policy", "policy"),
    ("used_memory_peak_human", "peak"), ("used_memory_dataset_perc", "data's share"),
    ("mem_fragmentation_ratio", "fragmentation"), ("mem_clients_normal", "bytes of clients"),
)  # fmt: skip


async def diagnose(link: Link, run: Run) -> None:
    """Gather it on one connection, reading only. Raises WireError."""
    info, costs, slowlog = await link.ask(("INFO",), ("INFO", "commandstats"), ("SLOWLOG", "GET", "10"))
    fields = parse_info(info)
    shown = (f"{title} {visible(fields[field], 40)}" for field, title in MEMORY if field in fields)
    _tell(run, "memory", [", ".join(shown)])
    _tell(run, "slowest commands", slowest(slowlog))
    _tell(run, "commands that take most of the time", costly(parse_info(costs)))
    clients = number(fields, "connected_clients")
    if clients is not None and clients <= MOST_CLIENTS:
        [listed] = await link.ask(("CLIENT", "LIST"))
        _tell(run, "clients", summary(listed))
    _tell(run, "keys without expiry", run.memory.get("bare", {}).get(str(link.door.to), "").splitlines())
    await _biggest_keys(link, run)


def _tell(run: Run, title: str, lines: list[str]) -> None:
    text = "\n".join(line for line in lines if line)
    if text:
        run.evidence(title, text)


def slowest(reply: Reply) -> list[str]:
    """The slowest of the last entries of the slow log."""
    slow = [entry for entry in map(slow_entry, reply if isinstance(reply, list) else []) if entry is not None]
    return [str(entry) for entry in sorted(slow, key=lambda entry: -entry.microseconds)[:SHOWN]]


def costly(stats: Mapping[str, str]) -> list[str]:
    """The commands that took most of the time since the server started, of INFO commandstats."""
    spent: list[tuple[float, float, str]] = []
    for field, text in stats.items():
        calls, micros = number(pairs(text), "calls"), number(pairs(text), "usec")
        if field.startswith("cmdstat_") and calls and micros is not None:
            spent.append((micros, calls, visible(field.removeprefix("cmdstat_").upper(), 30)))
    whole = sum(micros for micros, _, _ in spent) or 1
    return [
        f"{name}: {micros / whole:.0%} of the time, {calls:.0f} calls, {show_duration(micros / calls / 1e6)} each"
        for micros, calls, name in sorted(spent, reverse=True)[:SHOWN]
    ]


def summary(reply: Reply) -> list[str]:
    """Who is connected, of CLIENT LIST: by name or host, the ones that block, the one with most unsent."""
    if not isinstance(reply, str) or isinstance(reply, Refused):
        return []
    clients = [_fields(line) for line in reply.splitlines()[:MOST_CLIENTS]]
    by = Counter(shape(client.get("name", "")) or client.get("addr", "?").rpartition(":")[0] for client in clients)
    lines = [f"{count} of {visible(who, 60)}" for who, count in by.most_common(SHOWN)]
    blocked = sum("b" in client.get("flags", "") for client in clients)
    unsent = max((number(client, "omem") or 0 for client in clients), default=0)
    return [f"{len(clients)} clients, {blocked} wait in a command, at most {show_size(unsent)} unsent", *lines]


def _fields(line: str) -> dict[str, str]:
    return {key: value for key, equals, value in (word.partition("=") for word in line.split(" ")) if equals}


async def _biggest_keys(link: Link, run: Run) -> None:
    loop = link.patience.loop
    until, cursor, looked = loop.time() + MOST_SECONDS, "0", 0
    sizes: list[tuple[int, str]] = []
    while looked < MOST_KEYS and loop.time() < until:
        [reply] = await link.ask(scan(cursor, "", AT_ONCE))
        step = scanned(reply)
        if step is None:
            return
        cursor, keys = step
        keys = keys[: 2 * AT_ONCE]
        used = await link.ask(*(("MEMORY", "USAGE", key) for key in keys)) if keys else []
        looked += len(keys)
        sizes += [(size, key) for size, key in zip(used, keys, strict=True) if isinstance(size, int)]
        if cursor == "0":
            break
    if sizes:
        whose = "all" if cursor == "0" else "a sample of"
        _tell(run, f"biggest of {whose} {looked} keys", biggest(sizes))


def biggest(sizes: list[tuple[int, str]]) -> list[str]:
    """The biggest keys, those of one shape in one line."""
    alike: dict[str, list[int]] = {}
    for size, key in sorted(sizes, reverse=True):
        alike.setdefault(shape(key), []).append(size)
    return [
        f"{show_size(each[0])} {visible(name, 80)}"
        + (f", and {len(each) - 1} like it: {show_size(sum(each))} together" if len(each) > 1 else "")
        for name, each in list(alike.items())[:SHOWN]
    ]
