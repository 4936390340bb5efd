"""iaMenu's Redis: the services' cache as customers use it, and the queue of mails with its worker."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from monitor.demo.installation import Installation, fault
from monitor.demo.parts.bullmq import HANGS, BullQueue
from monitor.demo.process import ASK_EVERY
from monitor.demo.servers import Valkey

PRODUCTS = 500
"""All of them are looked up every five seconds."""
LIVES = 3600
RIGHTS = (
    "~* +ping +info +slowlog|len +slowlog|get +scan +ttl "
    "+exists +hmget +llen +lrange +zcard +zrange +zcount +client|list"
)
"""Of runwatch's user, as .env.example has them."""
BLOB = "x" * 200_000
NEARLY_FULL = 0.94
WORKERS = 5


class Cache(Installation):
    """Products are looked up all the time, and five mails are sent every minute."""

    valkey: Valkey
    redis: Redis
    """The services' client; it does not try again."""
    mails: BullQueue

    async def start_cache(self) -> None:
        """Start it, with what a day has left in it."""
        self._stray = 0.0
        self._grows = False
        self._turn = 0
        self._working = True
        self._sending = asyncio.Lock()
        # What expires may be evicted; BullMQ's jobs never do, and survive a restart.
        password = secrets.token_hex(8)
        settings = {
            "maxmemory": "24mb", "maxmemory-policy": "volatile-lru", "appendonly": "yes",
            "user": f"runwatch on >{password} {RIGHTS}",
        }  # fmt: skip
        self.valkey = await self.server(Valkey(self.folder / "valkey", settings=settings))
        self.redis = Redis.from_url(
            self.valkey.url, decode_responses=True, retry=Retry(NoBackoff(), 0), socket_timeout=9,
        )  # fmt: skip
        self.stack.push_async_callback(self.redis.aclose)
        self.mails = await self.stack.enter_async_context(BullQueue(self.valkey, "email", keeps=100))
        await self.mails.run(60)
        await self._look_up()
        self.environment["IAMENU_REDIS_URL"] = f"redis://runwatch:{password}@{self.valkey.address}/0"
        self.every(5, self._look_up)
        self.every(60, self._send)

    async def _look_up(self) -> None:
        """What is not in the cache is put there, for an hour; a part of the lookups goes astray."""
        self._turn += 1
        first = int(PRODUCTS * self._stray)
        keys = [f"cache:{'v2:' if number < first else ''}product:{number}" for number in range(PRODUCTS)]
        with contextlib.suppress(RedisError, OSError):
            found = await self.redis.mget(keys)
            async with self.redis.pipeline(transaction=False) as pipe:
                for key, held in zip(keys[first:], found[first:], strict=True):
                    if held is None:
                        pipe.set(key, "{}", ex=LIVES)
                for number in range(5 if self._grows else 0):
                    pipe.set(f"cache:menu:{self._turn}:{number}", BLOB, ex=LIVES)
                await pipe.execute()

    async def _send(self) -> None:
        async with self._sending:
            if self._working:
                await self.mails.run(5)
            elif self.valkey.alive:
                await self.mails.add(5, timestamp=int(self.now() * 1000))

    @contextlib.asynccontextmanager
    async def _at_rest(self) -> AsyncIterator[None]:
        """Within it nobody works on mails, and none was being worked on."""
        async with self._sending:
            self._working = False
            await self.mails.rest()
        yield
        async with self._sending:
            self.mails.work()
            async with asyncio.timeout(10):
                while not any(one["name"].startswith("bull:email") for one in await self.redis.client_list()):
                    await asyncio.sleep(ASK_EVERY)
            self._working = True

    @contextlib.asynccontextmanager
    async def _astray(self, share: float) -> AsyncIterator[None]:
        """Such a share of the lookups goes astray; so many at once that the next probe sees little else."""
        self._stray = share
        for _ in range(60):
            await self._look_up()
        yield
        self._stray = 0.0
        for _ in range(60):
            await self._look_up()

    async def _fill(self, until: float) -> None:
        """Put menus into the cache up to this share of its memory."""
        number = 0
        while await self.memory_used() < until:
            await self.redis.set(f"cache:menu:{number}", BLOB, ex=LIVES)
            number += 1

    async def memory_used(self) -> float:
        """The share of its memory, without what is on its way through it and gone in a moment."""
        info = await self.redis.info("memory")
        passing = float(info["mem_clients_normal"]) + float(info["mem_aof_buffer"])
        return (float(info["used_memory"]) - passing) / float(info["maxmemory"])

    async def drop(self, pattern: str) -> None:
        """Remove what the pattern matches."""
        async for key in self.redis.scan_iter(pattern, count=1000):
            await self.redis.unlink(key)

    @contextlib.asynccontextmanager
    async def redis_killed(self) -> AsyncIterator[None]:
        """Within it there is no Redis."""
        async with self._at_rest():
            await self.valkey.kill()
            yield
            await self.valkey.start()

    # --- what can go wrong ---------------------------------------------------------------------------------------

    @fault("W02", "Redis is killed; the services go on without it")
    async def cache_killed(self) -> AsyncIterator[None]:
        async with self.redis_killed():
            yield

    @fault("W02.hits", "a release looks for half of what it wants under names that nobody writes")
    async def half_astray(self) -> AsyncIterator[None]:
        async with self._astray(0.5):
            yield

    @fault("W02.misses", "a release looks for nearly everything under names that nobody writes")
    async def nearly_all_astray(self) -> AsyncIterator[None]:
        async with self._astray(0.8):
            yield

    @fault("W02.memory", "menus fill Redis up to 94 % of its memory")
    async def memory_short(self) -> AsyncIterator[None]:
        await self._fill(NEARLY_FULL)
        yield
        await self.drop("cache:menu:*")

    @fault("W02.evictions", "more is cached than Redis has memory for")
    async def evictions(self) -> AsyncIterator[None]:
        await self._fill(NEARLY_FULL)
        self._grows = True
        yield
        self._grows = False
        await self.drop("cache:menu:*")

    @fault("W02.expiry", "three hundred keys are cached without an expiry")
    async def no_expiry(self) -> AsyncIterator[None]:
        await self.redis.mset({f"cache:supplier:{number}": "{}" for number in range(300)})
        yield
        await self.drop("cache:supplier:*")

    @fault("W07", "the worker that sends mails is stopped")
    async def worker_stopped(self) -> AsyncIterator[None]:
        async with self._at_rest():
            yield

    @fault("W07.backlog", "the mail service hangs while six hundred mails are to be sent")
    async def mails_wait(self) -> AsyncIterator[None]:
        async with self._sending:
            self._working = False
            await self.mails.add(WORKERS, HANGS)
            await self.mails.add(600, timestamp=int(self.now() * 1000))
        yield
        async with self._sending:
            await self.mails.drain()
            await self.mails.release()
            self._working = True

    @fault("W07.failures", "the mail service refuses ten mails")
    async def mails_fail(self) -> AsyncIterator[None]:
        async with self._sending:
            await self.mails.run(0, fail=10)
        yield
        await self.mails.forget_failed()
