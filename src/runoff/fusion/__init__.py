"""Fusion: one order out of several sources' hits."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

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


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
