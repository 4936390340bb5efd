"""The real blackbox_exporter as a process, and what it and we show of the same target under the same names."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import ClassVar

import aiohttp

from checks.base import Check, Failed, Run
from monitor.demo.servers import Server
from tests.skips import missing

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]

PROGRAM = shutil.which("blackbox_exporter") or shutil.which("prometheus-blackbox-exporter")
_LABEL = re.compile(r'(\w+)="([^"]*)"')


class Blackbox(Server):
    """One exporter with the modules that its configuration names."""

    title: ClassVar[str] = "blackbox_exporter"

    def __init__(self, folder: Path, modules: str) -> None:
        if PROGRAM is None:
            missing("prometheus-blackbox-exporter")
        super().__init__(folder)
        self._modules = modules

    def _command(self) -> list[str]:
        file = self.folder / "blackbox.yml"
        file.write_text(self._modules, encoding="utf-8")
        return [str(PROGRAM), f"--config.file={file}", f"--web.listen-address={self.address}", "--log.level=error"]

    async def _answers(self) -> bool:
        try:
            async with aiohttp.ClientSession() as http, http.get(f"http://{self.address}/-/healthy") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    async def probe(self, module: str, target: str) -> Series:
        """What one of its probes shows."""
        where = {"module": module, "target": target}
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://{self.address}/probe", params=where, raise_for_status=True) as answer,
        ):
            lines = (await answer.text()).splitlines()
        shown: Series = {}
        for line in lines:
            if not line.startswith("#"):
                series, _, number = line.rpartition(" ")
                shown[series.partition("{")[0], frozenset(_LABEL.findall(series))] = float(number)
        return shown


async def ours(check: Check) -> Series:
    """What one probe of ours shows under the exporter's names."""
    run, up = Run(), 1.0
    try:
        await check.probe(run)
    except Failed:
        up = 0.0
    names = {one.name: one.also for one in check.declared() if one.also}
    shown = {
        (names[name], frozenset(labels)): float(value) for name, value, labels in run.measurements if name in names
    }
    if run.took is not None:
        shown["probe_duration_seconds", frozenset()] = run.took
    return shown | {(check.up, frozenset()): up}
