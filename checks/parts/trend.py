"""How fast a quantity grows: a straight line through samples that were kept over hours."""

from __future__ import annotations

from typing import Any

SAMPLES = 36
"""Samples over the whole window: a disk's day needs no more, and what is kept stays small."""


def sampled(kept: Any, at: float, value: float, window: float) -> list[list[float]]:
    """The samples of the last `window` seconds, in order, with this one where the last is old enough.

    `kept` is what this gave before; whatever else it holds is left out.
    """
    samples = [
        [float(sample[0]), float(sample[1])]
        for sample in (kept if isinstance(kept, list) else ())
        if isinstance(sample, list) and len(sample) == 2 and all(type(one) in (int, float) for one in sample)
        if at - window <= sample[0] <= at
    ]
    if not samples or at - samples[-1][0] >= window / SAMPLES:
        samples.append([at, value])
    return samples[-SAMPLES - 1 :]


def growth(samples: list[list[float]], at: float, value: float, minimum: float) -> float | None:
    """Growth per second by least squares over the samples and now; None where they span less than `minimum` seconds."""
    if not samples or at - samples[0][0] < minimum:
        return None
    points = [*samples, [at, value]]
    middle = sum(point[0] for point in points) / len(points)
    mean = sum(point[1] for point in points) / len(points)
    spread = sum((point[0] - middle) ** 2 for point in points)
    if not spread:
        return None
    return sum((point[0] - middle) * (point[1] - mean) for point in points) / spread
