"""What can be a silence, what editing and ending one comes to, and when its author is warned."""

from dataclasses import replace

import pytest

from alerts import silences
from alerts.intervals import TimeInterval
from alerts.routing import parse_matcher

SHOP, HIGH = parse_matcher("system=shop"), parse_matcher("severity!=low")
NOW = 10_000.0


def made(*matchers, starts=NOW, ends=NOW + 60, by="ann", comment="deploy", **fields):
    return silences.new(matchers or (SHOP,), starts, ends, by, comment, NOW, **fields)


def test_it_matches_what_all_of_its_matchers_do():
    silence = made(SHOP, HIGH)
    assert silence.matches({"system": "shop", "severity": "high"})
    assert not silence.matches({"system": "shop", "severity": "low"})
    assert not silence.matches({"severity": "high"})
    assert str(silence) == 'system="shop",severity!="low"'
    assert not silence.until_resolved and not silence.has_matched


def test_it_begins_at_the_earliest_now_and_is_active_until_just_before_its_end():
    assert made(starts=NOW - 100).starts_at == NOW
    later = made(starts=NOW + 10)
    assert [later.state(at) for at in (NOW + 9, NOW + 10, NOW + 59, NOW + 60)] == [
        "pending", "active", "active", "expired",
    ]  # fmt: skip


def test_its_author_is_warned_where_it_is_not_short():
    assert made(ends=NOW + silences.WARN_FROM).warns_at == NOW + silences.WARN_FROM - silences.WARN_BEFORE
    assert made(ends=NOW + silences.WARN_FROM - 1).warns_at == float("inf")


def test_what_is_just_within_the_limits_is_taken():
    assert len(made(*[SHOP] * silences.MOST_MATCHERS).matchers) == silences.MOST_MATCHERS
    assert made(comment="x" * (silences.LONGEST_TEXT - 3)).comment


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"starts": NOW + 60}, "must end after it starts"),
        ({"starts": NOW - 60, "ends": NOW}, "in the past"),
        ({"comment": "x" * (silences.LONGEST_TEXT - 2)}, "characters together"),
        ({"comment": " "}, "an author and a comment"),
        ({"by": ""}, "an author and a comment"),
    ],
)
def test_what_is_just_beyond_them_is_refused(fields, sentence):
    with pytest.raises(ValueError, match=sentence):
        made(**fields)


def test_what_has_ended_is_not_taken_up_again():
    old, wanted = made(), made(ends=NOW + 500)
    assert silences.changed(old, wanted, NOW + 60) == (None, wanted)


def test_editing_keeps_its_name_and_when_it_began():
    old, wanted = replace(made(), has_matched=True), made(starts=NOW + 30, ends=NOW + 500)
    ended, held = silences.changed(old, wanted, NOW + 10)
    assert ended is None
    assert (held.id, held.starts_at, held.ends_at, held.has_matched) == (old.id, NOW, NOW + 500, True)
    pending = made(starts=NOW + 20)
    assert silences.changed(pending, wanted, NOW + 10)[1].starts_at == NOW + 30


def test_one_that_has_not_begun_ends_without_having_been():
    ended = silences.ended(made(starts=NOW + 20), NOW + 10)
    assert (ended.starts_at, ended.ends_at, ended.updated_at) == (NOW + 10, NOW + 10, NOW + 10)
    assert silences.ended(made(), NOW + 10).starts_at == NOW


def test_hours_that_never_begin_are_no_end():
    with pytest.raises(ValueError, match="never begins again"):
        silences.next_business_hour(NOW, TimeInterval("never", ()))
