"""A recorded query's answer as the `Response` that the live system would have given."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from runoff._recording.query import Content, FateCode
from runoff.pipeline import _stages as stages
from runoff.rerank._pointwise import BELOW
from runoff.trace import Trace
from runoff.types import (
    Candidate,
    Document,
    Dropped,
    Outcome,
    Placement,
    Query,
    Ranked,
    Reranking,
    Response,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from runoff._recording.replay import Plan
    from runoff._recording.traverse import Traversal
    from runoff.trace import StageTrace


def as_response(
    one: Traversal, plan: Plan, documents: Mapping[str, Document] | None = None
) -> Response:
    """Return what the system would have answered, with every candidate's ranks, scores and fate.

    Args:
        one: the query, taken through the stages as the plan has them.
        plan: the settings; the latency of the second stage is in proportion to the pairs it reads.
        documents: the documents by id; else recorded texts are used, or empty ones.
    """
    query = one.query
    candidates = _candidates(one, documents or {})
    heads = [candidates[row] for row in one.heads.tolist()]
    parts = _split(one, candidates)
    reranking = _reranking(one, candidates) if plan.steps and len(one.given) else None
    top_k = len(query) or 1
    top_k = top_k if plan.top_k is None else plan.top_k
    found = stages.order(
        parts, reranking, "", off=not plan.steps, top_k=top_k, isolated=documents is not None
    )
    traced = tuple(_stages(one, plan))
    recorded = query.outcome
    outcome = Outcome(
        recorded.degraded,
        0 if reranking is None else len(reranking.ordered),
        len(parts.readable),
        recorded.budget_ms,
        _spent(traced),
        recorded.notes,
    )
    trace = Trace(
        traced,
        (*found.fates, *stages.grouped_fates(heads)),
        one.scores.model,
        one.scores.kind,
        plan.depth,
        plan.window,
        top_k,
    )
    return Response(Query(query.text), found.results, outcome, trace)


def _candidates(one: Traversal, documents: Mapping[str, Document]) -> dict[int, Candidate]:
    """Return a candidate for each row at the depth in use, with those it stands for."""
    query, rows = one.query, one.fused.order.tolist()
    score = one.fused.score
    made = {}
    for rank, row in enumerate(rows, 1):
        doc_id = query.doc_ids[row]
        document = documents.get(doc_id)
        if document is None:
            image = query.content[row] == int(Content.IMAGE)
            document = Document(doc_id, query.texts[row] if query.texts else "", image=image)
        placements = tuple(
            Placement(name, int(origin.rank[row]), float(origin.score[row]))
            for name, origin in query.origins.items()
            if origin.rank[row]
        )
        made[row] = Candidate(document, query.keys[row], float(score[row]), rank, placements)
    members: dict[int, list[Candidate]] = {}
    for row in rows:
        if row in one.under:
            members.setdefault(one.under[row], []).append(made[row])
    for head, grouped in members.items():
        made[head] = replace(made[head], grouped=tuple(grouped))
    return made


def _split(one: Traversal, candidates: Mapping[int, Candidate]) -> stages.Split:
    parts = stages.Split([], [], [], [])
    for place, row in enumerate(one.heads.tolist()):
        content = Content(int(one.query.content[row]))
        if content is Content.IMAGE:
            parts.images.append(candidates[row])
        elif place >= one.window or not one.steps:
            parts.tail.append(candidates[row])
        elif content is Content.EMPTY:
            parts.empty.append(candidates[row])
        else:
            parts.readable.append(candidates[row])
    return parts


def _reranking(one: Traversal, candidates: Mapping[int, Candidate]) -> Reranking | None:
    second, query = one.second, one.query
    if second is None:
        return None
    pairs, cut = one.scores.steps[-1], one.scores.truncated

    def known(value: float) -> float | None:
        return float(value) if math.isfinite(value) else None

    ordered = tuple(
        Ranked(candidates[row], known(score), known(pairs[row]), bool(cut[row]))
        for row, score in zip(second.ordered.tolist(), second.score.tolist(), strict=True)
    )
    left = np.isin(one.given, np.append(second.ordered, second.unscored))
    removed = set(one.dropped.tolist())
    dropped = tuple(
        Dropped(
            candidates[row],
            _why(query.why, row) if row in removed else BELOW,
            known(pairs[row]),
            truncated=bool(cut[row]),
        )
        for row in one.given[~left].tolist()
    )
    unscored = tuple(candidates[row] for row in second.unscored.tolist())
    faults = [it for it in query.outcome.degraded if it.stage == "rerank"]
    codes = query.fate[second.unscored]
    reason = faults[0].reason if faults and (codes == int(FateCode.UNSCORED)).any() else ""
    return Reranking(
        ordered,
        unscored,
        dropped,
        one.scores.kind,
        one.scores.model,
        reason=reason,
        thresholded=second.thresholded,
    )


def _why(reasons: Sequence[str], row: int) -> str:
    return (reasons[row] if reasons else "") or "the reranker left it out"


def _stages(one: Traversal, plan: Plan) -> Iterable[StageTrace]:
    """Yield the recorded stages, as they would be with these settings."""
    query, found = one.query, one.fused.order
    for stage in query.stages:
        if stage.stage == "recall" and stage.source in query.origins:
            ranks = query.origins[stage.source].rank
            left = int(((ranks > 0) & (ranks <= plan.depth)).sum())
            yield replace(stage, entered=plan.depth, left=left)
        elif stage.stage == "fusion":
            hits = sum(int((it.rank > 0).sum()) for it in query.origins.values())
            yield replace(stage, entered=hits, left=len(found))
        elif stage.stage == "rerank" and plan.steps:
            share = len(one.given) / max(1, stage.entered)
            ordered = 0 if one.second is None else len(one.second.ordered)
            yield replace(
                stage,
                latency_ms=stage.latency_ms * share,
                entered=len(one.given),
                left=ordered,
                parts=(),
            )


def _spent(traced: Sequence[StageTrace]) -> float:
    """Return the milliseconds of a search: sources run at the same time."""
    recall = max((one.latency_ms for one in traced if one.stage == "recall"), default=0.0)
    return recall + sum(one.latency_ms for one in traced if one.stage != "recall")
