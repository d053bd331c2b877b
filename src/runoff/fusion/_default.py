"""The fusion of everything that is not told to use another one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from runoff.fusion._convex import Convex

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runoff.protocols import Fusion, RecallSource

__all__ = ["default_fusion", "following"]

_DEFAULT = Convex(normalizer="zscore")


def default_fusion() -> Convex:
    """Return the default fusion: z-scores with equal weights.

    Measured on ten collections, it is worth .018 nDCG@10 more than `RRF()`; see docs/fusion.md.
    """
    return _DEFAULT


def following(fusion: Fusion, sources: Mapping[str, RecallSource]) -> Fusion:
    """Return the default fusion with weights that follow the query, where its sources allow it.

    A fusion that the user gave stays as it is, also an equal one. Every source must know its
    `score_spread`: the weights of the others would follow nothing.
    """
    if fusion is not _DEFAULT or len(sources) == 1:
        return fusion
    spreads = {name: getattr(source, "score_spread", None) for name, source in sources.items()}
    known = {name: float(one) for name, one in spreads.items() if one is not None}
    return replace(_DEFAULT, spreads=known) if len(known) == len(sources) else fusion
