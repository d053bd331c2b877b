"""Fusion: combines the hits of several sources into one order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runoff._util.lazy import lazily

if TYPE_CHECKING:
    from runoff.fusion._convex import Convex
    from runoff.fusion._normalize import MinMax, Normalizer, TheoreticalMinMax, ZScore
    from runoff.fusion._rrf import RRF

__all__ = ["RRF", "Convex", "MinMax", "Normalizer", "TheoreticalMinMax", "ZScore"]

# a pipeline needs one of them, and `import runoff` must be quick
_MODULES = {
    "RRF": "_rrf",
    "Convex": "_convex",
    "MinMax": "_normalize",
    "Normalizer": "_normalize",
    "TheoreticalMinMax": "_normalize",
    "ZScore": "_normalize",
}

if not TYPE_CHECKING:  # a type checker then knows the names above, and no others
    __getattr__, __dir__ = lazily(__name__, _MODULES)
