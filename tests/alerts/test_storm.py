"""The storm brake by itself: what it counts, what it moves into a receiver's digest, and what it leaves alone."""

from alerts.audience import Audience
from alerts.plan import StormLimit
from alerts.routing import Receiver, Route
from alerts.storm import Brake, Storms
from alerts.telling import Telling
from alerts.vocabulary import Alert
from checks.base import Outcome
from tests.alerts.notes import alert
from tests.timeline import Timeline, plan, threshold

LIMIT = StormLimit(pages=2, within=60, update=30)
CHECKS = [f"shop/c{number}" for number in range(3)]


def fires(name: str) -> Alert:
    """An alert that began to fire at 100."""
    return alert(name, fingerprint=name, fired_at=100.0)


def audience(name: str, muted: tuple[str, ...] = (), **fields: object) -> Audience:
    """A group of the team with one alert of its own name, and others that are muted."""
    made = Audience(Receiver("team"), Route("team", group_interval=300, repeat_interval=7200), f"team:{name}", {})
    made.open[name] = fires(name)
    made.muted.update(dict.fromkeys(muted, "silenced"))
    for field, value in fields.items():
        setattr(made, field, value)
    return made


def knows(group: str, told: tuple[str, ...] = (), muted: tuple[str, ...] = ()) -> Telling:
    """What somebody of the team was told of a group."""
    return Telling(group, "t", "team", group, {}, "d", {}, told=list(told), muted=dict.fromkeys(muted, "silenced"))


def gathered(
    *groups: Audience, tellings: tuple[Telling, ...] = (), limit: StormLimit | None = LIMIT, now: float = 100.0
) -> tuple[dict[str, Audience], int]:
    """The audiences afterwards, and how many groups were newly held."""
    audiences = {one.key: one for one in groups}
    held = Storms().gather(audiences, tellings, limit, now)
    return audiences, held


def test_the_rate_is_counted_over_the_last_while_and_what_was_held_does_not_count():
    brake = Brake()
    assert not brake.holds(2, LIMIT, 100.0)
    assert brake.holds(1, LIMIT, 159.0)
    assert not brake.holds(2, LIMIT, 160.0)
    assert brake.holds(3, LIMIT, 1000.0)
    assert not brake.holds(2, LIMIT, 1001.0)
    assert brake.holds(1, LIMIT, 1002.0)


def test_few_groups_go_as_they_are():
    audiences, held = gathered(audience("a"), audience("b"))
    assert (list(audiences), held) == (["team:a", "team:b"], 0)
    assert all(list(one.open) == [one.key[-1]] for one in audiences.values())


def test_too_many_come_as_one_digest_in_which_nothing_is_lost():
    audiences, held = gathered(audience("a", muted=("m",)), audience("b", escalated="nobody"), audience("c"))
    digest = audiences["team:storm"]
    assert held == 3
    assert (list(digest.open), list(digest.muted)) == (["a", "b", "c"], ["m"])
    assert digest.muted["m"] == "silenced"
    assert (digest.labels, digest.escalated) == ({"alertname": "AlertStorm"}, "nobody")
    assert (digest.route.group_interval, digest.route.repeat_interval) == (30, 7200)
    assert not any(one.open or one.muted for one in audiences.values() if one is not digest)


def test_each_receiver_has_its_own_brake():
    other = audience("c")
    other.receiver = Receiver("mail")
    audiences, held = gathered(audience("a"), audience("b"), other)
    assert (len(audiences), held) == (3, 0)


def test_only_what_is_due_and_new_counts():
    later = audience("c")
    later.route = Route("team", group_wait=30)
    assert gathered(audience("a"), audience("b"), later)[1] == 0
    assert gathered(audience("a"), audience("b"), later, now=130.0)[1] == 3
    assert gathered(audience("a"), audience("b"), audience("c"), tellings=(knows("team:c", ("c",)),))[1] == 0
    assert gathered(audience("a"), audience("b"), audience("c"), tellings=(knows("team:c"),))[1] == 3


def test_what_a_digest_told_stays_in_it_even_where_the_brake_was_taken_away():
    for limit, update in ((LIMIT, 30), (None, 300)):
        audiences, held = gathered(
            audience("a", muted=("m",)), audience("b"), limit=limit, tellings=(knows("team:storm", ("a",), ("m",)),)
        )
        digest = audiences["team:storm"]
        assert (list(digest.open), list(digest.muted), digest.route.group_interval) == (["a"], ["m"], update)
        assert (list(audiences["team:b"].open), held) == (["b"], 0)


def test_without_a_brake_everything_goes_as_it_is():
    audiences, held = gathered(*[audience(f"a{number}") for number in range(50)], limit=None)
    assert (len(audiences), held) == (50, 0)


def test_what_is_held_is_counted_once():
    line = Timeline(plan(*[threshold(check) for check in CHECKS], storm=LIMIT))
    line.fail("shop/c0")
    assert line.engine.suppressed == {}
    line.at(100).ok("shop/c0")
    for check in CHECKS:
        line.probe(check, Outcome.FAILED, decide=False)
    line.decide()
    line.at(500)
    assert line.engine.suppressed == {"storm": 3}
