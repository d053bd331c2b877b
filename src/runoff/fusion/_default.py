"""The fusion of everything that is not told to use another one."""

from __future__ import annotations

from runoff.fusion._convex import Convex

__all__ = ["default_fusion"]


def default_fusion() -> Convex:
    """Return the default fusion: z-scores with equal weights.

    Measured on ten collections, it is worth .018 nDCG@10 more than `RRF()`; see docs/fusion.md.
    """
    return Convex(normalizer="zscore")
