"""Whether the scores of a source can be compared, and what fuses hits where they cannot."""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runoff.protocols import Fusion
    from runoff.types import Hit


def suited(fusion: Fusion, rankings: Mapping[str, Sequence[Hit]]) -> tuple[Fusion, str]:
    """Return what fuses these hits, and a sentence where that is not the fusion itself.

    A fusion that reads scores, such as `Convex`, has a method of this name.
    """
    choose = getattr(fusion, "suited", None)
    if choose is None:
        return fusion, ""
    chosen: tuple[Fusion, str] = choose(rankings)
    return chosen


def falling(scores: Sequence[float]) -> int:
    """Return how many scores, from the first on, fall or stay equal; NaN ends the count."""
    if all(map(operator.ge, [math.inf, *scores], scores)):
        return len(scores)
    last = math.inf
    for place, score in enumerate(scores):
        if not score <= last:
            return place
        last = score
    return len(scores)


def without_order(rankings: Mapping[str, Sequence[Hit]]) -> list[str]:
    """Return a clause for each source whose scores are missing or contradict its order."""
    found = []
    for name, hits in rankings.items():
        scores = [hit.score for hit in hits]
        if falling(scores) == len(scores):
            continue
        lacking = sum(map(math.isnan, scores))
        if lacking == len(scores):
            found.append(f"{name} gave no scores")
        elif lacking:
            found.append(f"{name} gave no score to {lacking} of {len(scores)} hits")
        else:
            found.append(f"the scores of {name} contradict the order of its hits")
    return found
