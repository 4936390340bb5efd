"""Whatever an alert says, every vendor's rules hold and nothing it says acts: generated alerts, all notifiers."""

from __future__ import annotations

import re
from email import message_from_bytes, policy

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.notifiers._slack_message import follow_up
from alerts.notifiers.alertmanager import batched
from alerts.notifiers.apprise import Apprise
from alerts.notifiers.email import Email
from alerts.notifiers.pagerduty import LARGEST_EVENT, PagerDuty, encoded
from alerts.notifiers.slack import Slack
from alerts.notifiers.webhook import Webhook
from alerts.templates import Texts
from alerts.vocabulary import REASONS, Alert, Notification, Phase, Runbook, Severity, fingerprint
from monitor.demo.inbox_rules import event_problems, slack_problem
from tests.alerts.notes import NOON, note

KEY = "0123456789abcdef0123456789abcdef"
SLACK = Slack(api_url="https://hooks.example.com/x")
PAGERDUTY = PagerDuty(routing_key=KEY)
MAIL = Email.model_validate({"to": "a@example.com", "from": "b@example.com", "smarthost": "localhost:25"})
HOOK = Webhook(url="https://example.com/")
PHONE = Apprise(urls="json://localhost")

_NASTY = st.sampled_from(
    [
        *("\x00", "\u202e", "\ud800", "<!channel>", "<script>", "\r\nBcc: x@y.example\r\n\r\n", "\n.\n", '"', "```"),
        *("{{ note }}", "=?utf-8?q?x?=", "\u2028", "x" * 5_000, "https://a.example/ b", "@here", "\x1b[31m", "🔥" * 40),
    ]
)  # fmt: skip
TEXTS = st.one_of(st.text(max_size=30), st.lists(_NASTY, max_size=6).map("".join))
PAIRS = st.dictionaries(TEXTS, TEXTS, max_size=6)
SEVERITIES = st.sampled_from(list(Severity))
TIMES = st.floats(min_value=0, max_value=2 * NOON, allow_nan=False)


@st.composite
def alerts(draw: st.DrawFn) -> Alert:
    labels = draw(PAIRS) | (draw(st.sampled_from([{}, {"alertname": draw(TEXTS)}])))
    return Alert(
        fingerprint=fingerprint(labels), labels=labels, check=draw(TEXTS), severity=draw(SEVERITIES),
        phase=draw(st.sampled_from([Phase.FIRING, Phase.INACTIVE])), since=draw(TIMES), resolved_at=draw(TIMES),
        annotations=draw(PAIRS) | {"runbook_url": draw(TEXTS)}, value=draw(TEXTS), limit=draw(TEXTS),
        reason=draw(TEXTS), sentence=draw(TEXTS), evidence=draw(st.lists(st.tuples(TEXTS, TEXTS), max_size=3)),
        runbook=Runbook(draw(TEXTS), draw(TEXTS), draw(TEXTS)), severity_word=draw(TEXTS), target=draw(TEXTS),
        impact=draw(st.lists(TEXTS, max_size=3)), acked_by=draw(TEXTS), acked_at=draw(TIMES), flapping=draw(TEXTS),
    )  # fmt: skip


@st.composite
def notes(draw: st.DrawFn) -> Notification:
    told = draw(st.lists(alerts(), min_size=1, max_size=4)) * draw(st.sampled_from([1, 1, 15]))
    firing = any(alert.phase is Phase.FIRING for alert in told)
    return note(
        *told, status="firing" if firing else "resolved", reason=draw(st.sampled_from(REASONS)), why=draw(TEXTS),
        group_labels=draw(PAIRS), left_out=draw(st.sampled_from([0, 10_000])), answerable=draw(st.booleans()),
        tally=draw(st.lists(st.tuples(TEXTS, st.integers(0, 10**6)), max_size=3)),
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(notes())
def test_every_vendor_takes_it_and_nothing_in_it_acts(told: Notification) -> None:
    posted = SLACK.message(told, Texts(told))
    assert slack_problem(posted) == (200, "ok")
    for text in (orjson.dumps(posted).decode(), follow_up(told, posted["text"])):
        assert "<!" not in text
        assert "<script" not in text
    event = PAGERDUTY.message(told, Texts(told)) | {"routing_key": KEY}
    data = encoded(event)
    assert event_problems(orjson.loads(data)) == []
    assert len(data) <= LARGEST_EVENT
    body = orjson.loads(HOOK.message(told, Texts(told))[1])
    assert len(body["alerts"]) == len(told.alerts)
    assert all(orjson.loads(orjson.dumps(batch)) for batch in batched(told, NOON))
    title, text = PHONE.message(told, Texts(told))
    assert "\n" not in title
    assert "\x00" not in text


@settings(max_examples=60, deadline=None)
@given(notes())
def test_a_mail_arrives_as_it_was_written(told: Notification) -> None:
    data = MAIL.message(told, {}, Texts(told)).as_bytes()
    mail = message_from_bytes(data, policy=policy.default)
    assert [mail[name] for name in ("From", "To", "Bcc")] == ["b@example.com", "a@example.com", None]
    assert set(mail.keys()) <= {
        "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Importance", "MIME-Version", "Content-Type",
    }  # fmt: skip
    assert max(map(len, data.split(b"\r\n"))) <= 998
    html = mail.get_body(("html",)).get_content()
    assert set(re.findall(r"<(\w+)", html)) <= {
        "html", "head", "meta", "body", "table", "tr", "td", "h1", "h2", "p", "a", "div", "pre", "ul", "li",
    } | {"doctype"}  # fmt: skip
    assert "\x00" not in mail.get_body(("plain",)).get_content()
