"""One remembered decision about one alert: what `runwatch explain` shows."""

from __future__ import annotations

from typing import NamedTuple


class Decision(NamedTuple):
    """At `at` (steady Unix seconds) an alert went one `step` further, or was kept from it, and why.

    `alert` is its name and its check, so that it is found when it is long over.
    """

    fingerprint: str
    alert: str
    at: float
    step: str
    why: str
