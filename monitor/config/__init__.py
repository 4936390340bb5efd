"""Reads the configuration: from YAML files and the environment to checks, thresholds, routes and receivers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from monitor.config.build import load
from monitor.config.model import Auth, Config, Server, System, Watchdog
from monitor.config.problems import ConfigError, Place, Problem

__all__ = [
    "Auth",
    "Config",
    "ConfigError",
    "Place",
    "Problem",
    "Server",
    "System",
    "Watchdog",
    "find",
    "load",
]

PLACES = (Path("runwatch.yaml"), Path("/etc/runwatch"))


def find(explicit: str | None, environ: Mapping[str, str]) -> Path:
    """Where it is: as said, else RUNWATCH_CONFIG, ./runwatch.yaml, /etc/runwatch; ConfigError where it is not."""
    if explicit:
        return _there(Path(explicit), "")
    if environ.get("RUNWATCH_CONFIG"):
        return _there(Path(environ["RUNWATCH_CONFIG"]), " (from RUNWATCH_CONFIG)")
    for place in PLACES:
        if place.exists():
            return place
    looked = ", ".join(["RUNWATCH_CONFIG (not set)", *(f"{place}" for place in PLACES)])
    sentence = f"there is no configuration; looked for {looked}. Say where with -c, or write one with `runwatch init`"
    raise ConfigError([Problem(Place("configuration"), "", sentence)])


def _there(path: Path, whence: str) -> Path:
    if not path.exists():
        raise ConfigError([Problem(Place(str(path)), "", f"there is no such file or folder{whence}")])
    return path
