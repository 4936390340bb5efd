"""What proves that a press or an event was sent by who it says, now, and once."""

import pytest
from pydantic import ValidationError

from monitor.api.signatures import PATIENCE, Seen, pagerduty_signed, slack_signed
from monitor.config.oncall import Hooks
from tests.system.presses import SECRET


def test_slacks_own_example_of_a_signature_holds():
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    assert slack_signed(SECRET, "1531420618", body, signature, 1531420618.0)
    assert not slack_signed(SECRET, "1531420618", body + b"x", signature, 1531420618.0)
    assert not slack_signed(SECRET, "1531420618", body, signature, 1531420618.0 + PATIENCE + 1)
    assert not pagerduty_signed([], b"", "v1=")


def test_what_was_seen_is_remembered_for_its_time_and_within_bounds():
    seen = Seen(10, most=3)
    assert [seen.before("a", at) for at in (0, 9, 10, 11)] == [False, True, False, True]
    for number in range(10):
        seen.before(str(number), 12)
    assert not seen.before("a", 13)
    assert seen.before("9", 13)


def test_a_secret_that_is_none_is_refused():
    for hooks in ({"slack": {"signing_secret": ""}}, {"slack": {"app_token": ""}}, {"slack": {}},
                  {"pagerduty": {"secrets": [""]}}, {"pagerduty": {"secrets": []}}):  # fmt: skip
        with pytest.raises(ValidationError):
            Hooks.model_validate(hooks)
