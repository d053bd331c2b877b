"""Fusion: one order out of several sources' hits."""

from runoff.fusion.convex import Convex
from runoff.fusion.normalize import MinMax, Normalizer, TheoreticalMinMax, ZScore
from runoff.fusion.rrf import RRF

__all__ = ["RRF", "Convex", "MinMax", "Normalizer", "TheoreticalMinMax", "ZScore"]
