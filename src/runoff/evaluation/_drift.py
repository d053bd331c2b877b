"""Drift: what has changed since a reference, seen without any judgments."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from runoff.evaluation._findings import Finding, percent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from runoff.evaluation._observations import Observation

__all__ = ["drifts"]

_KOLMOGOROV = 1.628  # of two large samples of one distribution, 1% are further apart (Smirnov 1948)
_CHANCE = 0.01
_OVERLAP = 0.8
_ROUNDING = 1e-7


def drifts(now: Sequence[Observation], then: Sequence[Observation]) -> Iterator[Finding]:
    """Yield what differs between two sets of answers.

    Of scores, the best one of each query is compared, by the largest difference of the two
    cumulative distributions (Kolmogorov and Smirnov); of shares, the counts (Fisher's exact test).
    Either is odd where chance does as much less than once in a hundred times.
    """
    # an answer without scores, such as a degraded one, says nothing about the model
    models = [
        {f"{one.model} ({one.kind})" for one in side if len(one.score)} for side in (then, now)
    ]
    if changed := all(models) and models[0] != models[1]:
        names = [" and ".join(sorted(side)) for side in models]
        yield Finding(
            "drift model", None, changed, f"The scores were of {names[0]} and are of {names[1]}.",
            "choosing thresholds again, and recording a new reference",
        )  # fmt: skip
    else:
        yield from _scores(now, then)
    rates: dict[str, Callable[[Observation], bool]] = {
        "degraded": lambda one: bool(one.degraded),
        "truncation": lambda one: bool(one.truncated.any()),
        "empty": lambda one: not one.answer,
    }
    for name, has in rates.items():
        yield _rate(name, [has(one) for one in now], [has(one) for one in then])
    yield from _answers(now, then)


def _scores(now: Sequence[Observation], then: Sequence[Observation]) -> Iterator[Finding]:
    best = [
        np.sort([float(one.score.max()) for one in side if len(one.score)]) for side in (now, then)
    ]
    sizes = [len(side) for side in best]
    if not all(sizes):
        yield Finding("drift scores", None, None, "Nothing was scored on one of the two sides.")
        return
    apart = _apart(*best)
    limit = _KOLMOGOROV * math.sqrt(sum(sizes) / math.prod(sizes))
    medians = [float(np.median(side)) for side in best]
    odd = apart > limit
    yield Finding(
        "drift scores", apart, odd,
        f"The best score of a query is {medians[0]:.3g} in the median, and was {medians[1]:.3g}; "
        f"the distributions are {apart:.2f} apart (chance: up to {limit:.2f}).",
        "looking for other queries, a changed index or a changed model" if odd else "",
    )  # fmt: skip


def _apart(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    every = np.concatenate((one, other))
    steps = [np.searchsorted(side, every, side="right") / len(side) for side in (one, other)]
    return float(np.abs(steps[0] - steps[1]).max())


def _rate(name: str, now: Sequence[bool], then: Sequence[bool]) -> Finding:
    shares = [sum(side) / len(side) for side in (now, then)]
    odd = _chance(sum(now), len(now), sum(then), len(then)) < _CHANCE
    what = {
        "degraded": "are degraded",
        "truncation": "have a text that was cut",
        "empty": "are empty",
    }
    return Finding(
        f"drift {name}", shares[0] - shares[1], odd,
        f"{percent(shares[0])} of the answers {what[name]}; it was {percent(shares[1])}.",
        "finding out what changed in between" if odd else "",
    )  # fmt: skip


def _chance(now: int, of_now: int, then: int, of_then: int) -> float:
    """Return how often chance parts so many as unevenly (Fisher's exact test, two-sided)."""
    both = now + then
    parts = range(max(0, both - of_then), min(both, of_now) + 1)
    ways = [_log_ways(of_now, at) + _log_ways(of_then, both - at) for at in parts]
    most = max(ways)
    likely = [math.exp(one - most) for one in ways]
    own = likely[now - parts[0]] * (1 + _ROUNDING)
    return math.fsum(one for one in likely if one <= own) / math.fsum(likely)


def _log_ways(of: int, some: int) -> float:
    return math.lgamma(of + 1) - math.lgamma(some + 1) - math.lgamma(of - some + 1)


def _answers(now: Sequence[Observation], then: Sequence[Observation]) -> Iterator[Finding]:
    known = {one.query: one for one in then if one.query}
    pairs = [(one, known[one.query]) for one in now if one.query in known]
    if not pairs:
        yield Finding("drift answers", None, None, "No question was asked both times.")
        return
    shared = [
        len(set(one.answer) & set(other.answer)) / max(len(one.answer), len(other.answer), 1)
        if one.answer or other.answer
        else 1.0
        for one, other in pairs
    ]
    mean = sum(shared) / len(shared)
    odd = mean < _OVERLAP
    yield Finding(
        "drift answers", mean, odd,
        f"Of {len(pairs)} questions asked both times, the answers share {percent(mean)} of their "
        "documents.",
        "comparing both by `verdict` before this goes on" if odd else "",
    )  # fmt: skip
