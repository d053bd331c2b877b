"""Another second stage over the same candidates: another recording's, or a scorer asked now."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from runoff._util.faults import lacks
from runoff.errors import InvalidArgument
from runoff.evaluation._parts import stages_of
from runoff.evaluation._reading import Reader, step_scores
from runoff.evaluation._recording import Content, FateCode
from runoff.evaluation._rereading import Read
from runoff.types import Candidate, Document, Query

if TYPE_CHECKING:
    from collections.abc import Callable

    from runoff.evaluation._recording import RecordedQuery, Recording
    from runoff.evaluation._setup import StepSetup

__all__ = ["other_reads", "scored_reads"]


def other_reads(recording: Recording, other: Recording) -> Callable[[RecordedQuery], Read]:
    """Return a function from a query to what the other recording's second stage made of it.

    Raises:
        InvalidArgument: the other has other queries.
    """
    if other.setup.queries != recording.setup.queries:
        raise InvalidArgument("reranker", other, "is a recording of other queries")

    def read(query: RecordedQuery) -> Read:
        theirs = other[query.query_id]
        place = {key: at for at, key in enumerate(theirs.keys)}
        rows = np.array([place.get(key, len(theirs)) for key in query.keys], np.int64)
        # what it does not have counts as never scored
        fate = np.append(theirs.fate, np.uint8(FateCode.TAIL))[rows]
        steps = [np.append(one, math.nan)[rows] for one in theirs.steps]
        nothing = np.zeros(len(theirs), np.bool_)
        cut = np.append(np.logical_or.reduce((nothing, *theirs.step_truncated)), False)[rows]
        # what our own second stage lacks is not asked for
        whole = not (theirs.degraded or query.failed_sources)
        return Read(steps, fate, theirs.kind, theirs.model, whole, cut)

    return read


def scored_reads(
    recording: Recording, reranker: object
) -> tuple[Callable[[RecordedQuery], Read], tuple[StepSetup, ...]]:
    """Return a function that has a query's candidates read now, and how the stages are configured.

    Raises:
        InvalidArgument: it is no reranker, or the recording has no texts.
    """
    stages = stages_of(reranker)
    if not recording.setup.texts:
        remedy = "needs the documents' texts: record(..., texts=True), or replay a recording of it"
        raise InvalidArgument("reranker", reranker, remedy)
    setups = tuple(stage.setup for stage in stages)

    def read(query: RecordedQuery) -> Read:
        rows = np.flatnonzero(query.content == Content.TEXT).tolist()
        candidates = [
            Candidate(
                Document(query.doc_ids[row], query.texts[row]),
                query.keys[row],
                float(query.fusion_score[row]),
                row + 1,
            )
            for row in rows
        ]
        place = {key: row for row, key in enumerate(query.keys)}
        reader = Reader([stage.reranker for stage in stages])
        last = reader.rerank(Query(query.text), candidates)
        told = [
            step_scores(came.reranking, place, pointwise=setup.pointwise)
            for came, setup in zip(reader.came, setups, strict=True)
        ]
        steps = [scores for scores, _ in told]
        cut = np.logical_or.reduce([truncated for _, truncated in told])
        fate = np.full(len(query), FateCode.UNSCORED, np.uint8)
        fate[[place[one.candidate.key] for one in last.ordered]] = FateCode.RERANKED
        fate[[place[one.candidate.key] for one in last.dropped]] = FateCode.DROPPED
        whole = not query.failed_sources and not lacks(last)[0]
        return Read(steps, fate, last.kind, last.model, whole, cut)

    return read, setups
