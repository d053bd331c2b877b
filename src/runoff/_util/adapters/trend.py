"""Whether scores fall or rise along a list."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence


def trend(scores: Sequence[float]) -> Literal["falls", "rises", "level"] | None:
    """Return whether the scores of a list, best document first, fall, rise or are all equal.

    Similarities fall and distances rise. None for scores that do both, for an empty list, and where
    a score is not finite.
    """
    if not scores or not all(map(math.isfinite, scores)):
        return None
    given, rising = list(scores), sorted(scores)
    if rising[0] == rising[-1]:
        return "level"
    if given == rising:
        return "rises"
    return "falls" if given == rising[::-1] else None


def as_similarities(scores: Sequence[float]) -> list[float]:
    """Return the scores of a list, best document first, negated if they rise: distances do."""
    return [-score for score in scores] if trend(scores) == "rises" else list(scores)
