"""What is wrong with a configuration, as it is told."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from monitor.config import ConfigError, load

HOME = {"HOME": "/home/somebody"}


def problems(folder: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    """What is wrong with one file, as `line:column: path: sentence`."""
    file = folder / "runwatch.yaml"
    file.write_text(dedent(text))
    with pytest.raises(ConfigError) as caught:
        load(file, HOME | (environ or {}))
    return [str(problem).removeprefix(f"{file}:") for problem in caught.value.problems]


CHECK = "checks: [{kind: http, url: 'http://a.example/'%s}]"
