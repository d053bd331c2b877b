"""The statistics are those of the textbooks, checked by hand, by enumeration and by SciPy."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from runoff.evaluation._measures.differences import compare_means, mean_intervals
from runoff.evaluation._measures.permutation import holm, permutation_p

SEEDED = np.random.default_rng(7)


def _column(values):
    return np.array(values, np.float64)[:, None]


def test_permutation_p_is_near_the_exact_one():
    """For 10 queries the sampled p is close to the exact p of all 1,024 assignments of signs."""
    deltas = SEEDED.normal(0.3, 1, 10).round(2)
    sums = [abs(np.dot(signs, deltas)) for signs in product((-1, 1), repeat=10)]
    exact = np.mean(np.array(sums) >= abs(deltas.sum()) - 1e-9)
    (found,) = permutation_p(_column(deltas), rounds=100_000)
    assert found == pytest.approx(exact, abs=0.006)


def test_permutation_p_is_never_zero():
    """The smallest p is 1 / (n + 1), and without differences p is 1."""
    assert permutation_p(np.full((40, 1), 0.5), rounds=999).tolist() == [1 / 1000]
    assert permutation_p(np.zeros((40, 1)), rounds=999).tolist() == [1.0]


def test_permutation_p_keeps_its_level():
    """With random signs, p is at most .05 in 5% of 1,000 independent trials."""
    found = [
        permutation_p(
            _column(SEEDED.normal(0, 1, 60) * SEEDED.integers(0, 2, 60)), rounds=500, seed=at
        )
        for at in range(1000)
    ]
    assert 0.03 < np.mean(np.concatenate(found) <= 0.05) < 0.07


@given(
    deltas=arrays.arrays(np.float64, (12, 2), elements=st.floats(-1, 1, width=16)),
    scale=st.sampled_from([0.125, 1.0, 8.0]),
)
def test_permutation_p_knows_no_direction_or_unit(deltas, scale):
    """Changing sides or units changes no p, and a column's p does not depend on the others."""
    found = permutation_p(deltas, rounds=200, seed=3)
    assert np.array_equal(permutation_p(-deltas * scale, rounds=200, seed=3), found)
    alone = permutation_p(deltas[:, :1], rounds=200, seed=3)
    assert alone == pytest.approx(found[:1])


def test_chunks_change_nothing_but_memory(monkeypatch):
    """Rounds that do not fit in memory are drawn in chunks, with nearly the same result."""
    values = _column(SEEDED.normal(0.05, 0.2, 80))
    whole = permutation_p(values, rounds=5000), mean_intervals(values, rounds=5000)
    monkeypatch.setattr("runoff.evaluation._measures.permutation._CELLS", 80 * 70)
    parts = permutation_p(values, rounds=5000), mean_intervals(values, rounds=5000)
    assert parts[0] == pytest.approx(whole[0], abs=0.02)
    assert parts[1] == pytest.approx(whole[1], abs=0.004)


def test_holm_by_hand():
    """Equal shares: .01, .04, .03 become .03, .06, .06; the order of questions is kept."""
    assert holm(np.array([0.01, 0.04, 0.03]), np.ones(3)) == pytest.approx([0.03, 0.06, 0.06])


def test_weighted_holm_by_hand():
    """Shares .8, .1, .1: the first p is divided by .8, and what it leaves goes to the others."""
    found = holm(np.array([0.04, 0.01, 0.03]), np.array([0.8, 0.1, 0.1]))
    assert found == pytest.approx([0.05, 0.05, 0.05])
    assert holm(np.array([0.2]), np.array([0.3])) == pytest.approx([0.2])


@given(st.lists(st.floats(0.0001, 1), min_size=1, max_size=12), st.integers(0, 99))
def test_holm_is_between_p_and_bonferroni(p, seed):
    """Adjusted values are at least p, at most p divided by its share, and at most 1."""
    shares = np.random.default_rng(seed).uniform(0.1, 1, len(p))
    found = holm(np.array(p), shares)
    assert (found >= np.array(p)).all()
    assert (found <= np.minimum(1, np.array(p) * shares.sum() / shares) + 1e-12).all()


def test_ten_thousand_rounds_over_a_thousand_queries_are_quick():
    """Test and interval of 10,000 rounds over 1,000 queries take about a second of CPU time."""
    import time

    deltas = SEEDED.normal(0, 0.2, (1000, 3))
    started = time.process_time()
    compare_means(deltas, np.ones(deltas.shape, bool), np.ones(3))
    assert time.process_time() - started < 4
