"""Asks a container engine (Docker, podman) how containers are: running, healthy, restarted, killed, at their limits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, ClassVar, TypeVar
from urllib.parse import quote

import orjson
from pydantic import AfterValidator, Field, model_validator

from checks.base import DIAGNOSIS, Asks, Check, Errored, Failed, Measurement, Reason, Recommended, Run, Url
from checks.parts import network
from checks.parts.api import Api
from checks.parts.container import engine
from checks.parts.container.changes import trouble
from checks.parts.container.engine import Event, Use
from checks.parts.container.measurements import MEASUREMENTS, RECOMMENDED
from checks.parts.container.records import record
from checks.parts.json_values import dig, header_date, text
from checks.units import Duration
from checks.wire.certificates import visible

MOST = 100
AT_ONCE = 4
"""Questions that an engine is asked at a time: it is busy with containers."""
LOGS_OF, LOG_LINES, SAID = 3, 30, 8
DAY = 86_400.0
LARGEST, LARGEST_LOG = 2**20, 2**18
T = TypeVar("T")
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


def _engine(url: Url) -> Url:
    if url.parts.scheme == "unix":
        if not url.parts.path.startswith("/") or url.parts.netloc:
            raise ValueError("a socket is written with three slashes: unix:///var/run/docker.sock")
        return url
    if url.parts.scheme not in ("tcp", "http", "https"):
        raise ValueError("unix:///var/run/docker.sock, tcp://host:2375 or https://host:2376 is wanted")
    network.endpoint(url, 2376 if url.parts.scheme == "https" else 2375)
    return url


class Container(Check):
    """Containers of a Docker or podman engine, chosen by name, by label, or by Compose project."""

    measurements: ClassVar[tuple[Measurement, ...]] = MEASUREMENTS
    recommended: ClassVar[tuple[Recommended, ...]] = RECOMMENDED

    url: Annotated[Url, AfterValidator(_engine)] = Field(
        default=Url("unix:///var/run/docker.sock"), description="The engine: a socket, tcp://host:port or https://."
    )
    tls: network.TlsSettings = Field(default=network.TlsSettings(), description="Settings of https.")
    containers: tuple[Name, ...] = Field(default=(), max_length=MOST, description="Names; each has to be there.")
    project: str = Field(default="", description="All containers of this Compose project.")
    services: tuple[str, ...] = Field(default=(), description="Services of the project that have to be there.")
    with_labels: dict[str, str] = Field(default={}, description="All containers that have these labels.")
    may_end: tuple[str, ...] = Field(
        default=(), description="Containers or services that may end by themselves, with code 0: shell patterns."
    )
    recent: Duration = Field(default=600.0, gt=0, description="For how long a restart or a kill counts as recent.")
    stats: bool = Field(default=True, description="Whether to ask what each container uses.")
    events: bool = Field(
        default=True, description="Whether to ask what happened since the last probe: kills that a restart has hidden."
    )

    @model_validator(mode="after")
    def _something_is_chosen(self) -> Container:
        if not (self.containers or self.project or self.with_labels):
            raise ValueError("say which containers: containers, project, or with_labels")
        if self.services and not self.project:
            raise ValueError("services needs project beside it")
        return self

    @property
    def where(self) -> str:
        """The engine in sentences."""
        return f"the container engine at {self.url}"

    def _api(self, seconds: float) -> Api:
        parts = self.url.parts
        if parts.scheme == "unix":
            return Api(self.where, "http://engine", seconds, socket=parts.path, largest=LARGEST)
        secure = parts.scheme == "https"
        to = network.endpoint(self.url, 2376 if secure else 2375)
        return Api(
            self.where, f"{'https' if secure else 'http'}://{to}{parts.path}", seconds, tls=self.tls, largest=LARGEST
        )

    def asks(self) -> tuple[Asks, ...]:
        """A greeting, a list where containers are not named, events; of each container how it is and what it uses."""
        listed, each = bool(self.project or self.with_labels), 1 + self.stats
        usual = 1 + listed + self.events + each * max(len(self.containers), len(self.services), 1)
        most = 1 + listed + self.events + each * (MOST if listed else len(self.containers))
        return (Asks(self.target, usual, most, diagnosis=LOGS_OF),)

    async def probe(self, run: Run) -> None:
        """Ask which containers there are, how each is and what it uses, and what happened meanwhile."""
        async with self._api(self.timeout) as api:
            answer = await api.ask("GET", "/_ping")
            version = f"/v{engine.spoken(answer.headers.get('Api-Version', ''), self.where)}"
            # What the engine calls now: its clock is not ours.
            now = header_date(answer.headers.get("Date"), run.at)
            found, missing = await self._find(api, version)
            uses = await self._uses(api, version, found)
            happened = await self._happened(api, version, now, run)
        run.memory["version"] = version
        troubles = {one.name: what for one in found if (what := trouble(one, self._may_end(one), now))}
        run.memory["look at"] = record(run, found, uses, happened, (now, self.recent), set(troubles))
        for one in found:
            if one.name in troubles and one.health_log:
                run.evidence(f"health checks of {visible(one.name)}", one.health_log)
        wrong = [*missing, *troubles.values()]
        if wrong:
            raise Failed(
                Reason.ASSERTION, "; ".join(wrong[:10]) + (f"; and {len(wrong) - 10} more" if wrong[10:] else "")
            )

    async def diagnose(self, run: Run) -> None:
        """The last lines that the containers in trouble have logged."""
        version = run.memory.get("version")
        if version is None:
            return
        async with self._api(DIAGNOSIS) as api:
            for identity, name, terminal in run.memory.get("look at", [])[:LOGS_OF]:
                asked = {"stdout": "1", "stderr": "1", "timestamps": "1", "tail": str(LOG_LINES)}
                path = f"{version}/containers/{quote(identity, safe='')}/logs"
                answer = await api.ask("GET", path, asked, accept=(), enough=LARGEST_LOG)
                said = engine.log_lines(answer.body, terminal) if answer.status == 200 else _message(answer.body)
                run.evidence(f"last lines of {visible(name)}", said[-3_500:] or "it has logged nothing")

    async def _find(self, api: Api, version: str) -> tuple[list[engine.Container], list[str]]:
        """The chosen containers, and what is to be said of those that are not there."""
        listed: list[str] = []
        if self.project or self.with_labels:
            wanted = [f"{name}={value}" for name, value in self.with_labels.items()]
            wanted += [f"{engine.PROJECT}={self.project}"] if self.project else []
            filters = orjson.dumps({"label": wanted}).decode()
            answer = await api.json(f"{version}/containers/json", {"all": "1", "filters": filters})
            if not isinstance(answer, list):
                raise Failed(Reason.PROTOCOL, f"{self.where} answered with something that is no list of containers")
            listed = [text(one, "Id") for one in answer]
        names = [*self.containers, *listed]
        if len(names) > MOST:
            raise Errored(Reason.INTERNAL, f"{len(names)} containers are chosen, one check can watch {MOST}: split it")
        answers = await _at_once(lambda name: self._inspect(api, version, name), names)
        missing = [
            f"there is no container {visible(name)}"
            for name, one in zip(self.containers, answers, strict=False)
            if one is None
        ]
        found = {one.id: one for one in answers if one is not None}
        there = {one.service for one in found.values()}
        missing += [f"the service {visible(name)} has no container" for name in self.services if name not in there]
        if not found and not missing:
            what = f"of the project {self.project}" if self.project else "with these labels"
            missing.append(f"there is no container {visible(what)}")
        return sorted(found.values(), key=lambda one: one.name), missing

    async def _inspect(self, api: Api, version: str, name: str) -> engine.Container | None:
        answer = await api.ask("GET", f"{version}/containers/{quote(name, safe='')}/json", accept=(200, 404))
        if answer.status == 404:
            return None
        one = engine.container(answer.json(), self.where)
        # Engines also take the beginning of an id for a name.
        return one if one.name == name or (len(name) >= 12 and one.id.startswith(name)) else None

    async def _uses(self, api: Api, version: str, found: list[engine.Container]) -> dict[str, Use]:
        running = [one.id for one in found if one.running and self.stats]

        async def ask(identity: str) -> Use | None:
            asked = {"stream": "false", "one-shot": "true"}
            path = f"{version}/containers/{quote(identity, safe='')}/stats"
            answer = await api.ask("GET", path, asked, accept=(200, 404, 409))
            return engine.use(answer.json()) if answer.status == 200 else None  # it ended meanwhile

        answers = await _at_once(ask, running)
        return {identity: one for identity, one in zip(running, answers, strict=True) if one is not None}

    async def _happened(self, api: Api, version: str, now: float, run: Run) -> list[Event]:
        """What happened since the last probe; nothing the first time."""
        since = run.kept.get("events until")
        until = int(now)
        if not self.events or type(since) is not int or not until - DAY < since <= until:
            run.kept["events until"] = until
            return []
        filters = orjson.dumps({"type": ["container"], "event": ["oom", "die"]}).decode()
        asked = {"since": str(since), "until": str(until), "filters": filters}
        try:
            body = (await api.ask("GET", f"{version}/events", asked)).body
        except Errored as why:
            raise Errored(why.reason, f"{why.sentence}; allow it to see events, or set events: false") from None
        newest = run.kept.get("event")
        newest = newest if type(newest) is int else 0
        found = [event for event in engine.events(body, until) if event.at > newest]
        run.kept["event"] = max([newest, *(event.at for event in found)])
        run.kept["events until"] = until
        return found

    def _may_end(self, one: engine.Container) -> bool:
        return any(fnmatchcase(name, like) for like in self.may_end for name in (one.name, one.service) if name)


async def _at_once(ask: Callable[[str], Awaitable[T]], names: Sequence[str]) -> list[T]:
    """The answers about all of them, AT_ONCE asked at a time; the first failure ends it."""
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> T:
        async with limit:
            return await ask(name)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(name), name=f"container {name}") for name in names]
    except ExceptionGroup as found:
        raise found.exceptions[0] from None
    return [task.result() for task in tasks]


def _message(body: bytes) -> str:
    try:
        said = dig(orjson.loads(body), "message")
    except orjson.JSONDecodeError:
        said = None
    return f"the engine can't show them: {visible(said, 300) if isinstance(said, str) else 'it does not say why'}"
