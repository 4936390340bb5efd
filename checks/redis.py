"""Asks a Redis, Valkey or compatible server how it is: PING, INFO and the slow log, in one round trip."""

from __future__ import annotations

from time import time
from typing import Annotated, ClassVar
from urllib.parse import unquote

from pydantic import AfterValidator, Field

from checks import _network as network
from checks._redis_answers import MEASUREMENTS, PLAIN, number, pairs, parse_info, progress, slow_entry
from checks._resp import Refused, Replies, Reply, commands
from checks.base import Check, Errored, Failed, Measurement, Reason, Run, Url
from checks.wire.certificates import visible
from checks.wire.connect import Line
from checks.wire.fault import WireError
from checks.wire.patience import Patience
from checks.wire.tls import Secure

FULL = "max number of clients"
RIGHTS = "ACL SETUSER <our user> +ping +info +slowlog|len +slowlog|get"


def _redis_url(url: Url) -> Url:
    if url.parts.scheme not in ("redis", "rediss"):
        raise ValueError("an address such as redis://:password@host:6379/0, or rediss:// for TLS, is wanted")
    network.endpoint(url, 6379)
    if "password=" in url.parts.query:
        raise ValueError("write the password before the host, user:password@host: there it is kept secret")
    return url


class Redis(Check):
    """A Redis or Valkey server, asked over a fresh connection, so that "max number of clients" is seen."""

    measurements: ClassVar[tuple[Measurement, ...]] = MEASUREMENTS
    up: ClassVar[str] = "redis_up"

    url: Annotated[Url, AfterValidator(_redis_url)] = Field(
        description="redis://user:password@host:port, or rediss:// for TLS."
    )
    tls: network.TlsSettings = Field(default=network.TlsSettings(), description="Settings of the encryption.")
    slowlog_entries: int = Field(
        default=5, ge=0, le=128, description="Slow commands to show when there are new ones; 0 leaves the slow log."
    )
    hit_ratio_minimum_lookups: int = Field(
        default=100, ge=1, description="Lookups that hit_ratio is taken over at least; of fewer it is noise."
    )

    @property
    def where(self) -> str:
        """The server in sentences."""
        return f"Redis at {network.endpoint(self.url, 6379)}"

    def secrets(self) -> tuple[str, ...]:
        """Also the password as the server knows it, without the address's escapes."""
        return tuple(dict.fromkeys((*super().secrets(), *map(unquote, self.url.secrets()))))

    async def probe(self, run: Run) -> None:
        """Ask once: one connection, one write, one answer to each command."""
        trip = network.Trip()
        try:
            with Patience(self.timeout) as patience:
                replies = await self._ask(patience, trip)
        except WireError as why:
            raise network.translated(why) from None
        run.timed(trip.total(), trip.clock)
        self._read(replies, run)

    async def _ask(self, patience: Patience, trip: network.Trip) -> dict[str, Reply]:
        """The replies by the name of their command; none after a refusal that says it all."""
        to = network.endpoint(self.url, 6379)
        asked: dict[str, tuple[str, ...]] = {"AUTH": self._credentials()} if self.url.parts.password else {}
        asked |= {"PING": ("PING",), "INFO": ("INFO",)}
        if self.slowlog_entries:
            asked |= {"LEN": ("SLOWLOG", "LEN"), "GET": ("SLOWLOG", "GET", str(self.slowlog_entries))}
        with await network.reach(to, "any", patience, trip) as line:
            stream: Line | Secure = line
            if self.url.parts.scheme == "rediss":
                stream = await network.encrypt(line, self.tls.trust(), network.sni(to, self.tls), patience, trip)
            patience.doing("read", "read_timeout", f"cannot ask {self.where}: it is connected, but does not answer")
            await stream.send(commands(*asked.values()))
            began = line.sent
            reader = Replies(stream, self.where)
            replies: dict[str, Reply] = {}
            for name in asked:
                reply = replies[name] = await reader.next()
                # Before its first word a full server hangs up, and after a refused AUTH all else is refused too.
                if isinstance(reply, Refused) and (name == "AUTH" or FULL in reply):
                    break
            trip.add("processing", max(0.0, line.arrived - began))
            trip.kernel = trip.kernel and line.kernel
            return replies

    def _credentials(self) -> tuple[str, ...]:
        user, password = unquote(self.url.parts.username or ""), unquote(self.url.parts.password or "")
        # Servers before 6.0 know no users.
        return ("AUTH", user, password) if user else ("AUTH", password)

    def _read(self, replies: dict[str, Reply], run: Run) -> None:
        for name in ("AUTH", "PING", "INFO"):
            reply = replies.get(name)
            if isinstance(reply, Refused):
                raise self._refusal(reply, name, replies, run)
        info = parse_info(replies["INFO"])
        if "redis_version" not in info:
            raise Failed(Reason.PROTOCOL, f"cannot ask {self.where}: its INFO names no version, so it is no Redis")
        run.memory["maxclients"] = info.get("maxclients", "")
        self._record(info, run)
        _record_replication(info, run)
        _record_persistence(info, run)
        self._record_slowlog(replies, run)

    def _refusal(self, reply: Refused, name: str, replies: dict[str, Reply], run: Run) -> Failed | Errored:
        """What the server's own words mean."""
        said = visible(reply, 200)
        if FULL in reply:
            limit = run.memory.get("maxclients")
            known = f" (maxclients is {limit})" if limit else ""
            return Failed(Reason.CONNECT_REFUSED, f"cannot connect to {self.where}: {FULL} reached{known}")
        match reply.code:
            case "NOAUTH":
                return Errored(Reason.AUTH, f"cannot ask {self.where}: it wants a password: {said}")
            case "NOPERM":
                return Errored(Reason.AUTH, f"cannot ask {self.where}: {said}; as its administrator run: {RIGHTS}")
            case "LOADING":
                how_far = progress(parse_info(replies.get("INFO")))
                return Failed(Reason.PROTOCOL, f"cannot use {self.where}: it is loading its data{how_far}")
        if name == "AUTH" or reply.code == "DENIED":
            return Errored(Reason.AUTH, f"cannot ask {self.where}: it does not let us in: {said}")
        return Failed(Reason.PROTOCOL, f"cannot use {self.where}: it answers {name} with: {said}")

    def _record(self, info: dict[str, str], run: Run) -> None:
        for name, field in PLAIN:
            value = number(info, field)
            if value is not None:
                run.record(name, value)
        used, most = number(info, "used_memory"), number(info, "maxmemory")
        if used is not None and most:
            run.record("memory_used_ratio", used / most)
        hits, misses = number(info, "keyspace_hits"), number(info, "keyspace_misses")
        if hits is not None and misses is not None:
            run.share("hit_ratio", hits, misses, self.hit_ratio_minimum_lookups)
        evicted = number(info, "evicted_keys")
        if evicted is not None:
            run.rate("evictions_per_second", evicted)
        connected, clients = number(info, "connected_clients"), number(info, "maxclients")
        if connected is not None and clients:
            run.record("clients_used_ratio", connected / clients)
        rejected = number(info, "rejected_connections")
        grown = run.growth("rejected_connections", rejected) if rejected is not None else None
        if grown is not None:
            run.record("rejected_connections_new", grown)
        for key in info:
            if key.startswith("db") and key[2:].isdigit():
                space = pairs(info[key])
                run.record("keys", number(space, "keys") or 0, db=key)
                run.record("keys_expiring", number(space, "expires") or 0, db=key)

    def _record_slowlog(self, replies: dict[str, Reply], run: Run) -> None:
        length, entries = replies.get("LEN"), replies.get("GET")
        for reply in (length, entries):
            if isinstance(reply, Refused) and reply.code == "NOPERM":
                raise Errored(
                    Reason.AUTH,
                    f"cannot read the slow log of {self.where}: {visible(reply, 200)}; as its administrator run: "
                    f"{RIGHTS}; or set slowlog_entries: 0",
                )
        if not isinstance(length, int) or not isinstance(entries, list):
            return
        run.record("slowlog_length", length)
        slow = [entry for entry in map(slow_entry, entries) if entry is not None]
        newest = max((entry.serial + 1 for entry in slow), default=0)
        # An emptied log keeps its numbers, so what grew may be more than what is there.
        grown = run.growth("slowlog", newest) if slow or "slowlog" not in run.kept.get("growth", {}) else 0.0
        if grown is None:
            return
        run.record("slowlog_new", min(grown, length))
        fresh = [entry for entry in slow if entry.serial >= newest - grown]
        if fresh:
            run.evidence("slow commands", "\n".join(str(entry) for entry in fresh))


def _record_replication(info: dict[str, str], run: Run) -> None:
    run.record("master", float(info.get("role") == "master"))
    if info.get("role") == "slave":
        primary = {"master_host": info.get("master_host", ""), "master_port": info.get("master_port", "")}
        run.record("master_link_up", float(info.get("master_link_status") == "up"), **primary)
        heard = number(info, "master_last_io_seconds_ago")
        if heard is not None and heard >= 0:
            run.record("master_last_io_seconds", heard, **primary)
    replicas = [pairs(text) for key, text in info.items() if key.startswith("slave") and key[5:].isdigit()]
    lags = [lag for replica in replicas if (lag := number(replica, "lag")) is not None and lag >= 0]
    if lags:
        run.record("replica_lag_seconds", max(lags))
    written = number(info, "master_repl_offset")
    read = [at for replica in replicas if (at := number(replica, "offset")) is not None]
    if read and written is not None:
        run.record("replica_lag_bytes", max(0.0, written - min(read)))


def _record_persistence(info: dict[str, str], run: Run) -> None:
    if "rdb_last_bgsave_status" in info:
        run.record("rdb_last_save_ok", float(info["rdb_last_bgsave_status"] == "ok"))
    saved, micros = number(info, "rdb_last_save_time"), number(info, "server_time_usec")
    if saved:
        run.record("rdb_last_save_age_seconds", max(0.0, (micros / 1e6 if micros else time()) - saved))
    if info.get("aof_enabled") == "1" and "aof_last_write_status" in info:
        run.record("aof_last_write_ok", float(info["aof_last_write_status"] == "ok"))
