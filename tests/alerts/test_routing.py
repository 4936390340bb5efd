"""The route tree: deepest first, siblings after `continue`, and the groups it makes; the rest is asked of amtool."""

import pytest

from alerts.routing import Route, group_labels, match, parse_matcher, paths

TREE = Route(
    "top",
    routes=(
        Route("a", (parse_matcher("team=a"),), follow_on=True, routes=(Route("deep", (parse_matcher("deep=yes"),)),)),
        Route("any", (parse_matcher("team=~a|b"),)),
        Route("last", (parse_matcher("team=~.+"),)),
    ),
)


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ({}, ["top"]),
        ({"team": "a"}, ["a", "any"]),
        ({"team": "a", "deep": "yes"}, ["deep", "any"]),
        ({"team": "b", "deep": "yes"}, ["any"]),
        ({"team": "c"}, ["last"]),
    ],
)
def test_where_labels_lead(labels, receivers):
    assert [route.receiver for route in match(TREE, labels)] == receivers
    assert all(path[0] is TREE for path in paths(TREE, labels))


def test_a_tree_that_does_not_match_takes_nothing():
    assert match(Route("top", (parse_matcher("team=a"),)), {"team": "b"}) == []


def test_groups():
    labels = {"team": "a", "alertname": "Down"}
    assert group_labels(Route("a", group_by=("team", "absent")), labels) == {"team": "a"}
    assert group_labels(Route("a", group_by=None), labels) == labels
    assert group_labels(Route("a", group_by=()), labels) == {}
