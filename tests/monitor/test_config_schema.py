"""The JSON Schema accepts what the configuration accepts, and names what it refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from monitor.config.schema import schema
from tests.monitor.configurations import MAIN, SYSTEM

WHOLE = schema()
TYPES: dict[str, Any] = {
    "object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool,
    "null": type(None),
}  # fmt: skip


def complaints(value: Any, rule: Any, at: str = "") -> list[str]:
    """A validator for the part of JSON Schema that we write; it refuses to go on where it meets another."""
    if isinstance(rule, bool):
        return [] if rule else [f"{at}: nothing may stand here"]
    assert rule.keys() <= WORDS.keys() | UNJUDGED, f"{at}: {rule.keys() - WORDS.keys() - UNJUDGED} are not known here"
    return [one for word, wanted in rule.items() if word in WORDS for one in WORDS[word](value, wanted, at, rule)]


def of_type(value: Any, wanted: Any, at: str, rule: Any) -> list[str]:
    types = wanted if isinstance(wanted, list) else [wanted]
    return [] if any(isinstance(value, TYPES[one]) for one in types) else [f"{at}: not {wanted}"]


def of_pattern(value: Any, wanted: Any, at: str, rule: Any) -> list[str]:
    return [] if not isinstance(value, str) or re.search(wanted, value) else [f"{at}: does not match {wanted}"]


def of_alternatives(value: Any, wanted: Any, at: str, rule: Any) -> list[str]:
    return [] if any(not complaints(value, one, at) for one in wanted) else [f"{at}: none of the alternatives"]


def of_condition(value: Any, wanted: Any, at: str, rule: Any) -> list[str]:
    return complaints(value, rule.get("else", True) if complaints(value, wanted, at) else rule["then"], at)


def of_required(value: Any, wanted: Any, at: str, rule: Any) -> list[str]:
    return [f"{at}: {key} is missing" for key in wanted if isinstance(value, dict) and key not in value]


def of_items(value: Any, wanted: Any, at: str, rule: Any) -> list[str]:
    items = value if isinstance(value, list) else []
    return [one for index, item in enumerate(items) for one in complaints(item, wanted, f"{at}[{index}]")]


def of_properties(value: Any, wanted: Any, at: str, rule: Any) -> list[str]:
    there = [key for key in wanted if isinstance(value, dict) and key in value]
    return [one for key in there for one in complaints(value[key], wanted[key], f"{at}.{key}")]


def of_rest(value: Any, wanted: Any, at: str, rule: Any) -> list[str]:
    known = [*map(re.escape, rule.get("properties", ())), *rule.get("patternProperties", ())]
    rest = [key for key in value if not any(re.fullmatch(one, key) for one in known)] if isinstance(value, dict) else []
    return [one for key in rest for one in complaints(value[key], wanted, f"{at}.{key}")]


WORDS: dict[str, Callable[[Any, Any, str, Any], list[str]]] = {
    "$ref": lambda value, wanted, at, rule: complaints(value, WHOLE["$defs"][wanted.removeprefix("#/$defs/")], at),
    "type": of_type,
    "const": lambda value, wanted, at, rule: [] if value == wanted else [f"{at}: not {wanted}"],
    "enum": lambda value, wanted, at, rule: [] if value in wanted else [f"{at}: not one of {wanted}"],
    "pattern": of_pattern,
    "anyOf": of_alternatives,
    "allOf": lambda value, wanted, at, rule: [one for part in wanted for one in complaints(value, part, at)],
    "if": of_condition,
    "required": of_required,
    "items": of_items,
    "properties": of_properties,
    "additionalProperties": of_rest,
}
UNJUDGED = {
    "$defs", "$schema", "title", "description", "default", "format", "writeOnly", "then", "else", "patternProperties",
    "minLength", "maxLength", "maxProperties", "minimum", "maximum", "exclusiveMinimum", "minItems", "maxItems",
}  # fmt: skip


NAMED = """
checks:
  - {kind: http, url: a, runbook: "#x", alerts: [recommended, {alert: HttpSlowerThanUsual, severity: P1}]}
  - {kind: http, url: a, alerts: recommended}
"""


@pytest.mark.parametrize(
    "text", [MAIN, SYSTEM, "defaults: {interval: 5s}", "checks: [{kind: http, url: '${URL}'}]", NAMED]
)
def test_accepts_the_documented_files(text: str) -> None:
    assert complaints(yaml.safe_load(text), WHOLE) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("stoer: x", ".stoer: nothing may stand here"),
        ("checks: [{kind: htp}]", ".checks[0].kind: not one of"),
        ("checks: [{url: x}]", ".checks[0]: kind is missing"),
        ("checks: [{kind: http}]", ".checks[0]: url is missing"),
        ("checks: [{kind: http, url: x, intervall: 5s}]", ".checks[0].intervall: nothing may stand here"),
        ("checks: [{kind: http, url: x, interval: soon}]", ".checks[0].interval: does not match"),
        ("checks: [{kind: http, url: x, retries: many}]", ".checks[0].retries: none of the alternatives"),
        ("checks: [{kind: http, url: x, alerts: [{alert: A}]}]", ".checks[0].alerts[0]: when is missing"),
        ("checks: [{kind: tls, alerts: [{alert: CertificateEndsIn7Day}]}]", ".checks[0].alerts[0]: when is missing"),
        ("checks: [{kind: tls, runbook: [a]}]", ".checks[0].runbook: not string"),
        ("severities: {P1: worst}", ".severities.P1: not one of"),
        ("receivers: [{name: a, slak_configs: []}]", ".receivers[0].slak_configs: nothing may stand here"),
        ("receivers: [{name: a, slack_configs: [{chanel: x}]}]", ".receivers[0].slack_configs[0].chanel: nothing"),
        ("route: {receiver: a, routes: [{reciever: b}]}", ".route.routes[0].reciever: nothing may stand here"),
    ],
)
def test_names_what_it_refuses(text: str, expected: str) -> None:
    found = complaints(yaml.safe_load(text), WHOLE)
    assert any(one.startswith(expected) for one in found), found


def test_a_value_to_be_filled_in_may_stand_anywhere() -> None:
    text = "checks: [{kind: http, url: '${URL}', retries: '${R:-2}', interval: '${I}', follow_redirects: '${F}'}]"
    assert complaints(yaml.safe_load(text), WHOLE) == []


def test_every_reference_leads_somewhere() -> None:
    references = set(re.findall(r'"\$ref": "#/\$defs/([^"]+)"', json.dumps(WHOLE)))
    assert references <= WHOLE["$defs"].keys()
    assert {"check_http", "notifier_slack", "route"} <= references
