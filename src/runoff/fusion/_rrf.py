"""Reciprocal rank fusion: uses ranks alone, so the scales of the sources do not matter."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING

from runoff._util.display import html_by
from runoff._util.stored import is_finite
from runoff.errors import InvalidArgument
from runoff.fusion._weights import Weights, rrf_weights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runoff.types import Hit


@dataclass(frozen=True, slots=True)
class RRF:
    """Fuse by rank: a document scores the sum over sources of weight / (rank_constant + rank).

    Ranks are positions in each source's list, from 1; a document that a source did not return gets
    0 from it. The form is that of Cormack, Clarke and Buettcher, "Reciprocal Rank Fusion
    outperforms Condorcet and individual Rank Learning Methods", SIGIR 2009, with weights added.

    Attributes:
        weights: source name to weight; a source that is left out weighs 1, and with None every
            source weighs 1.
        rank_constant: added to every rank, finite and 0 or more; the paper's value is 60. A larger
            value brings the first ranks closer together.

    Raises:
        InvalidArgument: a weight or `rank_constant` is not a finite number of 0 or more.
    """

    weights: Mapping[str, float] | None = None
    _: KW_ONLY
    rank_constant: float = 60

    _repr_html_ = html_by("configured_html", "_notebook")

    def __post_init__(self) -> None:
        if self.weights is not None and not isinstance(self.weights, Weights):
            object.__setattr__(self, "weights", Weights(self.weights))
        constant = self.rank_constant
        if not is_finite(constant) or constant < 0:
            raise InvalidArgument("rank_constant", constant, "must be a finite number, 0 or more")

    def fuse(self, rankings: Mapping[str, Sequence[Hit]]) -> dict[str, float]:
        """Map the key of every hit to its fusion_score, higher is better.

        A key that occurs twice in one list counts once, at its better rank. `math.fsum` rounds the
        sum once, so the order of the sources changes nothing.

        Args:
            rankings: the hits of every source of the pipeline, by its name; empty where it found
                nothing.

        Returns:
            scores from 0 up to the sum of weight / (rank_constant + 1).

        Raises:
            InvalidArgument: a weight is for an unknown source, or the weights of all sources are 0.
        """
        weights = rrf_weights(self.weights, rankings)
        contributions: dict[str, list[float]] = {}
        for source, hits in rankings.items():
            best_rank: dict[str, int] = {}
            for rank, hit in enumerate(hits, start=1):
                best_rank.setdefault(hit.key, rank)
            for key, rank in best_rank.items():
                share = weights[source] / (self.rank_constant + rank)
                contributions.setdefault(key, []).append(share)
        return {key: math.fsum(shares) for key, shares in contributions.items()}
