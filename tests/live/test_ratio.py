"""nDCG@k by query: what it is, what it can be, and what people's grades of whole queries prove."""

from itertools import product

import numpy as np
import pytest
from ir_measures import Qrel, ScoredDoc, nDCG
from traffic import observation

from runoff.live._betting import interval
from runoff.live._judging.differences import differing, gain, steepest
from runoff.live._judging.ratio import REACH, between, extremes, quotient
from runoff.live._ppi import Sheet, chances, corrected

GAINS = np.array([gain(grade) for grade in range(4)])
CUTOFF = 5


def lists(rng, many):
    """Return the weights of many queries' documents in two lists, 0 where there are no more."""
    discounts = 1 / np.log2(np.arange(CUTOFF) + 2)
    discounts /= discounts.sum()
    weights = np.zeros((many, 2 * CUTOFF))
    inside = np.zeros(weights.shape, bool)
    for at in range(many):
        common = rng.integers(CUTOFF // 2, CUTOFF + 1)
        documents = 2 * CUTOFF - common
        after = rng.permutation(documents)[:CUTOFF]
        weights[at, :CUTOFF] = -discounts
        weights[at, after] += discounts
        inside[at, list({*range(CUTOFF), *after})] = True
    return weights, inside


@pytest.mark.parametrize("seed", range(5))
def test_the_difference_is_that_of_ndcg_with_the_documents_of_both_lists(seed):
    """It is what ir-measures gives if only these documents have grades."""
    rng = np.random.default_rng(seed)
    names = [f"d{at}" for at in range(9)]
    before, after = ([str(one) for one in rng.permutation(names)] for _ in range(2))
    rows = differing(observation("q", before, after), CUTOFF, whole=True)
    assert {one.doc_id for one in rows} == {*before[:CUTOFF], *after[:CUTOFF]}
    grades = rng.integers(0, 4, len(rows))
    qrels = [
        Qrel("q", row.doc_id, 2 ** int(grade) - 1) for row, grade in zip(rows, grades, strict=True)
    ]
    values = [
        (nDCG @ CUTOFF).calc_aggregate(
            qrels, [ScoredDoc("q", one, -rank) for rank, one in enumerate(order[:CUTOFF])]
        )
        for order in (before, after)
    ]
    weights = np.array([row.weight for row in rows])
    assert quotient(weights, GAINS[grades], CUTOFF) == pytest.approx(values[1] - values[0])


def test_two_equal_lists_need_no_grade():
    """Whatever the grades, nDCG is the same."""
    assert differing(observation("q", ["a", "b"], ["a", "b"]), 2, whole=True) == []


@pytest.mark.parametrize("seed", range(6))
def test_the_extremes_are_those_of_all_grades(seed):
    """No grades give a lower or a higher difference, and some give these."""
    rng = np.random.default_rng(seed)
    weights = lists(rng, 1)[0][:, : CUTOFF + 2]
    every = np.array(list(product(GAINS, repeat=weights.shape[1])))
    values = quotient(weights, every, CUTOFF)
    assert extremes(weights, CUTOFF)[:, 0] == pytest.approx([values.min(), values.max()])


def test_what_is_known_narrows_what_the_difference_can_be():
    """With few unknown grades the ends are those of all their values, else those of any grades."""
    rng = np.random.default_rng(3)
    weights, inside = lists(rng, 40)
    gains = np.where(inside, GAINS[rng.integers(0, 4, weights.shape)], 0.0)
    truth = quotient(weights, gains, CUTOFF)
    assert between(weights, gains, CUTOFF) == pytest.approx(np.stack([truth, truth]))
    partly = gains.copy()
    partly[:, [0, 3]] = np.nan
    low, high = between(weights, partly, CUTOFF)
    for at in range(40):
        tried = np.repeat(gains[at][None], 16, axis=0)
        tried[:, [0, 3]] = list(product(GAINS, repeat=2))
        values = quotient(weights[at], tried, CUTOFF)
        assert (low[at], high[at]) == pytest.approx((values.min(), values.max()))
    partly[:, :CUTOFF] = np.nan
    assert (between(weights, partly, CUTOFF) == extremes(weights, CUTOFF)).all()


@pytest.mark.parametrize("measure", ["SDCG", "nDCG"])
def test_the_bound_of_precision_holds(measure):
    """P@k's weights of a query sum up to at most this many times its size, and once to it."""
    rng = np.random.default_rng(0)
    seen = []
    for at in range(400):
        entering = int(rng.integers(1, CUTOFF + 1))
        names = [f"d{one}" for one in range(CUTOFF + entering)]
        after = [*names[: CUTOFF - entering], *names[CUTOFF:]]
        if at:
            after = [str(one) for one in rng.permutation(after)]
        others = names[CUTOFF - entering : CUTOFF]
        rows = differing(observation("q", names, [*after, *others]), CUTOFF, whole=True)
        weights = np.array([[row.weight for row in rows]])
        size = np.abs(weights).sum() if measure == "SDCG" else np.ptp(extremes(weights, CUTOFF))
        seen.append(sum(abs(row.share) for row in rows) / size)
    assert max(seen) <= steepest(measure, CUTOFF) + 1e-12
    assert max(seen) > 0.8 * steepest(measure, CUTOFF)


def sheet(judge, *, queries, rate, seed, unsure=0.0):
    """Return a sheet of queries of which people grade all documents, and their true differences.

    Args:
        judge: makes the judge's grades of the true ones and the weights.
        queries: how many.
        rate: the documents that people grade, for each query.
        seed: of everything random.
        unsure: the share of the grades that they cannot give.
    """
    rng = np.random.default_rng(seed)
    weights, inside = lists(rng, queries)
    weights[rng.random(queries) < 0.3] = 0.0  # the same list twice
    chance_of_more = np.where(weights > 0, 0.35, 0.2)
    grades = np.where(
        rng.random(weights.shape) < chance_of_more, rng.integers(1, 4, weights.shape), 0
    )
    grades[~inside] = 0
    possible = extremes(weights, CUTOFF)
    size, most = np.ptp(possible, axis=0), 2 * CUTOFF
    shares, largest = chances(size, rate / most, work=inside.sum(axis=1) / most)
    picked = rng.random(queries) < shares
    said = np.where(inside, GAINS[judge(rng, grades, weights)], 0.0)
    blank = inside & (rng.random(weights.shape) < unsure)
    truth = quotient(weights, GAINS[grades], CUTOFF)
    rows = np.flatnonzero(size)
    given = Sheet(
        rows,
        size[rows],
        between(weights, said, CUTOFF)[:, rows] / size[rows],
        between(weights, np.where(blank, np.nan, GAINS[grades]), CUTOFF)[:, rows] / size[rows],
        np.where(picked, shares, 0.0)[rows],
        largest,
        possible[:, rows] / size[rows],
        usual=0.0,
        reach=REACH,
    )
    return given, truth


def perfect(rng, grades, weights):
    return grades


def chancy(rng, grades, weights):
    return rng.integers(0, 4, grades.shape)


def partial(rng, grades, weights):
    return np.where((weights > 0) & (rng.random(grades.shape) < 0.5), 3, grades)


def contrary(rng, grades, weights):
    return 3 - grades


def widths(given, *ways):
    """Return the width of the sequence by each way to estimate."""
    found = []
    for by in ways:
        one = corrected(given, by=by)
        ends = interval(one.low, one.high, (one.worst, one.best))
        found.append(ends.high - ends.low)
    return found


@pytest.mark.slow("2 s: bias and coverage over 120 draws")
@pytest.mark.parametrize("judge", [perfect, chancy, partial, contrary])
def test_the_estimate_is_unbiased_and_covered(judge):
    """However wrong the judge is; and every value is within what was said to be possible."""
    errors = []
    for seed in range(30):
        given, truth = sheet(judge, queries=400, rate=2.0, seed=seed)
        found = corrected(given)
        errors.append(found.middle.mean() - truth.mean())
        assert truth.mean() in interval(found.low, found.high, (found.worst, found.best))
        assert (found.low >= found.worst).all()
        assert (found.high <= found.best).all()
    assert abs(np.mean(errors)) < 4 * np.std(errors) / np.sqrt(len(errors)) + 1e-12


def test_a_partial_judge_alone_misses_the_truth():
    """So that the test above can fail."""
    given, truth = sheet(partial, queries=1500, rate=2.0, seed=0)
    found = corrected(given, by="judge")
    assert truth.mean() not in interval(found.low, found.high, (found.worst, found.best))


def test_a_good_judge_narrows_what_people_alone_would_know():
    """The sequence by a fifth and the error to less than a half; a useless judge costs little."""
    found, errors = [], {"both": [], "people": []}
    for seed in range(10):
        given, truth = sheet(perfect, queries=1500, rate=1.0, seed=seed)
        found.append(widths(given, "both", "people"))
        for by, kept in errors.items():
            kept.append(corrected(given, by=by).middle.mean() - truth.mean())
    both, people = np.mean(found, axis=0)
    assert both < 0.8 * people
    assert np.std(errors["both"]) < np.std(errors["people"]) / 2
    both, people = widths(sheet(chancy, queries=1500, rate=1.0, seed=0)[0], "both", "people")
    assert both < 1.1 * people


def test_a_grade_that_people_cannot_give_costs_what_it_can_change():
    """The ends of the difference count, not all that any grades would make."""
    sure, truth = sheet(perfect, queries=400, rate=2.0, seed=1)
    unsure, _ = sheet(perfect, queries=400, rate=2.0, seed=1, unsure=0.05)
    found, known = corrected(unsure), corrected(sure)
    concerned = (unsure.people[0] < unsure.people[1]) & (unsure.chance > 0)
    rows = unsure.query[concerned]
    assert len(rows) > 10
    assert (found.low[rows] < found.high[rows]).all()
    widest = unsure.weight[concerned] / unsure.chance[concerned]
    assert np.mean((found.high - found.low)[rows] / widest) < 0.5
    assert (known.low == known.high).all()
    assert truth.mean() in interval(found.low, found.high, (found.worst, found.best))
