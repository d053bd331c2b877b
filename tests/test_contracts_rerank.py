"""The contracts of a scorer and of a reranker, run on those of the library."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from runoff.rerank import (
    Cached,
    Cap,
    CrossEncoder,
    DiskCache,
    LateInteraction,
    MemoryCache,
    Metered,
    Pointwise,
    Price,
    TokenStore,
)
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


class ModelContract(PairScorerContract):
    """On four documents for each query, one of each topic: a model takes its time."""

    pairs = PairScorerContract.pairs[::3]


class TestSharedWords(PairScorerContract):
    token_limit = False

    def make(self):
        return SharedWords()


class TestCrossEncoder(ModelContract):
    def make(self):
        pytest.importorskip("runoff_models")
        return CrossEncoder()


class TestCrossEncoderAsProbability(ModelContract):
    def make(self):
        pytest.importorskip("runoff_models")
        return CrossEncoder(activation="sigmoid")


class TestLateInteraction(ModelContract):
    def make(self):
        pytest.importorskip("runoff_models")
        return LateInteraction(store=TokenStore())


class TestCachedInMemory(ModelContract):
    def make(self):
        pytest.importorskip("runoff_models")
        return Cached(CrossEncoder(), store=MemoryCache())


class TestCachedOnDisk(ModelContract):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path):
        self.path = tmp_path

    def make(self):
        pytest.importorskip("runoff_models")
        folder = Path(tempfile.mkdtemp(dir=self.path))  # the contract's parts start with nothing
        return Cached(CrossEncoder(), store=DiskCache(folder / "scores.db"))


class TestCachedWithoutAsync(PairScorerContract):
    token_limit = False

    def make(self):
        return Cached(SharedWords(), store=MemoryCache())


class TestMetered(PairScorerContract):
    token_limit = False

    def make(self):
        return Metered(SharedWords(), cap=Cap(pairs=1000), price=Price(per_1k_pairs=0.05))


class TestPointwiseCached(RerankerContract):
    def make(self):
        return Pointwise(SharedWords(), cache=True, cap=Cap(pairs=1000))


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


class TestPointwiseLateInteraction(RerankerContract):
    def make(self):
        pytest.importorskip("runoff_models")
        return Pointwise(LateInteraction(), blend=0.5)


class TestCrossEncoderAlone(RerankerContract):
    def make(self):
        pytest.importorskip("runoff_models")
        return Pointwise(CrossEncoder(), blend=None)
