"""Finds a kind by its file's name: `checks/http.py` is `kind: http`; imported only when somebody asks for it."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from pydantic import BaseModel

ModelT = TypeVar("ModelT", bound=BaseModel)

NOT_KINDS = frozenset({"base", "kinds", "parts", "units", "wire"})


class UnknownKind(ValueError):
    """No file, folder or entry point has this kind; the text names the nearest."""


def names(package: str, folders: Iterable[Path] = (), group: str = "") -> list[str]:
    """Every kind that could be loaded, without importing any."""
    found = {module.name for module in pkgutil.iter_modules([str(_home(package))])}
    found |= {file.stem for folder in folders for file in sorted(Path(folder).glob("*.py"))}
    found |= {point.name for point in entry_points(group=group)} if group else set()
    return sorted(name for name in found - NOT_KINDS if not name.startswith("_"))


def load(package: str, kind: str, base: type[ModelT], folders: Iterable[Path] = (), group: str = "") -> type[ModelT]:
    """The class of a kind: the one subclass of `base` in the file named as the kind.

    Looks in `package`, then in `folders`, then among the entry points of `group`. Raises UnknownKind, or ImportError
    with a sentence where the file is there but can't be used (its driver is missing, it holds no such class).
    """
    folders = tuple(folders)
    if kind not in names(package, folders, group):
        near = get_close_matches(kind, names(package, folders, group), n=1)
        raise UnknownKind(f"there is no kind {kind!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    module = _module(package, kind, folders, group)
    classes = [
        item
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, base) and item.__module__ == module.__name__
    ]
    if len(classes) != 1:
        raise ImportError(f"the file of kind {kind!r} must hold one {base.__name__} class, it holds {len(classes)}")
    return classes[0]


def _home(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])


def _module(package: str, kind: str, folders: tuple[Path, ...], group: str) -> ModuleType:
    if (_home(package) / f"{kind}.py").is_file():
        return importlib.import_module(f"{package}.{kind}")
    for folder in folders:
        file = Path(folder) / f"{kind}.py"
        if file.is_file():
            return _from_file(f"{package}.{kind}", file)
    [point] = entry_points(group=group, name=kind)
    return importlib.import_module(point.module)


_READ: dict[str, tuple[bytes, ModuleType]] = {}


def _from_file(name: str, file: Path) -> ModuleType:
    # The same content is the same module, so that a reload finds its checks unchanged.
    content = file.read_bytes()
    if name in _READ and _READ[name][0] == content:
        return _READ[name][1]
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    code = compile(content, str(file), "exec")
    sys.modules[name] = module
    try:
        exec(code, module.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    _READ[name] = content, module
    return module
