"""Texts that the configuration's author words: Jinja2 in a sandbox, tried at load; at sending never a page's end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import GetCoreSchemaHandler, ValidationInfo
from pydantic_core import core_schema

from alerts.nearest import meant
from alerts.template_samples import SAMPLES
from alerts.template_view import AlertView, NoteView, names_of, view_of
from alerts.vocabulary import Notification
from alerts.wording import cut

if TYPE_CHECKING:
    import jinja2

LONGEST_TEMPLATE = 20_000
AS_KEPT = {"templates": "as kept"}
"""The context of a validation that takes templates as they are: a destination that was good when a page went there."""

Dialect = Literal["text", "html", "slack"]


class TemplateError(ValueError):
    """A template that can't be used; `sentence` says why, `line` and `column` where in the template."""

    def __init__(self, sentence: str, line: int = 1, column: int = 1) -> None:
        super().__init__(f"line {line} of the template: {sentence}" if line > 1 else sentence)
        self.sentence = sentence
        self.line = line
        self.column = column


class Template(str):
    """A template's text, compiled when it is first used. A text to everybody else: it is kept and sent as one.

    Validation raises with the template's line where it can't be parsed, asks for a name that there is not, or fails
    on one of the samples.
    """

    __slots__ = ()
    dialect: ClassVar[Dialect] = "text"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        from_text = core_schema.with_info_after_validator_function(cls._validated, core_schema.str_schema())
        return core_schema.json_or_python_schema(
            json_schema=from_text,
            python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), from_text]),
            serialization=core_schema.to_string_ser_schema(),
        )

    @classmethod
    def _validated(cls, text: str, info: ValidationInfo) -> Template:
        made = cls(text)
        if info.context is not AS_KEPT:
            check(made)
        return made


class HtmlTemplate(Template):
    """What it inserts is escaped for HTML."""

    __slots__ = ()
    dialect: ClassVar[Dialect] = "html"


class SlackTemplate(Template):
    """What it inserts is escaped for Slack, so that no alert mentions anybody; the template itself may."""

    __slots__ = ()
    dialect: ClassVar[Dialect] = "slack"


def check(template: Template) -> None:
    """Raise TemplateError where the template can't be used: its words first, then each sample."""
    go = go_template(template)
    if go:
        raise TemplateError(go[0], *go[1])
    if not _has_code(template):
        return
    _check_names(template)
    for sample in SAMPLES.values():
        render(template, sample())


def render(template: Template, note: Notification) -> str:
    """The template's text for a notification, at most MOST_CHARACTERS long. Raises TemplateError, and nothing else."""
    if not _has_code(template):
        return str(template)
    import jinja2

    from alerts.template_sandbox import MOST_CHARACTERS, TooMuch, budget

    compiled = _compiled(str(template), template.dialect != "text")
    view = view_of(note)
    try:
        with budget():
            made = compiled.render(note=view, now=view.at)
    except TooMuch as why:
        raise TemplateError(str(why), _line(why)) from None
    except RecursionError as why:
        raise TemplateError("it calls itself without an end", _line(why)) from None
    except (jinja2.TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as why:
        raise TemplateError(_in_words(why), *_place(template, why)) from None
    if template.dialect == "slack":
        # Slack reads back these three alone: & < >.
        made = made.replace("&#34;", '"').replace("&#39;", "'")
    return cut(made, MOST_CHARACTERS)


class Texts:
    """The texts of one message: from templates, or built in where there is none or it fails, which is then said."""

    def __init__(self, note: Notification) -> None:
        self._note = note
        self.complaints: list[str] = []

    def of(self, name: str, template: Template | None, otherwise: str) -> str:
        """The text of the key `name`: the template's, else `otherwise`."""
        if template is None:
            return otherwise
        try:
            return render(template, self._note)
        except TemplateError as why:
            self.complaints.append(f"the template `{name}` of receiver {self._note.receiver} failed: {why}")
            return otherwise

    @property
    def note(self) -> str:
        """All that failed, as one text; empty where nothing did."""
        return "; ".join(self.complaints)


def _has_code(text: str) -> bool:
    return "{{" in text or "{%" in text or "{#" in text


@lru_cache(maxsize=1024)
def _compiled(text: str, autoescape: bool) -> jinja2.Template:
    from jinja2 import TemplateAssertionError, TemplateSyntaxError

    from alerts.template_sandbox import FILTERS, compiled

    if len(text) > LONGEST_TEMPLATE:
        raise TemplateError(f"it is longer than {LONGEST_TEMPLATE:,} characters")
    try:
        return compiled(text, autoescape)
    except TemplateAssertionError as why:
        said = str(why.message or "")
        name = said.partition("'")[2].partition("'")[0]
        near = get_close_matches(name, FILTERS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise TemplateError(f"{_lowered(said).rstrip('.')}{hint}", *_found(text, why.lineno, name)) from None
    except TemplateSyntaxError as why:
        said = _lowered(str(why.message or "it is no template").rstrip("."))
        raise TemplateError(said, *_found(text, why.lineno, "{")) from None
    except RecursionError:
        raise TemplateError("it is nested too deeply") from None


def _check_names(template: Template) -> None:
    """Find names that no sample may come by: in branches that none of them takes."""
    from jinja2 import nodes

    from alerts.template_sandbox import environment

    _compiled(str(template), template.dialect != "text")
    tree = environment(template.dialect != "text").parse(str(template))
    for outside in tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)):
        raise TemplateError("a template can't take in another one", *_found(template, outside.lineno, "{%"))
    known = {"note", "now", *environment(False).globals}
    stored = {name.name for name in tree.find_all(nodes.Name) if name.ctx in ("store", "param")}
    stored |= {macro.name for macro in tree.find_all(nodes.Macro)} | {"loop", "caller", "varargs", "kwargs", "self"}
    for name in tree.find_all(nodes.Name):
        if name.ctx == "load" and name.name not in known | stored:
            raise TemplateError(_unknown("there is", name.name, known), *_found(template, name.lineno, name.name))
    views = {"note": NoteView} if "note" not in stored else {}
    for alert in _names_of_alerts(tree):
        views[alert] = AlertView  # type: ignore[assignment]  # either sort of view
    for asked in tree.find_all(nodes.Getattr):
        view = views.get(asked.node.name) if isinstance(asked.node, nodes.Name) else None
        if view is not None and asked.attr not in names_of(view):
            owner = "note has" if view is NoteView else "an alert has"
            sentence = _unknown(owner, asked.attr, names_of(view))
            raise TemplateError(sentence, *_found(template, asked.lineno, asked.attr))


def _names_of_alerts(tree: jinja2.nodes.Template) -> Iterator[str]:
    """The names that loops over note.alerts, .firing or .resolved give to an alert, and nothing else."""
    from jinja2 import nodes

    loops = [loop for loop in tree.find_all(nodes.For) if isinstance(loop.target, nodes.Name)]
    for loop in loops:
        over = loop.iter
        while isinstance(over, nodes.Getitem | nodes.Filter) and over.node is not None:
            if isinstance(over, nodes.Filter) and over.name not in ("sort", "reverse", "list", "selectattr"):
                break
            over = over.node
        if isinstance(over, nodes.Getattr) and over.attr in ("alerts", "firing", "resolved"):
            name = loop.target.name  # type: ignore[attr-defined]  # a Name, as asked for above
            if sum(other.target.name == name for other in loops) == 1:  # type: ignore[attr-defined]  # the same
                yield name


def _unknown(owner: str, name: str, known: Any) -> str:
    return f"{owner} no {name!r}{meant(name, sorted(known))}"


def _line(why: BaseException) -> int:
    """The line of the template in which an exception came about."""
    line, trace = 1, why.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _place(template: str, why: BaseException) -> tuple[int, int]:
    quoted = re.findall(r"'([^']+)'", str(why))
    return _found(template, _line(why), quoted[0] if quoted else "{")


def _found(text: str, line: int, what: str) -> tuple[int, int]:
    """The line, and the column at which something stands in it; 1 where it can't be told."""
    lines = text.splitlines()
    at = lines[line - 1].find(what) if 0 < line <= len(lines) else -1
    return line, max(at, 0) + 1


def _in_words(why: Exception) -> str:
    said = str(why).rstrip(".") or type(why).__name__
    return said if said.startswith(("note", "an alert", "there is")) else _lowered(said)


def _lowered(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


_GO = re.compile(
    r"\{\{-?\s*(?P<code>[.$][^}]*|(?:template|define|block|range|if|with|printf|index|len|toUpper|toLower|title|join)"
    r"\s+[.$\"(\w][^}]*|(?:else|end)\s*|else\s+if\s[^}]*)-?\}\}"
)
_GO_WORDS = {
    ".CommonLabels": "note.common_labels", ".GroupLabels": "note.group_labels", ".Status": "note.status",
    ".CommonAnnotations": "note.common_annotations", ".Alerts.Firing": "note.firing", ".Receiver": "note.receiver",
    ".Alerts.Resolved": "note.resolved", ".Alerts": "note.alerts", ".ExternalURL": "note.external_url",
    ".Labels": "alert.labels", ".Annotations": "alert.annotations", ".StartsAt": "alert.since | clock_time",
    ".EndsAt": "alert.resolved_at | clock_time", ".Fingerprint": "alert.fingerprint", ".GeneratorURL": "alert.link",
}  # fmt: skip


def go_template(text: str) -> tuple[str, tuple[int, int]] | None:
    """What to write in place of the first piece of a Go template, and its line and column; None where there is none."""
    found = _GO.search(text)
    if found is None:
        return None
    line = text.count("\n", 0, found.start()) + 1
    column = found.start() - (text.rfind("\n", 0, found.start()) + 1) + 1
    piece = cut(found[0], 80)
    return f"{piece} is a Go template; in Jinja2 write {_jinja(found['code'].strip())}", (line, column)


def _jinja(code: str) -> str:
    word, _, rest = code.partition(" ")
    for go in sorted(_GO_WORDS, key=len, reverse=True):
        rest = re.sub(rf"(?:\$\w*)?{re.escape(go)}\b", _GO_WORDS[go], rest)
    match word:
        case "range":
            over = rest.rpartition(":=")[2].strip()
            return "{% for alert in " + (over if over.startswith("note.") else "note.alerts") + " %}…{% endfor %}"
        case "if" | "with":
            return "{% if " + rest.strip() + " %}…{% endif %}"
        case "end":
            return "{% endif %} or {% endfor %}"
        case "else":
            return "{% else %}"
        case "template" | "define" | "block":
            return "{{ headline(note) }}, or leave it out for the built-in text"
    for go in sorted(_GO_WORDS, key=len, reverse=True):
        if re.match(rf"(?:\$\w*)?{re.escape(go)}\b", code):
            return "{{ " + re.sub(rf"^(?:\$\w*)?{re.escape(go)}", _GO_WORDS[go], code) + " }}"
    return "{{ note.… }}"
