"""How good a judge is: its agreement with people, and what its errors depend on."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from runoff._util.messages import number_of, visible
from runoff.live._judging.differences import GRADES, gain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from runoff.live._judging.store import Pair

_ROUNDS = 2000
_TOP = 3
_GROUPS = ("length", "position", "origin")
_WORDS = {
    "length": "longer documents over shorter ones",
    "position": f"the first {_TOP} ranks over those below",
    "origin": "what the second system moves up over what it moves down",
}


@dataclass(frozen=True, slots=True)
class Bias:
    """How much more a judge favours one group of documents than people do.

    Attributes:
        difference: the mean excess of the judge's gain over people's in the first group, less that
            in the second; 0 for a judge without this bias.
        interval: its 95% bootstrap interval over queries.
        documents: how many documents the two groups have.
    """

    difference: float
    interval: tuple[float, float]
    documents: tuple[int, int]

    @property
    def proven(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.interval[0] > 0 or self.interval[1] < 0


@dataclass(frozen=True, slots=True)
class Quality:
    """How a judge agrees with people on what both graded.

    Attributes:
        documents: how many both graded.
        kappa: Cohen's kappa with quadratic weights (Cohen 1968): 1 is perfect agreement, 0 what
            chance gives; NaN where either gave one grade only.
        interval: its 95% bootstrap interval over queries (Efron and Tibshirani 1993).
        same: the share with the same grade.
        excess: the mean of the judge's gain less people's; positive for a lenient judge.
        biases: `"length"`, `"position"` and `"origin"` to the bias; a group without documents is
            left out.
    """

    documents: int
    kappa: float
    interval: tuple[float, float]
    same: float
    excess: float
    biases: Mapping[str, Bias] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        """Return a line on agreement and one on each bias that is proven."""
        low, high = self.interval
        lines = [
            (
                f"The judge and people graded {number_of(self.documents, 'document')}: kappa "
                f"{self.kappa:.2f} "
                f"[{low:.2f}, {high:.2f}], the same grade for {self.same:.0%}."
            )
        ]
        lines += [
            f"It favours {_WORDS[name]} by {one.difference:+.2f} [{one.interval[0]:+.2f}, "
            f"{one.interval[1]:+.2f}] more than people do."
            for name, one in self.biases.items()
            if one.proven
        ]
        return visible("\n".join(lines))


def quality(
    graded: Mapping[tuple[str, str], tuple[Pair, int, int]], *, seed: int = 0
) -> Quality | None:
    """Return how a judge agrees with people; None if they have no document in common.

    Args:
        graded: a document, the judge's grade and people's, by the keys of query and text.
        seed: of the bootstrap.
    """
    if not graded:
        return None
    pairs = [one for one, _, _ in graded.values()]
    judge, people = (np.array([row[at] for row in graded.values()]) for at in (1, 2))
    places = {key: at for at, key in enumerate(dict.fromkeys(key for key, _ in graded))}
    many = len(places)
    draws = np.random.default_rng(seed).integers(0, many, (_ROUNDS, many))
    often = np.stack([np.bincount(one, minlength=many) for one in draws])
    # a document is drawn with its query, since grades within a query go together
    drawn = often[:, [places[key] for key, _ in graded]]
    error = np.array([gain(one) for one in judge]) - np.array([gain(one) for one in people])
    return Quality(
        len(graded),
        float(_kappa(judge, people, np.ones((1, len(graded))))[0]),
        _ends(_kappa(judge, people, drawn)),
        float((judge == people).mean()),
        float(error.mean()),
        {
            name: found
            for name, groups in zip(_GROUPS, _grouped(pairs), strict=True)
            if (found := _bias(error, *groups, drawn)) is not None
        },
    )


def _grouped(pairs: Sequence[Pair]) -> tuple[tuple[NDArray[np.bool_], NDArray[np.bool_]], ...]:
    """Return the two groups of documents of each bias."""
    lengths = np.array([one.length for one in pairs])
    best = [min(rank for rank in (one.before, one.after) if rank) for one in pairs]
    long, first = lengths > np.median(lengths), np.array(best) <= _TOP
    moved = np.array([one.weight for one in pairs])
    return (long, ~long), (first, ~first), (moved > 0, moved < 0)


def _bias(
    error: NDArray[np.float64],
    first: NDArray[np.bool_],
    second: NDArray[np.bool_],
    drawn: NDArray[np.int64],
) -> Bias | None:
    many = int(first.sum()), int(second.sum())
    if not all(many):
        return None
    with np.errstate(invalid="ignore", divide="ignore"):
        means = [drawn[:, one] @ error[one] / drawn[:, one].sum(axis=1) for one in (first, second)]
    return Bias(float(error[first].mean() - error[second].mean()), _ends(means[0] - means[1]), many)


def _ends(drawn: NDArray[np.float64]) -> tuple[float, float]:
    held = drawn[np.isfinite(drawn)]
    if not held.size:
        return math.nan, math.nan
    low, high = np.percentile(held, [2.5, 97.5]).tolist()
    return low, high


def _kappa(
    one: NDArray[np.int64], other: NDArray[np.int64], drawn: NDArray[np.generic]
) -> NDArray[np.float64]:
    """Return Cohen's kappa with quadratic weights of each draw; NaN if undefined.

    Args:
        one: a judge's grades, shape (documents,).
        other: another's, the same shape.
        drawn: how often each document is drawn, shape (draws, documents).
    """
    shares = drawn / drawn.sum(axis=1, keepdims=True)
    grades = np.arange(GRADES + 1)
    apart = shares @ (one - other) ** 2
    first, second = (shares @ (given[:, None] == grades) for given in (one, other))
    far = (grades[:, None] - grades) ** 2
    chance = np.einsum("ri,ij,rj->r", first, far.astype(np.float64), second)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(chance > 0, 1 - apart / chance, np.nan)
