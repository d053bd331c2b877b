"""How good a judge is: its agreement with people, and what its errors depend on."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from runoff._util.messages import visible
from runoff.live._judging.differences import GRADES, gain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from runoff.live._judging.store import Pair

_ROUNDS = 2000
_TOP = 3
_GROUPS = ("length", "position", "origin")
_WORDS = {
    "length": "longer documents than shorter ones",
    "position": f"the first {_TOP} ranks than those below",
    "origin": "what the second system moves up than what it moves down",
}


@dataclass(frozen=True, slots=True)
class Bias:
    """How much more a judge favours one group of documents than people do.

    Attributes:
        difference: the mean excess of the judge's gain over people's in the first group, less that
            in the second; 0 for a judge without this bias.
        interval: its 95% bootstrap interval.
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
        interval: its 95% bootstrap interval over documents (Efron and Tibshirani 1993).
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
                f"The judge and people graded {self.documents} documents: kappa {self.kappa:.2f} "
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


def quality(graded: Sequence[tuple[Pair, int, int]], *, seed: int = 0) -> Quality | None:
    """Return how a judge agrees with people; None if they have no document in common.

    Args:
        graded: a document, the judge's grade and people's.
        seed: of the bootstrap.
    """
    if not graded:
        return None
    pairs = [one for one, _, _ in graded]
    judge, people = (np.array([row[at] for row in graded]) for at in (1, 2))
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(graded), (_ROUNDS, len(graded)))
    error = np.array([gain(one) for one in judge]) - np.array([gain(one) for one in people])
    return Quality(
        len(graded),
        float(kappa(judge[None], people[None])[0]),
        _ends(kappa(judge[draws], people[draws])),
        float((judge == people).mean()),
        float(error.mean()),
        {
            name: found
            for name, group in zip(_GROUPS, _grouped(pairs), strict=True)
            if (found := _bias(error, group, draws)) is not None
        },
    )


def _grouped(pairs: Sequence[Pair]) -> tuple[NDArray[np.bool_], ...]:
    lengths = np.array([one.length for one in pairs])
    best = [min(rank for rank in (one.before, one.after) if rank) for one in pairs]
    return (
        lengths > np.median(lengths),
        np.array(best) <= _TOP,
        np.array([one.weight > 0 for one in pairs]),
    )


def _bias(
    error: NDArray[np.float64], group: NDArray[np.bool_], draws: NDArray[np.int64]
) -> Bias | None:
    many = int(group.sum()), int((~group).sum())
    if not all(many):
        return None
    drawn, inside = error[draws], group[draws]
    with np.errstate(invalid="ignore", divide="ignore"):
        first = (drawn * inside).sum(1) / inside.sum(1)
        second = (drawn * ~inside).sum(1) / (~inside).sum(1)
    return Bias(float(error[group].mean() - error[~group].mean()), _ends(first - second), many)


def _ends(drawn: NDArray[np.float64]) -> tuple[float, float]:
    held = drawn[np.isfinite(drawn)]
    if not held.size:
        return math.nan, math.nan
    low, high = np.percentile(held, [2.5, 97.5]).tolist()
    return low, high


def kappa(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return Cohen's kappa with quadratic weights for each row of grades; NaN if undefined.

    Args:
        one: a judge's grades, shape (rows, documents).
        other: another's, the same shape.
    """
    apart = ((one - other) ** 2).mean(axis=1)
    shares = [
        np.stack([(grades == at).mean(axis=1) for at in range(GRADES + 1)], axis=1)
        for grades in (one, other)
    ]
    far = (np.arange(GRADES + 1)[:, None] - np.arange(GRADES + 1)) ** 2
    chance = np.einsum("ri,ij,rj->r", shares[0], far.astype(np.float64), shares[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(chance > 0, 1 - apart / chance, np.nan)
