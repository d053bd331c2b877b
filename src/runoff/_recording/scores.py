"""The scores that a replay orders by: those recorded, another recording's, or made now."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from runoff._recording.capture import (
    ScoreAll,
    check_unlimited_answer,
    stages_of,
    step_scores,
)
from runoff._recording.listwise import check_other, refuse
from runoff._recording.query import Content, FateCode
from runoff._recording.together import READ, found_together, known_together, suspects
from runoff._util.faults import lacks
from runoff.errors import InvalidArgument
from runoff.rerank._foreign import REMOVED_BY
from runoff.rerank._pointwise import BELOW
from runoff.types import Candidate, Document, Query

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from runoff._recording.query import RecordedQuery
    from runoff._recording.recording import Recording
    from runoff._recording.setup import StepSetup
    from runoff.scores import ModelIdentity, ScoreKind


@dataclass(frozen=True, slots=True)
class StageScores:
    """The scores that a second stage gave the rows of one query when it read them all.

    Attributes:
        steps: for each stage its scores by row, NaN for rows without one.
        fate: codes of `FateCode` by row.
        kind: the scale of the last stage's scores.
        model: the model that gave them.
        whole: whether the answer is complete; a threshold is applied to no other.
        truncated: by row, whether any stage lost text of it.
        fills: whether candidates that were not read take the places of those that were dropped.
        limited: whether a threshold inside a reranker dropped candidates, as recordings made by
            0.1.0 may have it.
    """

    steps: Sequence[NDArray[np.float64]]
    fate: NDArray[np.uint8]
    kind: ScoreKind
    model: ModelIdentity
    whole: bool
    truncated: NDArray[np.bool_]
    fills: bool = True
    limited: bool = False

    def known(self, last: StepSetup) -> Sequence[NDArray[np.float64]]:
        """Return the scores of each stage that order rows: none of rows that the last one dropped.

        Raises:
            InvalidArgument: a threshold that the stages do not have dropped rows.
        """
        if self.limited:
            remedy = (
                "was recorded with a threshold inside its reranker, which a replay cannot apply: "
                "remove the threshold and record again"
            )
            raise InvalidArgument("recording", last.name, remedy)
        if last.pointwise:
            return self.steps
        dropped = self.fate == int(FateCode.DROPPED)
        return (*self.steps[:-1], np.where(dropped, np.nan, self.steps[-1]))


ScoresOf: TypeAlias = "Callable[[RecordedQuery], StageScores]"


def recorded_scores(query: RecordedQuery) -> StageScores:
    """Return the scores that were recorded."""
    cut = np.logical_or.reduce((np.zeros(len(query), np.bool_), *query.step_truncated))
    whole = not query.degraded
    return StageScores(
        query.steps, query.fate, query.kind, query.model, whole, cut, **_removals(query)
    )


def _removals(query: RecordedQuery) -> dict[str, bool]:
    """Return the values of `fills` and `limited`, by why candidates were removed."""
    dropped = np.flatnonzero(query.fate == int(FateCode.DROPPED)).tolist() if query.why else []
    why = {query.why[row] for row in dropped}
    return {
        "fills": not any(one.startswith(REMOVED_BY) for one in why),
        "limited": BELOW in why,
    }


def scores_of_other(recording: Recording, other: Recording) -> ScoresOf:
    """Return a function from a query to the scores that another recording has for its candidates.

    Raises:
        InvalidArgument: the other recording is of other queries.
    """
    if other.setup.queries != recording.setup.queries:
        raise InvalidArgument("reranker", other, "must be a recording of the same queries")
    check_other(other, other.setup.steps)

    def scores_of(query: RecordedQuery) -> StageScores:
        theirs = other[query.query_id]
        place = {key: at for at, key in enumerate(theirs.keys)}
        rows = np.array([place.get(key, len(theirs)) for key in query.keys], np.int64)
        # a candidate that the other recording lacks counts as never scored
        fate = np.append(theirs.fate, np.uint8(FateCode.TAIL))[rows]
        steps = [np.append(one, math.nan)[rows] for one in theirs.steps]
        nothing = np.zeros(len(theirs), np.bool_)
        cut = np.append(np.logical_or.reduce((nothing, *theirs.step_truncated)), False)[rows]
        # scores that our own second stage lacks do not matter
        whole = not (theirs.degraded or query.failed_sources)
        return StageScores(steps, fate, theirs.kind, theirs.model, whole, cut, **_removals(theirs))

    return scores_of


def scores_by(recording: Recording, reranker: object) -> tuple[ScoresOf, tuple[StepSetup, ...]]:
    """Return a function that has a reranker score a query's candidates now, and its stages' setup.

    Each query is scored once, however often it is replayed.

    Raises:
        InvalidArgument: it is no reranker, or the recording has no texts.
    """
    stages = stages_of(reranker)
    check_other(reranker, [stage.setup for stage in stages])
    if not recording.setup.texts:
        remedy = "needs the documents' texts: record(..., texts=True), or replay a recording of it"
        raise InvalidArgument("reranker", reranker, remedy)
    setups = tuple(stage.setup for stage in stages)
    most = max(recording.setup.window, READ)
    texts = ((Query(one.text), _candidates(one)[:most]) for one in recording)
    moving = len(recording.setup.sources) > 1
    if known_together(stages) or found_together(suspects(stages), texts, moving=moving):
        refuse(reranker)
    known: dict[str, StageScores] = {}

    def scores_of(query: RecordedQuery) -> StageScores:
        if query.query_id not in known:
            score_all = ScoreAll([stage.reranker for stage in stages])
            known[query.query_id] = _scored_now(query, score_all, setups)
        return known[query.query_id]

    return scores_of, setups


def _candidates(query: RecordedQuery) -> list[Candidate]:
    """Return what a reranker can read of a recorded query, in fused order."""
    return [
        Candidate(
            Document(query.doc_ids[row], query.texts[row]),
            query.keys[row],
            float(query.fusion_score[row]),
            row + 1,
        )
        for row in np.flatnonzero(query.content == Content.TEXT).tolist()
    ]


def _scored_now(
    query: RecordedQuery, score_all: ScoreAll, setups: Sequence[StepSetup]
) -> StageScores:
    place = {key: row for row, key in enumerate(query.keys)}
    last = score_all.rerank(Query(query.text), _candidates(query))
    for answer, setup in zip(score_all.answers, setups, strict=True):
        check_unlimited_answer(answer.reranking, setup)
    columns = [
        step_scores(answer.reranking, place, pointwise=setup.pointwise)
        for answer, setup in zip(score_all.answers, setups, strict=True)
    ]
    fate = np.full(len(query), FateCode.UNSCORED, np.uint8)
    fate[[place[one.candidate.key] for one in last.ordered]] = FateCode.RERANKED
    fate[[place[one.candidate.key] for one in last.dropped]] = FateCode.DROPPED
    cut = np.logical_or.reduce([truncated for _, truncated in columns])
    whole = not query.failed_sources and not lacks(last)[0]
    steps, fills = [one for one, _ in columns], not (last.thresholded and last.dropped)
    return StageScores(steps, fate, last.kind, last.model, whole, cut, fills)
