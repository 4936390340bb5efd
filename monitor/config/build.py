"""Puts a whole configuration together from its files and the environment, or says everything that is wrong with it."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from alerts.nearest import nearest
from checks.base import Check, find_secrets
from monitor.config import impaired, maintenance, oncall, request_limits
from monitor.config.checks import Checks, reached
from monitor.config.gather import Gathered, gather
from monitor.config.kinds import check_kinds, notifier_kinds
from monitor.config.limits import Limits
from monitor.config.model import Config, Server, Watchdog, checked_store, default_store
from monitor.config.notes import Notes, Spot
from monitor.config.oncall import OnCall
from monitor.config.problems import SHORTEST_SECRET, ConfigError, Place, Problem, cut, scrubbed
from monitor.config.sections import Section
from monitor.config.systems import KEYS as SYSTEM_KEYS
from monitor.config.systems import Defaults, Part, Systems, checked_defaults
from monitor.config.telling import KEYS as TELLING_KEYS
from monitor.config.telling import ONCE as TELLING_ONCE
from monitor.config.telling import Telling

if TYPE_CHECKING:
    from monitor.config.environment import Settings

ONCE = ("server", "store", "watchdog", "on_call", "impaired", *TELLING_ONCE)
"""Keys that one file of a configuration may say."""

KEYS = tuple(dict.fromkeys(("include", *ONCE, *TELLING_KEYS, "plugins", "systems", *SYSTEM_KEYS)))

PartT = TypeVar("PartT", bound=BaseModel)

OF_ONE_SYSTEM = [key for key in SYSTEM_KEYS if key not in ("route", "defaults", "maintenance", "limits")]
"""Keys that at the top of a file speak of one system; the others, without any of these, of all."""

PREFIX = "RUNWATCH_"
SETTINGS = ("LISTEN", "EXTERNAL_URL", "STORE", "LOG_LEVEL", "LOG_FORMAT")
OTHER_VARIABLES = ("CONFIG", "URL", "TOKEN")
_OF_KUBERNETES = re.compile(r"RUNWATCH_(SERVICE_|PORT(_|$))")
"""What Kubernetes sets by itself in the pods beside a service called runwatch."""


def load(where: Path, environ: Mapping[str, str]) -> Config:
    """The configuration in a file or folder; ConfigError with everything that is wrong.

    Does nothing but read: files, and `environ` for interpolation and RUNWATCH_* settings, which go before the files.
    """
    with _uncollected():
        gathered = gather(where, environ)
        config = _Build(gathered, environ).config() if gathered.roots else None
    secrets = gathered.interpolation.secrets
    if gathered.notes.problems or config is None:
        order = {str(file): number for number, file in enumerate(gathered.files)}
        problems = dict.fromkeys(_scrub(problem, secrets) for problem in gathered.problems())
        raise ConfigError(sorted(problems, key=lambda one: (order.get(one.place.file, -1), one.place.line)))
    return config


@contextmanager
def _uncollected() -> Iterator[None]:
    """Nothing made meanwhile is garbage: looking for some in between would cost a third of the time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _scrub(problem: Problem, secrets: set[str]) -> Problem:
    return Problem(problem.place, cut(scrubbed(problem.path, secrets)), cut(scrubbed(problem.sentence, secrets)))


class _Build:
    """The parts of one configuration while they are put together."""

    def __init__(self, gathered: Gathered, environ: Mapping[str, str]) -> None:
        self.gathered = gathered
        self.environ = environ
        self.notes: Notes = gathered.notes
        self.once: dict[str, tuple[Spot, Any]] = {}
        self.defaults: list[Defaults] = []
        self.plugins: list[Path] = []

    def config(self) -> Config:
        """The whole; its problems, if any, are in the notes, and it is not to be used then."""
        for root in self.gathered.roots:
            self._top(root)
        settings = self._settings()
        server, store = self._server(settings), self._store(settings)
        watchdog = self._part("watchdog", Watchdog)
        on_call = self._part("on_call", OnCall) or OnCall()
        folders = tuple(dict.fromkeys(self.plugins))
        parts = self._parts()
        telling = Telling(
            self.notes, self.gathered.interpolation, self.gathered.roots, parts, self.once, notifier_kinds(folders)
        )
        oncall.check_names(self.notes, self.once.get("on_call"), on_call, telling.receivers, telling.time_intervals)
        systems = Systems(self.notes, self.gathered.files, self.gathered.digest)
        for part in parts:
            if part.spot.path or any(part.section.get(key) is not None for key in OF_ONE_SYSTEM):
                systems.add(*part)
        checks = Checks(self.notes, check_kinds(folders), self.defaults)
        for draft in systems.drafts.values():
            checks.add(draft)
        checks.check_defaults()
        limits = Limits(self.notes, self.gathered.interpolation.secrets)
        thresholds = {key: limits.of(one) for key, one in checks.listed.items()}
        dependencies = checks.dependencies()
        self._warn(checks, telling)
        made = {key: one.check for key, one in checks.listed.items() if one.check is not None}
        ancestors = reached(dependencies)
        return Config(
            server=server,
            store=store,
            watchdog=watchdog,
            on_call=on_call,
            route=telling.route,
            receivers=telling.receivers,
            inhibit_rules=telling.inhibit_rules,
            time_intervals=telling.time_intervals,
            resolve_timeout=telling.resolve_timeout,
            impaired=impaired.read(self.notes, self.once.get("impaired"), telling.receivers),
            maintenance=maintenance.read(self.notes, parts),
            checks=made,
            thresholds=thresholds,
            systems={name: draft.finished() for name, draft in systems.drafts.items()},
            dependencies=dependencies,
            dependents=_turned(dependencies),
            ancestors=ancestors,
            limits=request_limits.read(self.notes, parts, made, ancestors),
            plugins=folders,
            files=tuple(dict.fromkeys([*self.gathered.files, *self.gathered.interpolation.files])),
            secrets=self._secrets(made, telling, (server, watchdog, on_call)),
            warnings=tuple(_scrub(one, self.gathered.interpolation.secrets) for one in self.notes.warnings),
            digest=self._digest(),
            log_level=settings.log_level if settings is not None else "info",
            log_format=settings.log_format if settings is not None else "auto",
        )

    def _top(self, root: Section) -> None:
        """The keys at the top of one file."""
        spot = Spot(root)
        self.notes.known_keys(spot, root, KEYS, {})
        for key in ONCE:
            if root.get(key) is None:
                continue
            if key in self.once:
                first = self.once[key][0].place()
                self.notes.wrong(spot.at(key), f"{key} is said already, in {first}", of_key=True)
            else:
                self.once[key] = spot.at(key), root[key]
        if root.get("defaults") is not None and "system" not in root:
            defaults = checked_defaults(self.notes, spot.at("defaults"), root["defaults"])
            self.defaults += [defaults] if defaults is not None else []
        for at, folder in self.notes.items(spot.at("plugins"), root.get("plugins")):
            self._plugins(at, folder)

    def _plugins(self, spot: Spot, folder: Any) -> None:
        path = Path(spot.place().file).parent / folder if isinstance(folder, str) and "\0" not in folder else None
        if path is None or not path.is_dir():
            self.notes.wrong(spot, "the name of a folder is wanted" if path is None else f"there is no folder {folder}")
            return
        self.plugins.append(path)
        files = sorted(path.glob("*.py"))
        self.gathered.files += [path, *files]
        for file in files:
            try:
                self.gathered.digest.update(file.read_bytes())
            except OSError as why:
                self.notes.wrong(spot, f"cannot read {file.name}: {why.strerror or why}")

    def _settings(self) -> Settings | None:
        """The daemon's settings from the environment; None when there are none, without importing what reads them."""
        known = [PREFIX + name for name in (*SETTINGS, *OTHER_VARIABLES)]
        given = [name for name in self.environ if name.startswith(PREFIX)]
        for name in sorted(given):
            if name not in known and name not in self.gathered.interpolation.used and not _OF_KUBERNETES.match(name):
                near = nearest(name, known)
                hint = f"; did you mean {near}?" if near else f"; there are {', '.join(known)}"
                self.notes.warnings.append(Problem(Place("environment"), name, f"this variable is not known{hint}"))
        if not any(PREFIX + name in given for name in SETTINGS):
            return None
        from monitor.config import environment

        settings, problems = environment.read(self.environ)
        self.notes.problems += problems
        return settings

    def _server(self, settings: Settings | None) -> Server:
        top = self.gathered.roots[0]
        spot, value = self.once.get("server", (Spot(top, ("server",)), Section(top.source, top.mark)))
        values: dict[str, Any] = dict(self.notes.section(spot, value) or {})
        if settings is not None and settings.listen:
            values["listen"] = settings.listen
        if settings is not None and settings.external_url:
            values["external_url"] = settings.external_url
        return self.notes.model(Server, spot, values) or Server()

    def _store(self, settings: Settings | None) -> str:
        spot, value = self.once.get("store", (None, default_store(self.environ)))
        from_environment = settings is not None and settings.store
        try:
            return checked_store(settings.store if settings is not None and from_environment else value)
        except ValueError as why:
            if from_environment or spot is None:
                self.notes.wrong_at(Place("environment"), str(why), PREFIX + "STORE")
            else:
                self.notes.wrong(spot, str(why))
            return default_store(self.environ)

    def _part(self, key: str, model: type[PartT]) -> PartT | None:
        """A section of its own that one file may have; None where there is none, or it is not good."""
        if key not in self.once:
            return None
        spot, value = self.once[key]
        section = self.notes.section(spot, value)
        return self.notes.model(model, spot, section) if section is not None else None

    def _parts(self) -> list[Part]:
        """Every mapping that may hold a system's keys: the tops of files, and the items of `systems`."""
        parts = []
        for root in self.gathered.roots:
            parts.append(Part(Spot(root), root))
            for at, value in self.notes.items(Spot(root, ("systems",)), root.get("systems")):
                section = self.notes.section(at, value)
                if section is not None:
                    self.notes.known_keys(at, section, SYSTEM_KEYS, {})
                    parts.append(Part(at, section))
        return parts

    def _warn(self, checks: Checks, telling: Telling) -> None:
        top = Spot(self.gathered.roots[0])
        if not checks.listed and not self.notes.problems:
            self.notes.warn(top, "there are no checks")
        if not telling.has_route:
            self.notes.warn(top, "there is no route: nobody is told of any alert")

    def _secrets(self, checks: Mapping[str, Check], telling: Telling, parts: tuple[object, ...]) -> frozenset[str]:
        found = set(self.gathered.interpolation.secrets)
        for check in checks.values():
            found.update(check.secrets())
        for receiver in telling.receivers.values():
            for notifier in receiver.notifiers:
                found.update(find_secrets(dict(notifier)))
        found.update(find_secrets(parts))
        return frozenset(secret for secret in found if len(secret) >= SHORTEST_SECRET)

    def _digest(self) -> str:
        digest = self.gathered.digest.copy()
        for name, value in sorted(self.gathered.interpolation.used.items()):
            digest.update(f"\0{name}={value}".encode("utf-8", "surrogatepass"))
        for name in SETTINGS:
            digest.update(f"\0{name}={self.environ.get(PREFIX + name, '')}".encode("utf-8", "surrogatepass"))
        return str(digest.hexdigest())


def _turned(edges: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The edges the other way round."""
    turned: dict[str, list[str]] = {}
    for key, others in edges.items():
        for other in others:
            turned.setdefault(other, []).append(key)
    return {key: tuple(keys) for key, keys in turned.items()}
