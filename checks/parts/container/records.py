"""Turns what an engine says of containers into measurements, and keeps what the next probe compares with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from checks.base import Run
from checks.parts import recent as _recent
from checks.parts.container.changes import Changes, changes, remembered
from checks.parts.container.engine import Container, Event, Use
from checks.wire.certificates import visible

COUNTS = ("restarts", "oom_kills", "kills", "replaced", "image_changes")
MOST = 200
"""Containers that are remembered."""
LookAt = tuple[str, str, bool]
"""A container's id, its name, and whether it has a terminal."""


def record(
    run: Run, found: Sequence[Container], uses: Mapping[str, Use], happened: Sequence[Event],
    times: tuple[float, float], troubled: set[str],
) -> list[LookAt]:  # fmt: skip
    """Record all that is known; gives the containers whose logs a person would read, the worst first.

    `times` are the engine's now and how long something counts as recent.
    """
    now, recent = times
    kept = run.kept.get("containers")
    before = kept if isinstance(kept, dict) else {}
    after: dict[str, Any] = {}
    look_at = []
    run.record("containers", len(found))
    run.record("containers_running", sum(one.running for one in found))
    for one in found:
        known = before.get(one.name)
        known = known if isinstance(known, dict) else None
        used = uses.get(one.id)
        _record_state(run, one, now)
        if used is not None:
            _record_use(run, one, used, known)
        what = changes(known, one, happened)
        counted = _record_changes(run, one, what, recent)
        if what.image_changes and known is not None:
            was, name = _short(known.get("image")), visible(one.image_name)
            run.evidence(f"image of {visible(one.name)}", f"it was {was} and is {_short(one.image)} ({name})")
        after[one.name] = remembered(one, used)
        if one.name in troubled or counted:
            look_at.append((one.name not in troubled, one.id, one.name, one.terminal))
    # One that is away for a moment comes back with another id: then it was replaced.
    away = {name: old for name, old in before.items() if name not in after}
    run.kept["containers"] = dict(list((away | after).items())[-MOST:])
    return [(identity, name, terminal) for _, identity, name, terminal in sorted(look_at)]


def _record_changes(run: Run, one: Container, what: Changes, recent: float) -> float:
    """Record what happened lately; gives how often it restarted or was killed."""
    counted = 0.0
    for name in COUNTS:
        times = _recent.happened(run, f"{name} {one.name}", getattr(what, name), recent)
        run.record(f"{name}_recent", times, container=one.name)
        counted += times if name in ("restarts", "oom_kills", "kills") else 0.0
    return counted


def _record_state(run: Run, one: Container, now: float) -> None:
    run.record("running", float(one.running), container=one.name)
    run.record("restarts_total", one.restarts, container=one.name)
    if one.running:
        run.record("uptime_seconds", max(0.0, now - one.started), container=one.name)
    else:
        run.record("exit_code", one.exit_code, container=one.name)
    if one.health not in ("", "none"):
        run.record("unhealthy", float(one.health == "unhealthy"), container=one.name)
        run.record("health_failing_streak", one.streak, container=one.name)
    if one.memory_limit is not None:
        run.record("memory_limit_bytes", one.memory_limit, container=one.name)
    if one.cpu_limit is not None:
        run.record("cpu_limit", one.cpu_limit, container=one.name)


def _record_use(run: Run, one: Container, used: Use, before: dict[str, Any] | None) -> None:
    if used.processes is not None:
        run.record("processes", used.processes, container=one.name)
    if used.memory is not None:
        run.record("memory_used_bytes", used.memory, container=one.name)
        if one.memory_limit:
            run.record("memory_used_ratio", used.memory / one.memory_limit, container=one.name)
    match before:
        # Of another start the counters are others.
        case {"id": one.id, "started": one.started, "use": [float(at), float(cpu), periods, throttled]}:
            pass
        case _:
            return
    if used.cpu is not None and used.cpu >= cpu and used.at > at:
        busy = (used.cpu - cpu) / (used.at - at)
        run.record("cpus_used", busy, container=one.name)
        if one.cpu_limit:
            run.record("cpu_used_ratio", busy / one.cpu_limit, container=one.name)
    if None in (used.periods, used.throttled) or not type(periods) is type(throttled) is float:
        return
    grown, waited = (used.periods or 0.0) - periods, (used.throttled or 0.0) - throttled
    if grown > 0 and waited >= 0:
        run.record("cpu_throttled_ratio", waited / grown, container=one.name)


def _short(image: Any) -> str:
    return visible(image.removeprefix("sha256:")[:12]) if isinstance(image, str) else "unknown"
