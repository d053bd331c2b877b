"""Fusion: one order out of several sources' hits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runoff._lazy import lazily

if TYPE_CHECKING:
    from runoff.fusion.convex import Convex
    from runoff.fusion.normalize import MinMax, Normalizer, TheoreticalMinMax, ZScore
    from runoff.fusion.rrf import RRF

__all__ = ["RRF", "Convex", "MinMax", "Normalizer", "TheoreticalMinMax", "ZScore"]

# a pipeline needs RRF alone, and `import runoff` is to be quick
_MODULES = {
    "RRF": "rrf",
    "Convex": "convex",
    "MinMax": "normalize",
    "Normalizer": "normalize",
    "TheoreticalMinMax": "normalize",
    "ZScore": "normalize",
}

__getattr__, __dir__ = lazily(__name__, _MODULES)
