"""Scores: their kind, the model that made them, and the threshold bound to both."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from runoff._util.arguments import is_real
from runoff._util.messages import fields_repr
from runoff.errors import InvalidArgument, ScoreKindMismatch

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Match", "ModelIdentity", "PairScores", "Passage", "ScoreKind", "Threshold", "Usage"]

_N = TypeVar("_N", int, float)


class ScoreKind(enum.StrEnum):
    """The scale a score is on; scores of different kinds are never compared."""

    LOGIT = "logit"  # unbounded, higher is better
    PROBABILITY = "probability"  # within 0 and 1
    SIMILARITY = "similarity"  # cosine or inner product
    FUSED = "fused"  # made by fusion; only its order means anything
    UNKNOWN = "unknown"  # a reranker that does not declare it


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which model made a score.

    Attributes:
        name: as the user gave it, such as `"runoff-mini"` or a server's model name.
        revision: a checksum, version or commit; empty when unknown.
        precision: such as `"int8"`, `"fp32"`; empty when unknown.
    """

    name: str
    revision: str = ""
    precision: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a stage used.

    Attributes:
        pairs: (query, document) pairs scored.
        tokens: tokens read, special tokens included; None when unknown.
        billed_units: units a vendor reports as billed; None when it reports none.
        requests: HTTP requests sent.
        cached: pairs answered from a cache, not counted in `pairs`.
        cost: in the currency of the price that was given; None without a price.
    """

    pairs: int = 0
    tokens: int | None = None
    billed_units: float | None = None
    requests: int = 0
    cached: int = 0
    cost: float | None = None

    def __add__(self, other: Usage) -> Usage:
        """Sum field by field; None (unknown) plus a number is that number."""
        return Usage(
            self.pairs + other.pairs,
            _sum(self.tokens, other.tokens),
            _sum(self.billed_units, other.billed_units),
            self.requests + other.requests,
            self.cached + other.cached,
            _sum(self.cost, other.cost),
        )


def _sum(left: _N | None, right: _N | None) -> _N | None:
    if left is None or right is None:
        return right if left is None else left
    return left + right


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a document's text with a score of its own.

    Attributes:
        start: where it begins in the text, in characters from 0.
        end: where it ends; `text[start:end]` is the passage.
        score: on the scale of the pair scores, or as the vendor scales it.
    """

    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Match:
    """A word of a query, and the word of a document that late interaction matched it with.

    Attributes:
        query: the query's word.
        document: the document's word.
        cosine: of their vectors, within -1 and 1; of a word with several tokens, the weighted mean.
        share: the part of all query weights that the word has, within 0 and 1. The score is the sum
            of `share * cosine` over all words.
    """

    query: str
    document: str
    cosine: float
    share: float


@dataclass(frozen=True, slots=True, repr=False)
class PairScores:
    """Scores of n pairs, in the order the pairs were given.

    Attributes:
        values: float32, shape (n,); NaN where `scored` is False.
        scored: bool, shape (n,); False where the deadline, a fault or a non-finite value left a
            pair without a score.
        truncated: bool, shape (n,); True where text of the document was lost to the model's token
            limit; `notes` say when the query was cut.
        kind: the scale of `values`.
        model: the model that made them.
        usage: what scoring used.
        load_ms: milliseconds spent loading the model during this call; 0.0 when it was loaded.
        reason: why pairs are unscored, as in `Degradation.reason`; empty when all are scored.
        notes: sentences for the user, such as a language the model was not trained for.
        passages: for each pair, the parts of the document its score came from, best first; empty
            when whole texts were scored.

    Raises:
        InvalidArgument: the shapes differ, or one of the first three is no array.
    """

    values: NDArray[np.float32]
    scored: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    kind: ScoreKind
    model: ModelIdentity
    usage: Usage = field(default_factory=Usage)
    load_ms: float = 0.0
    reason: str = ""
    notes: tuple[str, ...] = ()
    passages: tuple[tuple[Passage, ...], ...] = ()

    __repr__ = fields_repr

    def __post_init__(self) -> None:
        """Check the shapes, and mark every pair whose value is not finite as unscored."""
        for name in ("values", "scored", "truncated"):
            if not isinstance(getattr(self, name), np.ndarray):
                raise InvalidArgument(name, getattr(self, name), "must be a NumPy array")
        shape = self.values.shape
        if len(shape) != 1 or self.scored.shape != shape or self.truncated.shape != shape:
            got = (shape, self.scored.shape, self.truncated.shape)
            raise InvalidArgument(
                "values, scored, truncated", got, "must all have the same shape (n,)"
            )
        if not isinstance(self.passages, list | tuple) or (
            self.passages and len(self.passages) != len(self.values)
        ):
            raise InvalidArgument("passages", self.passages, "must have one entry for each pair")
        with np.errstate(over="ignore"):
            values = self.values.astype(np.float32)
        finite = self.scored.astype(np.bool_) & np.isfinite(values)
        object.__setattr__(self, "scored", finite)
        values[~finite] = np.nan
        object.__setattr__(self, "values", values)

    @classmethod
    def none_of(cls, count: int, kind: ScoreKind, model: ModelIdentity, reason: str) -> PairScores:
        """Return `count` unscored pairs, with the reason; without pairs there is no reason."""
        values = np.full(count, np.nan, np.float32)
        none = np.zeros(count, np.bool_)
        return cls(values, none, none.copy(), kind, model, reason=reason if count else "")

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.values)


@dataclass(frozen=True, slots=True)
class Threshold:
    """The lowest score that is kept, bound to the kind and the model it was chosen for.

    Attributes:
        value: results scoring below it are dropped; it must be finite.
        kind: the kind of score it was chosen on.
        model: the name of the model it was chosen on; empty accepts every model of that kind.
    """

    value: float
    kind: ScoreKind
    model: str = ""

    def __post_init__(self) -> None:
        """Accept the name of a kind, and refuse a value that is not finite."""
        if not is_real(self.value):
            raise InvalidArgument("value", self.value, "must be a finite number")
        try:
            object.__setattr__(self, "kind", ScoreKind(self.kind))
        except ValueError:
            kinds = ", ".join(ScoreKind)
            raise InvalidArgument("kind", self.kind, f"must be one of {kinds}") from None
        if not isinstance(self.model, str):
            remedy = "must be the name of a model, or empty for every model of that kind"
            raise InvalidArgument("model", self.model, remedy)

    def check(self, kind: ScoreKind, model: ModelIdentity) -> None:
        """Refuse scores of another kind or model.

        Raises:
            ScoreKindMismatch: always names both sides.
        """
        if kind != self.kind or (self.model and self.model != model.name):
            made_for = f"{self.kind} of {self.model}" if self.model else str(self.kind)
            raise ScoreKindMismatch(
                f"threshold {self.value} was made for {made_for}, but these scores are {kind} of "
                f"{model.name}: choose a threshold on this model's scores"
            )
