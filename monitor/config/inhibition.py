"""Makes inhibit rules of `inhibit_rules`, in Alertmanager's words."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from alerts.inhibition import InhibitRule
from monitor.config import matchers
from monitor.config.matchers import Word
from monitor.config.notes import Notes, Spot


class InhibitEntry(BaseModel):
    """While an alert of the source fires, those of the target with equal labels are quiet."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(default="", description="By which people are told of it.")
    source_matchers: list[str] = Field(default=[], description="Which alerts keep others quiet.")
    target_matchers: list[str] = Field(default=[], description="Which alerts are kept quiet.")
    equal: list[str] = Field(default=[], description="Labels that must be the same on both.")
    source_match: dict[str, Word] = Field(default={}, description="The old form of source_matchers.")
    source_match_re: dict[str, Word] = Field(default={}, description="The same with regular expressions.")
    target_match: dict[str, Word] = Field(default={}, description="The old form of target_matchers.")
    target_match_re: dict[str, Word] = Field(default={}, description="The same with regular expressions.")


def read(notes: Notes, spot: Spot, value: Any) -> InhibitRule | None:
    """One item of `inhibit_rules`; None, and a problem, where it is none."""
    section = notes.section(spot, value, "an inhibit rule is wanted: source_matchers: …, target_matchers: …")
    entry = notes.model(InhibitEntry, spot, section) if section is not None else None
    if entry is None:
        return None
    old_source = matchers.paired(notes, spot, entry.source_match, entry.source_match_re, "source_match_re")
    old_target = matchers.paired(notes, spot, entry.target_match, entry.target_match_re, "target_match_re")
    source = old_source + matchers.listed(notes, spot.at("source_matchers"), entry.source_matchers)
    target = old_target + matchers.listed(notes, spot.at("target_matchers"), entry.target_matchers)
    for side, found in (("source", source), ("target", target)):
        if not found:
            notes.warn(spot, f"without {side}_matchers every alert is its {side}")
    return InhibitRule(source, target, tuple(dict.fromkeys(entry.equal)), entry.name)
