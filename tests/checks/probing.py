"""Asks checks as the daemon does, and reads what they recorded."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import suppress
from typing import Any

import pytest

from checks.base import Check, Labels, Outcome, Reason, Result, Run
from checks.wire.clock import want_stamps
from checks.wire.fault import WireError
from checks.wire.ready import ready
from checks.wire.resolve import name_servers
from monitor.prober import Prober
from tests.checks.web import Web
from tests.leaks import held, left_since

Memory = dict[Any, Any]


async def asked(check: Check, memory: Memory | None = None, at: float | None = None) -> Run:
    """One probe that has to be ok: what it recorded, all of it declared."""
    run = Run(memory, at)
    await check.probe(run)
    declared = {one.name: set(one.labels) for one in check.declared()}
    for name, _, labels in run.measurements:
        assert name in declared, f"{name} is not declared"
        assert {label for label, _ in labels} == declared[name], name
    return run


async def result_of(check: Check, memory: Memory | None = None) -> Result:
    """One probe through the real prober: its deadline, its words, its scrubbing. It must leave nothing behind."""
    # The engine's own, which the first probe of a loop opens for all that follow.
    ready(asyncio.get_running_loop())
    with socket.socket() as first, suppress(WireError):
        want_stamps(first)
        name_servers()
    before = held()
    prober = Prober(time.time, lambda *_: None, lambda _: None, lambda _: None, lambda _: None)
    if memory is not None:
        prober.remember(check.key, memory)
    result = await prober.ask(check.model_copy(update={"retries": 0}))
    left = await left_since(before)
    assert not left, left
    for secret in check.secrets():
        assert secret not in result.sentence
        assert not any(secret in text for _, text in result.evidence)
    return result


async def fails(check: Check, reason: Reason, *words: str, memory: Memory | None = None) -> Result:
    """The probe fails, for this reason, and its sentence holds the words."""
    return _as_told(await result_of(check, memory), Outcome.FAILED, reason, words)


async def errs(check: Check, reason: Reason, *words: str, memory: Memory | None = None) -> Result:
    """The probe can't tell, for this reason, and its sentence holds the words."""
    return _as_told(await result_of(check, memory), Outcome.ERROR, reason, words)


def _as_told(result: Result, outcome: Outcome, reason: Reason, words: tuple[str, ...]) -> Result:
    assert (result.outcome, result.reason) == (outcome, reason), result.sentence
    for word in words:
        assert word in result.sentence
    assert "Traceback" not in result.sentence
    assert "itself broke" not in result.sentence
    return result


async def cancelled(check: Check, server: Web) -> None:
    """Cancel a probe once the server has its connection: it must end at once and leave nothing behind."""
    before = held()
    probing = asyncio.create_task(check.probe(Run()))
    while not server.open:
        await asyncio.sleep(0)
    probing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probing
    await server.quiet.wait()
    del probing
    assert not await left_since(before)


def values(run: Run | Result, name: str) -> dict[Labels, float]:
    """The measurements of this name, by their labels."""
    return {labels: value for at, value, labels in run.measurements if at == name}


def value(run: Run | Result, name: str, **labels: str) -> float:
    """The one measurement of this name that has these labels."""
    wanted = set(labels.items())
    [found] = [value for has, value in values(run, name).items() if wanted <= set(has)]
    return found


def evidence(run: Run | Result, title: str) -> str:
    """The evidence under this title."""
    held = run.evidence if isinstance(run, Result) else run.evidences
    [text] = [text for about, text in held if about == title]
    return text
