"""An answer, or one document's way through it, in plain text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from runoff._util.text import snippet
from runoff.trace import FateKind, Scoring

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runoff.scores import Usage
    from runoff.trace import Fate, StageTrace, Trace
    from runoff.types import Response

__all__ = ["explain", "headline", "number", "result_table", "snippet", "stage_table", "text_table"]

_SNIPPET = 60
_SENTENCE = 500


def explain(response: Response, doc_id: str | None = None) -> str:
    """Tell how an answer came about, or what became of one document.

    Args:
        response: the answer.
        doc_id: a document to follow; None explains the whole answer.
    """
    if doc_id is not None:
        return _follow(response, doc_id)
    parts = [headline(response), text_table(stage_table(response), align="<<><")]
    rows = result_table(response)
    parts.append(text_table(rows, align=">" * (len(rows[0]) - 2) + "<<"))
    return "\n\n".join(parts)


def headline(response: Response) -> str:
    """Return the question and, in a few sentences, whether the answer is all it should be."""
    outcome, trace = response.outcome, response.trace
    budget = "" if outcome.budget_ms is None else f" of {outcome.budget_ms:.0f} ms"
    found = f"{len(response)} of {len(trace.fates)} candidates"
    asked = repr(snippet(response.query.text, 100))
    lines = [f"{asked}: {found} in {outcome.spent_ms:.1f} ms{budget}"]
    if trace.load_ms:
        lines[0] += f", and {trace.load_ms:.0f} ms to load models"
    lines += [
        f"degraded: {one.stage} {one.source}: {one.reason} ({snippet(one.detail, _SENTENCE)})"
        for one in outcome.degraded
    ]
    if not outcome.degraded:
        lines[0] += ", complete"
    elif outcome.total and outcome.scored < outcome.total:
        lines.append(f"reranked {outcome.scored} of the {outcome.total} it should have")
    if trace.truncated:
        lines.append(
            f"{trace.truncated} documents were read only up to a point: a limit, or the deadline"
        )
    grouped = sum(fate.kind is FateKind.GROUPED for fate in trace.fates)
    if grouped:
        lines.append(f"{grouped} candidates are grouped under others that stand for them")
    lines += [f"note: {snippet(note, _SENTENCE)}" for note in outcome.notes]
    return "\n".join(lines)


def stage_table(response: Response) -> list[tuple[str, ...]]:
    """Return one row for each stage under a row of headings."""
    rows: list[tuple[str, ...]] = [("stage", "source", "ms", "what it did")]
    for stage in response.trace.stages:
        rows += _stage_rows(stage, "")
    return rows


def _stage_rows(stage: StageTrace, indent: str) -> list[tuple[str, ...]]:
    """Return a stage's row and, marked by hyphens, those of the stages it is made of."""
    if stage.error:
        error = snippet(stage.error, _SENTENCE)
        did = f"left out: {error}" if not stage.left else f"partly: {error}"
    elif stage.stage == "recall":
        did = f"{stage.left} hits (depth {stage.entered})"
    elif stage.stage == "fusion":
        did = f"{stage.entered} hits became {stage.left} candidates"
    elif not stage.entered:
        did = "skipped"
    else:
        did = f"ordered {stage.left} of {stage.entered}"
    did += _used(stage.usage)
    if indent and stage.load_ms:  # of whole stages the headline has the sum
        did += f", after {stage.load_ms:.0f} ms to load"
    row = (stage.stage, f"{indent}{stage.source}", f"{stage.latency_ms:.1f}", did)
    return [row, *(one for part in stage.parts for one in _stage_rows(part, f"{indent}- "))]


def _used(usage: Usage) -> str:
    """Return what a stage consumed as the end of a sentence; empty when nothing is known."""
    told = []
    if usage.cached:
        told.append(f"{usage.cached} from the cache")
    if usage.tokens is not None:
        told.append(f"{usage.tokens:,} tokens")
    if usage.billed_units is not None:
        told.append(f"{usage.billed_units:g} units billed")
    if usage.cost is not None:
        told.append(f"cost {usage.cost:.6g}")
    return "".join(f", {one}" for one in told)


def result_table(response: Response) -> list[tuple[str, ...]]:
    """Return one row for each result: its place at every stage, its id and how its text begins."""
    sources = [stage.source for stage in response.trace.stages if stage.stage == "recall"]
    rows: list[tuple[str, ...]] = [("#", "rerank", "fused", *sources, "document", "text")]
    for result in response:
        placed = {one.source: f"{one.rank} ({number(one.score)})" for one in result.placements}
        reranked = "-"
        if result.rerank_score is not None:
            reranked = f"{result.rerank_rank} ({number(result.rerank_score)})"
        elif result.rerank_rank is not None:
            reranked = f"{result.rerank_rank} (-)"
        rows.append(
            (
                str(result.rank),
                reranked,
                f"{result.fusion_rank} ({number(result.fusion_score)})",
                *(placed.get(source, "-") for source in sources),
                snippet(result.doc_id, 40),
                snippet(result.text, _SNIPPET) + (" [truncated]" if result.truncated else ""),
            )
        )
    return rows


def number(value: float) -> str:
    """Return a score with as many digits as help to compare it; `-` where there is none."""
    if math.isnan(value):
        return "-"
    return f"{value:.4f}" if abs(value) < 1 else f"{value:.2f}"


def text_table(rows: Sequence[Sequence[str]], align: str) -> str:
    """Return rows in columns, aligned by one of `<` and `>` for each."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            f"{cell:{side}{width}}" for cell, side, width in zip(row, align, widths, strict=True)
        ).rstrip()
        for row in rows
    )


def _follow(response: Response, doc_id: str) -> str:
    trace = response.trace
    fate = trace.fate(doc_id)
    named = snippet(doc_id, _SENTENCE)
    asked = [stage for stage in trace.stages if stage.stage == "recall"]
    if fate is None:
        out = [f"{named}: no source found it within depth {trace.depth}."]
        out += [
            f"  {stage.source} was left out: {snippet(stage.error, _SENTENCE)}"
            for stage in asked
            if stage.error
        ]
        out.append("  Ask the sources for more (depth), add another kind of source, or look")
        out.append("  whether the document is indexed and passes the filters.")
        return "\n".join(out)
    candidate = fate.candidate
    placed = {one.source: one for one in candidate.placements}
    out = [f"{named}: {_verdict(fate, trace)}"]
    for stage in asked:
        one = placed.get(stage.source)
        if one is not None:
            out.append(f"  {stage.source}: rank {one.rank}, score {number(one.score)}")
        elif stage.error:
            out.append(f"  {stage.source}: left out ({snippet(stage.error, _SENTENCE)})")
        else:
            out.append(f"  {stage.source}: not among its {stage.left} hits")
    out.append(
        f"  fusion: rank {candidate.fusion_rank} of {len(trace.fates)}, "
        f"score {number(candidate.fusion_score)}"
    )
    out.append(f"  rerank: {_reranked(fate, trace.window, trace.model.name)}")
    if fate.passages:
        best = fate.passages[0]
        out.append(
            f"  best passage: characters {best.start} to {best.end}, score {number(best.score)}: "
            + snippet(candidate.document.text[best.start : best.end], _SNIPPET)
        )
    if candidate.grouped:
        ids = (snippet(one.document.doc_id, 40) for one in candidate.grouped)
        out.append(f"  stands for: {', '.join(ids)}")
    return "\n".join(out)


def _verdict(fate: Fate, trace: Trace) -> str:
    if fate.kind is FateKind.GROUPED:
        head = next(one for one in trace.fates if one.candidate.key == fate.grouped_under)
        named = snippet(head.candidate.document.doc_id, _SENTENCE)
        return f"grouped under {named}, which stands for it: {_verdict(head, trace)}"
    if fate.kind is FateKind.RETURNED:
        return f"returned at rank {fate.rank}."
    if fate.kind is FateKind.CUT:
        return f"rank {fate.rank}, below the {trace.top_k} results asked for."
    return f"dropped: {fate.reason}."


def _reranked(fate: Fate, window: int, model: str) -> str:
    if fate.rerank_score is None and fate.pair_score is None:
        if fate.rerank_rank is not None:
            return f"placed {fate.rerank_rank} by an earlier stage; {model} has no score for it"
        return {
            Scoring.TAIL: f"below the window of {window}, so it was never read",
            Scoring.UNSCORED: f"unscored: {fate.reason}",
            Scoring.IMAGE: "an image without text keeps its fused place",
            Scoring.EMPTY: "no text to read",
            Scoring.OFF: "there is no second stage",
            Scoring.GROUPED: "another was read in its place",
        }.get(fate.scoring, fate.scoring)
    said = model
    if fate.rerank_score is not None:
        moved = fate.candidate.fusion_rank - (fate.rerank_rank or 0)
        way = f"up {moved}" if moved > 0 else f"down {-moved}" if moved else "unmoved"
        said += f" placed it {fate.rerank_rank} ({way}), score {number(fate.rerank_score)}"
    if fate.pair_score is not None and fate.pair_score != fate.rerank_score:
        said += f", pair score {number(fate.pair_score)}"
    return said + (", without having read all of it" if fate.truncated else "")
