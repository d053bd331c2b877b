"""How distances become scores: higher is better, and equal in every engine."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

from runoff._util.arguments import is_one_of
from runoff.errors import InvalidArgument

Space: TypeAlias = Literal["cosine", "l2", "ip"]

SCORE_RANGES: dict[str, tuple[float | None, float | None]] = {
    "cosine": (-1.0, 1.0),
    "l2": (None, 1.0),
    "ip": (None, None),
    "text": (0.0, None),
}
"""The lowest and the highest score in each space, and of BM25 and `ts_rank_cd`."""


def clamped(cosine: float) -> float:
    """Return a cosine within its range: rounding takes it some 1e-7 beyond."""
    return max(-1.0, min(1.0, cosine))


def similarity(space: str, distance: float) -> float:
    """Return the score for a distance, which is squared for `"l2"`.

    1 - distance for `"cosine"` and `"ip"`; 1 - distance / 2 for `"l2"`, which is the cosine for
    vectors of length 1.
    """
    score = 1.0 - (distance / 2 if space == "l2" else distance)
    return clamped(score) if space == "cosine" else score


def check_space(space: object) -> None:
    """Refuse what is neither a space nor None.

    Raises:
        InvalidArgument: names the spaces.
    """
    if space is not None and not is_one_of(space, get_args(Space)):
        raise InvalidArgument("space", space, f"must be one of {', '.join(get_args(Space))}")
