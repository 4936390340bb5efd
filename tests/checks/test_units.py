"""How durations are said."""

import pytest

from checks.units import show_duration


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.0, "0 s"), (0.0008, "0.8 ms"), (0.9994, "999 ms"), (0.9996, "1 s"), (1.0, "1 s"), (2.34, "2.34 s"),
     (59.96, "60 s"), (250.0, "4m 10s"), (266_400.0, "3d 2h"), (-0.5, "-500 ms")],
)  # fmt: skip
def test_durations_as_a_person_says_them(seconds: float, said: str) -> None:
    assert show_duration(seconds) == said
