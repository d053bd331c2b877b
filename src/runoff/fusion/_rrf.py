"""Reciprocal rank fusion: ranks alone, so no source's scale matters."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING

from runoff.errors import InvalidArgument
from runoff.fusion._weights import Weights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runoff.types import Hit

__all__ = ["RRF"]


@dataclass(frozen=True, slots=True)
class RRF:
    """Fuse by rank: a document scores the sum over sources of weight / (rank_constant + rank).

    Ranks are positions in each source's list, from 1; a document that a source did not return gets
    nothing from it. The form is that of Cormack, Clarke and Buettcher, "Reciprocal Rank Fusion
    outperforms Condorcet and individual Rank Learning Methods", SIGIR 2009, with weights added.

    Attributes:
        weights: by name of the source; a source left out weighs 1, and None weighs every one 1.
        rank_constant: added to every rank, finite and 0 or more; the paper's value is 60. A larger
            one brings the first ranks closer together.

    Raises:
        InvalidArgument: a weight or `rank_constant` is negative, NaN, infinite or no number.
    """

    weights: Mapping[str, float] | None = None
    _: KW_ONLY
    rank_constant: float = 60

    def __post_init__(self) -> None:
        """Check the weights and the constant."""
        if self.weights is not None and not isinstance(self.weights, Weights):
            object.__setattr__(self, "weights", Weights(self.weights))
        constant = self.rank_constant
        if (
            isinstance(constant, bool)
            or not isinstance(constant, int | float)
            or not 0 <= constant < math.inf
        ):
            raise InvalidArgument("rank_constant", constant, "must be a finite number, 0 or more")

    def fuse(self, rankings: Mapping[str, Sequence[Hit]]) -> dict[str, float]:
        """Map the key of every hit to its fusion_score, higher is better.

        A key that occurs twice in one list counts once, at its better rank. The sum is rounded
        once (`math.fsum`), so that the order of the sources changes nothing.

        Args:
            rankings: every source of the pipeline by name, an empty list where it found nothing.

        Returns:
            scores from 0 up to the sum of weight / (rank_constant + 1).

        Raises:
            InvalidArgument: a weight names no source, or the weights of all sources are 0.
        """
        weights = self._weights_of(rankings)
        contributions: dict[str, list[float]] = {}
        for source, hits in rankings.items():
            best_rank: dict[str, int] = {}
            for rank, hit in enumerate(hits, start=1):
                best_rank.setdefault(hit.key, rank)
            for key, rank in best_rank.items():
                share = weights[source] / (self.rank_constant + rank)
                contributions.setdefault(key, []).append(share)
        return {key: math.fsum(shares) for key, shares in contributions.items()}

    def _weights_of(self, rankings: Mapping[str, Sequence[Hit]]) -> dict[str, float]:
        given = Weights({}) if self.weights is None else Weights(self.weights)
        given.check_names(rankings)
        weights = {source: given.get(source, 1.0) for source in rankings}
        if weights and not any(weights.values()):
            raise InvalidArgument("weights", weights, "must not be 0 for every source")
        return weights
