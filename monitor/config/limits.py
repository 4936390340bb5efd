"""Makes thresholds of a check's `alerts`, or the one that a check without them gets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from alerts.flapping import FlappingLimit
from alerts.nearest import meant, nearest
from alerts.thresholds import Condition, WhenError, parse
from alerts.vocabulary import Runbook, Severity, Threshold
from checks.base import Measurement, Recommended
from checks.units import Duration, Share, show_duration
from monitor.config.checks import Listed
from monitor.config.notes import Notes, Spot
from monitor.config.systems import checked_labels, severity_of

RECOMMENDED = "recommended"
"""Stands for the thresholds that a kind recommends, in place of a check's `alerts` or as one of them."""

When = Annotated[
    str, BeforeValidator(lambda value: str(value).lower() if isinstance(value, bool) else value), Field(min_length=1)
]


class FlappingEntry(BaseModel):
    """When an alert flaps: shares of its last 20 answers that were changes, newer ones weighing more, as in Icinga."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    high: Share = Field(default=0.30, gt=0, lt=1, description="Above it flaps.")
    low: Share = Field(default=0.25, gt=0, lt=1, description="Below it no longer does.")


class AlertEntry(BaseModel):
    """One item of a check's `alerts`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    alert: str = Field(min_length=1, max_length=200, description="The alert's name.")
    when: When | None = Field(
        default=None,
        description="The condition: `failed`, or a comparison of measurements; without it as the kind recommends it.",
    )
    resolve_when: When | None = Field(default=None, description="A second, lower limit at which it is over.")
    hold: Duration = Field(default=0.0, alias="for", ge=0, description="How long it must hold before it fires.")
    keep_firing_for: Duration = Field(default=0.0, ge=0, description="How long it goes on after it is over.")
    severity: str | None = Field(default=None, description="One of the system's words, or critical, high, medium, low.")
    labels: dict[str, str] = Field(default_factory=dict, description="Put on the alert.")
    annotations: dict[str, str] = Field(default_factory=dict, description="Put into its messages.")
    flapping: bool | FlappingEntry = Field(
        default=False, description="Tell an alert that comes and goes once, until it has settled."
    )
    runbook: str | None = Field(default=None, description='"#anchor" in the system\'s runbook, or a URL.')


class _Otherwise(NamedTuple):
    """What holds for an alert that does not say it itself."""

    severity: Severity
    word: str
    runbook: Runbook


class Limits:
    """Makes the thresholds of every check."""

    def __init__(self, notes: Notes, secrets: Set[str]) -> None:
        self.notes = notes
        self.secrets = secrets
        self._failed = parse("failed", {})

    def of(self, listed: Listed) -> tuple[Threshold, ...]:
        """The check's thresholds; those that are not good leave problems."""
        section = listed.section
        own = _word_for(listed, Severity.HIGH)
        severity, word = self._severity(listed, listed.spot, section.get("severity"), Severity.HIGH, own)
        otherwise = _Otherwise(severity, word, self._runbook(listed, listed.spot, section, Runbook()))
        given = section.get("alerts")
        if given is None:
            return (self._of_failure(listed, otherwise),)
        known = listed.known()
        found: dict[tuple[str, Severity], Threshold] = {}
        first: dict[tuple[str, Severity], Spot] = {}
        recommended = given == RECOMMENDED
        at = listed.spot.at("alerts")
        if isinstance(given, str) and not recommended:
            self.notes.wrong(at, f"a list is wanted, or the word {RECOMMENDED}{meant(given, [RECOMMENDED])}")
            return ()
        for spot, value in () if recommended else self.notes.items(at, given):
            if value == RECOMMENDED:
                recommended = True
                continue
            threshold = self._threshold(listed, spot, value, known, otherwise)
            if threshold is None:
                continue
            identity = threshold.alert, threshold.severity
            if identity in found:
                line = first[identity].place().line
                twice = f"there is an alert {threshold.alert!r} of this severity already, in line {line}"
                self.notes.wrong(spot.at("alert"), twice)
                continue
            found[identity], first[identity] = threshold, spot.at("alert")
        if recommended:
            named = {name for name, _ in found}
            beside = [*self._recommended(listed, known, otherwise.runbook)]
            if not any(one.when.text == "failed" for one in found.values()):
                beside.insert(0, self._of_failure(listed, otherwise))
            return (*found.values(), *(one for one in beside if one.alert not in named))
        return tuple(found.values())

    def _of_failure(self, listed: Listed, otherwise: _Otherwise) -> Threshold:
        severity, word, runbook = otherwise
        return Threshold(
            camel(listed.name) + "Failed", listed.key, listed.draft.name, self._failed, severity,
            word or severity.value, runbook=runbook, respond_within=_respond_within(listed, word),
        )  # fmt: skip

    def _recommended(self, listed: Listed, known: Mapping[str, Measurement], runbook: Runbook) -> Iterator[Threshold]:
        """Those of the kind, in the system's own words where it has one for their severity."""
        for one in listed.model.recommended:
            try:
                when = parse(one.when, known)
            except WhenError:
                continue  # about something that this check is not told to measure
            severity = Severity(one.severity)
            word = _word_for(listed, severity)
            yield Threshold(
                one.alert, listed.key, listed.draft.name, when, severity, word, hold=one.hold,
                annotations={"description": one.why}, runbook=runbook,
                respond_within=_respond_within(listed, word),
            )  # fmt: skip

    def _severity(
        self, listed: Listed, spot: Spot, word: Any, otherwise: Severity, otherwise_word: str
    ) -> tuple[Severity, str]:
        if word is None:
            return otherwise, otherwise_word
        try:
            return severity_of(listed.draft, word), str(word)
        except ValueError as why:
            self.notes.wrong(spot.at("severity"), str(why))
            return otherwise, otherwise_word

    def _threshold(
        self, listed: Listed, spot: Spot, value: Any, known: Mapping[str, Measurement], otherwise: _Otherwise
    ) -> Threshold | None:
        written = self.notes.section(spot, value, "an alert is wanted: alert: …, when: …")
        if written is None:
            return None
        model = _recommended_as(listed, written)
        section = written if model is None else {"for": f"{model.hold:g}s", **written, "when": model.when}
        if section.get("when") is None:
            self.notes.wrong(spot.at("when"), "when is missing" + _or_recommended(listed, section.get("alert")))
        entry = self.notes.model(AlertEntry, spot, section)
        when, resolve_when = self._conditions(listed, spot, section, known)
        usual = otherwise.severity if model is None else Severity(model.severity)
        usual_word = otherwise.word if model is None else _word_for(listed, usual)
        severity, word = self._severity(listed, spot, section.get("severity"), usual, usual_word)
        runbook = self._runbook(listed, spot, section, otherwise.runbook)
        labels = checked_labels(self.notes, spot.at("labels"), entry.labels) if entry and entry.labels else {}
        if entry is None or when is None:
            return None
        return Threshold(
            alert=entry.alert,
            check=listed.key,
            system=listed.draft.name,
            when=when,
            severity=severity,
            severity_word=word or severity.value,
            resolve_when=resolve_when,
            hold=entry.hold,
            keep_firing=entry.keep_firing_for,
            labels=labels,
            annotations={"description": model.why, **entry.annotations} if model is not None else entry.annotations,
            runbook=runbook,
            respond_within=_respond_within(listed, word),
            flapping=_flapping(entry.flapping),
        )

    def _conditions(
        self, listed: Listed, spot: Spot, section: Mapping[str, Any], known: Mapping[str, Measurement]
    ) -> tuple[Condition | None, Condition | None]:
        """`when` and `resolve_when`, whatever else is wrong with the alert."""
        return self._condition(listed, spot, section, "when", known), self._condition(
            listed, spot, section, "resolve_when", known
        )

    def _condition(
        self, listed: Listed, spot: Spot, section: Mapping[str, Any], key: str, known: Mapping[str, Measurement]
    ) -> Condition | None:
        text = section.get(key)
        text = str(text).lower() if isinstance(text, bool) else text
        if not isinstance(text, str) or not text:
            return None  # the model has said so
        try:
            condition = parse(text, known)
        except WhenError as why:
            self._refused(spot.at(key), text, _of_its_kind(listed, known, why))
            return None
        if listed.check is not None:
            self._warn_of_short_windows(spot.at(key), condition, listed.check.interval)
        return condition

    def _warn_of_short_windows(self, spot: Spot, condition: Condition, interval: float) -> None:
        for ask in condition.asks:
            if ask.function != "baseline" and ask.seconds < 2 * interval:
                window, every = show_duration(ask.seconds), show_duration(interval)
                self.notes.warn(spot, f"a window of {window} holds one probe at most, one every {every}")

    def _refused(self, spot: Spot, text: str, why: WhenError) -> None:
        """Say where inside the text it went wrong, if the text stands in the file as it is."""
        if any(secret in text for secret in self.secrets):
            self.notes.wrong(spot, "the condition holds a secret")
            return
        shift = spot.root.source.offset(spot.place(), text)
        if why.column is None or shift is None:
            self.notes.wrong(spot, str(why))
        else:
            self.notes.wrong(spot, why.sentence, shift=shift + why.column - 1)

    def _runbook(self, listed: Listed, spot: Spot, section: Mapping[str, Any], otherwise: Runbook) -> Runbook:
        """What the key `runbook` of a check or of an alert names."""
        text = section.get("runbook")
        if not text:
            return otherwise
        spot = spot.at("runbook")
        if not isinstance(text, str):
            self.notes.wrong(spot, "a text is wanted; put it in quotes")
            return otherwise
        if text.startswith(("https://", "http://")):
            return Runbook(url=text)
        name, mark, anchor = text.partition("#")
        if not mark or name:
            self.notes.wrong(spot, 'write "#section" for a section of the system\'s runbook, or an https:// address')
            return Runbook()
        if listed.draft.playbook is None:
            self.notes.wrong(spot, f"the system {listed.draft.name!r} has no runbook: add runbook: playbooks.md to it")
            return Runbook()
        found = listed.draft.sections.get(anchor)
        if found is None:
            hint = meant(anchor, listed.draft.sections)
            self.notes.wrong(spot, f"{listed.draft.playbook.name} has no section #{anchor}{hint}")
            return Runbook()
        return found


def _recommended_as(listed: Listed, section: Mapping[str, Any]) -> Recommended | None:
    """The threshold of its kind that an alert without `when` stands for by its name."""
    if section.get("when") is not None:
        return None
    return next((one for one in listed.model.recommended if one.alert == section.get("alert")), None)


def _or_recommended(listed: Listed, name: object) -> str:
    near = nearest(str(name), [one.alert for one in listed.model.recommended])
    return f"; did you mean {near}, which the kind recommends?" if near else ""


def _of_its_kind(listed: Listed, known: Mapping[str, Measurement], why: WhenError) -> WhenError:
    """The same, but for a name that others of this kind know: what is missing then is a setting."""
    for one in listed.model.measurements:
        if one.name not in known and f"no measurement {one.name!r}" in why.sentence:
            sentence = f"{one.name} is not measured as this check is configured; see runwatch kinds {listed.model.kind}"
            return WhenError(sentence, why.column)
    return why


def _word_for(listed: Listed, severity: Severity) -> str:
    """The system's own word for a severity, or the severity's where it has none."""
    return next((word for word, meant in listed.draft.severities.items() if meant is severity), severity.value)


def _respond_within(listed: Listed, word: str) -> float:
    return listed.draft.respond_within.get(word, 0.0)


def _flapping(entry: bool | FlappingEntry) -> FlappingLimit | None:
    if isinstance(entry, FlappingEntry):
        return FlappingLimit(entry.high, entry.low)
    return FlappingLimit() if entry else None


def camel(name: str) -> str:
    """`store-health` as `StoreHealth`."""
    return "".join(word[:1].upper() + word[1:] for word in re.split(r"[^A-Za-z0-9]+", name)) or "Check"
