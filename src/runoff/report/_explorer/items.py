"""One answer as the page shows it: both orders, what became of each document, what is missing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from runoff._util.text import snippet
from runoff.report._account import said
from runoff.report._explorer.marks import marks
from runoff.report._response import ending
from runoff.report._way import way
from runoff.trace import FateKind, Scoring

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runoff.trace import Fate, StageTrace, Trace
    from runoff.types import Outcome, Response


SHOWN = 30  # documents on each side
CUT = 4000  # characters of a text in a list


def answer_of(
    response: Response, grades: Mapping[str, int], shown: int = SHOWN, cut: int = CUT
) -> dict[str, Any]:
    """Return an answer as plain values for JSON.

    Args:
        response: the answer.
        grades: of its documents, those known.
        shown: documents on each side.
        cut: characters of each text.
    """
    trace = response.trace
    fates = [one for one in trace.fates if one.kind is not FateKind.GROUPED]
    before = sorted(fates, key=lambda one: one.candidate.fusion_rank)[:shown]
    ranked = (one for one in fates if one.rank is not None)
    after = sorted(ranked, key=lambda one: one.rank or 0)[:shown]
    asked = response.query.text

    def items(listed: Iterable[Fate]) -> list[dict[str, Any]]:
        return [_item(rank, one, trace, asked, grades, cut) for rank, one in enumerate(listed, 1)]

    return {
        "text": asked,
        "outcome": outcome_of(response.outcome),
        "latency": list(_latency(trace.stages)),
        "before": items(before),
        "after": items(after),
    }


def _item(
    rank: int, fate: Fate, trace: Trace, asked: str, grades: Mapping[str, int], cut: int
) -> dict[str, Any]:
    candidate = fate.candidate
    document = candidate.document
    placed = {one.source: one for one in candidate.placements}
    sources = [stage.source for stage in trace.stages if stage.stage == "recall"]
    text = document.text[:cut]
    return {
        "doc_id": document.doc_id,
        "title": _title(document.metadata),
        "text": text or None,
        "text_cut": len(document.text) > cut,
        "rank": rank,
        "sources": {
            name: {"rank": placed[name].rank, "score": _number(placed[name].score)}
            if name in placed
            else None
            for name in sources or placed
        },
        "fusion_rank": candidate.fusion_rank,
        "fusion_score": _number(candidate.fusion_score),
        "rerank_rank": fate.rerank_rank,
        "rerank_score": _number(fate.rerank_score),
        "scored": fate.pair_score is not None or fate.rerank_score is not None,
        "truncated": fate.truncated,
        "fate": _fate(fate, trace),
        "grade": grades.get(document.doc_id),
        "marks": marks(asked, text) if text else [],
    }


def _title(metadata: Mapping[str, Any]) -> str | None:
    found = metadata.get("title")
    return snippet(found, 300) if isinstance(found, str) and found.strip() else None


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _fate(fate: Fate, trace: Trace) -> str | None:
    """Return what is odd about where a candidate ended, as a sentence; None if nothing is."""
    if fate.kind is FateKind.DROPPED:
        return f"{ending(fate, trace)}."
    return {
        Scoring.TAIL: f"below the window of {trace.window}, so it was never read",
        Scoring.UNSCORED: f"not scored: {fate.reason or 'the second stage gave no score'}",
        Scoring.IMAGE: "an image without text, so it keeps its fused rank",
        Scoring.EMPTY: "it has no text to read",
    }.get(fate.scoring)


def outcome_of(outcome: Outcome) -> dict[str, Any]:
    """Return whether an answer is complete, with what is missing as sentences."""
    sentences = [
        f"{one.stage} {one.source}: {one.reason}" + (f" ({said(one.detail)})" if one.detail else "")
        for one in outcome.degraded
    ]
    sentences += [said(note) for note in outcome.notes]
    return {"status": "complete" if outcome.complete else "degraded", "sentences": sentences}


def _latency(stages: Iterable[StageTrace]) -> Iterable[dict[str, Any]]:
    for one in stages:
        yield {"stage": f"{one.stage} {one.source}".strip(), "ms": _number(one.latency_ms)}


def document_of(response: Response, doc_id: str, text: str | None) -> dict[str, Any]:
    """Return what became of one document, whether it was found or not.

    Args:
        response: the answer.
        doc_id: the document.
        text: its text; None if unknown.
    """
    found = way(response, doc_id)
    fate = response.trace.fate(doc_id)
    steps = [*found.steps]
    made = [
        {"stage": one.stage, "sentence": one.sentence, "rank": one.rank, "score": one.score}
        for one in steps
    ]
    if fate is not None:
        made.append(
            {"stage": "answer", "sentence": found.sentence, "rank": fate.rank, "score": None}
        )
        text = text or fate.candidate.document.text or None
    return {"doc_id": doc_id, "text": text, "way": made, "sentence": found.sentence}
