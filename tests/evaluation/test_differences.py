"""Tests and intervals of differences agree, cover the truth, and are the exact ones at the edge."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runoff.evaluation._measures.differences import compare_means, mean_intervals, span_of
from runoff.evaluation._measures.permutation import permutation_p
from runoff.evaluation._measures.power import decisive, detectable, more_queries

SIZES = (30, 50, 100, 200)


def _compared(deltas, **options):
    """Test each column as if it were the only one, with differences of a measure from 0 to 1."""
    options = {"rounds": 999} | options
    return compare_means(deltas, np.ones(deltas.shape, bool), np.ones(deltas.shape[1]), **options)


def _ranks(rng, shape):
    """Return nDCG@10 of one relevant document at a random rank."""
    rank = rng.geometric(0.3, shape)
    return np.where(rank <= 10, 1 / np.log2(1 + rank), 0.0)


def _changed(kind, rng, shape):
    """Return differences of queries that change, and their true mean."""
    if kind == "one relevant":
        return _ranks(rng, shape) * rng.choice((1.0, 0.7), shape) - _ranks(rng, shape), None
    if kind == "gains":
        return np.abs(rng.normal(0.2, 0.15, shape)).clip(0, 1), None
    return np.where(rng.random(shape) < 0.8, -0.08, 0.5) * rng.uniform(0.5, 1.5, shape), 0.036


@pytest.mark.slow("8 s: coverage over 19,200 intervals")
@pytest.mark.parametrize("kind", ["one relevant", "gains", "skewed"])
@pytest.mark.parametrize("alike", [0.0, 0.95, 0.97, 0.99])
def test_intervals_cover_whether_many_queries_change_or_few(kind, alike):
    """Of 400 intervals 93% or more contain the true mean, at 30, 50, 100 and 200 queries.

    With 95 to 99% of the queries alike, the percentile bootstrap of 0.1.0 covered in .04 to .93.
    """
    rng = np.random.default_rng(5)
    many, known = _changed(kind, rng, (200_000,))
    truth = (1 - alike) * (many.mean() if known is None else known)
    for queries in SIZES:
        deltas = _changed(kind, rng, (queries, 400))[0] * (rng.random((queries, 400)) >= alike)
        low, high = _compared(deltas).intervals.T
        # 2.5 standard errors of the share itself; the skewed ones are harder than real ones
        least = 0.93 if alike and kind != "skewed" else 0.9
        assert ((low <= truth) & (truth <= high)).mean() >= least


@pytest.mark.slow("1 s: the width of 600 intervals")
def test_dense_intervals_are_no_wider_than_needed():
    """Where most queries change, intervals are at most 5% wider than the percentile bootstrap's."""
    rng = np.random.default_rng(2)
    for queries in SIZES:
        deltas = rng.normal(0.02, 0.25, (queries, 150))
        low, high = _compared(deltas, rounds=2999).intervals.T
        counts = rng.multinomial(queries, np.full(queries, 1 / queries), 3000)
        ends = np.percentile(counts @ deltas / queries, (2.5, 97.5), axis=0)
        assert (high - low).mean() <= 1.05 * (ends[1] - ends[0]).mean()


@given(st.integers(0, 10_000), st.sampled_from([0.02, 0.2, 1.0]), st.floats(0.1, 1))
def test_the_interval_excludes_0_exactly_if_the_test_finds_a_difference(seed, size, changed):
    """Interval and p agree in every column, corrected for several questions or not."""
    rng = np.random.default_rng(seed)
    queries = int(rng.integers(1, 60))
    deltas = rng.normal(size / 4, size, (queries, 6)) * (rng.random((queries, 6)) < changed)
    for shares in (None, np.array([0.5, 0.1, 0.1, 0.1, 0.1, 0.1])):
        found = _compared(deltas, shares=shares, rounds=300, seed=seed)
        low, high = found.intervals.T
        assert np.array_equal((low > 0) | (high < 0), found.adjusted <= 0.05)
        assert (low <= high).all()
        inside = found.worst[:, 0] <= found.worst[:, 1]
        assert inside.all()


@pytest.mark.parametrize(("gains", "losses"), [(6, 0), (9, 1)])
def test_few_changes_of_one_size_are_judged_by_the_sign_test(gains, losses):
    """With 200 queries of which few change by 1.0, p is that of the sign test."""
    stats = pytest.importorskip("scipy.stats")
    deltas = np.zeros((200, 1))
    deltas[:gains], deltas[gains : gains + losses] = 1.0, -1.0
    exact = stats.binomtest(gains, gains + losses).pvalue
    assert _compared(deltas, rounds=20_000).p[0] == pytest.approx(exact, abs=0.012)


@pytest.mark.parametrize(("queries", "harmed"), [(100, 0), (100, 2), (300, 1)])
def test_the_worst_case_is_that_of_clopper_and_pearson(queries, harmed):
    """If a harmed query loses all, the worst case is the exact bound of the share of them."""
    stats = pytest.importorskip("scipy.stats")
    deltas = np.zeros((queries, 1))
    deltas[:harmed] = -1.0
    exact = stats.binomtest(harmed, queries).proportion_ci(method="exact").high
    assert _compared(deltas, rounds=20_000).worst[0, 0] == pytest.approx(-exact, rel=0.05)


def test_intervals_agree_with_scipy_where_every_query_changes():
    """On dense differences the interval is SciPy's bootstrap, up to chance and small samples."""
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(7).exponential(0.1, 150)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=1
    ).confidence_interval
    ((low, high),) = mean_intervals(values[:, None], rounds=20_000)
    assert (low, high) == pytest.approx(tuple(theirs), abs=0.003)


def test_interval_of_a_slice_is_that_of_its_queries_alone():
    """A slice's interval is of the mean over its own queries, whose number varies by resample."""
    rng = np.random.default_rng(7)
    values = rng.normal(0.2, 0.3, 300)
    members = np.arange(300) % 3 == 0
    deltas = np.where(members, values, 0.0)[:, None]
    ((low, high),) = mean_intervals(deltas, members[:, None])
    ((alone_low, alone_high),) = mean_intervals(values[members][:, None], seed=5)
    assert (low, high) == pytest.approx((alone_low, alone_high), abs=0.01)
    assert low < values[members].mean() < high


def test_the_scale_is_that_of_the_measure_or_of_its_values():
    """Values from 0 to 1 can change by 1; others by their range."""
    assert span_of(np.array([0.2, 0.4]), np.array([0.3, 1.0])) == 1.0
    assert span_of(np.array([2.0, 40.0]), np.array([3.0, 10.0])) == 38.0


def test_the_predicted_number_of_queries_decides():
    """The number for a known mean and spread finds the difference in about 90% of 300 trials."""
    (needed,) = decisive(np.array([0.05]), np.array([0.2]), bound=0.01)
    assert 165 <= needed <= 172
    assert detectable(0.2, round(needed)) == pytest.approx(0.05, rel=0.01)
    rng = np.random.default_rng(2)
    found = permutation_p(rng.normal(0.05, 0.2, (round(needed), 300)), rounds=400) <= 0.05
    assert 0.84 < found.mean() < 0.96


def test_the_predicted_number_of_queries_shows_no_effect():
    """Without a difference, the number puts the worst case within the bound."""
    needed = round(decisive(np.zeros(1), np.array([0.03]), bound=0.01)[0])
    deltas = np.random.default_rng(4).normal(0, 0.03, (needed, 200))
    low, high = _compared(deltas).worst.T
    assert ((low >= -0.01) & (high <= 0.01)).mean() >= 0.85
    assert decisive(np.zeros(1), np.zeros(1), bound=0.01)[0] == pytest.approx(368.9, abs=0.5)


def test_a_number_of_queries_is_said_only_if_it_means_something():
    """Thirty noisy queries say nothing; a steady small difference gives a range."""
    rng = np.random.default_rng(9)
    assert more_queries(rng.normal(-0.007, 0.2, 30), bound=0.01) is None
    few, many = more_queries(rng.normal(-0.007, 0.04, 150), bound=0.01)
    assert 1 <= few < many <= 10 * (few + 150)
