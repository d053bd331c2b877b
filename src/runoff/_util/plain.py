"""Responses and traces as plain values for JSON.

The format has a version, which is raised when a field is removed or changes its meaning; new fields
do not raise it. `docs/signals.md` describes it.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runoff.scores import Passage
    from runoff.trace import Fate, StageTrace, Trace
    from runoff.types import Placement, Response

_VERSION = 1


def finite(score: float | None) -> float | None:
    """Return a score as JSON can hold it: None for NaN and infinity, and no NumPy number."""
    return None if score is None or not math.isfinite(score) else float(score)


def response_dict(response: Response, *, texts: bool) -> dict[str, Any]:
    """Return a response; see `Response.to_dict`."""
    outcome = response.outcome
    said: dict[str, Any] = {
        "version": _VERSION,
        "results": [
            {
                "rank": one.rank,
                "doc_id": one.doc_id,
                "fusion_rank": one.fusion_rank,
                "fusion_score": finite(one.fusion_score),
                "rerank_rank": one.rerank_rank,
                "rerank_score": finite(one.rerank_score),
                "pair_score": finite(one.pair_score),
                "truncated": bool(one.truncated),
                "passages": passages_list(one.passages),
                "sources": sources_dict(one.placements),
                "grouped": [it.document.doc_id for it in one.candidate.grouped],
                **({"text": one.text} if texts else {}),
            }
            for one in response
        ],
        "outcome": {
            "complete": outcome.complete,
            "degraded": [
                {
                    "stage": one.stage,
                    "source": one.source,
                    "reason": one.reason,
                    **({"detail": one.detail} if texts else {}),
                }
                for one in outcome.degraded
            ],
            "scored": outcome.scored,
            "total": outcome.total,
            "budget_ms": finite(outcome.budget_ms),
            "spent_ms": finite(outcome.spent_ms),
            **({"notes": list(outcome.notes)} if texts else {}),
        },
        "trace": trace_dict(response.trace, texts=texts),
    }
    return said | ({"query": response.query.text} if texts else {})


def trace_dict(trace: Trace, *, texts: bool) -> dict[str, Any]:
    """Return a trace; see `Trace.to_dict`."""
    return {
        "version": _VERSION,
        "depth": trace.depth,
        "window": trace.window,
        "top_k": trace.top_k,
        "model": asdict(trace.model),
        "kind": str(trace.kind),
        "stages": [_stage(one, texts=texts) for one in trace.stages],
        "fates": [_fate(one, texts=texts) for one in trace.fates],
    }


def _stage(stage: StageTrace, *, texts: bool) -> dict[str, Any]:
    usage = asdict(stage.usage)
    return {
        "stage": stage.stage,
        "source": stage.source,
        "latency_ms": finite(stage.latency_ms),
        "load_ms": finite(stage.load_ms),
        "entered": stage.entered,
        "left": stage.left,
        "failed": bool(stage.error),
        "usage": {
            name: finite(one) if isinstance(one, float) else one for name, one in usage.items()
        },
        "parts": [_stage(one, texts=texts) for one in stage.parts],
        **({"error": stage.error} if texts else {}),
    }


def _fate(fate: Fate, *, texts: bool) -> dict[str, Any]:
    candidate = fate.candidate
    return {
        "doc_id": candidate.document.doc_id,
        "kind": str(fate.kind),
        "rank": fate.rank,
        "scoring": str(fate.scoring),
        "reason": fate.reason,
        "grouped_under": fate.grouped_under,
        "fusion_rank": candidate.fusion_rank,
        "fusion_score": finite(candidate.fusion_score),
        "rerank_rank": fate.rerank_rank,
        "rerank_score": finite(fate.rerank_score),
        "pair_score": finite(fate.pair_score),
        "truncated": bool(fate.truncated),
        "passages": passages_list(fate.passages),
        "sources": sources_dict(candidate.placements),
        **({"text": candidate.document.text} if texts else {}),
    }


def sources_dict(placements: Iterable[Placement]) -> dict[str, Any]:
    """Return each source's rank and score."""
    return {one.source: {"rank": one.rank, "score": finite(one.score)} for one in placements}


def passages_list(passages: Iterable[Passage]) -> list[dict[str, Any]]:
    """Return the parts of a text that were scored."""
    return [{"start": one.start, "end": one.end, "score": finite(one.score)} for one in passages]
