"""A recorded query taken through the stages of the system, row by row."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from runoff.evaluation._groups import grouped
from runoff.evaluation._rereading import Reread, final, readable, reread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from runoff.evaluation._fused import Prepared
    from runoff.evaluation._recording import RecordedQuery
    from runoff.evaluation._replay import Settings
    from runoff.evaluation._rereading import Read

__all__ = ["Traversal", "by_gain", "traverse"]


@dataclass(frozen=True, slots=True)
class Traversal:
    """One recorded query taken through the stages, rows in order after each.

    Attributes:
        query: the recorded query.
        found: what the sources found at the depth in use, in fused order.
        heads: those that stand for themselves after grouping.
        under: row to the row it is grouped under.
        window: how many of the heads the second stage may read.
        readable: those of them that it is given; none without a second stage.
        unthresholded: what it made of them before the threshold; None without a second stage.
        dropped: those that it took out by itself.
        before: the whole answer before the threshold.
        answer: the whole answer, uncut.
        score: the rerank_score of each of `answer`; NaN where there is none.
        read: what the second stage made of everything.
    """

    query: RecordedQuery
    found: NDArray[np.int64]
    heads: NDArray[np.int64]
    under: Mapping[int, int]
    window: int
    readable: NDArray[np.int64]
    unthresholded: Reread | None
    dropped: NDArray[np.int64]
    before: NDArray[np.int64]
    answer: NDArray[np.int64]
    score: NDArray[np.float64]
    read: Read

    def best(self, gain: NDArray[np.float64], rows: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """Return the whole answer with rows in the best order and the others where they are.

        Args:
            gain: of every row of the query.
            rows: what the second stage orders; None takes those it scored.
        """
        made = self.unthresholded
        if made is None:
            return self.answer
        left = rows[:0] if rows is not None else made.unscored
        ordered = by_gain(made.ordered if rows is None else rows, gain)
        whole = Reread(ordered, np.zeros(len(ordered)), left)
        return final(self.heads, self.query.content, self.window, whole)[0]


def traverse(
    one: Prepared, reads: Callable[[RecordedQuery], Read], settings: Settings
) -> Traversal:
    """Return one query taken through the stages with these settings, as `replay` does."""
    query = one.query
    fused = one.fused(settings.fusion, settings.weights, settings.depth)
    heads, under = grouped(query, settings.group, fused.order)
    read = reads(query)
    given = heads[:0]
    made = unlimited = None
    if settings.steps:
        *earlier, last = settings.steps
        given = readable(heads, query.content, settings.window)
        made = reread(read, settings.steps, given, fused.score)
        unlimited = made
        if last.threshold is not None:
            steps = (*earlier, replace(last, threshold=None))
            unlimited = reread(read, steps, given, fused.score)
    kept = given[:0] if unlimited is None else np.append(unlimited.ordered, unlimited.unscored)
    answer, score = final(heads, query.content, settings.window, made)
    return Traversal(
        query=query,
        found=fused.order,
        heads=heads,
        under=under,
        window=settings.window,
        readable=given,
        unthresholded=unlimited,
        dropped=given[~np.isin(given, kept)],
        before=final(heads, query.content, settings.window, unlimited)[0],
        answer=answer,
        score=score,
        read=read,
    )


def by_gain(rows: NDArray[np.int64], gain: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return rows by their gain, the highest first; equal ones stay as they are."""
    ordered: NDArray[np.int64] = rows[np.argsort(-gain[rows], kind="stable")]
    return ordered
