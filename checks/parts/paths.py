"""Paths as keys of the configuration, and what it means that one can't be read."""

from __future__ import annotations

import errno
import glob
import os
import stat
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from checks.base import Errored, Failed, Reason

FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
"""How to open what may be a pipe or a terminal without waiting for it."""


def _absolute(path: str) -> str:
    if not path.startswith("/") or "\0" in path:
        raise ValueError(f"{path!r} is no absolute path; it begins with /")
    return path


AbsolutePath = Annotated[str, AfterValidator(_absolute)]


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


SeveralPaths = Annotated[
    tuple[AbsolutePath, ...], BeforeValidator(_several, json_schema_input_type=str | tuple[str, ...])
]
"""One path, or a list of them."""


def searchable(pattern: str) -> None:
    """Raise Errored where nothing is found because we may not look."""
    folder = os.path.dirname(pattern)  # noqa: PTH120 - a pattern is no path
    if glob.has_magic(pattern) and not glob.has_magic(folder):
        try:
            os.scandir(folder).close()
        except PermissionError as why:
            raise unreadable(folder, why) from None
        except OSError:
            return


def legible(path: str) -> str:
    """The path, if it can be shown and kept; Errored where its bytes are no UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        shown = path.encode("utf-8", "replace").decode()
        raise Errored(Reason.INTERNAL, f"cannot look at {shown}: its name is not UTF-8; rename it") from None
    return path


def unreadable(path: str, why: OSError) -> Failed | Errored:
    """What it means that a file can't be read."""
    said = (why.strerror or str(why)).lower()
    if why.errno in (errno.EACCES, errno.EPERM):
        return Errored(Reason.AUTH, f"cannot read {path}: {said}; give the monitor's user the right to read it")
    if why.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
        return Errored(Reason.INTERNAL, f"cannot read {path}: {said}")
    return Failed(Reason.PROTOCOL, f"cannot read {path}: {said}")


def sort_of(mode: int) -> str:
    """What that is which is no file."""
    names = ((stat.S_ISDIR, "a directory"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
    return next((name for test, name in names if test(mode)), "a device")
