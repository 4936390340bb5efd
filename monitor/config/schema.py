"""The JSON Schema of the whole configuration, put together from the models and every kind, for editors."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from alerts.vocabulary import Severity
from monitor.config.alertmanager import GlobalEntry
from monitor.config.build import KEYS
from monitor.config.impaired import Impaired
from monitor.config.inhibition import InhibitEntry
from monitor.config.intervals import IntervalEntry
from monitor.config.kinds import Kinds, check_kinds, notifier_kinds
from monitor.config.limits import RECOMMENDED, AlertEntry
from monitor.config.maintenance import MaintenanceEntry
from monitor.config.model import Server, Watchdog
from monitor.config.oncall import OnCall
from monitor.config.receivers import ENDING
from monitor.config.request_limits import LimitEntry
from monitor.config.routes import RouteEntry
from monitor.config.systems import DEFAULT_KEYS
from monitor.config.systems import KEYS as SYSTEM_KEYS

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
TEXTS: Schema = {"type": "array", "items": TEXT}
LABELS: Schema = {"type": "object", "additionalProperties": TEXT}
HTTP_CONFIG: Schema = {"type": "object", "description": "Alertmanager's; what can't be carried out is refused."}
FILLED: Schema = {"type": "string", "pattern": r"\$\{"}
"""A value that is filled in at load, whatever it must be then."""


def schema(folders: Iterable[Path] = ()) -> Schema:
    """The schema of every file of a configuration, with the kinds that are installed and those in `folders`."""
    definitions: Schema = {}
    folders = tuple(folders)
    definitions["alert"] = _model(AlertEntry, "alert", definitions)
    definitions["check"] = _check(check_kinds(folders), definitions)
    definitions["limit"] = _model(LimitEntry, "limit", definitions)
    definitions["maintenance"] = _model(MaintenanceEntry, "maintenance", definitions)
    definitions["receiver"] = _receiver(notifier_kinds(folders), definitions)
    definitions["route"] = _model(RouteEntry, "route", definitions)
    definitions["route"]["properties"]["routes"] = {"type": "array", "items": {"$ref": "#/$defs/route"}}
    definitions["inhibit_rule"] = _model(InhibitEntry, "inhibit_rule", definitions)
    definitions["time_interval"] = _model(IntervalEntry, "time_interval", definitions)
    intervals = {"type": "array", "items": {"$ref": "#/$defs/time_interval"}}
    system = _system(definitions)
    definitions["system"] = _object(system, SYSTEM_KEYS)
    top = {
        **system,
        "include": {"anyOf": [TEXT, TEXTS], "description": "Further files, relative to this one; * and ** work."},
        "server": _model(Server, "server", definitions),
        "store": TEXT | {"description": "sqlite:///var/lib/runwatch/runwatch.db"},
        "watchdog": _model(Watchdog, "watchdog", definitions),
        "on_call": _model(OnCall, "on_call", definitions),
        "impaired": _model(Impaired, "impaired", definitions),
        "route": {"$ref": "#/$defs/route"},
        "receivers": {"type": "array", "items": {"$ref": "#/$defs/receiver"}},
        "global": _with_files(_model(GlobalEntry, "global", definitions)),
        "inhibit_rules": {"type": "array", "items": {"$ref": "#/$defs/inhibit_rule"}},
        "time_intervals": intervals,
        "mute_time_intervals": intervals | {"description": "The old name of time_intervals."},
        "templates": {"type": "array", "maxItems": 0, "description": "Alertmanager's; only an empty list."},
        "plugins": TEXTS | {"description": "Folders that hold further kinds, relative to this file."},
        "systems": {"type": "array", "items": {"$ref": "#/$defs/system"}},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "runwatch",
        **_object(top, KEYS),
        "$defs": definitions,
    }


def _object(properties: Schema, order: Iterable[str]) -> Schema:
    return {
        "type": "object",
        "properties": {key: properties[key] for key in order},
        "additionalProperties": False,
    }


def _system(definitions: Schema) -> Schema:
    base = definitions["check_base"]["properties"]
    return {
        "system": TEXT | {"description": "The name of the system; `job` in the metrics."},
        "severities": {
            "type": "object",
            "additionalProperties": {"enum": [severity.value for severity in Severity]},
            "description": "The system's own words and what they mean.",
        },
        "respond_within": {
            "type": "object",
            "additionalProperties": definitions["check_base"]["properties"]["timeout"],
        },
        "runbook": TEXT | {"description": "A Markdown file; alerts name its sections."},
        "labels": LABELS | {"description": "Put on every alert of the system."},
        "depends_on": TEXTS
        | {"description": "Checks, or whole systems, without which none of its checks can succeed."},
        "defaults": {"type": "object", "properties": {key: base[key] for key in DEFAULT_KEYS}},
        "route": {"$ref": "#/$defs/route", "description": "Who is told of its alerts; see routes."},
        "maintenance": {"type": "array", "items": {"$ref": "#/$defs/maintenance"}},
        "limits": {"type": "array", "items": {"$ref": "#/$defs/limit"}},
        "checks": {"type": "array", "items": {"$ref": "#/$defs/check"}},
    }


def _check(kinds: Kinds[Any], definitions: Schema) -> Schema:
    definitions["check_base"] = _model(kinds.base, "check_base", definitions)
    beside = {
        "kind": TEXT,
        "severity": TEXT
        | {"description": "Of the alert that a check without `alerts` gets, and of those without one."},
        "runbook": TEXT | {"description": "For those of its alerts that name none: '#anchor', or a URL."},
    }
    choices = []
    for name in kinds.names():
        model = kinds.load(name)
        if isinstance(model, str):
            continue
        one = _model(model, f"check_{name}", definitions)
        del one["properties"]["system"]
        one["properties"] |= beside | {"alerts": _alerts([it.alert for it in model.recommended])}
        one["required"] = [key for key in one.get("required", []) if key != "name"]
        definitions[f"check_{name}"] = one
        choices.append({
            "if": {"properties": {"kind": {"const": name}}, "required": ["kind"]},
            "then": {"$ref": f"#/$defs/check_{name}"},
        })  # fmt: skip
    return {"type": "object", "required": ["kind"], "properties": {"kind": {"enum": kinds.names()}}, "allOf": choices}


def _alerts(recommended: list[str]) -> Schema:
    """The `alerts` of a check, whose kind recommends those of these names: they need no `when`."""
    by_name: Schema = {"properties": {"alert": {"enum": recommended}}, "required": ["alert"]}
    complete: Schema = {"if": by_name, "then": True, "else": {"required": ["when"]}}
    alert = {"allOf": [{"$ref": "#/$defs/alert"}, complete]}
    return {
        "type": ["array", "string"],
        "pattern": f"^{RECOMMENDED}$",
        "items": {"if": {"type": "string"}, "then": {"const": RECOMMENDED}, "else": alert},
        "description": f"Its thresholds; `{RECOMMENDED}`, alone or among them, stands for those of its kind.",
    }


def _receiver(kinds: Kinds[Any], definitions: Schema) -> Schema:
    properties: Schema = {
        "name": TEXT,
        "fallback": TEXT | {"description": "The receiver to turn to when this one can't be told."},
    }
    for name in kinds.names():
        model = kinds.load(name)
        if not isinstance(model, str):
            definitions[f"notifier_{name}"] = _with_files(_model(model, f"notifier_{name}", definitions))
            definitions[f"notifier_{name}"]["properties"]["http_config"] = HTTP_CONFIG
            properties[name + ENDING] = {"type": "array", "items": {"$ref": f"#/$defs/notifier_{name}"}}
    return _object(properties, properties) | {"required": ["name"]}


def _with_files(part: Schema) -> Schema:
    """The schema with `<key>_file` beside each secret; what is required may come from there, or from `global`."""
    for name in [name for name, held in part["properties"].items() if '"password"' in json.dumps(held)]:
        part["properties"][f"{name}_file"] = TEXT | {"description": f"A file that holds {name}."}
    return {key: held for key, held in part.items() if key != "required"}


def _model(model: type[BaseModel], prefix: str, definitions: Schema) -> Schema:
    """A model's schema; the models inside it go among the definitions under the prefix."""
    made: Schema = model.model_json_schema(ref_template=f"#/$defs/{prefix}_{{model}}")
    for name, inner in made.pop("$defs", {}).items():
        definitions[f"{prefix}_{name}"] = _fillable(inner)
    filled: Schema = _fillable(made)
    return filled


_NOT_WORDS = frozenset({"ge", "gt", "le", "lt"})
"""What pydantic leaves in the schema of a Duration with bounds: no words of JSON Schema."""


def _fillable(value: Any) -> Any:
    """The schema with `${…}` allowed wherever a number, a truth value or a fixed word must stand."""
    if isinstance(value, list):
        return [_fillable(item) for item in value]
    if not isinstance(value, dict):
        return value
    made = {key: item if key == "default" else _fillable(item) for key, item in value.items() if key not in _NOT_WORDS}
    if made.get("type") in ("integer", "number", "boolean") or ("enum" in made and "properties" not in made):
        about = {key: made.pop(key) for key in ("description", "title", "default") if key in made}
        return {"anyOf": [made, FILLED], **about}
    if "pattern" in made and made.get("type") in ("string", ["string", "integer"]):
        made["pattern"] = rf"{made['pattern']}|\$\{{"
    return made
