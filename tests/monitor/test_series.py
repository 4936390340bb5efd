"""The checks' own series: valid for every scraper whatever the target says, and nothing stale."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from checks.base import Check, Measurement, Outcome, Reason, Result, Run
from monitor.series import Series


class Sampled(Check):
    """Declares one of each."""

    kind = "sampled"
    up = "sampled_up"
    measurements = (
        Measurement("used_bytes", "bytes", 'How "much"\nis used.', also="sampled_memory_bytes"),
        Measurement("sessions", "count", "Sessions by state.", ("state",)),
        Measurement("lost_total", "count", "Lost.", counter=True, also="sampled_lost"),
    )


CHECK = Sampled(name="c", system="s")


def result(*measurements, outcome=Outcome.OK, reason=None) -> Result:
    return Result(outcome, 1_000.0, 0.25, reason, "", list(measurements))


def samples(series: Series) -> dict[str, float]:
    """Every sample that a scraper reads, by name and labels beyond the common ones."""
    text = b"".join(series.pieces()).decode()
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            assert (sample.labels["check"], sample.labels["job"]) == ("c", "s")
            rest = ",".join(sorted(v for k, v in sample.labels.items() if k not in ("check", "job", "instance")))
            found[f"{sample.name} {rest}".strip()] = sample.value
    assert list(openmetrics(b"".join(series.pieces(openmetrics=True)).decode() + "# EOF\n"))
    return found


def test_own_names_and_the_names_that_are_known_elsewhere():
    series = Series()
    series.update(
        CHECK, result(("used_bytes", 5.0, ()), ("lost_total", 3.0, ()), ("sessions", 2.0, (("state", "idle"),)))
    )
    assert samples(series) == {
        "runwatch_check_up": 1.0,
        "sampled_up": 1.0,
        "runwatch_check_last_run_timestamp_seconds": 1000.0,
        "runwatch_check_runs_total": 1.0,
        "runwatch_sampled_duration_seconds": 0.25,
        "runwatch_sampled_used_bytes": 5.0,
        "sampled_memory_bytes": 5.0,
        "runwatch_sampled_lost_total": 3.0,
        "sampled_lost": 3.0,
        "runwatch_sampled_sessions idle": 2.0,
    }


def test_what_is_no_longer_measured_is_no_longer_shown():
    series = Series()
    series.update(CHECK, result(("sessions", 2.0, (("state", "idle"),)), ("sessions", 1.0, (("state", "active"),))))
    series.update(CHECK, result(("sessions", 7.0, (("state", "active"),)), ("used_bytes", 1.0, ())))
    shown = samples(series)
    assert "runwatch_sampled_sessions idle" not in shown
    assert shown["runwatch_sampled_sessions active"] == 7.0
    series.update(CHECK, result(outcome=Outcome.FAILED, reason=Reason.CONNECT_REFUSED))
    shown = samples(series)
    assert (shown["runwatch_check_up"], shown["runwatch_check_failures_total connect_refused"]) == (0.0, 1.0)
    assert not any("sessions" in name for name in shown)
    series.forget(["s/c"])
    assert b"".join(series.pieces()) == b""


def test_what_can_not_be_told_is_not_a_number():
    series = Series()
    series.update(CHECK, result(outcome=Outcome.ERROR, reason=Reason.AUTH))
    assert samples(series)["runwatch_check_up"] != samples(series)["runwatch_check_up"]


@given(st.lists(st.tuples(st.text(), st.floats()), max_size=20))
def test_no_target_can_break_the_exposition(told):
    series = Series()
    for _ in range(2):
        run = Run()
        for state, value in told:
            run.record("sessions", value, state=state)
        series.update(CHECK, result(*run.measurements))
        samples(series)


def test_an_undeclared_measurement_is_not_shown():
    series = Series()
    series.update(CHECK, result(("surprise", 1.0, ())))
    assert not any("surprise" in name for name in samples(series))


class Counted(Check):
    """Declares a number under a name of its own and, with _total, as a counter."""

    kind = "counted"
    measurements = (
        Measurement("errors", "count", "Since the last probe."),
        Measurement("errors_total", "count", "Since ever.", counter=True),
    )


def test_a_counter_beside_a_gauge_of_its_name_is_valid_in_both_formats():
    series = Series()
    series.update(Counted(name="c", system="s"), result(("errors", 2.0, ()), ("errors_total", 7.0, ())))
    found = samples(series)
    assert (found["runwatch_counted_errors"], found["runwatch_counted_errors_total"]) == (2.0, 7.0)
    text = b"".join(series.pieces(openmetrics=True)).decode()
    assert "# TYPE runwatch_counted_errors gauge\n" in text
    assert "# TYPE runwatch_counted_errors_total unknown\n" in text
    assert "# TYPE runwatch_check_runs counter\n" in text
