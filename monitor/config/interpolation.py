"""Fills `${NAME}`, `${NAME:-default}` and `${file:/path}` into texts, and remembers what of that is secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from alerts.nearest import nearest
from monitor.config.problems import SHORTEST_SECRET, Place

LARGEST_SECRET = 64 * 1024

_SLOT = re.compile(r"\$(?:(?P<escaped>\$)|\{(?P<inside>[^{}]*)(?P<closed>\})?)")
_NAME = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>.*))?", re.DOTALL)
_SECRET_NAME = re.compile(
    r"(?i)(?:^|_)(?:PASS|PASSWD|PASSWORD|PASSPHRASE|PW|SECRET|TOKEN|KEY|APIKEY|CREDENTIALS?|AUTH|DSN|WEBHOOK)S?(?:_|$)"
)
_PASSWORD = re.compile(r"://[^/@\s:]*:([^@\s]*)@")


def looks_secret(name: str) -> bool:
    """Whether a variable of this name is likely to hold a secret."""
    return _SECRET_NAME.search(name) is not None


class Interpolation:
    """Fills texts from one environment. Notes every problem, every secret, every file and every value that it used."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.problems: list[tuple[Place, str]] = []
        self.secrets: set[str] = set()
        self.files: list[Path] = []
        self.used: dict[str, str] = {}

    def __call__(self, text: str, place: Place) -> str:
        return _SLOT.sub(lambda slot: self._fill(slot, place), text)

    def _fill(self, slot: re.Match[str], place: Place) -> str:
        if slot["escaped"]:
            return "$"
        inside: str = slot["inside"]
        if not slot["closed"]:
            nested = slot.string[slot.end() : slot.end() + 1] == "{"
            why = "one ${…} can't stand inside another" if nested else "${ has no closing }"
            self.problems.append((place, f"{why}; write $$ for a plain $"))
            return ""
        if inside.startswith("file:"):
            return self.from_file(inside.removeprefix("file:"), place)
        named = _NAME.fullmatch(inside)
        if named is None:
            self.problems.append(
                (place, f"${{{inside}}} is not understood; write ${{NAME}}, ${{NAME:-default}} or ${{file:/path}}")
            )
            return ""
        return self._from_variable(named["name"], named["default"], place)

    def _from_variable(self, name: str, default: str | None, place: Place) -> str:
        value = self.environ.get(name)
        if value is None or (not value and default is not None):
            if default is None:
                near = nearest(name, self.environ)
                hint = f"; did you mean {near}?" if near else ""
                self.problems.append((place, f"the variable {name} is not set{hint}"))
                return ""
            value = default
        elif looks_secret(name):
            self._keep(value)
        self.used[name] = value
        for password in _PASSWORD.findall(value):
            self._keep(password)
            self._keep(unquote(password))
        return value

    def from_file(self, name: str, place: Place) -> str:
        """What a file holds, relative to the one at the place; "" and a problem where it can't be read."""
        file = Path(name.strip())
        if not file.is_absolute():
            file = Path(place.file).parent / file
        self.files.append(file)
        try:
            if not file.is_file():
                self.problems.append((place, f"cannot read the secret file {file}: there is no such file"))
                return ""
            with file.open("rb") as opened:
                content = opened.read(LARGEST_SECRET + 1)
            value = content.decode().rstrip("\r\n")
        except OSError as why:
            self.problems.append((place, f"cannot read the secret file {file}: {why.strerror or why}"))
            return ""
        except ValueError:
            self.problems.append((place, f"cannot read the secret file {file}: it is not UTF-8 text"))
            return ""
        if len(content) > LARGEST_SECRET:
            self.problems.append(
                (place, f"cannot read the secret file {file}: larger than {LARGEST_SECRET // 1024} KB")
            )
            return ""
        self.used[f"file:{file}"] = value
        self._keep(value)
        return value

    def _keep(self, secret: str) -> None:
        if len(secret) >= SHORTEST_SECRET:
            self.secrets.add(secret)
