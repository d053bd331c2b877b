"""The second stage from recorded scores: windows, blends, cascades and thresholds, replayed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from runoff.errors import InvalidArgument
from runoff.evaluation._recording import Content, FateCode
from runoff.rerank._blend import blended
from runoff.rerank._cascade import lead

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from runoff.evaluation._setup import StepSetup
    from runoff.scores import ModelIdentity, ScoreKind

__all__ = ["Read", "Reread", "final", "readable", "reread"]

# NumPy takes ten times as long to compare with a member of an enumeration
_TEXT, _EMPTY, _IMAGE = int(Content.TEXT), int(Content.EMPTY), int(Content.IMAGE)
_DROPPED, _TAIL = int(FateCode.DROPPED), int(FateCode.TAIL)


@dataclass(frozen=True, slots=True)
class Read:
    """What a second stage made of the rows of one query when it read them all.

    Attributes:
        steps: for each stage its scores by row, NaN where it gave none.
        fate: codes of `FateCode` by row.
        kind: the scale of the last stage's scores.
        model: what made them.
        whole: whether nothing was missing from the answer; a threshold applies to no other.
        truncated: by row, whether a stage lost text of it.
    """

    steps: Sequence[NDArray[np.float64]]
    fate: NDArray[np.uint8]
    kind: ScoreKind
    model: ModelIdentity
    whole: bool
    truncated: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Reread:
    """A reranking of some rows.

    Attributes:
        ordered: rows, best first.
        score: the rerank_score of each of `ordered`; NaN where an earlier stage placed it.
        unscored: rows without a score, in fused order.
        thresholded: whether a threshold was applied, so that nothing unscored may follow.
    """

    ordered: NDArray[np.int64]
    score: NDArray[np.float64]
    unscored: NDArray[np.int64]
    thresholded: bool = False


def reread(
    read: Read, steps: Sequence[StepSetup], rows: NDArray[np.int64], fused: NDArray[np.float64]
) -> Reread:
    """Return what the second stage makes of rows in fused order.

    Args:
        read: the recorded scores.
        steps: how its stages are configured.
        rows: what it is given.
        fused: the fusion_score of every row of the query.

    Raises:
        InvalidArgument: a row was never scored.
        ScoreKindMismatch: a threshold was made for other scores.
    """
    placed, behind, unread = rows[:0], rows[:0], rows
    score = np.zeros(0)
    thresholded = False
    place = np.zeros(len(fused), np.int64)
    place[rows] = np.arange(len(rows))
    moved = np.zeros(len(fused), np.bool_)
    reads: int | None = None
    for own, step in zip(read.steps, steps, strict=True):
        given, reads = np.concatenate((placed, behind, unread))[:reads], step.keep
        values = own[given]
        scored = np.isfinite(values)
        whole = bool(scored.all())
        left = given[~scored]
        lost = left[read.fate[left] == _DROPPED]
        if not whole:
            _check_scored(read, left)
        if len(left) == len(given) and not len(lost):
            continue  # it answered for nothing, and the order before stands
        came, values = given[scored], values[scored]
        mixed = blended(values, fused[came], step.blend)
        order = np.lexsort((place[came], -mixed))
        limit = step.limit()
        thresholded = limit is not None and whole and read.whole
        if limit is not None:
            limit.check(read.kind, read.model)
        moved[:] = False
        moved[came] = moved[lost] = True
        behind = np.concatenate((placed, behind))
        behind = behind[~moved[behind]]
        unread = unread[~moved[unread]]
        if limit is not None and thresholded:
            # the scores are float32: the limit is rounded like them
            order = order[values[order] >= np.float64(np.float32(limit.value))]
        placed, score = came[order], mixed[order]
        if step.margin is not None and whole and lead(score) >= step.margin:
            break
    nothing = np.full(len(behind), np.nan)
    return Reread(
        np.concatenate((placed, behind)), np.concatenate((score, nothing)), unread, thresholded
    )


def _check_scored(read: Read, rows: NDArray[np.int64]) -> None:
    unknown = int((read.fate[rows] == _TAIL).sum())
    if unknown:
        remedy = f"would have {unknown} candidates read that were not scored when this was recorded"
        raise InvalidArgument("window", len(rows), remedy)


def final(
    heads: NDArray[np.int64],
    content: NDArray[np.uint8],
    window: int,
    made: Reread | None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the whole order of rows with their rerank scores, as `stages.order` does.

    Args:
        heads: rows in fused order, after grouping.
        content: codes of `Content`, for each row of the query.
        window: how many of them the second stage may read.
        made: what it made of `readable(heads, content, window)`; None without one.
    """
    kinds = content[heads]
    image = kinds == _IMAGE
    if made is None:
        ordered, score, rest = heads[:0], np.zeros(0), heads[~image]
    else:
        ordered, score = made.ordered, made.score
        if made.thresholded:
            kept = np.isfinite(score)
            ordered, score, rest = ordered[kept], score[kept], heads[:0]
        else:
            below = ~image & ((np.arange(len(heads)) >= window) | (kinds == _EMPTY))
            if len(made.unscored):
                below |= np.isin(heads, made.unscored)
            rest = heads[below]
    order = np.concatenate((ordered, rest))
    scores = np.concatenate((score, np.full(len(rest), np.nan)))
    for place in np.flatnonzero(image).tolist():
        at = min(place, len(order))
        order = np.insert(order, at, heads[place])
        scores = np.insert(scores, at, np.nan)
    return order, scores


def readable(
    heads: NDArray[np.int64], content: NDArray[np.uint8], window: int
) -> NDArray[np.int64]:
    """Return the rows that a second stage is given: with text, and within the window."""
    inside = heads[:window]
    found: NDArray[np.int64] = inside[content[inside] == _TEXT]
    return found
