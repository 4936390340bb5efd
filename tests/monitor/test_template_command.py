"""`runwatch template render`: messages and templates with a sample, and errors with line and column."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alerts.template_samples import SAMPLES
from monitor.cli import main, parser

CONFIGURATION = """\
route: {receiver: everybody}
receivers:
  - name: everybody
    slack_configs:
      - {api_url: "https://hooks.example.com/services/secret-hook", title: "slack {{ note.status }}"}
    pagerduty_configs: [{routing_key: "0123456789abcdef0123456789abcdef", details: {who: "{{ note.receiver }}"}}]
    email_configs:
      - to: team@example.com
        from: a@example.com
        smarthost: mail.example.com:587
        headers: {Subject: "mail {{ note.reason }}"}
    webhook_configs:
      - {url: "https://example.com/secret-hook", body: "{{ note | tojson }}", headers: {X-Api-Key: secret-hook-key}}
    alertmanager_configs: [{url: "http://alertmanager.example.com:9093"}]
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "runwatch.yaml"
    file.write_text(CONFIGURATION)
    return str(file)


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    code = main(["template", "render", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_every_notifier_of_a_receiver_shows_what_it_would_send(capsys, config):
    for sample in SAMPLES:
        code, out, _ = run(capsys, "-c", config, "--receiver", "everybody", "--sample", sample, "--json")
        shown = {one["kind"]: one["message"] for one in json.loads(out)}
        assert code == 0
        status = "resolved" if sample == "resolved" else "firing"
        assert shown["slack"]["text"] == f"slack {status}"
        action = {"resolved": "resolve", "acknowledged": "acknowledge"}.get(sample, "trigger")
        assert shown["pagerduty"]["event_action"] == action
        assert shown["email"]["Subject"] == f"mail {SAMPLES[sample]().reason}"
        assert "DatabaseDown" in shown["email"]["html"]
        assert shown["webhook"]["body"]["status"] == status
        assert shown["alertmanager"][0]["labels"]["alertname"] == "DatabaseDown"
        assert "secret-hook" not in out
        assert "0123456789abcdef" not in out


def test_for_people_a_mail_is_text(capsys, config):
    code, out, _ = run(capsys, "-c", config, "--receiver", "everybody")
    assert code == 0
    assert "--- email 3\nFrom: a@example.com\nTo: team@example.com\nSubject: mail first\nplain:\n[P0]" in out


def test_one_template_of_a_receiver(capsys, config):
    assert run(capsys, "-c", config, "--receiver", "everybody", "--field", "title")[:2] == (0, "slack firing\n")
    assert run(capsys, "-c", config, "--receiver", "everybody", "--field", "details.who")[1] == "everybody\n"
    code, _, err = run(capsys, "-c", config, "--receiver", "everybody", "--field", "tittle")
    assert code == 1
    assert err == (
        "runwatch: the receiver 'everybody' has no template 'tittle'; "
        "it has body, details.who, headers.Subject, headers.X-Api-Key, title\n"
    )


def test_a_template_that_stands_nowhere_yet(capsys, tmp_path: Path):
    assert run(capsys, "--template", "{{ note.severity }}")[:2] == (0, "critical\n")
    assert run(capsys, "--template", "{{ '<' }}", "--dialect", "slack")[1] == "&lt;\n"
    assert json.loads(run(capsys, "--template", "{{ note.reason }}", "--sample", "storm", "--json")[1]) == {
        "text": "storm"
    }
    file = tmp_path / "page.txt"
    file.write_text("one\n{{ note.nothing }}\n")
    code, out, err = run(capsys, "--file", str(file))
    assert (code, out) == (1, "")
    assert err.startswith(f"runwatch: {file}:2:9: note has no 'nothing'")
    assert run(capsys, "--template", "{{ .Status }}")[2].startswith(
        "runwatch: template:1:1: {{ .Status }} is a Go template"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "say what to render"),
        (["--file", "/nowhere/at-all"], "cannot read /nowhere/at-all"),
        (["--receiver", "x", "-c", "/nowhere/at-all"], "/nowhere/at-all"),
    ],
)
def test_mistakes_end_in_a_sentence(capsys, arguments, said):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (1, "")
    assert said in err


def test_an_unknown_receiver_is_said_with_those_there_are(capsys, config):
    code, _, err = run(capsys, "-c", config, "--receiver", "nobody")
    assert (code, err) == (1, "runwatch: there is no receiver 'nobody'; there are everybody\n")


def test_the_samples_that_can_be_asked_for_are_those_there_are():
    for sample in SAMPLES:
        assert parser().parse_args(["template", "render", "--sample", sample]).sample == sample
