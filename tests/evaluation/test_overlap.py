"""Rank-biased overlap has the values of its paper."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runoff.errors import InvalidArgument
from runoff.evaluation import rank_biased_overlap

LISTS = st.lists(st.sampled_from("abcdefghij"), unique=True)


@pytest.mark.parametrize(
    ("one", "other", "value"),
    [
        ("ab", "ba", 0.1 * 0.9 + 0.81),
        ("abc", "cab", 0.1 * (0.5 * 0.9 + 0.81) + 0.729),
        ("abc", "xyz", 0.0),
        ("abc", "abcdefg", 1.0),
        ("", "a", 0.0),
        ("", "", 1.0),
    ],
)
def test_overlap_by_hand(one, other, value):
    """Equation 32 of Webber, Moffat and Zobel (2010) with p .9, worked out by hand."""
    assert rank_biased_overlap(list(one), list(other)) == pytest.approx(value)


@given(LISTS, LISTS, st.sampled_from([0.5, 0.9, 0.98]))
def test_overlap_has_no_direction_and_stays_in_its_range(one, other, persistence):
    """It is symmetric, 0 to 1, and 1 for equal lists."""
    found = rank_biased_overlap(one, other, persistence=persistence)
    assert found == pytest.approx(rank_biased_overlap(other, one, persistence=persistence))
    assert 0 <= found <= 1
    assert rank_biased_overlap(one, one) == pytest.approx(1)


def test_the_top_counts_most():
    """A swap at the top costs more than one at the bottom."""
    order = list("abcdefghij")
    top, bottom = ["b", "a", *order[2:]], [*order[:8], "j", "i"]
    assert rank_biased_overlap(order, top) < rank_biased_overlap(order, bottom) < 1


def test_what_cannot_be_compared():
    """A repeated document and a persistence of 1 are refused."""
    with pytest.raises(InvalidArgument, match="each document once"):
        rank_biased_overlap(["a", "a"], ["a"])
    with pytest.raises(InvalidArgument, match="persistence"):
        rank_biased_overlap(["a"], ["a"], persistence=1.0)
