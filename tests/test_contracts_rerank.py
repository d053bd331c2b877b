"""The contracts of a scorer and of a reranker, run on those of the library."""

from dataclasses import dataclass

import numpy as np
import pytest

from runoff.rerank import CrossEncoder, Pointwise
from runoff.scores import ModelIdentity, PairScores, ScoreKind, Threshold, Usage
from runoff.testing.contracts import PairScorerContract, RerankerContract


@dataclass(frozen=True)
class SharedWords:
    """A scorer without async methods or deadlines, as a user may write one."""

    def score(self, pairs, *, deadline=None):
        values = [len(set(query.split()) & set(text.split())) for query, text in pairs]
        return PairScores(
            np.array(values, np.float32),
            np.ones(len(pairs), bool),
            np.zeros(len(pairs), bool),
            ScoreKind.LOGIT,
            ModelIdentity("shared-words"),
            Usage(pairs=len(pairs)),
        )


class TestSharedWords(PairScorerContract):
    token_limit = False

    def make(self):
        return SharedWords()


class TestCrossEncoder(PairScorerContract):
    def make(self):
        pytest.importorskip("runoff_models")
        return CrossEncoder()


class TestCrossEncoderAsProbability(PairScorerContract):
    pairs = PairScorerContract.pairs[::4]

    def make(self):
        pytest.importorskip("runoff_models")
        return CrossEncoder(activation="sigmoid")


class TestPointwise(RerankerContract):
    def make(self):
        return Pointwise(SharedWords())


class TestBlend(RerankerContract):
    def make(self):
        return Pointwise(SharedWords(), blend=0.5)


class TestThreshold(RerankerContract):
    def make(self):
        return Pointwise(SharedWords(), threshold=Threshold(2, ScoreKind.LOGIT, "shared-words"))


class TestPointwiseCrossEncoder(RerankerContract):
    def make(self):
        pytest.importorskip("runoff_models")
        return Pointwise(CrossEncoder())


class TestCrossEncoderAlone(RerankerContract):
    def make(self):
        pytest.importorskip("runoff_models")
        return Pointwise(CrossEncoder(), blend=None)
