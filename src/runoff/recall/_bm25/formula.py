"""Which BM25 is computed, and what a term adds to a document."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from runoff._util.arguments import is_one_of
from runoff._util.stored import is_finite
from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

Engine: TypeAlias = Literal["bm25s", "rank-bm25"]

_METHODS = ("lucene", "robertson", "atire", "bm25l", "bm25+")
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
        if not is_one_of(self.engine, {"bm25s", "rank-bm25"}):
            raise InvalidArgument("engine", self.engine, 'must be "bm25s" or "rank-bm25"')
        known = _METHODS if self.engine == "bm25s" else ("okapi",)
        if not is_one_of(self.method, known):
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

    @property
    def shifted(self) -> bool:
        """Whether a document without a term scores above 0 too, as in bm25l and bm25+."""
        return self.method in _SHIFTED


@dataclass(frozen=True, slots=True)
class Weights:
    """What the terms of one corpus weigh, by the formulas of bm25s, rounded where it rounds.

    Every value is computed element by element, so a score has the same bits whichever other scores
    are computed with it.

    Attributes:
        formula: which BM25; not that of rank-bm25.
        number: how many documents the corpus has.
        mean: their mean length, in tokens.
    """

    formula: Formula
    number: int
    mean: float

    @classmethod
    def of(cls, formula: Formula, lengths: Iterable[NDArray[np.int32]]) -> Weights:
        """Return the weights of a corpus of documents of these lengths, in any number of arrays."""
        arrays = list(lengths)
        number = sum(one.size for one in arrays)
        total = sum(int(one.sum(dtype=np.int64)) for one in arrays)
        return cls(formula, number, total / number if total else 1.0)

    def idf(self, frequency: int) -> np.float32:
        """Return the weight of a term that occurs in so many documents, 1 or more."""
        number, rest = self.number, self.number - frequency
        inside = {
            "lucene": 1 + (rest + 0.5) / (frequency + 0.5),
            "robertson": max(1.0, (rest + 0.5) / (frequency + 0.5)),
            "atire": number / frequency,
            "bm25l": (number + 1) / (frequency + 0.5),
            "bm25+": (number + 1) / frequency,
        }[self.formula.method]
        return np.float32(math.log(inside))

    def norms(self, lengths: NDArray[np.integer] | NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what slows the saturation in documents of these lengths, as `scores` needs it."""
        k1, b = self.formula.k1, self.formula.b
        norms = np.asarray((1 - b) + b * lengths / self.mean, np.float64)
        if self.formula.method != "bm25l":
            norms *= k1
        return norms

    def scores(
        self,
        counts: NDArray[np.integer],
        norms: NDArray[np.float64],
        idf: NDArray[np.float32] | np.float32,
        base: NDArray[np.float32] | np.float32 | None = None,
    ) -> NDArray[np.float32]:
        """Return what terms add to documents.

        Args:
            counts: how often each occurs in its document, shape (p,).
            norms: what `norms` returned for that document, shape (p,).
            idf: the term's weight, shape (p,) or ().
            base: what `base` returned for it.
        """
        scores = idf * self._saturated(counts.astype(np.float32), norms)
        if base is not None:
            scores -= base
        return scores.astype(np.float32)

    def base(self, idf: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Return what terms add to a document without them, or None if that is nothing."""
        if not self.formula.shifted:
            return None
        at_mean = self.norms(np.array([self.mean]))
        return (idf * self._saturated(np.zeros(1, np.float32), at_mean)).astype(np.float32)

    def _saturated(
        self, counts: NDArray[np.float32], norms: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        k1, delta, method = self.formula.k1, self.formula.delta, self.formula.method
        if method == "bm25l":
            ratio = counts / norms
            return (k1 + 1) * (ratio + delta) / (k1 + ratio + delta)
        if method in {"lucene", "robertson"}:
            return counts / (norms + counts)
        saturated: NDArray[np.float64] = counts * (k1 + 1) / (norms + counts)
        return saturated + delta if method == "bm25+" else saturated
