"""BM25 scores from term counts, by one of two engines.

`"bm25s"` sums columns of precomputed scores (eager sparse scoring: Lù, "BM25S: Orders of magnitude
faster lexical search via eager sparse scoring", 2024); the formulas are those of bm25s itself,
applied to all postings at once, while bm25s goes document by document. `"rank-bm25"` uses
`rank_bm25.BM25Okapi`, which computes the scores of every document for each query.
"""

from __future__ import annotations

import importlib
import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import numpy as np

from runoff._util.stored import is_finite
from runoff.errors import InvalidArgument, MissingExtra

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from runoff.recall._bm25.postings import Postings

__all__ = ["EagerScores", "Engine", "Formula", "Scoring", "bm25s_module", "make_scoring"]

Engine: TypeAlias = Literal["bm25s", "rank-bm25"]

_METHODS = ("lucene", "robertson", "atire", "bm25l", "bm25+")
_LARGEST = float(np.finfo(np.float64).max)
_SHIFTED = ("bm25l", "bm25+")  # a document without the term scores above 0 too


@dataclass(frozen=True, slots=True)
class Formula:
    """Which BM25 is computed.

    Attributes:
        engine: `"bm25s"` or `"rank-bm25"`.
        method: with bm25s one of `"lucene"`, `"robertson"`, `"atire"`, `"bm25l"` and `"bm25+"`
            (compared by Kamphuis et al., "Which BM25 do you mean?", ECIR 2020); `"okapi"` with
            rank-bm25.
        k1: how slowly repeats of a term saturate, 0 or more; at least 0.001 in `"bm25l"` and
            `"bm25+"`, where 0 would divide by 0.
        b: how much a document's length counts, 0 to 1.
        delta: the least score of a term that occurs, in `"bm25l"` and `"bm25+"` only.

    Raises:
        InvalidArgument: a value is out of its range, or the engine has no such method.
    """

    engine: Engine
    method: str
    k1: float
    b: float
    delta: float

    def __post_init__(self) -> None:
        """Check every value."""
        if self.engine not in {"bm25s", "rank-bm25"}:
            raise InvalidArgument("engine", self.engine, 'must be "bm25s" or "rank-bm25"')
        known = _METHODS if self.engine == "bm25s" else ("okapi",)
        if self.method not in known:
            remedy = f"must be one of {', '.join(known)} with the engine {self.engine}"
            raise InvalidArgument("method", self.method, remedy)
        for name, value, least, most in (
            ("k1", self.k1, 0.001 if self.method in _SHIFTED else 0, math.inf),
            ("b", self.b, 0, 1.0),
            ("delta", self.delta, 0, math.inf),
        ):
            if not is_finite(value) or not least <= value <= most:
                top = "" if most == math.inf else f" and at most {most:g}"
                raise InvalidArgument(
                    name, value, f"must be a finite number, at least {least:g}{top}"
                )


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
        """Compute the scores of a corpus."""
        if not postings.rows.size:
            nothing = np.empty(0, dtype=np.float32)
            return cls(postings, nothing, nothing, positive=True)
        # The two names are private to bm25s; a test compares every method with its own index.
        formulas = bm25s_module("scoring")
        frequencies, lengths = postings.frequencies, postings.lengths
        mean = lengths.mean()
        weigh = formulas._select_idf_scorer(formula.method)  # noqa: SLF001 - see above
        distinct, place = np.unique(frequencies, return_inverse=True)
        of_distinct = [weigh(int(one), N=lengths.size) for one in distinct]
        idf = np.array(of_distinct, dtype=np.float32)[place]
        saturate = formulas._select_tfc_scorer(formula.method)  # noqa: SLF001 - see above
        shape = {"l_avg": mean, "k1": formula.k1, "b": formula.b, "delta": formula.delta}
        scores = np.repeat(idf, frequencies) * saturate(
            tf_array=postings.counts.astype(np.float32), l_d=lengths[postings.rows], **shape
        )
        base = np.empty(0, dtype=np.float32)
        if formula.method in _SHIFTED:
            base = (idf * saturate(tf_array=0, l_d=mean, **shape)).astype(np.float32)
            scores -= np.repeat(base, frequencies)
        scores = scores.astype(np.float32)
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
