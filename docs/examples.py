"""Tries the YAML on a page: it must be good, or under `<!-- refused: … -->` be refused with that sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from docs.markdown import Page
from monitor.config import ConfigError, load

RECEIVERS = """\
receivers:
  - {name: on-call, webhook_configs: [{url: "https://example.com/on-call"}]}
  - {name: team-chat, webhook_configs: [{url: "https://example.com/team-chat"}]}
  - {name: database-team, webhook_configs: [{url: "https://example.com/database-team"}]}
"""
"""For examples that name receivers and hold none."""

VALUES = {
    "DATABASE_URL": "postgresql://runwatch:secret@db.example.com:5432/shop",
    "STANDBY_URL": "postgresql://runwatch:secret@standby.example.com:5432/shop",
    "REDIS_PASSWORD": "a-secret-of-the-example",
    "SCRATCH_URL": "postgresql://restorer:secret@scratch.example.com:5432/postgres",
    "REDIS_URL": "redis://:secret@cache.example.com:6379",
    "BACKUP_UUID": "0c5d5a5e-7a57-4bd0-9a43-0d7c7e6f3a10",
    "PING_KEY": "a-ping-key-of-the-example",
}
_SLOT = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-[^}]*)?\}")
_SECRET_FILE = re.compile(r"\$\{file:/run/secrets/([^}]*)\}")
_ANCHOR = re.compile(r'runbook: "#([^"]+)"')
_PLUGINS = re.compile(r"^plugins: \[([^\]]+)\]", re.MULTILINE)


def problems(page: Page) -> Iterator[tuple[int, str]]:
    """Line and sentence of each example that is not as it should be."""
    for block in page.blocks:
        if block.language != "yaml" or block.note == "not runwatch's":
            continue
        found = refusal(block.text, files(page))
        wanted = block.note.removeprefix("refused: ") if block.note.startswith("refused: ") else ""
        if wanted and wanted not in found:
            yield block.line, f"this should be refused with {wanted!r}, but: {found or 'it is good'}"
        if found and not wanted:
            yield block.line, f"this example is not good: {found}"


def files(page: Page) -> dict[str, str]:
    """The files that the page shows under `<!-- file: NAME -->`, for its examples to use."""
    return {block.note.removeprefix("file: "): block.text for block in page.blocks if block.note.startswith("file: ")}


def refusal(text: str, beside: Mapping[str, str]) -> str:
    """What is wrong with an example among the files `beside` it; empty where nothing is."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        _surround(folder, text, beside)
        try:
            load(folder / "config", environment(text))
        except ConfigError as why:
            return str(why).replace(f"{folder}/config/", "")
    return ""


def environment(text: str) -> dict[str, str]:
    """A value for every variable that the text names."""
    return {name: VALUES.get(name, f"https://example.com/{name.lower()}") for name in _SLOT.findall(text)}


def _surround(folder: Path, text: str, beside: Mapping[str, str]) -> None:
    """Put the example into a folder with all that it refers to."""
    config = folder / "config"
    config.mkdir()
    for secret in _SECRET_FILE.findall(text):
        (folder / secret).write_text("a-secret-of-the-example")
    text = _SECRET_FILE.sub(lambda found: f"${{file:{folder}/{found[1]}}}", text)
    (config / "example.yaml").write_text(text, encoding="utf-8")
    headings = [f"## {anchor.replace('-', ' ')}\n\n1. Do this.\n" for anchor in _ANCHOR.findall(text)]
    (config / "playbooks.md").write_text("# Playbooks\n\n" + "\n".join(headings), encoding="utf-8")
    for found in _PLUGINS.findall(text):
        (config / found).mkdir()
    for file, content in beside.items():
        if (config / file).parent.is_dir():
            (config / file).write_text(content, encoding="utf-8")
    if not re.search(r"^receivers:", text, re.MULTILINE):
        (config / "receivers.yaml").write_text(RECEIVERS, encoding="utf-8")
