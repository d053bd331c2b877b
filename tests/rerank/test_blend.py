"""The mix of rerank and fusion score."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runoff.errors import InvalidArgument
from runoff.rerank import Pointwise
from runoff.scores import ModelIdentity, PairScores, ScoreKind
from runoff.types import Candidate, Document, Query

QUERY = Query("what?")


def candidates(fused):
    """Candidates d1, d2, ... in fused order with these fusion scores."""
    return [
        Candidate(Document(f"d{rank}", f"text {rank}"), f"d{rank}", score, rank)
        for rank, score in enumerate(fused, 1)
    ]


@dataclasses.dataclass
class Scorer:
    """A scorer that gives the scores it was made with; NaN is unscored."""

    values: list

    def score(self, pairs, *, deadline=None):
        values = np.array(self.values, np.float32)
        truncated = np.zeros(len(values), bool)
        return PairScores(
            values, ~np.isnan(values), truncated, ScoreKind.LOGIT, ModelIdentity("fake")
        )


def ids(ranked):
    return [one.candidate.document.doc_id for one in ranked]


def test_a_blend_mixes_on_the_scale_of_the_pair_scores():
    """rerank_score = w s + (1 - w)(mean(s) + sd(s) z(fusion)), by hand."""
    answer = Pointwise(Scorer([0.0, 4.0]), blend=0.25).rerank(QUERY, candidates([30, 10]))
    # mean 2, deviation 2; fusion z is 1 and -1: .25*0 + .75*4 and .25*4 + .75*0
    assert [(one.candidate.key, one.rerank_score) for one in answer.ordered] == [
        ("d1", 3.0),
        ("d2", 1.0),
    ]
    assert [one.pair_score for one in answer.ordered] == [0.0, 4.0]


finite = st.floats(-1e6, 1e6, width=32)
lists = st.lists(st.tuples(finite, finite), min_size=2, max_size=30)


@given(rows=lists, weight=st.floats(0, 1))
def test_a_blend_orders_as_the_mix_of_z_scores(rows, weight):
    """The order is that of weight * z(pair) + (1 - weight) * z(fusion)."""
    rows = sorted(rows, key=lambda row: -row[1])
    own, fused = (np.array(column, np.float64) for column in zip(*rows, strict=True))

    def z(values):
        spread = values.std()
        return (values - values.mean()) / spread if np.ptp(values) > 0 else values * 0

    mix = dict(
        zip(
            (f"d{rank}" for rank in range(1, len(rows) + 1)),
            weight * z(own) + (1 - weight) * z(fused),
            strict=True,
        )
    )
    answer = Pointwise(Scorer(list(own)), blend=weight).rerank(QUERY, candidates(list(fused)))
    if np.ptp(own) > 0:
        ordered = [mix[key] for key in ids(answer.ordered)]
        assert all(left >= right - 1e-6 for left, right in itertools.pairwise(ordered))
    else:
        assert [one.rerank_score for one in answer.ordered] == pytest.approx(list(own))


@pytest.mark.parametrize("blend", [None, 1, 1.0])
def test_no_blend_leaves_fusion_out(blend):
    """Without a blend the rerank_score is exactly the pair score."""
    answer = Pointwise(Scorer([0.1, 0.7]), blend=blend).rerank(QUERY, candidates([1e9, -1e9]))
    assert [one.rerank_score for one in answer.ordered] == [
        one.pair_score for one in answer.ordered
    ]
    assert ids(answer.ordered) == ["d2", "d1"]


def test_a_blend_of_zero_is_fused_order():
    """With all the weight on fusion the order is the fused one."""
    answer = Pointwise(Scorer([1, 2, 3]), blend=0).rerank(QUERY, candidates([9, 5, 1]))
    assert ids(answer.ordered) == ["d1", "d2", "d3"]


def test_a_lone_candidate_keeps_its_score():
    """With one candidate there is nothing to compare, so its score is its own."""
    answer = Pointwise(Scorer([1.5]), blend=0.3).rerank(QUERY, candidates([0.2]))
    assert answer.ordered[0].rerank_score == pytest.approx(1.5)


def test_constant_fusion_scores_change_nothing():
    """Where fusion does not tell candidates apart, the pair scores decide."""
    answer = Pointwise(Scorer([1, 3, 2]), blend=0.1).rerank(QUERY, candidates([0.1, 0.1, 0.1]))
    assert ids(answer.ordered) == ["d2", "d3", "d1"]


@pytest.mark.parametrize("fused", [[1e-320, 5e-321, 0.0], [1e300, 1e299, -1e300]])
def test_extreme_fusion_scores_mix(fused):
    """The smallest and the largest fusion scores have z-scores like any others."""
    answer = Pointwise(Scorer([1, 2, 4]), blend=0).rerank(QUERY, candidates(fused))
    assert ids(answer.ordered) == ["d1", "d2", "d3"]
    assert all(math.isfinite(one.rerank_score) for one in answer.ordered)


def test_only_the_scored_are_mixed():
    """The unscored have no part in mean and deviation."""
    whole = Pointwise(Scorer([0, 4]), blend=0.25).rerank(QUERY, candidates([30, 10]))
    partly = Pointwise(Scorer([0, 4, math.nan]), blend=0.25).rerank(
        QUERY, candidates([30, 10, -500])
    )
    assert [one.rerank_score for one in partly.ordered] == [
        one.rerank_score for one in whole.ordered
    ]


def test_auto_asks_the_scorer():
    """`blend="auto"` is the scorer's default_blend, or none."""
    scorer = Scorer([0.0, 4.0])
    assert ids(Pointwise(scorer).rerank(QUERY, candidates([30, 10])).ordered) == ["d2", "d1"]
    scorer.default_blend = 0.25
    assert ids(Pointwise(scorer).rerank(QUERY, candidates([30, 10])).ordered) == ["d1", "d2"]
    scorer.default_blend = 2
    with pytest.raises(InvalidArgument, match="default_blend of Scorer"):
        Pointwise(scorer).rerank(QUERY, candidates([30, 10]))
