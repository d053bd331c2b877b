import dataclasses
import math
import pickle
from dataclasses import dataclass

import pytest

from runoff import protocols
from runoff.errors import InvalidArgument
from runoff.fusion import RRF, Convex, MinMax, TheoreticalMinMax, ZScore
from runoff.fusion._default import default_fusion


def test_arithmetic(ranking):
    """A score is the weighted mean of the normalised scores, a missing document counting 0."""
    rankings = {
        "bm25": ranking(("a", 12), ("b", 10), ("c", 4)),
        "dense": ranking(("c", 0.5), ("a", 0.25)),
    }
    assert Convex(normalizer="minmax").fuse(rankings) == {"a": 0.5, "b": 0.375, "c": 0.5}
    fused = Convex({"bm25": 3, "dense": 1}, normalizer="minmax").fuse(rankings)
    assert fused == {"a": 0.75, "b": 0.75 * 0.75, "c": 0.25}


def test_z_score_of_missing(ranking):
    """With z-scores a missing document counts as the worst hit of the list that lacks it."""
    rankings = {"s": ranking(("a", 3), ("b", 1)), "t": ranking(("c", 3), ("b", 1))}
    assert Convex().fuse(rankings) == {"a": 0.0, "b": -1.0, "c": 0.0}


def test_the_default_normalizer_is_that_of_the_default_fusion():
    """A `Convex` with weights differs from what a pipeline uses by nothing but the weights."""
    assert Convex() == default_fusion()
    assert Convex({"s": 1, "t": 3}).normalizer == ZScore()


def test_theoretical_range(ranking):
    """With a known lowest score the worst hit stays ahead of a document that was not found."""
    rankings = {
        "s": ranking(("a", 4), ("b", 2), low=0.0),
        "t": ranking(("c", 0.5), low=-1.0),
    }
    fused = Convex(normalizer="theoretical").fuse(rankings)
    assert fused == {"a": 0.5, "b": 0.25, "c": 0.5}
    assert Convex(normalizer="minmax").fuse(rankings)["b"] == 0.0


def test_lone_result_is_not_zeroed(ranking):
    """The only hit of the only source that answered keeps a score above 0."""
    assert Convex(normalizer="minmax").fuse({"s": ranking(("a", 0.93)), "t": []}) == {"a": 0.5}


def test_duplicates_count_once(ranking):
    """A key that a list holds twice counts at its better rank and is not normalised twice."""
    fused = Convex(normalizer="zscore").fuse({"s": ranking(("a", 3), ("b", 1), ("a", 1))})
    assert fused == {"a": 1.0, "b": -1.0}


def test_nothing_found():
    """No source and empty lists give no candidates."""
    assert Convex().fuse({}) == {}
    assert Convex({"s": 1, "t": 1}).fuse({"s": [], "t": []}) == {}


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"s": 1, "tt": 1}, r"'tt'.*which are: 's', 't'"),
        ({"s": 0.7}, "a weight for 't' too"),
        ({"s": 0, "t": 0}, "0 for every source"),
    ],
)
def test_weights_must_fit_the_sources(ranking, weights, message):
    """Unknown, absent and all-zero weights are refused when they meet the sources."""
    with pytest.raises(InvalidArgument, match=message):
        Convex(weights).fuse({"s": ranking(("a", 1)), "t": []})


@pytest.mark.parametrize("bad", [-0.5, math.nan, math.inf, "1"])
def test_bad_weight(bad):
    """A weight that is negative, not finite or no number is refused at construction."""
    with pytest.raises(InvalidArgument, match="weights"):
        Convex({"s": bad})


@pytest.mark.parametrize("bad", ["min-max", None, MinMax, 3, sorted])
def test_bad_normalizer(bad):
    """What is no normalizer is refused, and the message lists the names."""
    with pytest.raises(InvalidArgument, match="'minmax', 'theoretical', 'zscore'"):
        Convex(normalizer=bad)


@dataclass(frozen=True)
class Own:
    returned: tuple[float, ...]
    absent: float = 0.0

    def normalize(self, hits):
        return list(self.returned)

    def missing(self, normalized):
        return self.absent


def test_own_normalizer(ranking):
    """Anything with the two methods of a normalizer can be one."""
    fused = Convex(normalizer=Own((5.0, 4.0))).fuse({"s": ranking(("a", 1), ("b", 0))})
    assert fused == {"a": 5.0, "b": 4.0}


@pytest.mark.parametrize("own", [Own((1.0,)), Own((1.0, math.nan)), Own((1.0, 0.0), -math.inf)])
def test_faulty_normalizer_is_named(ranking, own):
    """A normalizer that returns too few or non-finite numbers is refused, with the source."""
    with pytest.raises(InvalidArgument, match="each of the 2 hits of 's'"):
        Convex(normalizer=own).fuse({"s": ranking(("a", 1), ("b", 0))})


@pytest.mark.parametrize(
    ("name", "normalizer"),
    [("minmax", MinMax()), ("zscore", ZScore()), ("theoretical", TheoreticalMinMax())],
)
def test_configuration(name, normalizer):
    """A short name stands for its normalizer; configuration can be copied, hashed, pickled."""
    fusion = Convex({"s": 1, "t": 3}, normalizer=name)
    assert fusion == Convex({"t": 3.0, "s": 1.0}, normalizer=normalizer)
    assert pickle.loads(pickle.dumps(fusion)) == fusion
    assert hash(fusion) == hash(dataclasses.replace(fusion))
    shown = f"weights={{'s': 1.0, 't': 3.0}}, normalizer={normalizer!r}, spreads=None"
    assert repr(fusion) == f"Convex({shown})"
    assert fusion != RRF()
    assert isinstance(fusion, protocols.Fusion)
