"""The commands as a shell sees them: output, exit codes, and a sentence where something is wrong."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from monitor.commands import say
from monitor.commands.oncall import label_set
from monitor.demo.inbox import Inbox
from tests.daemon import Daemon

UNSURE = """
from checks.base import Check, Errored, Reason

class Unsure(Check):
    async def probe(self, run):
        raise Errored(Reason.AUTH, "our role may not look")
"""

HOME = Path(__file__).parents[2]


def runwatch(*arguments: str, folder: Path = HOME, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, without anything of ours in its environment."""
    return subprocess.run(
        [sys.executable, "-m", "monitor", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(HOME), "HOME": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.fixture
def certificate(tmp_path):
    """A PEM file that a check can read without any server."""
    import trustme

    file = tmp_path / "server.pem"
    trustme.CA().issue_cert("shop.example").cert_chain_pems[0].write_to_path(file)
    return file


def configured(folder: Path, *checks: str) -> str:
    file = folder / "runwatch.yaml"
    lines = "\n".join(f"  - {check}" for check in checks)
    plugins = "plugins: [kinds]\n" if (folder / "kinds").exists() else ""
    file.write_text(f"{plugins}defaults: {{timeout: 2s, retries: 0}}\nchecks:\n{lines}\n")
    return str(file)


def test_check_exits_as_nagios_plugins_do(tmp_path, certificate):
    good = f"{{name: good, kind: tls, file: {certificate}}}"
    bad = "{name: bad, kind: tcp, address: '127.0.0.1:1'}"
    unsure = "{name: unsure, kind: unsure}"
    (tmp_path / "kinds").mkdir()
    (tmp_path / "kinds" / "unsure.py").write_text(UNSURE)
    limit = "alerts: [{alert: Soon, when: certificate_expires_in < 900000d, severity: %s}]"
    warning = f"{{name: warning, kind: tls, file: {certificate}, {limit % 'low'}}}"
    grave = f"{{name: grave, kind: tls, file: {certificate}, {limit % 'critical'}}}"
    for expected, checks in (
        (0, [good]),
        (1, [good, warning]),
        (2, [good, warning, unsure, bad]),
        (2, [good, grave]),
        (3, [good, warning, unsure]),
    ):
        done = runwatch("check", "-c", configured(tmp_path, *checks))
        assert (done.returncode, done.stderr) == (expected, ""), done.stdout
    assert "can't be told" in done.stdout
    assert "Soon: " in runwatch("check", "-c", configured(tmp_path, warning)).stdout


def test_check_as_json_carries_the_measurements(tmp_path, certificate):
    done = runwatch("check", "--json", "-c", configured(tmp_path, f"{{name: good, kind: tls, file: {certificate}}}"))
    [row] = json.loads(done.stdout)
    assert (row["check"], row["outcome"], row["breached"]) == ("default/good", "ok", [])
    assert "certificate_expires_in" in {one["name"] for one in row["measurements"]}


def test_check_names_the_nearest_where_there_is_no_such_check(tmp_path):
    file = configured(tmp_path, "{name: database, kind: tcp, address: '127.0.0.1:1'}")
    done = runwatch("check", "databse", "-c", file)
    assert (done.returncode, done.stderr) == (3, "runwatch: there is no check 'databse'; did you mean 'database'?\n")
    assert runwatch("check", "--system", "nope", "-c", file).returncode == 3


def test_a_first_configuration_is_good_and_is_never_overwritten(tmp_path):
    assert runwatch("init", "--target", "http://127.0.0.1:1/", folder=tmp_path).returncode == 0
    done = runwatch("validate", folder=tmp_path)
    assert (done.returncode, "good: 1 checks" in done.stdout) == (0, True)
    before = (tmp_path / "runwatch.yaml").read_text()
    done = runwatch("init", folder=tmp_path)
    assert (done.returncode, "there already" in done.stderr) == (1, True)
    assert (tmp_path / "runwatch.yaml").read_text() == before


def test_validate_says_everything_at_once_with_its_place(tmp_path):
    file = tmp_path / "runwatch.yaml"
    file.write_text("chekcs: []\nserver: {listen: '0.0.0.0:1'}\nroute: {receiver: nobody}\n")
    done = runwatch("validate", "-c", str(file))
    assert done.returncode == 1
    assert f"{file}:1:1: chekcs: unknown key 'chekcs'; did you mean 'checks'?" in done.stdout
    assert len(done.stdout.splitlines()) == 3
    told = json.loads(runwatch("validate", "--json", "-c", str(file)).stdout)
    assert (told["valid"], [problem["line"] for problem in told["problems"]]) == (False, [1, 2, 3])


def test_without_a_configuration_it_says_where_it_looked(tmp_path):
    done = runwatch("run", folder=tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "runwatch init" in done.stderr


@pytest.mark.parametrize("command", [("alerts",), ("test-alert", "--receiver", "on-call")])
def test_without_a_daemon_it_says_how_to_start_one(tmp_path, command):
    done = runwatch(*command, "--url", "http://127.0.0.1:1", folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot reach a daemon at http://127.0.0.1:1" in done.stderr and "runwatch run" in done.stderr
    assert "is not an address" in runwatch(*command, "--url", "nonsense", folder=tmp_path).stderr


async def test_alerts_shows_what_fires_and_asks_for_the_token(tmp_path):
    token = "a-token-of-some-length"
    text = f"""
defaults: {{interval: 300ms, timeout: 200ms, retries: 0}}
server: {{auth: {{tokens: ["{token}"]}}}}
checks:
  - {{name: gone, kind: tcp, address: "127.0.0.1:1"}}
"""
    async with Daemon(tmp_path, text) as daemon:
        await daemon.logged("alert fires")
        done = runwatch("alerts", "--url", daemon.url, "--token", token)
        assert (done.returncode, "GoneFailed" in done.stdout, "nobody" in done.stdout) == (0, True, True)
        assert json.loads(runwatch("alerts", "--json", "--url", daemon.url, RUNWATCH_TOKEN=token).stdout)
        done = runwatch("alerts", "--url", daemon.url)
        assert (done.returncode, "a token is needed" in done.stderr) == (1, True)


async def test_the_page_shows_every_check_and_escapes_what_targets_say(tmp_path):
    async with Inbox() as inbox:
        text = f"""
defaults: {{interval: 5s, timeout: 4s, retries: 0}}
checks:
  - name: hostile
    kind: http
    url: "{inbox.url}/messages"
    expect: {{json: {{"[0]": "<script>alert(1)</script>"}}}}
"""
        async with Daemon(tmp_path, text) as daemon:
            await daemon.logged("alert fires")
            status, page = await daemon.get("/")
            assert (status, "hostile" in page, "HostileFailed" in page) == (200, True, True)
            assert "<script" not in page
            assert "&lt;script&gt;" in page


def test_output_into_a_pipe_that_closes_is_no_error(tmp_path):
    done = subprocess.run(
        f"{sys.executable} -m monitor schema | head -c 10",
        shell=True,
        cwd=HOME,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.stdout, done.stderr) == ('{\n  "$sche', "")


def test_help_imports_nothing_but_the_standard_library():
    program = "import sys; sys.argv[0] = 'runwatch'\ntry:\n from monitor.cli import main; main(['--help'])\n"
    program += "except SystemExit: pass\nprint(sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", program], cwd=HOME, capture_output=True, text=True, timeout=30)
    loaded = set(eval(done.stdout.splitlines()[-1]))
    assert not loaded & {"aiohttp", "pydantic", "structlog", "yaml", "asyncio"}


def test_what_strangers_wrote_moves_no_cursor_and_forges_no_line(capsys):
    """ESC and C1 sequences, direction marks and line feeds in a comment or an alert's label."""
    evil = "\x1b[2J\x9b31m\u202egnp\x07\nall is well\tno"
    say.out(evil)
    say.complain(evil)
    say.data({"comment": evil, "who": "Zoë"})
    say.table(["COMMENT", "WHO"], [[evil, "ann"]])
    said, complained = capsys.readouterr()
    for char in "\x1b\x9b\u202e\x07":
        assert char not in said + complained
    *_, title, row = said.splitlines()
    assert (title.split(), row.split()[-2:]) == (["COMMENT", "WHO"], ["no", "ann"])
    assert '"who": "Zoë"' in said
    start = said.index("{")
    assert json.loads(said[start : said.index("}") + 1])["comment"] == evil


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("severity=critical,system=shop", {"severity": "critical", "system": "shop"}),
        ('{team="a, b",severity = "critical"}', {"team": "a, b", "severity": "critical"}),
        ('"größe"="sehr, groß"', {"größe": "sehr, groß"}),
        ("{}", {}),
    ],
)
def test_label_sets_are_read_as_matchers_are(text, labels):
    assert label_set(text) == labels


@pytest.mark.parametrize("text", ["", "severity", "severity=~critical", "severity!=critical", "=critical", 'a="b'])
def test_what_is_no_label_set_is_said(text, tmp_path):
    done = runwatch("explain", "--route", text, folder=tmp_path)
    assert done.returncode == 1
    assert "write --route severity=critical,system=shop" in done.stderr


@pytest.mark.parametrize(
    "address",
    ["http://[", "http://a b", "http://x\n", "http://127.0.0.1:99999", "http://", "ftp://x", "http://\u202e", "x"],
)
def test_an_address_that_is_none_is_said(tmp_path, address):
    done = runwatch("alerts", "--url", address, folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("runwatch: ")


async def test_what_answers_but_is_no_daemon_is_said(tmp_path):
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH\r\n" if not answers else answers.pop())
        writer.close()

    answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n[", b"HTTP/1.1 200 OK\r\n\r\n<html>"]
    async with await asyncio.start_server(babble, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        for _ in range(3):
            done = await asyncio.to_thread(runwatch, "alerts", "--url", f"http://127.0.0.1:{port}", folder=tmp_path)
            assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
            assert "cannot reach a daemon" in done.stderr


def test_a_token_with_a_line_feed_is_refused_and_not_shown(tmp_path):
    done = runwatch("alerts", "--url", "http://127.0.0.1:1", "--token", "s3cret\n", folder=tmp_path)
    assert done.returncode == 1
    assert "s3cret" not in done.stderr + done.stdout


def test_output_that_nobody_can_take_is_no_traceback(tmp_path):
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "monitor", "kinds"]
        done = subprocess.run(command, cwd=HOME, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert (done.returncode, done.stderr) == (
            1,
            "runwatch: cannot write what there is to say: No space left on device\n",
        )
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m monitor kinds >&-"], cwd=HOME, stderr=subprocess.PIPE, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


ASKED = """
systems:
  - system: shop
    limits: [{name: store API, match: "http://127.0.0.1:1/*", requests: 60, per: 1m}]
    checks:
      - {name: front, kind: http, url: "http://127.0.0.1:1/", interval: 60s, retries: 2}
  - system: mail
    checks:
      - {name: smtp, kind: tcp, address: "127.0.0.1:25"}
"""


def test_requests_says_how_much_is_asked_of_whom_and_of_each_limit(tmp_path):
    file = tmp_path / "runwatch.yaml"
    file.write_text(ASKED)
    done = runwatch("requests", "-c", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["USUAL/MIN", "WORST/MIN", "WHAT", "OF", "BY"],
        ["2", "6", "connections", "127.0.0.1:25", "mail/smtp"],
        ["1", "6", "requests", "http://127.0.0.1:1/", "shop/front"],
        [],
        ["LIMIT", "ALLOWS", "OURS", "USUAL", "WORST", "OF", "IT", "BY"],
        ["store", "API", "60", "in", "1m", "6", "1", "6", "10.0%", "shop/front"],
    ]
    only = json.loads(runwatch("requests", "-c", str(file), "--system", "shop", "--json").stdout)
    assert only == {
        "targets": [
            {"target": "http://127.0.0.1:1/", "method": "GET", "what": "requests", "checks": ["shop/front"],
             "usual_per_minute": 1.0, "worst_per_minute": 6}
        ],
        "limits": [
            {"system": "shop", "name": "store API", "match": ["http://127.0.0.1:1/*"], "requests": 60, "per": 60.0,
             "share": 0.1, "ours": 6.0, "checks": ["shop/front"], "usual": 1.0, "worst": 6, "worst_share": 0.1}
        ],
    }  # fmt: skip
    assert "limits" in runwatch("requests", "-c", str(file), "--system", "mail", "--json").stdout
    nobody = runwatch("requests", "-c", str(file), "--system", "shp")
    assert (nobody.returncode, nobody.stdout) == (1, "")
    assert nobody.stderr == "runwatch: there is no system 'shp'; known: shop, mail\n"


def test_requests_of_a_configuration_that_asks_nobody_or_too_much(tmp_path):
    file = tmp_path / "runwatch.yaml"
    file.write_text("checks: [{name: files, kind: host}]")
    assert "no check asks anybody anything" in runwatch("requests", "-c", str(file)).stdout
    file.write_text(ASKED.replace("requests: 60", "requests: 20"))
    refused = runwatch("requests", "-c", str(file))
    assert refused.returncode == 1
    assert "at worst the checks ask 6: shop/front 6" in refused.stderr
