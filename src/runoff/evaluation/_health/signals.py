"""Numbers of one answer that move when a stage loses quality, without any judgments."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from runoff.evaluation._health.observations import Observation

SIGNALS = {
    "drift first stage": (
        "what the sources found",
        "looking for lost documents, a changed index or analyzer, or another embedding model",
    ),
    "drift ranks": (
        "the places that answers had before the second stage",
        "comparing window, blend and threshold, and the versions of the model",
    ),
}
"""Check to what it looks at, in words, and what to try."""

_TOP = 10


def signals(one: Observation) -> dict[tuple[str, str], float]:
    """Return check and name of each signal to its value.

    Of each source: the score of its best hit, the mean of the first ten, and how many hits there
    are. Of several: how many of the first ten they share. Of the answer: the fused
    places of its documents and of the first, and how far its order is that of the scores.
    """
    found: dict[tuple[str, str], float] = {}
    first, ranks = SIGNALS
    for name, (_, scores) in one.sources.items():
        found[first, f"hits of {name}"] = len(scores)
        if len(scores):
            found[first, f"best score of {name}"] = float(scores[0])
            found[first, f"mean of ten scores of {name}"] = float(scores[:_TOP].mean())
    tops = [set(ids[:_TOP]) for ids, _ in one.sources.values()]
    shared = [len(a & b) / max(1, min(len(a), len(b))) for a, b in combinations(tops, 2)]
    if shared:
        found[first, "agreement of the sources"] = sum(shared) / len(shared)
    place, score = one.answer_place, one.answer_score
    if len(place):
        found[ranks, "place of the first"] = float(np.log2(place[0]))
        found[ranks, "places of all"] = float(np.log2(place).mean())
    known = np.isfinite(score)
    if known.sum() > 2 and np.ptp(score[known]) > 0:  # noqa: PLR2004 - two ranks always agree or not
        falling = np.argsort(-score[known], kind="stable")
        many = len(falling)
        apart = int(((falling - np.arange(many)) ** 2).sum())
        found[ranks, "order by score"] = 1 - 6 * apart / (many * (many**2 - 1))  # Spearman's rho
    return found
