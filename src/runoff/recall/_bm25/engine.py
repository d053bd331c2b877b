"""BM25 scores from term counts, by one of two engines.

`"bm25s"` sums columns of precomputed scores (eager sparse scoring: Lù, "BM25S: Orders of magnitude
faster lexical search via eager sparse scoring", 2024). Where documents have been added or deleted
since, it computes the columns that a query needs from the counts. `"rank-bm25"` uses
`rank_bm25.BM25Okapi`, which computes the scores of every document for each query.
"""

from __future__ import annotations

import importlib
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from runoff._waiting import exits
from runoff.errors import MissingExtra
from runoff.recall._bm25.formula import Weights
from runoff.recall._bm25.postings import blocks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from runoff.recall._bm25.formula import Formula
    from runoff.recall._bm25.postings import Postings


class Scoring(Protocol):
    """An engine's scores for one corpus."""

    @property
    def lowest(self) -> float | None:
        """The lowest score a hit can have, as far as it is known."""
        ...

    def score(
        self, terms: Mapping[int, int]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32] | NDArray[np.float64]]:
        """Score every document that contains a query term.

        Args:
            terms: how often each term, by its number, occurs in the query; not empty.

        Returns:
            the rows in ascending order, and their scores.
        """
        ...


def bm25s_module(name: str) -> Any:  # noqa: ANN401 - bm25s publishes no types
    """Return the module `bm25s.<name>`, imported without its warnings.

    bm25s imports progress bars, which warn in a notebook without widgets; none is ever shown here.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(f"bm25s.{name}")


def make_scoring(postings: Postings, formula: Formula) -> Scoring:
    """Return the engine's scoring of a corpus.

    Raises:
        MissingExtra: the engine is rank-bm25, and it is not installed.
    """
    if formula.engine == "rank-bm25":
        return _Okapi(postings, formula)
    return EagerScores.of(postings, formula)


@dataclass(frozen=True, slots=True, eq=False)
class EagerScores:
    """The score of every posting, ready to be summed.

    Attributes:
        postings: the counts behind the scores.
        scores: float32, shape (p,); what each posting adds to its document.
        base: float32, shape (v,); what a query term adds to every document; empty unless the
            method is bm25l or bm25+.
        positive: whether every posting adds more than 0, so that a positive sum shows a shared
            token.
    """

    postings: Postings
    scores: NDArray[np.float32]
    base: NDArray[np.float32]
    positive: bool

    @classmethod
    def of(cls, postings: Postings, formula: Formula) -> EagerScores:
        if not postings.rows.size:
            nothing = np.empty(0, dtype=np.float32)
            return cls(postings, nothing, nothing, positive=True)
        weights = Weights.of(formula, [postings.lengths])
        norms = weights.norms(postings.lengths)
        frequencies, place = np.unique(postings.frequencies, return_inverse=True)
        idf = np.array([*map(weights.idf, frequencies.tolist())])[place]
        base = weights.base(idf)
        scores = np.empty(postings.rows.size, np.float32)
        for first, last in blocks(postings.starts):
            here = slice(int(postings.starts[first]), int(postings.starts[last]))
            sizes = np.diff(postings.starts[first : last + 1])
            scores[here] = weights.scores(
                postings.counts[here],
                norms[postings.rows[here]],
                np.repeat(idf[first:last], sizes),
                None if base is None else np.repeat(base[first:last], sizes),
            )
            exits.check()
        base = np.empty(0, dtype=np.float32) if base is None else base
        return cls(postings, scores, base, positive=bool((scores > 0).all()))

    @property
    def lowest(self) -> float | None:
        """Zero: no method here has a negative weight."""
        return 0.0

    def score(self, terms: Mapping[int, int]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Score every document that contains a query term; see `Scoring.score`."""
        starts, rows = self.postings.starts.data, self.postings.rows
        total = np.zeros(self.postings.lengths.size, dtype=np.float32)
        shared = None if self.positive else np.zeros(total.size, dtype=np.bool_)
        add = np.add.at
        for term, times in terms.items():
            column = slice(starts[term], starts[term + 1])
            scores = self.scores[column]
            add(total, rows[column], scores if times == 1 else scores * np.float32(times))
            if shared is not None:
                shared[rows[column]] = True
        found = (total > 0 if shared is None else shared).nonzero()[0]
        scores = total.take(found)
        if self.base.size:
            scores += np.float32(sum(self.base[one] * times for one, times in terms.items()))
        return found, scores


class _Okapi:
    """`rank_bm25.BM25Okapi` over term numbers; every query reads the whole corpus."""

    def __init__(self, postings: Postings, formula: Formula) -> None:
        try:
            from rank_bm25 import BM25Okapi  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise MissingExtra("rank-bm25", "rank-bm25") from error
        self._postings = postings
        self._model: Any = None
        if postings.rows.size:
            self._model = BM25Okapi(_documents(postings), k1=formula.k1, b=formula.b)

    @property
    def lowest(self) -> float | None:
        """Unknown where a term in most documents has a negative weight, as Okapi allows."""
        negative = self._model is not None and min(self._model.idf.values()) < 0
        return None if negative else 0.0

    def score(self, terms: Mapping[int, int]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Score every document that contains a query term; see `Scoring.score`."""
        starts, rows = self._postings.starts, self._postings.rows
        found = np.unique(np.concatenate([rows[starts[one] : starts[one + 1]] for one in terms]))
        query = [term for term, times in terms.items() for _ in range(times)]
        return found.astype(np.int64), self._model.get_scores(query)[found]


def _documents(postings: Postings) -> list[list[int]]:
    """Return each document as term numbers, in alphabetical order of the terms.

    The order of terms must not depend on the index's history, or the last bit of Okapi's mean
    weight would too.
    """
    place = np.empty(len(postings.terms), dtype=np.int64)
    place[np.argsort(np.array(postings.terms, dtype=object))] = np.arange(place.size)
    of_posting = np.repeat(np.arange(place.size), postings.frequencies)
    order = np.lexsort((place[of_posting], postings.rows))
    tokens = np.repeat(of_posting[order], postings.counts[order])
    return [part.tolist() for part in np.split(tokens, np.cumsum(postings.lengths)[:-1])]
