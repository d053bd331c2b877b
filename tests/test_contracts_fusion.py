"""The contract of a fusion, run on every fusion of the library."""

from runoff.fusion import RRF, Convex, TheoreticalMinMax, ZScore
from runoff.testing.contracts import FusionContract

WEIGHTS = {"bm25": 0.3, "dense": 1.7, "graph": 0.1}


class TestRRF(FusionContract):
    def make(self):
        return RRF()


class TestWeightedRRF(FusionContract):
    def make(self):
        return RRF(WEIGHTS, rank_constant=2)


class TestConvex(FusionContract):
    def make(self):
        return Convex(WEIGHTS)


class TestConvexOfTheoreticalMinMax(FusionContract):
    def make(self):
        return Convex(normalizer=TheoreticalMinMax())


class TestConvexOfZScores(FusionContract):
    def make(self):
        return Convex(WEIGHTS, normalizer=ZScore())
