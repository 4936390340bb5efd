"""What checks remember between their probes, and how it survives restarts and reloads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
import structlog

from checks.base import KEPT, KEPT_MOST, Check
from checks.units import show_size
from monitor.prober import Prober
from monitor.store.history import History

log = structlog.get_logger()


class NotWritten(Exception):
    """What a check remembers could not be written; the text says why."""


class Memories:
    """The prober's memories, kept in `history`. What a check keeps is good for the same kind and target only."""

    def __init__(self, prober: Prober, history: History, checks: Mapping[str, Check]) -> None:
        self._prober = prober
        self._history = history
        self._written: dict[str, int] = {}
        self._complained: set[str] = set()
        recall(prober, history.memories(), checks)

    def of(self, key: str) -> dict[Any, Any]:
        """All that a check remembers; its JSON part stands under KEPT."""
        return self._prober.memory(key)

    def take(self, check: Check, at: float) -> None:
        """After a probe: have what the check keeps written together with its result."""
        kept = self._prober.memory(check.key).get(KEPT)
        if kept is None:
            return
        try:
            content = orjson.dumps(kept)
        except (TypeError, ValueError, RecursionError) as why:
            self._complain(check, f"it is no JSON: {why}")
            return
        if len(content) > KEPT_MOST:
            self._complain(check, f"it is larger than {show_size(KEPT_MOST)}")
            return
        mark = hash(content)
        if self._written.get(check.key) != mark:
            self._written[check.key] = mark
            self._history.keep_memory(check.key, at, _about(check), content)

    async def keep(self, check: Check, at: float) -> None:
        """Have what the check keeps written before this returns. Raises NotWritten."""
        self.take(check, at)
        trouble = await self._history.settled()
        if trouble:
            raise NotWritten(trouble)

    def replace(self, old: Mapping[str, Check], new: Mapping[str, Check], changed: Iterable[str]) -> None:
        """Let the checks in `changed` forget, but for what they keep where kind and target are the same as before."""
        changed = set(changed)
        kept = {
            key: self._prober.memory(key).get(KEPT)
            for key in changed
            if key in new and _about(new[key]) == _about(old[key])
        }
        self._prober.forget(changed)
        for key in changed:
            self._complained.discard(key)
            if kept.get(key) is not None:
                self._prober.remember(key, {KEPT: kept[key]})
            else:
                self._written.pop(key, None)

    def _complain(self, check: Check, why: str) -> None:
        if check.key not in self._complained:
            self._complained.add(check.key)
            log.error("memory not kept", check=check.key, why=why)


def recall(prober: Prober, written: Mapping[str, tuple[str, bytes]], checks: Mapping[str, Check]) -> None:
    """Let the prober remember what was written of these checks, as far as it is good for them."""
    for key, (about, content) in written.items():
        if key in checks and about == _about(checks[key]):
            kept = _read(content)
            if kept is not None:
                prober.remember(key, {KEPT: kept})


def _about(check: Check) -> str:
    return f"{check.kind} {check.target}"


def _read(content: bytes) -> dict[str, Any] | None:
    try:
        kept = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    return kept if isinstance(kept, dict) else None
