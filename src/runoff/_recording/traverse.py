"""A recorded query taken through the stages of the system again, from its recorded scores."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from runoff._recording.first_stage import grouped
from runoff._recording.listwise import check_read
from runoff._recording.query import Content, FateCode
from runoff._recording.scores import recorded_scores
from runoff._util.messages import number_of
from runoff.errors import InvalidArgument
from runoff.rerank._blend import blended
from runoff.rerank._cascade import lead
from runoff.rerank._foreign import is_order_only

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from runoff._recording.first_stage import Fused, Prepared
    from runoff._recording.query import RecordedQuery
    from runoff._recording.replay import Plan
    from runoff._recording.scores import StageScores
    from runoff._recording.setup import StepSetup
    from runoff.scores import Threshold

# NumPy takes ten times as long to compare with a member of an enumeration
_TEXT, _EMPTY, _IMAGE = int(Content.TEXT), int(Content.EMPTY), int(Content.IMAGE)
_DROPPED, _TAIL = int(FateCode.DROPPED), int(FateCode.TAIL)


@dataclass(frozen=True, slots=True)
class ReplayedOrder:
    """The order that a second stage gives some rows.

    Attributes:
        ordered: rows, best first.
        score: the rerank_score of each of `ordered`; NaN for rows that an earlier stage placed.
        unscored: rows without a score, in fused order.
        thresholded: whether a threshold was applied, so that no unscored row may follow.
    """

    ordered: NDArray[np.int64]
    score: NDArray[np.float64]
    unscored: NDArray[np.int64]
    thresholded: bool = False


def replay_steps(
    scores: StageScores,
    steps: Sequence[StepSetup],
    rows: NDArray[np.int64],
    fusion_score: NDArray[np.float64],
) -> ReplayedOrder:
    """Return the order that the stages of a second stage give rows by known scores.

    Args:
        scores: the scores of every row of the query.
        steps: how the stages are configured.
        rows: what the second stage is given, in fused order.
        fusion_score: the fusion_score of every row of the query.

    Raises:
        InvalidArgument: a row was never scored, or was dropped by a threshold that the steps lack.
        ScoreKindMismatch: a threshold was made for other scores.
    """
    known = scores.known(steps[-1])
    if len(steps) == 1 and len(rows) and np.isfinite(known[0][rows]).all():
        return _all_scored(scores, steps[0], rows, known[0], fusion_score)
    placed, behind, unread = rows[:0], rows[:0], rows
    score = np.zeros(0)
    thresholded = False
    place = np.zeros(len(fusion_score), np.int64)
    place[rows] = np.arange(len(rows))
    moved = np.zeros(len(fusion_score), np.bool_)
    reads: int | None = None
    for own, step in zip(known, steps, strict=True):
        given, reads = np.concatenate((placed, behind, unread))[:reads], step.keep
        values = own[given]
        scored = np.isfinite(values)
        whole = bool(scored.all())
        left = given[~scored]
        lost = left[scores.fate[left] == _DROPPED]
        if not whole:
            _check_scored(scores, left)
        if len(left) == len(given) and not len(lost):
            continue  # the stage scored nothing, so the order before it stands
        kept, values = given[scored], values[scored]
        mixed = blended(values, fusion_score[kept], step.blend)
        order = np.lexsort((place[kept], -mixed))
        limit = step.limit()
        thresholded = limit is not None and whole and scores.whole
        if len(lost) and not scores.fills and len(kept) + len(lost) == len(given):
            thresholded = thresholded or scores.whole
        if limit is not None:
            limit.check(scores.kind, scores.model)
        moved[:] = False
        moved[kept] = moved[lost] = True
        behind = np.concatenate((placed, behind))
        behind = behind[~moved[behind]]
        unread = unread[~moved[unread]]
        if limit is not None and thresholded:
            order = _above(limit, values, order)
        placed, score = kept[order], _own_scores(own, step, mixed[order])
        if step.margin is not None and whole and lead(score) >= step.margin:
            break
    nothing = np.full(len(behind), np.nan)
    return ReplayedOrder(
        np.concatenate((placed, behind)), np.concatenate((score, nothing)), unread, thresholded
    )


def _all_scored(
    scores: StageScores,
    step: StepSetup,
    rows: NDArray[np.int64],
    own: NDArray[np.float64],
    fusion_score: NDArray[np.float64],
) -> ReplayedOrder:
    """Return the order that one stage gives rows which all have a score, as most have."""
    values = own[rows]
    mixed = blended(values, fusion_score[rows], step.blend)
    order = np.argsort(-mixed, kind="stable")
    mixed[order] = _own_scores(own, step, mixed[order])
    limit = step.limit()
    thresholded = limit is not None and scores.whole
    if limit is not None:
        limit.check(scores.kind, scores.model)
        if thresholded:
            order = _above(limit, values, order)
    return ReplayedOrder(rows[order], mixed[order], rows[:0], thresholded)


def _own_scores(
    own: NDArray[np.float64], step: StepSetup, ordered: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the scores of ordered rows: 1 / rank anew where a reranker gives an order alone."""
    if step.pointwise:
        return ordered
    known = np.sort(own[np.isfinite(own)])[::-1].tolist()
    return 1 / np.arange(1, len(ordered) + 1) if is_order_only(known) else ordered


def _above(
    limit: Threshold, values: NDArray[np.float64], order: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the places whose scores reach a limit, which is rounded to float32 as they are."""
    return order[values[order] >= np.float64(np.float32(limit.value))]


def _check_scored(scores: StageScores, rows: NDArray[np.int64]) -> None:
    unknown = int((scores.fate[rows] == _TAIL).sum())
    if unknown:
        remedy = (
            "needs the scores of "
            f"{number_of(unknown, 'candidate that was', 'candidates that were')} not scored "
            "while recording"
        )
        raise InvalidArgument("window", len(rows), remedy)


def _whole_order(
    heads: NDArray[np.int64],
    content: NDArray[np.uint8],
    window: int,
    second: ReplayedOrder | None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the whole order of rows with their rerank scores, as the pipeline orders candidates.

    Args:
        heads: rows in fused order, after grouping.
        content: codes of `Content`, for each row of the query.
        window: how many of them the second stage may read.
        second: the second stage's order; None without one.
    """
    kinds = content[heads]
    image = kinds == _IMAGE
    if second is None:
        ordered, score, rest = heads[:0], np.zeros(0), heads[~image]
    else:
        ordered, score = second.ordered, second.score
        if second.thresholded:
            kept = np.isfinite(score)
            ordered, score, rest = ordered[kept], score[kept], heads[:0]
        else:
            below = ~image & ((np.arange(len(heads)) >= window) | (kinds == _EMPTY))
            if len(second.unscored):
                below |= np.isin(heads, second.unscored)
            rest = heads[below]
    order = np.concatenate((ordered, rest))
    scores = np.concatenate((score, np.full(len(rest), np.nan)))
    images = np.flatnonzero(image).tolist()
    if not images:
        return order, scores
    rows, values = order.tolist(), scores.tolist()  # `np.insert` takes as long as all the rest
    for place in images:
        rows.insert(place, int(heads[place]))
        values.insert(place, math.nan)
    return np.array(rows, np.int64), np.array(values, np.float64)


@dataclass(frozen=True, eq=False)
class Traversal:
    """One recorded query taken through the stages, with the rows in order after each.

    Attributes:
        query: the recorded query.
        fused: the fused order at the depth in use.
        heads: the rows that represent themselves after grouping, in fused order.
        under: row to the row it is grouped under.
        window: how many of the heads the second stage may read.
        given: those of them with a text, which the second stage scores; none without one.
        scores: the scores of every row.
        second: the second stage's order of `given`; None without a second stage.
        answer: the whole answer, not cut to `top_k`.
        score: the rerank_score of each of `answer`; NaN for rows without one.
        steps: how the stages of the second stage are configured.
    """

    query: RecordedQuery
    fused: Fused
    heads: NDArray[np.int64]
    under: Mapping[int, int]
    window: int
    given: NDArray[np.int64]
    scores: StageScores
    second: ReplayedOrder | None
    answer: NDArray[np.int64]
    score: NDArray[np.float64]
    steps: tuple[StepSetup, ...]

    def documents(self, rows: NDArray[np.int64]) -> list[str]:
        """Return the documents of rows, each once; the better place counts."""
        doc_ids = self.query.doc_ids
        return list(dict.fromkeys(map(doc_ids.__getitem__, rows.tolist())))

    @cached_property
    def unthresholded(self) -> ReplayedOrder | None:
        """The second stage's order before its threshold; None without a second stage."""
        if self.second is None or self.steps[-1].threshold is None:
            return self.second
        *earlier, last = self.steps
        steps = (*earlier, replace(last, threshold=None))
        return replay_steps(self.scores, steps, self.given, self.fused.score)

    @cached_property
    def dropped(self) -> NDArray[np.int64]:
        """The rows that the reranker removed, not counting those below its threshold."""
        second = self.unthresholded
        if second is None:
            return self.given
        return self.given[~np.isin(self.given, np.append(second.ordered, second.unscored))]

    @cached_property
    def before_threshold(self) -> NDArray[np.int64]:
        """The whole answer before the threshold."""
        return _whole_order(self.heads, self.query.content, self.window, self.unthresholded)[0]

    def answer_if(
        self, ordered: NDArray[np.int64], unscored: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return the whole answer that another order of the second stage would give.

        Args:
            ordered: the rows it would order, best first.
            unscored: the rows it would leave without a score, in fused order.
        """
        second = ReplayedOrder(ordered, np.zeros(len(ordered)), unscored)
        return _whole_order(self.heads, self.query.content, self.window, second)[0]


def traverse(one: Prepared, plan: Plan) -> Traversal:
    """Take one recorded query through the stages as the plan has them.

    Raises:
        InvalidArgument: a text would be read that was not recorded.
    """
    query = one.query
    fused = one.fused(plan.fusion, plan.weights, plan.depth)
    if plan.group is not None and plan.group.duplicates is not None:
        one.check_texts(fused.order, plan.depth)
    heads, under = grouped(query, plan.group, fused.order)
    if plan.scores_of is not recorded_scores:
        scores = plan.scores_of(query)
    else:
        scores = one.recorded = one.recorded or recorded_scores(query)
    given, second = heads[:0], None
    if plan.steps:
        inside = heads[: plan.window]
        one.check_texts(inside, plan.depth)
        given = inside[query.content[inside] == _TEXT]
        if plan.steps[0].listwise:
            check_read(query, plan.steps[0].name, given)
        second = replay_steps(scores, plan.steps, given, fused.score)
    answer, score = _whole_order(heads, query.content, plan.window, second)
    return Traversal(
        query, fused, heads, under, plan.window, given, scores, second, answer, score, plan.steps
    )
