"""The simulated installations of the shipped systems, one file each."""

from __future__ import annotations

from importlib import import_module

from monitor.demo.installation import CannotDo, Installation

NAMES = ("capliquify", "dakkah", "iamenu", "lavandaria", "retail", "shop")


def installation(name: str) -> type[Installation]:
    """The installation of a system; CannotDo with those that there are."""
    if name not in NAMES:
        raise CannotDo(f"there is no system {name!r} to simulate; there are {', '.join(NAMES)}")
    found: type[Installation] = getattr(import_module(f"monitor.demo.installations.{name}"), name.title())
    return found
