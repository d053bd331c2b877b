"""What is known of an answer, wherever it came from, as tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runoff._util.messages import number_of, visible
from runoff._util.text import snippet
from runoff.report._text import number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runoff.scores import Match, Usage
    from runoff.trace import StageTrace

_SNIPPET = 60
_SENTENCE = 500
_WORD = 20
_NOWHERE = None, None


@dataclass(frozen=True, slots=True)
class Row:
    """One document of an answer.

    Attributes:
        doc_id: its id.
        text: its text; empty where it is not known.
        rank: its place in the answer, from 1; None for a document that was not returned.
        sources: source to its rank and score there; None for an unknown rank, NaN for a score.
        fusion_rank: its place after fusion; None if it is not known, as for every rank below.
        fusion_score: the score that fusion gave it.
        rerank_rank: its place among the reranked.
        rerank_score: the score it was ordered by.
        truncated: whether the reranker read only a part of it.
        words: which words of the query met which of its own.
        fate: what became of it, as a sentence; empty for a result.
    """

    doc_id: str
    text: str
    rank: int | None
    sources: Mapping[str, tuple[int | None, float]] = field(default_factory=dict)
    fusion_rank: int | None = None
    fusion_score: float | None = None
    rerank_rank: int | None = None
    rerank_score: float | None = None
    truncated: bool = False
    words: str = ""
    fate: str = ""


@dataclass(frozen=True, slots=True)
class Account:
    """An answer as it is explained.

    Attributes:
        headline: the question, what was found and what is missing, as lines.
        complete: whether no stage was left out, as far as that is known.
        results: the results, best first.
        sources: the names of the sources, in the order of the columns.
        stages: one row for each stage under headings; empty where stages are not known.
        others: documents that were considered and not returned.
        words: whether there is a column with the words that met.
    """

    headline: str
    complete: bool
    results: tuple[Row, ...]
    sources: tuple[str, ...] = ()
    stages: tuple[tuple[str, ...], ...] = ()
    others: tuple[Row, ...] = ()
    words: bool = False


def result_rows(account: Account) -> list[tuple[str, ...]]:
    """Return headings and one row for each result: its rank at every stage, its id and its text."""
    words = ("query ~ document",) if account.words else ()
    head = ("#", "rerank", "fused", *account.sources, "document", *words, "text")
    return [head, *(_cells(one, account) for one in account.results)]


def _cells(one: Row, account: Account) -> tuple[str, ...]:
    return (
        "-" if one.rank is None else str(one.rank),
        _placed(one.rerank_rank, one.rerank_score),
        _placed(one.fusion_rank, one.fusion_score),
        *(_placed(*one.sources.get(name, _NOWHERE)) for name in account.sources),
        snippet(one.doc_id, 40),
        *([one.words] if account.words else []),
        snippet(one.text, _SNIPPET) + (" [truncated]" if one.truncated else ""),
    )


def _placed(rank: int | None, score: float | None) -> str:
    """Return a rank with its score in brackets, or what is known of the two."""
    known = "-" if score is None else number(score)
    return known if rank is None else f"{rank} ({known})"


def stage_rows(stages: Sequence[StageTrace]) -> tuple[tuple[str, ...], ...]:
    """Return headings and one row for each stage."""
    rows: list[tuple[str, ...]] = [("stage", "source", "ms", "what it did")]
    for stage in stages:
        rows += _stage_rows(stage, "")
    return tuple(rows)


def _stage_rows(stage: StageTrace, indent: str) -> list[tuple[str, ...]]:
    """Return a stage's row, then the rows of its own stages, marked with hyphens."""
    if stage.error:
        error = said(stage.error)
        did = f"left out: {error}" if not stage.left else f"failed in part: {error}"
    elif stage.stage == "recall":
        did = f"{number_of(stage.left, 'hit')} (depth {stage.entered})"
    elif stage.stage == "fusion":
        did = f"{number_of(stage.entered, 'hit')} became {number_of(stage.left, 'candidate')}"
    elif not stage.entered:
        did = "skipped"
    else:
        did = f"ordered {stage.left} of {stage.entered}"
    did += _used(stage.usage)
    if indent and stage.load_ms:  # the headline has the sum of the outer stages
        did += f", after {stage.load_ms:.0f} ms to load"
    row = (stage.stage, f"{indent}{stage.source}", f"{stage.latency_ms:.1f}", did)
    return [row, *(one for part in stage.parts for one in _stage_rows(part, f"{indent}- "))]


def _used(usage: Usage) -> str:
    """Return what a stage consumed, to end a sentence with; empty when nothing is known."""
    used = []
    if usage.cached:
        used.append(f"{usage.cached} from the cache")
    if usage.tokens is not None:
        used.append(number_of(usage.tokens, "token"))
    if usage.billed_units is not None:
        used.append(f"{usage.billed_units:g} units billed")
    if usage.cost is not None:
        used.append(f"cost {usage.cost:.6g}")
    return "".join(f", {one}" for one in used)


def met(matches: Sequence[Match], most: int) -> str:
    """Return the pairs of words that count most, with their cosines."""
    shown = (
        f"{snippet(one.query, _WORD)} ~ {snippet(one.document, _WORD)} {one.cosine:.2f}"
        for one in matches[:most]
    )
    return ", ".join(shown)


def said(text: str) -> str:
    """Return a sentence or an id on one line, cut where it is very long."""
    return snippet(visible(text), _SENTENCE)
