"""What a search returns: its results, and what is missing from them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from runoff._util.lazy import import_name
from runoff._util.messages import fields_repr, short_repr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runoff.scores import Passage
    from runoff.trace import Trace
    from runoff.types._documents import Candidate, Document, Placement, Query

__all__ = ["Degradation", "Outcome", "Response", "Result", "Stage"]

Stage: TypeAlias = Literal["recall", "fusion", "rerank"]


@dataclass(frozen=True, slots=True)
class Degradation:
    """One thing that is missing from a degraded answer.

    Attributes:
        stage: `"recall"`, `"fusion"` or `"rerank"`.
        source: the source's name, or the reranker's.
        reason: a short, stable word: `timeout`, `connection`, `server_error`, `bad_reply`,
            `request_rejected`, `pool_full`, `circuit_open` or `cap` for faults that may pass;
            `permanent` for a `PermanentError`, and `error` for everything else.
        detail: the same as a sentence.
    """

    stage: Stage
    source: str
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Outcome:
    """Whether an answer is complete, and what is missing.

    Attributes:
        degraded: what is missing, in the order it happened; empty when the answer is complete.
        scored: candidates in the window that the reranker scored.
        total: candidates in the window that have text to score.
        budget_ms: the time budget in milliseconds; None when there was none.
        spent_ms: wall clock of the whole search in milliseconds, model loading left out.
        notes: sentences for the user to read that do not make the answer degraded.
    """

    degraded: tuple[Degradation, ...] = ()
    scored: int = 0
    total: int = 0
    budget_ms: float | None = None
    spent_ms: float = math.nan
    notes: tuple[str, ...] = ()

    __repr__ = fields_repr

    @property
    def complete(self) -> bool:
        """True when no stage and no source was left out."""
        return not self.degraded


@dataclass(frozen=True, slots=True, repr=False)
class Result:
    """One returned document, with its rank and score at every stage.

    Attributes:
        rank: its place in the answer, from 1.
        candidate: its document, its fused place and every source's rank and score.
        rerank_rank: its place among the reranked, from 1; None when it was not reranked.
        rerank_score: what the reranker ordered it by; None when it was not reranked, or only by an
            earlier stage of a cascade.
        pair_score: the scorer's own score; None when it was not scored.
        truncated: whether the reranker lost text of it to a token limit.
        passages: the parts of its text its score came from, best first; empty for the whole text.
    """

    rank: int
    candidate: Candidate
    rerank_rank: int | None = None
    rerank_score: float | None = None
    pair_score: float | None = None
    truncated: bool = False
    passages: tuple[Passage, ...] = ()

    __repr__ = fields_repr

    @property
    def document(self) -> Document:
        """The document."""
        return self.candidate.document

    @property
    def doc_id(self) -> str:
        """The document's id."""
        return self.candidate.document.doc_id

    @property
    def text(self) -> str:
        """The document's text."""
        return self.candidate.document.text

    @property
    def fusion_score(self) -> float:
        """The score fusion gave it."""
        return self.candidate.fusion_score

    @property
    def fusion_rank(self) -> int:
        """Its place after fusion, from 1."""
        return self.candidate.fusion_rank

    @property
    def placements(self) -> tuple[Placement, ...]:
        """Its rank and score in each source that found it."""
        return self.candidate.placements


@dataclass(frozen=True, slots=True, repr=False)
class Response:
    """The answer to one search; iterate over it, index it, or ask it to explain itself."""

    query: Query
    results: tuple[Result, ...]
    outcome: Outcome
    trace: Trace

    def __repr__(self) -> str:
        """Show the question, the number of results and whether the answer is complete."""
        state = "complete" if self.outcome.complete else "degraded"
        return f"Response({short_repr(self.query.text)}, {len(self.results)} results, {state})"

    def __iter__(self) -> Iterator[Result]:
        """Iterate over the results, best first."""
        return iter(self.results)

    def __len__(self) -> int:
        """Return the number of results."""
        return len(self.results)

    def __getitem__(self, index: int) -> Result:
        """Return the result at an index, counted from 0."""
        return self.results[index]

    def explain(self, doc_id: str | None = None) -> str:
        """Explain in plain text how the answer came about, or what became of one document.

        Args:
            doc_id: a document to follow through every stage; None explains the whole answer.
        """
        text: str = import_name("runoff.report._explain", "explain")(self, doc_id)
        return text

    def to_dict(self, *, texts: bool = False) -> dict[str, Any]:
        """Return everything as plain values for JSON, in a format with a version.

        Args:
            texts: whether to include the texts of the query, the documents, notes and errors.
        """
        plain: dict[str, Any] = import_name("runoff._util.plain", "response_dict")(
            self, texts=texts
        )
        return plain

    def _repr_html_(self) -> str:
        page: str = import_name("runoff.report._notebook", "response_html")(self)
        return page
