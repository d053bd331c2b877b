"""The data that flows through a search: frozen, slotted, never mutated.

A source answers with hits, fusion turns hits into candidates, the reranker orders candidates, and
the pipeline returns results. Each stage adds to its input and overwrites nothing, so a result keeps
every rank and score it was given. Ranks start at 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal

from runoff._util.display import html_by
from runoff._util.gained import gained
from runoff._util.lazy import import_name
from runoff._util.messages import fields_repr, number_of, short_repr
from runoff._util.quick import quick
from runoff._util.text import text_key
from runoff.errors import InvalidArgument
from runoff.scores import ModelIdentity, Passage, ScoreKind, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runoff.filters import Filter
    from runoff.scores import Match
    from runoff.trace import StageTrace, Trace

__all__ = [
    "Candidate",
    "Degradation",
    "Document",
    "Dropped",
    "Hit",
    "Outcome",
    "Placement",
    "Query",
    "Ranked",
    "Reranking",
    "Response",
    "Result",
    "Stage",
]

Stage = Literal["recall", "fusion", "rerank"]
"""A stage of a pipeline, as outcomes and traces name it."""


@quick
@dataclass(frozen=True, slots=True, repr=False)
class Document:
    """One retrievable text.

    Attributes:
        doc_id: its id, a non-empty string.
        text: the text that is searched and reranked; may be empty.
        metadata: what filters test; it is kept as given and never changed.
        own_id: False where the id was made up because the document had none of its own; such
            documents are merged across sources by their text.
        image: True for a document whose content is an image; with no text it keeps its fused place
            and is never sent to a reranker.

    Raises:
        InvalidArgument: the id or the text is not a string, the id is empty, or the metadata is not
            a mapping.
    """

    doc_id: str
    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)
    own_id: bool = True
    image: bool = False

    __repr__ = fields_repr

    def __post_init__(self) -> None:
        """Check the id, the text and the metadata."""
        if not isinstance(self.doc_id, str) or not self.doc_id:
            raise InvalidArgument("doc_id", self.doc_id, "must be a non-empty string")
        if not isinstance(self.text, str):
            raise InvalidArgument("text", self.text, f"must be a string (id {self.doc_id!r})")
        # the check against an abstract class is the slowest step here, so it comes last
        if type(self.metadata) is not dict and not isinstance(self.metadata, Mapping):
            remedy = f"must map names to values (id {self.doc_id!r})"
            raise InvalidArgument("metadata", self.metadata, remedy)

    @classmethod
    def without_id(cls, text: str, metadata: Mapping[str, Any] | None = None) -> Document:
        """Make a document that has no id of its own; its text identifies it."""
        return cls(text_key(text), text, metadata or {}, own_id=False)


@dataclass(frozen=True, slots=True, repr=False)
class Query:
    """A question, with its filters and, for dense sources, its vector.

    Attributes:
        text: the question as typed; BM25 and rerankers read this.
        filters: which documents may be returned; every source honours them exactly or raises.
        embedding: a ready vector for dense sources, shape (d,).
        embedding_texts: texts that dense sources embed in place of `text` (HyDE); their vectors are
            averaged.

    Raises:
        InvalidArgument: `text` is not a string, or it is blank and there is neither `embedding` nor
            `embedding_texts`; `filters` is not a filter; `embedding_texts` is not a tuple of
            strings.
    """

    text: str
    filters: Filter | None = None
    embedding: tuple[float, ...] | None = None
    embedding_texts: tuple[str, ...] = ()

    __repr__ = fields_repr

    def __post_init__(self) -> None:
        """Check the fields, and refuse a query without a question."""
        if not isinstance(self.text, str):
            raise InvalidArgument("query", self.text, "must be a string or a Query")
        if not self.has_question():
            raise InvalidArgument(
                "query",
                self.text,
                "must not be blank, unless embedding or embedding_texts is given",
            )
        if self.filters is not None:
            from runoff.filters import And, Filter  # noqa: PLC0415 - keeps `import runoff` quick

            if not isinstance(self.filters, Filter):
                And(self.filters)  # says what a filter is
        texts = self.embedding_texts
        if not isinstance(texts, list | tuple) or not all(isinstance(one, str) for one in texts):
            raise InvalidArgument("embedding_texts", texts, "must be a tuple of strings")

    def has_question(self) -> bool:
        """Whether there is anything to search by: a text, or what dense sources need."""
        return bool(self.text.strip() or self.embedding is not None or self.embedding_texts)


@quick
@dataclass(frozen=True, slots=True, repr=False)
class Hit:
    """One document from one source.

    Attributes:
        document: the document found.
        score: the source's own score, higher is better; NaN from a source that only ranks.
        score_range: the lowest and highest score this source can give, as far as it knows them;
            None for an unknown end.
        key: what identifies the document across sources; the pipeline sets it, and it is the
            document's id until then.

    Raises:
        InvalidArgument: the score is not a number, or the document no `Document`.
    """

    document: Document
    score: float
    score_range: tuple[float | None, float | None] = (None, None)
    key: str = ""

    __repr__ = fields_repr

    def __post_init__(self) -> None:
        """Convert the score to a `float`, and use the document's id as the key if none is given."""
        if not isinstance(self.document, Document):
            raise InvalidArgument("document", self.document, "must be a Document")
        if type(self.score) is not float:
            if not isinstance(self.score, Real):
                remedy = f"must be a number (id {self.document.doc_id!r})"
                raise InvalidArgument("score", self.score, remedy)
            try:
                object.__setattr__(self, "score", float(self.score))
            except OverflowError:
                remedy = f"must be a number that a float can hold (id {self.document.doc_id!r})"
                raise InvalidArgument("score", self.score, remedy) from None
        if not isinstance(self.key, str):
            raise InvalidArgument("key", self.key, "must be a string")
        if not self.key:
            object.__setattr__(self, "key", self.document.doc_id)

    @property
    def doc_id(self) -> str:
        """The document's id."""
        return self.document.doc_id


@quick
@dataclass(frozen=True, slots=True)
class Placement:
    """Where one source placed a candidate: its rank (from 1) and the source's own score, or NaN."""

    source: str
    rank: int
    score: float


@quick
@dataclass(frozen=True, slots=True, repr=False)
class Candidate:
    """One document after fusion, not yet reranked.

    Attributes:
        document: what was found; the copy of the first-declared source that found it.
        key: what identifies it in this search.
        fusion_score: the score that fusion gave it; only its order means anything.
        fusion_rank: its place after fusion, from 1.
        placements: one for each source that found it, in the order the sources were declared.
        grouped: the candidates it stands for, in fused order; they are neither read nor returned.
    """

    document: Document
    key: str
    fusion_score: float
    fusion_rank: int
    placements: tuple[Placement, ...] = ()
    grouped: tuple[Candidate, ...] = ()

    __repr__ = fields_repr


@quick
@dataclass(frozen=True, slots=True, repr=False)
class Ranked:
    """A candidate that a reranker placed.

    Attributes:
        candidate: the candidate.
        rerank_score: what the reranker ordered it by, higher is better; with a blend, the mix on
            the scale of the pair scores. None where an earlier stage of a cascade placed it: that
            stage's scores are of another scale.
        pair_score: the scorer's own score of the pair; None where a listwise reranker has none.
        truncated: whether text was lost to the model's token limit.
        passages: the parts of the text its score came from, best first; empty for the whole text.
    """

    candidate: Candidate
    rerank_score: float | None
    pair_score: float | None = None
    truncated: bool = False
    passages: tuple[Passage, ...] = ()

    __repr__ = fields_repr


@dataclass(frozen=True, slots=True, repr=False)
class Dropped:
    """A candidate that a reranker removed.

    Attributes:
        candidate: the candidate.
        reason: why, such as `"below threshold"`.
        pair_score: the scorer's own score; None where there is none.
        rerank_score: what it would be ordered by, if a threshold removed it: the pipeline puts it
            back when the answer is degraded. None if it stays out.
        truncated: whether text was lost to the model's token limit.
        passages: as in `Ranked`.
    """

    candidate: Candidate
    reason: str
    pair_score: float | None = None
    rerank_score: float | None = None
    truncated: bool = False
    passages: tuple[Passage, ...] = ()

    __repr__ = fields_repr


@dataclass(frozen=True, slots=True, repr=False)
class Reranking:
    """A reranker's answer: each candidate is in exactly one of three lists.

    Attributes:
        ordered: best first; equal scores keep their fused order, and those without a score come
            last.
        unscored: those it could not score, in fused order.
        dropped: those it removed, with the reason.
        kind: the scale of the pair scores.
        model: the model behind them.
        usage: what it consumed.
        reason: why some are unscored, as in `Degradation.reason`; empty when there was no fault.
        detail: the same as a sentence; when none is unscored, what else is missing from the order,
            such as the last stage of a cascade.
        load_ms: milliseconds spent loading a model; they do not count against the deadline.
        notes: sentences for the user to read.
        thresholded: True when a threshold was applied, so that nothing unscored may follow.
        parts: its stages, when there are several; `usage` is their sum.
        matcher: returns for a document which words of the query met which of its own, where the
            model can say so; it is not pickled.
    """

    ordered: tuple[Ranked, ...]
    unscored: tuple[Candidate, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    kind: ScoreKind = ScoreKind.UNKNOWN
    model: ModelIdentity = field(default_factory=lambda: ModelIdentity(""))
    usage: Usage = field(default_factory=Usage)
    reason: str = ""
    detail: str = ""
    load_ms: float = 0.0
    notes: tuple[str, ...] = ()
    thresholded: bool = False
    parts: tuple[StageTrace, ...] = ()
    matcher: Callable[[Document], tuple[Match, ...]] | None = field(
        default=None, repr=False, compare=False
    )

    __setstate__ = gained("matcher")

    __repr__ = fields_repr


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


@quick
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
        return (
            f"Response({short_repr(self.query.text)}, {number_of(len(self.results), 'result')}, "
            f"{state})"
        )

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

    _repr_html_ = html_by("response_html", "_notebook")
