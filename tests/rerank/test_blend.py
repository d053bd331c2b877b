"""The mix of rerank and fusion score."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rerankers import Scorer, keys
from rerankers import fused_candidates as candidates

from runoff.errors import InvalidArgument
from runoff.rerank import Pointwise
from runoff.types import Query

QUERY = Query("what?")


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
        ordered = [mix[key] for key in keys(answer.ordered)]
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
    assert keys(answer.ordered) == ["d2", "d1"]


def test_a_blend_of_zero_is_fused_order():
    """With all the weight on fusion the order is the fused one."""
    answer = Pointwise(Scorer([1, 2, 3]), blend=0).rerank(QUERY, candidates([9, 5, 1]))
    assert keys(answer.ordered) == ["d1", "d2", "d3"]


def test_a_lone_candidate_keeps_its_score():
    """With one candidate there is nothing to compare, so its score is its own."""
    answer = Pointwise(Scorer([1.5]), blend=0.3).rerank(QUERY, candidates([0.2]))
    assert answer.ordered[0].rerank_score == pytest.approx(1.5)


def test_constant_fusion_scores_change_nothing():
    """Where fusion does not tell candidates apart, the pair scores decide."""
    answer = Pointwise(Scorer([1, 3, 2]), blend=0.1).rerank(QUERY, candidates([0.1, 0.1, 0.1]))
    assert keys(answer.ordered) == ["d2", "d3", "d1"]


@pytest.mark.parametrize("fused", [[1e-320, 5e-321, 0.0], [1e300, 1e299, -1e300]])
def test_extreme_fusion_scores_mix(fused):
    """The smallest and the largest fusion scores have z-scores like any others."""
    answer = Pointwise(Scorer([1, 2, 4]), blend=0).rerank(QUERY, candidates(fused))
    assert keys(answer.ordered) == ["d1", "d2", "d3"]
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
    assert keys(Pointwise(scorer).rerank(QUERY, candidates([30, 10])).ordered) == ["d2", "d1"]
    scorer.default_blend = 0.25
    assert keys(Pointwise(scorer).rerank(QUERY, candidates([30, 10])).ordered) == ["d1", "d2"]
    scorer.default_blend = 2
    with pytest.raises(InvalidArgument, match="default_blend of Scorer"):
        Pointwise(scorer).rerank(QUERY, candidates([30, 10]))


NAN = math.nan


@pytest.mark.parametrize("reason", ["timeout", "connection", "server_error", "rejected"])
def test_a_blend_lets_nothing_overtake_what_was_late(reason):
    """Scores below a candidate whose own is missing are not used, and the detail counts them."""
    scorer = Scorer([1, 2, NAN, 9, 8], reason)
    answer = Pointwise(scorer, blend=0.75).rerank(QUERY, candidates([5, 4, 3, 2, 1]))
    assert keys(answer.ordered) == ["d2", "d1"]
    assert [one.key for one in answer.unscored] == ["d3", "d4", "d5"]
    assert answer.reason == reason
    assert "scored 2 of 5 " in answer.detail
    assert "; 2 more scores below a candidate without one were not used" in answer.detail


def test_a_single_unused_score_is_counted_in_the_singular():
    """One score below a candidate without one is 1 more score."""
    answer = Pointwise(Scorer([1, NAN, 9], "timeout"), blend=0.75).rerank(
        QUERY, candidates([3, 2, 1])
    )
    assert "; 1 more score below a candidate without one was not used" in answer.detail


def test_a_blend_leaves_the_fused_order_when_the_first_was_late():
    """Two run at a time, the second is done first: the answer is the first stage's."""
    answer = Pointwise(Scorer([NAN, 9, NAN], "timeout"), blend=0.5).rerank(
        QUERY, candidates([3, 2, 1])
    )
    assert not answer.ordered
    assert [one.key for one in answer.unscored] == ["d1", "d2", "d3"]


@pytest.mark.parametrize("blend", [None, 1])
def test_without_a_blend_every_score_counts(blend):
    """The reranker alone decides: what it scored comes first, wherever fusion had it."""
    answer = Pointwise(Scorer([NAN, 9, 8], "timeout"), blend=blend).rerank(
        QUERY, candidates([3, 2, 1])
    )
    assert keys(answer.ordered) == ["d2", "d3"]
    assert "not used" not in answer.detail


@pytest.mark.parametrize("reason", ["", "bad_reply"])
def test_a_score_that_is_no_number_holds_nobody_back(reason):
    """One bad value in a reply costs that candidate its place and no other."""
    answer = Pointwise(Scorer([NAN, 8, 9], reason), blend=0.9).rerank(QUERY, candidates([3, 2, 1]))
    assert keys(answer.ordered) == ["d3", "d2"]
    assert [one.key for one in answer.unscored] == ["d1"]
    assert answer.reason == "bad_reply"


@given(rows=lists, read=st.integers(0, 30))
def test_a_blend_of_the_first_few_is_that_of_a_narrower_window(rows, read):
    """However many scores came in time, the order is that of a window of as many candidates."""
    rows = sorted(rows, key=lambda row: -row[1])
    own, fused = (list(column) for column in zip(*rows, strict=True))
    read = min(read, len(rows))
    late = own[:read] + [NAN] * (len(rows) - read)
    some = Pointwise(Scorer(late, "timeout"), blend=0.5).rerank(QUERY, candidates(fused))
    narrow = Pointwise(Scorer(own[:read]), blend=0.5).rerank(QUERY, candidates(fused)[:read])
    assert keys(some.ordered) == keys(narrow.ordered)
