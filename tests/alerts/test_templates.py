"""Templates say what their author wants, are refused at load with line and nearest name, and never cost a page."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from alerts.notifiers.slack import Slack
from alerts.notifiers.webhook import Webhook
from alerts.template_samples import SAMPLES
from alerts.template_sandbox import MOST_CHARACTERS
from alerts.templates import (
    AS_KEPT,
    HtmlTemplate,
    SlackTemplate,
    Template,
    TemplateError,
    Texts,
    check,
    go_template,
    render,
)
from alerts.vocabulary import Phase
from checks.base import revealed
from monitor.config import ConfigError, load
from tests.alerts.notes import NOON, alert, note, resolved


def made(text: str, kind: type[Template] = Template, **fields: object) -> str:
    return render(kind(text), note(**fields))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no code at all: 100 % {x}", "no code at all: 100 % {x}"),
        ("{{ note.status }} {{ note.severity }}", "firing critical"),
        ("{{ note.headline | truncate(34, true, '') }}", "[P0] DatabaseDown · shop/database:"),
        ("{{ headline(note) == note | headline }}", "True"),
        ("{{ note.group_labels.system }}|{{ note.common_labels.nowhere }}|", "shop||"),
        ("{% if 'nowhere' in note.common_labels %}a{% else %}b{% endif %}", "b"),
        ("{% for a in note.firing %}{{ a.name }} {{ (now - a.since) | duration }}{% endfor %}", "DatabaseDown 1m"),
        ("{{ note.alerts[0].since | clock_time }}", "2026-11-22 11:59:00 UTC"),
        ("{{ note.alerts | map(attribute='name') | join(', ') }}", "DatabaseDown"),
        ("{{ note.alerts[0].runbook.title }}: {{ note.alerts[0].evidence[0].title }}", "Database down: Measured"),
        ("{{ {'a': note.status} | tojson }}", '{"a": "firing"}'),
        ("{{ note.why | default('-', true) }}{{ 2 ** 10 }}{{ 'ab' ~ 1 }}", "-1024ab1"),
        ("{% set n = namespace(x=0) %}{% for i in range(3) %}{% set n.x = n.x + i %}{% endfor %}{{ n.x }}", "3"),
        ("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(1) }}", "<1>"),
    ],
)  # fmt: skip
def test_what_a_template_can_say(text, said):
    check(Template(text))
    assert made(text) == said


def test_a_whole_notification_is_json():
    for sample in SAMPLES.values():
        assert json.loads(render(Template("{{ note | tojson }}"), sample()))["receiver"] == "on-call"


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        ("{{ note.hedline }}", 1, 9, "note has no 'hedline'; did you mean 'headline'?"),
        ("a\nb {{ nte.status }}", 2, 6, "there is no 'nte'; did you mean 'note'?"),
        ("{% if note.reason == 'never' %}\n{{ note.statuss }}\n{% endif %}", 2, 9, "did you mean 'status'?"),
        ("{% for a in note.resolved %}{{ a.nme }}{% endfor %}", 1, 34, "an alert has no 'nme'; did you mean 'name'?"),
        ("{% for a in note.alerts %}\n{{ a.runbook.titel }}{% endfor %}", 2, 14, "did you mean 'title'?"),
        ("{{ note.status | uper }}", 1, 18, "no filter named 'uper'; did you mean 'upper'?"),
        ("x\n{% for a in note.alerts %}", 2, 1, "unexpected end of template"),
        ("{{ note.alerts[7].name }}", 1, 1, "there is no item 7 of 1"),
        ("{% include 'other' %}", 1, 1, "can't take in another one"),
        ("{{ 1 / (note.alerts | length - 1) }}", 1, 1, "division"),
        ("{{ note.alerts | length + [] }}", 1, 1, "unsupported operand"),
    ],
)
def test_what_is_wrong_is_found_at_load_with_its_place(text, line, column, said):
    with pytest.raises(TemplateError) as refused:
        check(Template(text))
    assert said in refused.value.sentence
    assert (refused.value.line, refused.value.column) == (line, column)


@pytest.mark.parametrize(
    "text",
    [
        "{{ 'x' * 10**9 }}",
        "{{ [0] * 10**9 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{% set x = 'aaaaaaaaaa' %}" + "{% set x = x ~ x %}" * 40,
        "{% set x = 'aaaaaaaaaa' %}" + "{% set x = x + x %}" * 40,
        "{% set x = 7 %}" + "{% set x = x * x %}" * 40,
        "{% for a in range(10000) %}{% for b in range(10000) %}{% endfor %}{% endfor %}",
        "{% for a in range(1000000000) %}{% endfor %}",
        "{% for a in range(40000) %}" + "x" * 1_000 + "{% endfor %}",
        "{% set x %}{% for a in range(40000) %}{{ note.headline }}{% endfor %}{% endset %}{{ x }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
        "{% for a in note.alerts recursive %}{{ loop(note.alerts) }}{% endfor %}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '{:>1000000000}'.format(1) }}",
        "{{ 'x'.center(1000000000) }}",
        "{{ 'x' | indent(1000000000, true) }}",
        "{{ 'x' | center(1000000000) }}",
        "{% set x = 'a' * 10000 %}{{ x | replace('a', x) }}",
        "{% set x = 'a,' * 10000 %}{{ ('a' * 10000).join(x.split(',')) }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ note.alerts.append(1) }}",
        "{{ range.__globals__ }}",
        "{{ note | attr('__class__') }}",
        "{{ cycler.__init__.__globals__.os }}",
        "{{ lipsum(n=1000) }}",
        "{{ " + "(" * 3_000 + "1" + ")" * 3_000 + " }}",
        "{{ note.status }}" + "x" * 20_000,
    ],
)
def test_no_template_takes_more_than_its_bounds(text):
    with pytest.raises(TemplateError):
        check(Template(text))


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("{{ .CommonLabels.alertname }}", "{{ note.common_labels.alertname }}"),
        ('{{ template "slack.default.title" . }}', "{{ headline(note) }}"),
        ("{{ range .Alerts.Firing }}{{ .Labels.x }}{{ end }}", "{% for alert in note.firing %}"),
        ("{{- if eq .Status \"firing\" }}", "{% if"),
        ("x\n{{ .GroupLabels.system | toUpper }}", "{{ note.group_labels.system"),
        ("{{ $labels.x }}", "{{ note."),
        ("{{ end }}", "{% endif %}"),
    ],
)  # fmt: skip
def test_a_go_template_is_refused_with_what_to_write_instead(text, instead):
    found = go_template(text)
    assert found is not None
    assert "is a Go template" in found[0]
    assert instead in found[0]
    with pytest.raises(TemplateError, match="Go template"):
        check(Template(text))


@pytest.mark.parametrize("text", ["{{ title }}", "{{ range(3) }}", "{{ note.status if note else 1 }}", "{{ joined }}"])
def test_jinja_is_not_taken_for_go(text):
    assert go_template(text) is None


def test_html_and_slack_templates_escape_what_alerts_say_and_not_what_their_author_says():
    nasty = note(alert(name="<!channel> & \"x\" 'y'"), why="<b>")
    text = "<!here> {{ note.alerts[0].name }} {% set x %}{{ note.why }}{% endset %}{{ x }}{{ note.why ~ '<' }}"
    slack = render(SlackTemplate(text), nasty)
    assert slack == "<!here> &lt;!channel&gt; &amp; \"x\" 'y' &lt;b&gt;&lt;b&gt;&lt;"
    html = render(HtmlTemplate("<i>{{ note.alerts[0].name }}</i>"), nasty)
    assert html == "<i>&lt;!channel&gt; &amp; &#34;x&#34; &#39;y&#39;</i>"
    assert render(Template("{{ note.why | slack }}{{ note.why }}"), nasty) == "&lt;b&gt;<b>"


def test_hostile_alerts_are_cut_printable_and_said_to_be():
    labels = {"alertname": "X\x00\u202e", **{f"l{number}": "y" for number in range(10_000)}}
    hostile = note(alert(labels=labels, annotations={"a": "z" * 1_000_000}), alert(labels={}, sentence="\ud800"))
    said = render(Template("{{ note.alerts[0].name }} {{ note.alerts[0].labels | length }}"), hostile)
    assert said == "X\ufffd\ufffd 200"
    long = render(Template("{{ note.alerts[0].annotations.a }}"), hostile)
    assert len(long) == 4_000
    assert long.endswith("(cut)")
    assert render(Template("{{ note.alerts[1].name }}{{ note.alerts[1].sentence }}"), hostile).endswith("\ufffd")
    many = note(*[alert()] * 1_000)
    assert render(Template("{{ note.alerts | length }} {{ note.left_out }}"), many) == "200 800"


def test_a_template_that_fails_gives_way_to_the_built_in_text_and_says_so():
    broken = Template.__new__(Template, "{{ note.alerts[3].name }}")
    texts = Texts(note())
    assert texts.of("title", broken, "built in") == "built in"
    assert texts.of("title", Template("{{ note.status }}"), "built in") == "firing"
    assert texts.complaints == ["the template `title` of receiver on-call failed: there is no item 3 of 1"]


class Holder(BaseModel):
    """Something with templates."""

    title: Template | None = None
    details: dict[str, SlackTemplate] = {}


def test_templates_survive_the_outbox_even_where_they_would_be_refused_now():
    held = Holder(title="{{ note.status }}", details={"a": "{{ note.why }}"})
    kept = orjson.loads(orjson.dumps(revealed(held)))
    assert Holder.model_validate(kept) == held
    assert isinstance(Holder.model_validate(kept, context=AS_KEPT).details["a"], SlackTemplate)
    kept["title"] = "{{ note.no_more }}"
    with pytest.raises(ValueError, match="no_more"):
        Holder.model_validate(kept)
    old = Holder.model_validate(kept, context=AS_KEPT)
    assert Texts(note()).of("title", old.title, "built in") == "built in"
    assert Holder.model_validate(revealed(old)) == old


def test_notifiers_with_templates_survive_the_outbox():
    slack = Slack(api_url="https://hooks.example.com/x", title="{{ note.status }}", text="{{ note.why }}")
    hook = Webhook(url="https://example.com/", headers={"X-Status": "{{ note.status }}"}, body="{{ note | tojson }}")
    for notifier in (slack, hook):
        kept = orjson.loads(orjson.dumps(revealed(notifier)))
        assert type(notifier).model_validate(kept, context=AS_KEPT) == notifier


def test_the_configuration_names_file_line_and_the_templates_own_line(tmp_path: Path):
    (tmp_path / "runwatch.yaml").write_text(
        "route: {receiver: a}\n"
        "receivers:\n"
        "  - name: a\n"
        "    slack_configs:\n"
        "      - api_url: https://hooks.example.com/services/x\n"
        "        title: '{{ note.hedline }} see https://x.example/ @team'\n"
        "        text: |\n"
        "          one\n"
        "          {{ .CommonLabels.x }}\n"
    )
    with pytest.raises(ConfigError) as refused:
        load(tmp_path / "runwatch.yaml", {})
    said = str(refused.value)
    assert "runwatch.yaml:6:16: receivers[0].slack_configs[0].title: note has no 'hedline'" in said
    assert "slack_configs[0].text: " in said
    assert "{{ note.common_labels.x }}" in said


_PIECES = st.sampled_from(
    [
        *("{{ note.status }}", "{{", "}}", "{%", "%}", "{% for a in note.alerts %}", "{% endfor %}", "{{ a.name }}"),
        *("{% if 1 %}", "{% endif %}", "{# x #}", "{{ x }}", "{% set x = 1 %}", "\n", " text ", "{{ note['a'] }}"),
        *("{{ 1 // 0 }}", "~", "|"),
    ]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(st.lists(_PIECES, max_size=8).map("".join), st.text(max_size=40).map(lambda text: f"{{{{ {text} }}}}"))
)
def test_any_text_either_is_good_for_all_samples_or_refused_with_a_sentence(text):
    try:
        check(Template(text))
    except TemplateError as why:
        assert why.sentence
        assert 1 <= why.line <= text.count("\n") + len(text.splitlines()) + 1
        return
    for sample in SAMPLES.values():
        assert len(render(Template(text), sample())) <= MOST_CHARACTERS


def test_the_samples_are_what_they_are_called():
    assert SAMPLES["resolved"]().alerts[0].phase is not Phase.FIRING
    assert SAMPLES["storm"]().left_out > 8_000
    assert SAMPLES["acknowledged"]().alerts[0].acked_by == "anna"
    assert dataclasses.asdict(SAMPLES["firing"]()) == dataclasses.asdict(SAMPLES["firing"]())
    assert render(Template("{{ note.headline }}"), resolved()).startswith("[RESOLVED]")
    assert SAMPLES["firing"]().at == NOON
