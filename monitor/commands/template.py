"""`runwatch template render`: what a receiver would be sent, or what a template makes, of a sample."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from alerts.notifiers.base import Notifier
from alerts.template_samples import SAMPLES
from alerts.templates import HtmlTemplate, SlackTemplate, Template, TemplateError, Texts, check, render
from alerts.vocabulary import Notification
from monitor.commands.say import complain, data, out
from monitor.config import Config, ConfigError, find, load

DIALECTS: dict[str, type[Template]] = {"text": Template, "html": HtmlTemplate, "slack": SlackTemplate}
LARGEST_FILE = 1_000_000


def main(asked: argparse.Namespace) -> int:
    """Exit 0, or 1 with sentences."""
    note = SAMPLES[asked.sample]()
    if asked.template is not None or asked.file is not None:
        return _own(asked, note)
    if asked.receiver is None:
        complain("say what to render: --receiver R, --template TEXT or --file F")
        return 1
    return _receiver(asked, note)


def _own(asked: argparse.Namespace, note: Notification) -> int:
    where = "template"
    text = asked.template
    if asked.file is not None:
        where = asked.file
        try:
            text = Path(asked.file).read_bytes()[:LARGEST_FILE].decode()
        except (OSError, UnicodeDecodeError) as why:
            complain(f"cannot read {asked.file}: {why}")
            return 1
    template = DIALECTS[asked.dialect](text)
    try:
        check(template)
        made = render(template, note)
    except TemplateError as why:
        complain(f"{where}:{why.line}:{why.column}: {why.sentence}")
        return 1
    if asked.json:
        data({"text": made})
    else:
        out(made)
    return 0


def _receiver(asked: argparse.Namespace, note: Notification) -> int:
    environ = dict(os.environ)
    try:
        config = load(find(asked.config, environ), environ)
    except ConfigError as error:
        complain(str(error))
        return 1
    if asked.receiver not in config.receivers:
        complain(f"there is no receiver {asked.receiver!r}; there are {', '.join(config.receivers)}")
        return 1
    receiver = config.receivers[asked.receiver]
    note.receiver = receiver.name
    if asked.field is not None:
        return _field(asked, config, note)
    messages = []
    for number, notifier in enumerate(receiver.notifiers, 1):
        texts = Texts(note)
        messages.append({
            "kind": notifier.kind, "number": number, "message": notifier.preview(note, texts),
            "failed": texts.complaints,
        })  # fmt: skip
    if asked.json:
        data(messages)
        return 0
    for message in messages:
        out(f"--- {message['kind']} {message['number']}")
        _say(message["message"])
    return 0


def _say(message: Any) -> None:
    if isinstance(message, dict) and all(isinstance(text, str) for text in message.values()):
        for name, text in message.items():
            out(f"{name}:{chr(10) if chr(10) in text else ' '}{text}")
    else:
        data(message)


def _field(asked: argparse.Namespace, config: Config, note: Notification) -> int:
    """One template of each notifier that has it."""
    receiver = config.receivers[asked.receiver]
    found = [(notifier, template) for notifier in receiver.notifiers for template in _templates(notifier, asked.field)]
    if not found:
        names = sorted({name for notifier in receiver.notifiers for name in _names(notifier)})
        known = f"; it has {', '.join(names)}" if names else ""
        complain(f"the receiver {receiver.name!r} has no template {asked.field!r}{known}")
        return 1
    for notifier, template in found:
        try:
            made = render(template, note)
        except TemplateError as why:
            complain(f"{notifier.kind}.{asked.field}:{why.line}:{why.column}: {why.sentence}")
            return 1
        if asked.json:
            data({"kind": notifier.kind, "text": made})
        else:
            out(made)
    return 0


def _templates(notifier: Notifier, name: str) -> list[Template]:
    return [template for found, template in _all(notifier) if found == name]


def _names(notifier: Notifier) -> list[str]:
    return [name for name, _ in _all(notifier)]


def _all(notifier: Notifier) -> list[tuple[str, Template]]:
    """Every template of a notifier by its key; those in a mapping as `headers.Subject`."""
    found = []
    for name, value in notifier:
        if isinstance(value, Template):
            found.append((name, value))
        elif isinstance(value, dict):
            found += [(f"{name}.{key}", one) for key, one in value.items() if isinstance(one, Template)]
    return found
