"""The confidence sequence: what betting proves about a mean, at every look."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runoff.live._betting import first_proof, growth, interval, shortest, trend

ENDS = (-1.0, 1.0)


def streams(mean, many, times, seed=0):
    """Return differences of which six in ten are 0 before the mean is added."""
    rng = np.random.default_rng(seed)
    drawn = rng.normal(0, 0.15, (many, times)) * (rng.random((many, times)) < 0.4)
    return np.clip(drawn + mean, *ENDS)


def test_no_more_streams_than_the_level_ever_prove_what_is_false():
    """Of 300 streams without a difference, looked at 600 times, few say helps or harms."""
    values = streams(0.0, 300, 600)
    wrong = (first_proof(values, -1.0, 0.0, level=0.025) > 0) | (
        first_proof(-values, -1.0, 0.0, level=0.025) > 0
    )
    assert wrong.mean() <= 0.05


def test_a_skewed_stream_keeps_the_level():
    """Rare large losses that cancel small gains do not count as a gain."""
    rng = np.random.default_rng(1)
    values = np.where(rng.random((300, 600)) < 0.02, -0.98, 0.02)
    assert (first_proof(values, -1.0, 0.0, level=0.05) > 0).mean() <= 0.05


def test_a_difference_is_found():
    """A mean of .02 is proven by every stream of 3,000 values, in the median by fewer than 600."""
    found = first_proof(streams(0.02, 50, 3000), -1.0, 0.0, level=0.025)
    assert (found > 0).all()
    assert np.median(found) < 600


def test_the_capital_is_what_the_bets_make_of_it():
    """The growth of one value is the mean over the stakes of 1 + stake * value."""
    shares = np.array([1 / at for at in range(1, 13)])
    stakes = 0.95 * 0.5 ** np.arange(12)
    expected = (shares / shares.sum() * (1 + stakes * 0.3)).sum()
    assert np.exp(growth(np.array([0.3]), -1.0, 0.0))[0] == pytest.approx(expected)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40), st.floats(-0.9, 0.9))
def test_no_bet_loses_all(values, mean):
    """The capital stays above 0 whatever the values are."""
    assert np.isfinite(growth(np.array(values), -1.0, mean)).all()


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=60))
def test_the_interval_of_mirrored_values_is_mirrored(values):
    """Neither side is favoured."""
    one = np.array(values)
    found, mirrored = interval(one, one, ENDS), interval(-one, -one, ENDS)
    assert (found.low, found.high) == pytest.approx((-mirrored.high, -mirrored.low), abs=1e-9)


def test_the_interval_never_widens():
    """A later look is within every earlier one."""
    values = streams(0.05, 1, 400)[0]
    looks = [interval(values[:at], values[:at], ENDS) for at in (10, 50, 100, 200, 400)]
    for earlier, later in itertools.pairwise(looks):
        assert earlier.low <= later.low <= later.high <= earlier.high


def test_the_trend_ends_at_the_interval_and_is_no_narrower():
    """Its grid rounds outwards."""
    values = streams(0.05, 1, 400)[0]
    looks = np.array([20, 100, 400])
    shown = trend(values, values, ENDS, looks)
    for at, one in zip(looks, shown, strict=True):
        exact = interval(values[:at], values[:at], ENDS)
        assert one.low <= exact.low + 1e-9
        assert one.high >= exact.high - 1e-9
    assert shown[-1].low == pytest.approx(interval(values, values, ENDS).low, abs=0.002)


def test_unknown_values_widen_the_interval():
    """Where the worst and the best case differ, each end takes its own."""
    values = streams(0.05, 1, 400)[0]
    unsure = np.arange(400) % 10 == 0
    known = interval(values, values, ENDS)
    found = interval(np.where(unsure, -0.5, values), np.where(unsure, 0.5, values), ENDS)
    assert found.low < known.low
    assert found.high > known.high


def test_no_values_prove_nothing():
    """The interval is all that is possible."""
    found = interval(np.array([]), np.array([]), ENDS)
    assert (found.low, found.high) == ENDS


def test_how_much_more_it_takes_is_foreseen():
    """After a third of the values that prove a mean, the forecast is within a factor of 2.5."""
    values = streams(0.02, 20, 4000, seed=3)
    needed = first_proof(values, -1.0, 0.0, level=0.025)
    foreseen = [
        at / 3 + shortest(one[: at // 3], -1.0, 0.0, level=0.025)
        for one, at in zip(values, needed, strict=True)
    ]
    assert 0.4 < np.median(np.array(foreseen) / needed) < 2.5


def test_what_is_never_proven_is_not_foreseen():
    """A stream of losses never proves a gain."""
    assert shortest(np.full(50, -0.1), -1.0, 0.0, level=0.025) == np.inf
