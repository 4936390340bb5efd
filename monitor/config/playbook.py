"""The sections of a runbook: a Markdown file cut at its headings, each by the anchor that GitHub gives it."""

from __future__ import annotations

import re
from pathlib import Path

from alerts.vocabulary import Runbook

LONGEST_SECTION = 3_000
LARGEST_FILE = 2 * 2**20

_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_NOT_IN_ANCHOR = re.compile(r"[^\w\- ]")


def read_playbook(file: Path, shown: str) -> dict[str, Runbook]:
    """Every section by its anchor (without `#`); OSError or ValueError with a sentence where it can't be read."""
    if not file.is_file():
        raise ValueError("there is no such file")
    if file.stat().st_size > LARGEST_FILE:
        raise ValueError(f"larger than {LARGEST_FILE // 2**20} MB")
    try:
        return sections(file.read_text(encoding="utf-8-sig"), shown)
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None


def sections(text: str, shown: str) -> dict[str, Runbook]:
    """A section reaches to the next heading of its level or above; `shown` names the file where one was cut."""
    lines = text.splitlines()
    headings = _headings(lines)
    found: dict[str, Runbook] = {}
    for index, (number, level, title) in enumerate(headings):
        anchor = slug(title)
        if anchor in found:
            anchor = next(again for n in range(1, len(headings) + 1) if (again := f"{anchor}-{n}") not in found)
        end = next((line for line, other, _ in headings[index + 1 :] if other <= level), len(lines))
        own = "\n".join(lines[number + 1 : end]).strip()
        if len(own) > LONGEST_SECTION:
            note = f"\n… (cut here; the rest is in {shown}#{anchor})"
            own = own[: LONGEST_SECTION - len(note)] + note
        found[anchor] = Runbook(title=_words(title), text=own)
    return found


def slug(title: str) -> str:
    """The anchor of a heading as GitHub makes it: small letters, punctuation gone, spaces to hyphens."""
    return _NOT_IN_ANCHOR.sub("", _words(title).lower()).replace(" ", "-")


def _words(title: str) -> str:
    """A heading's text without its links and marks."""
    return re.sub(r"[*`]|(?<!\w)_|_(?!\w)", "", _LINK.sub(r"\1", title)).strip()


def _headings(lines: list[str]) -> list[tuple[int, int, str]]:
    """Line, level and title of each heading; what stands in fenced code is none."""
    found, fence = [], ""
    for number, line in enumerate(lines):
        fenced = _FENCE.fullmatch(line)
        if fenced is not None:
            if not fence:
                fence = fenced[1]
            elif fenced[1].startswith(fence) and not fenced[2].strip():
                fence = ""
            continue
        heading = _HEADING.fullmatch(line) if not fence else None
        if heading is not None:
            found.append((number, len(heading[1]), (heading[2] or "").strip()))
    return found
