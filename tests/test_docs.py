"""The documentation says what is so, and would be caught if it did not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from docs import examples, generate, truth
from docs.markdown import Page
from docs.source import ROOT, events
from monitor import cli


def test_generated_parts_are_what_the_code_says() -> None:
    assert generate.stale() == [], "run `make docs`"


def test_pages_say_nothing_untrue() -> None:
    assert generate.untrue() == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("See [it](docs/nowhere.md).", "there is no file docs/nowhere.md"),
        ("See [it](README.md#nowhere).", "README.md has no section #nowhere"),
        ("# Here\n\nSee [it](#there).", "page.md has no section #there"),
        ("Run `runwatch chek`.", "invalid choice: 'chek'"),
        ("```sh\nrunwatch check --jsn\n```", "unrecognized arguments: --jsn"),
        ("```sh\nA=b runwatch demo break everything | less\n```", "the demo has no fault 'everything'"),
        ("```console\n$ make coffee\n```", "the Makefile has no target 'coffee'"),
        ("```sh\n./nowhere\n```", "there is no program ./nowhere"),
        ("```sh\npython -m nowhere_at_all\n```", "there is no module 'nowhere_at_all'"),
        ("```yaml\nchecks: [{kind: htp}]\n```", "there is no kind 'htp'; did you mean 'http'?"),
        (
            "<!-- refused: no such -->\n```yaml\nchecks: [{kind: http, url: 'https://example.com/'}]\n```",
            "should be refused with 'no such', but: it is good",
        ),
        ("| Key | |\n| --- | --- |\n| `tls.verfy` | |", "there is no key 'tls.verfy'"),
        ("| Event | | |\n| --- | --- | --- |\n| `cheks` | | |", "the log has no event 'cheks'"),
        (
            "| Event | | |\n| --- | --- | --- |\n| `stopped` | `debug` | `undelivered` |",
            "the event 'stopped' is logged at info",
        ),
        (
            "| Event | | |\n| --- | --- | --- |\n| `stopped` | `info` | `left` |",
            "the event 'stopped' has the fields undelivered",
        ),
        ("| Route | |\n| --- | --- |\n| `GET /metric` | |", "there is no route 'GET /metric'"),
        ("| Variable | |\n| --- | --- |\n| `RUNWATCH_PORT` | |", "there is no variable 'RUNWATCH_PORT'"),
        ("| Function | |\n| --- | --- |\n| `mean(x, 10m)` | |", "there is no function 'mean(x, 10m)'"),
        ("| Rule | | |\n| --- | --- | --- |\n| x | `duration_seconds > 1MB` | |", "is refused: duration_seconds is in"),
        (
            "| Rule | | |\n| --- | --- | --- |\n| x | | `duration_seconds > 1s` |",
            "'duration_seconds > 1s' is not refused",
        ),
        ("| Word | |\n| --- | --- |\n| `broken` | |", "there is no word 'broken'"),
        ("| Reason | |\n| --- | --- |\n| `weather` | |", "there is no reason 'weather'"),
        ("| It says | |\n| --- | --- |\n| `the moon is … full` | |", "nowhere does it say 'the moon is'"),
        ("Look at `runwatch_moon_phase`.", "there is no metric 'runwatch_moon_phase'"),
        ("```text\npg_moons 3\n```", "there is no metric 'pg_moons'"),
    ],
)
def test_what_is_not_so_is_found_with_its_line(text: str, sentence: str) -> None:
    found = [problem for problem in truth.problems([Page(Path("page.md"), text)]) if problem.startswith("page.md:")]
    assert any(sentence in problem for problem in found), found


def test_what_no_page_names_is_found() -> None:
    found = truth.problems([])
    assert "no page has a row for the event 'stopped'" in found
    assert "no page has a row for the route 'GET /metrics'" in found
    assert "no page has a row for the variable 'RUNWATCH_STORE'" in found


def test_a_part_that_is_out_of_date_is_written_anew_and_nothing_else() -> None:
    text = (
        "# Kinds\n\nBy hand.\n\n<!-- generated: overview check -->\nof last year\n<!-- end of generated -->\n\nBelow.\n"
    )
    new = generate.filled(text)
    assert "of last year" not in new
    assert "| [http](kinds/http.md) |" in new
    assert new.startswith("# Kinds\n\nBy hand.\n\n") and new.endswith("\n\nBelow.\n")
    assert generate.filled(new) == new


def test_every_event_that_is_logged_was_read_with_its_fields() -> None:
    assert events()["check fails"].fields == {"check", "target", "why", "took"}
    assert events()["alert fires"].fields >= {"alert", "check", "severity", "value", "limit", "why"}
    assert events()["told"].levels == {"info"}


def test_the_kind_that_contributing_shows_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = Page(Path("CONTRIBUTING.md"), (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    for name, text in examples.files(page).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    [shown] = [block.text for block in page.blocks if block.language == "yaml"]
    (tmp_path / "runwatch.yaml").write_text(shown)

    assert cli.main(["check", "-c", str(tmp_path / "runwatch.yaml"), "--json"]) == 0

    [row] = json.loads(capsys.readouterr().out)
    assert (row["check"], row["kind"], row["outcome"]) == ("default/load", "load", "ok")
    [read] = row["measurements"]
    assert read["name"] == "load_per_cpu" and read["value"] >= 0
