"""Whether scores fall or rise along a list."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["as_similarities", "trend"]


def trend(scores: Sequence[float]) -> Literal["falls", "rises", "level"] | None:
    """Return whether the scores of a list, best document first, fall, rise or are all equal.

    Similarities fall and distances rise. None for scores that do both, for an empty list, and where
    a score is not finite.
    """
    if not scores or not all(map(math.isfinite, scores)):
        return None
    steps = [after - before for before, after in itertools.pairwise(scores)]
    falls, rises = any(step < 0 for step in steps), any(step > 0 for step in steps)
    if falls and rises:
        return None
    return "falls" if falls else "rises" if rises else "level"


def as_similarities(scores: Sequence[float]) -> list[float]:
    """Return the scores of a list, best document first, negated if they rise: distances do."""
    return [-score for score in scores] if trend(scores) == "rises" else list(scores)
