"""What is computed for the rows of a table: a score of each pair, or the vector of each text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from runoff.errors import InvalidArgument, MissingExtra
from runoff.protocols import Cacheable, PairScorer, Warmable
from runoff.rerank._as_reranker import as_reranker
from runoff.rerank._pointwise import Pointwise

try:
    import pyarrow as pa
except ModuleNotFoundError as missing:
    raise MissingExtra("pyarrow", "eval") from missing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from runoff.recall._dense.embedder import Embedder

SCORE = "rerank_score"
TRUNCATED = "truncated"
_MOST_NOTES = 10


class Made(NamedTuple):
    """What a task made of a table.

    Attributes:
        columns: the new columns by name, each as long as the table.
        computed: rows that got a score or a vector.
        blank: rows whose query or text is null or blank; they get null.
        truncated: rows that lost text to the model's token limit.
        reason: why other rows have no score, as `PairScores.reason`; empty if there are none.
        notes: sentences for the user.
    """

    columns: dict[str, pa.Array]
    computed: int
    blank: int
    truncated: int
    reason: str = ""
    notes: tuple[str, ...] = ()


class Task(Protocol):
    """A computation on the rows of a table, each row by itself; it can be pickled."""

    @property
    def columns(self) -> dict[str, str]:
        """The columns of text that it reads, by the argument that names each."""
        ...

    @property
    def added(self) -> tuple[str, ...]:
        """The columns that it adds."""
        ...

    def identity(self) -> str:
        """Return all that its results depend on; loads the model."""
        ...

    def __call__(self, table: pa.Table) -> Made:
        """Compute the new columns of a table."""
        ...


@dataclass(frozen=True, slots=True)
class Scoring:
    """Score the pair of query and text of each row."""

    scorer: PairScorer
    query: str
    text: str

    @property
    def columns(self) -> dict[str, str]:
        return {"query": self.query, "text": self.text}

    @property
    def added(self) -> tuple[str, ...]:
        return SCORE, TRUNCATED

    def identity(self) -> str:
        """Return the scorer's cache key, or how it is shown where it has none."""
        if isinstance(self.scorer, Warmable):
            self.scorer.warmup()
        known = self.scorer.cache_key if isinstance(self.scorer, Cacheable) else repr(self.scorer)
        return f"score {self.query!r} {self.text!r} {known}"

    def __call__(self, table: pa.Table) -> Made:
        """Score the rows whose query and text are not blank."""
        queries, texts = (_texts(table, name) for name in self.columns.values())
        full = [at for at, (one, two) in enumerate(zip(queries, texts, strict=True)) if one and two]
        scores = np.zeros(len(texts), np.float32)
        scored, truncated = np.zeros(len(texts), np.bool_), np.zeros(len(texts), np.bool_)
        reason = ""
        notes: tuple[str, ...] = ()
        if full:
            found = self.scorer.score([(queries[at], texts[at]) for at in full])
            scores[full], scored[full] = found.values, found.scored
            truncated[full] = found.truncated
            reason, notes = found.reason, found.notes
        columns = {
            SCORE: pa.array(scores, pa.float32(), mask=~scored),
            TRUNCATED: pa.array(truncated),
        }
        blank = len(texts) - len(full)
        lost = int(truncated.sum())
        return Made(columns, int(scored.sum()), blank, lost, reason, notes[:_MOST_NOTES])


@dataclass(frozen=True, slots=True)
class Encoding:
    """Embed the text of each row."""

    embedder: Embedder
    text: str
    vector: str

    @property
    def columns(self) -> dict[str, str]:
        return {"text": self.text}

    @property
    def added(self) -> tuple[str, ...]:
        return self.vector, TRUNCATED

    def identity(self) -> str:
        """Return the model's identity and what it reads."""
        return f"encode {self.text!r} {self.embedder.identity!r} {self.embedder.max_length}"

    def __call__(self, table: pa.Table) -> Made:
        """Embed the rows whose text is not blank."""
        texts = _texts(table, self.text)
        full = [at for at, text in enumerate(texts) if text]
        vectors = np.zeros((len(texts), self.embedder.dims), np.float32)
        truncated = np.zeros(len(texts), np.bool_)
        notes: tuple[str, ...] = ()
        if full:
            found = self.embedder.embed([texts[at] for at in full])
            vectors[full], truncated[full], notes = found.values, found.truncated, found.notes
        columns = {self.vector: _lists(vectors, texts), TRUNCATED: pa.array(truncated)}
        lost = int(truncated.sum())
        return Made(columns, len(full), len(texts) - len(full), lost, "", notes[:_MOST_NOTES])


def scorer_of(reranker: object) -> PairScorer:
    """Return the scorer that a reranker's name stands for, or the scorer as it was given.

    Raises:
        InvalidArgument: it is neither; a row alone cannot be ordered.
    """
    named = as_reranker(reranker) if isinstance(reranker, str) else reranker
    scorer = named.scorer if isinstance(named, Pointwise) and named is not reranker else named
    if isinstance(scorer, PairScorer) and not isinstance(scorer, type):
        return scorer
    remedy = (
        'must be "default", a model name or a scorer such as CrossEncoder(): each row is a pair'
    )
    raise InvalidArgument("reranker", reranker, remedy)


def _texts(table: pa.Table, name: str) -> list[str]:
    """Return the texts of a column; null and blank ones are empty."""
    return ["" if text is None or text.isspace() else text for text in table[name].to_pylist()]


def _lists(vectors: NDArray[np.float32], texts: Sequence[str]) -> pa.Array:
    values = pa.array(vectors.reshape(-1))
    mask = pa.array([not text for text in texts])
    return pa.FixedSizeListArray.from_arrays(values, vectors.shape[1], mask=mask)
