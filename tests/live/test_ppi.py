"""Prediction-powered inference: valid whatever the judge's faults, narrower if it is good."""

import numpy as np
import pytest

from runoff.live._betting import interval
from runoff.live._ppi import MOST, Sheet, chances, corrected, ends_of, picked


def sheet(judge, *, queries=1500, rate=0.08, seed=0, unsure=0.0):
    """Return a sheet of queries with five documents, and the true values of the queries.

    Args:
        judge: makes the judge's gains of the true ones and the weights.
        queries: how many.
        rate: the share that people grade.
        seed: of everything random.
        unsure: the share of what they cannot say.
    """
    rng = np.random.default_rng(seed)
    weights = rng.normal(0, 0.1, (queries, 5))
    weights -= weights.mean(axis=1, keepdims=True)
    gains = rng.choice([0, 1 / 7, 3 / 7, 1], (queries, 5), p=[0.6, 0.15, 0.15, 0.1])
    gains = np.where((weights > 0) & (rng.random(gains.shape) < 0.2), 1.0, gains)
    people, chance = np.full(gains.shape, np.nan), np.zeros(gains.shape)
    shares, largest = chances(np.abs(weights).sum(axis=1), rate)
    for at in range(queries):
        if found := picked(weights[at], shares[at], rng.random()):
            chance[at, found[0]] = found[1]
            if rng.random() >= unsure:
                people[at, found[0]] = gains[at, found[0]]
    flat = np.repeat(np.arange(queries), 5)
    said = judge(rng, gains, weights)
    ends = (ends_of(one.ravel()) for one in (said, people))
    given = Sheet(flat, weights.ravel(), *ends, chance.ravel(), largest)
    return given, (weights * gains).sum(axis=1)


def perfect(rng, gains, weights):
    return gains


def chancy(rng, gains, weights):
    return rng.choice([0, 1 / 7, 3 / 7, 1], gains.shape)


def biased(rng, gains, weights):
    return np.where((weights > 0) & (rng.random(gains.shape) < 0.6), 1.0, gains)


def contrary(rng, gains, weights):
    return 1 - gains


@pytest.mark.parametrize("judge", [perfect, chancy, biased, contrary])
def test_the_estimate_is_unbiased(judge):
    """However wrong the judge is, the mean over many samples is the truth."""
    errors = []
    for seed in range(40):
        given, truth = sheet(judge, queries=400, rate=0.2, seed=seed)
        errors.append(corrected(given).middle.mean() - truth.mean())
    assert abs(np.mean(errors)) < 4 * np.std(errors) / np.sqrt(len(errors)) + 1e-12


@pytest.mark.slow("1 s: coverage over 80 draws")
@pytest.mark.parametrize("judge", [perfect, chancy, biased, contrary])
def test_the_sequence_covers_the_truth(judge):
    """In 20 of 20 draws, and at the level of .05 that leaves room."""
    for seed in range(20):
        given, truth = sheet(judge, queries=400, rate=0.2, seed=seed)
        found = corrected(given)
        assert truth.mean() in interval(found.low, found.high, (found.worst, found.best))


def test_a_biased_judge_alone_misses_the_truth():
    """So that the test above can fail."""
    given, truth = sheet(biased)
    found = corrected(given, by="judge")
    assert truth.mean() not in interval(found.low, found.high, (found.worst, found.best))


@pytest.mark.slow("1 s: the width of 40 intervals")
def test_a_good_judge_narrows_what_people_alone_would_know():
    """Errors of the estimate shrink to a half or less, and the sequence by a fifth."""
    errors, widths = {"both": [], "people": []}, {"both": [], "people": []}
    for seed in range(20):
        given, truth = sheet(perfect, seed=seed)
        for by in ("both", "people"):
            found = corrected(given, by=by)
            one = interval(found.low, found.high, (found.worst, found.best))
            errors[by].append(found.middle.mean() - truth.mean())
            widths[by].append(one.high - one.low)
    assert np.std(errors["both"]) < np.std(errors["people"]) / 2
    assert np.mean(widths["both"]) < np.mean(widths["people"]) * 0.8


def test_a_judge_that_knows_nothing_costs_nothing():
    """Its slope goes to 0, and the interval is within a tenth of that of people alone."""
    given, _ = sheet(chancy)
    both, people = corrected(given), corrected(given, by="people")
    assert both.slope < 0.25
    widths = [
        (found := interval(one.low, one.high, (one.worst, one.best))).high - found.low
        for one in (both, people)
    ]
    assert widths[0] < widths[1] * 1.1


def test_values_stay_within_what_was_possible():
    """The bounds that limit the stakes hold for every value."""
    for judge in (perfect, chancy, contrary):
        found = corrected(sheet(judge, rate=0.5)[0])
        assert (found.low >= found.worst).all()
        assert (found.high <= found.best).all()


def test_what_people_cannot_say_counts_as_its_worst_case():
    """The low values are lower and the high ones higher, only where people could not say."""
    given, truth = sheet(perfect, unsure=0.3)
    found = corrected(given)
    blank = (given.people[0] < given.people[1]) & (given.chance > 0)
    concerned = np.isin(np.arange(len(given)), given.query[blank])
    assert (found.low[concerned] < found.high[concerned]).all()
    assert (found.low[~concerned] == found.high[~concerned]).all()
    assert truth.mean() in interval(found.low, found.high, (found.worst, found.best))


def test_no_value_depends_on_later_grades():
    """Bets need each value to be unbiased given all before it."""
    given, _ = sheet(biased, queries=300)
    changed = given.people.copy()
    changed[:, given.query >= 200] = 1 - changed[::-1, given.query >= 200]
    later = Sheet(given.query, given.weight, given.judge, changed, given.chance, given.largest)
    before, after = corrected(given).middle, corrected(later).middle
    assert (before[:200] == after[:200]).all()
    assert (before[200:] != after[200:]).any()


def test_documents_are_picked_with_their_chances():
    """Over many draws each document is picked as often as its inclusion probability says."""
    rng = np.random.default_rng(0)
    weights = np.array([0.3, -0.1, 0.05, -0.25])
    (share,), _ = chances(np.array([0.7]), 0.4)
    found = [picked(weights, share, draw) for draw in rng.random(20_000)]
    for at, weight in enumerate(np.abs(weights)):
        expected = share * weight / 0.7
        drawn = [one for one in found if one and one[0] == at]
        assert [one[1] for one in drawn] == pytest.approx([expected] * len(drawn))
        assert len(drawn) / len(found) == pytest.approx(expected, abs=0.01)


def test_chances_do_not_depend_on_later_queries_and_bound_the_weights():
    """Each is known before the query, and so is the largest weight over chance."""
    sizes = np.abs(np.random.default_rng(0).normal(0.4, 0.3, 200)).clip(0, MOST)
    shares, largest = chances(sizes, 0.1)
    first, bounds = chances(sizes[:50], 0.1)
    assert (shares[:50] == first).all()
    assert (largest[:50] == bounds).all()
    inside = sizes > 0
    assert (sizes[inside] / shares[inside] <= largest[inside] + 1e-12).all()


def test_people_do_about_the_work_that_they_were_asked_for():
    """If queries differ in what they take, those that take more are not picked for more in sum."""
    rng = np.random.default_rng(0)
    sizes, work = rng.uniform(0.2, 1.2, 4000), rng.uniform(0.1, 1.0, 4000)
    shares, _ = chances(sizes, 0.02, work=work)
    assert (shares * work).sum() == pytest.approx(0.02 * 4000, rel=0.03)
    assert shares / sizes == pytest.approx(shares[-1] / sizes[-1], rel=0.5)


def test_an_expectation_stays_where_the_error_is_bounded():
    """After many perfect queries a bad one is worse than expected by the reach, and not by more."""
    many = 40
    judge, ones, possible = np.full((2, many), 0.5), np.ones(many), np.array([[-0.5], [0.5]])
    people = judge.copy()
    people[:, -1] = -0.5
    columns = (ones, judge, people, 0.05 * ones, 20 * ones, possible)
    given = Sheet(np.arange(many), *columns, usual=0.0, reach=0.8)
    for by in ("both", "people"):
        found = corrected(given, by=by)
        assert found.low[-1] == pytest.approx(0.3 - 0.8 * 20)
        assert (found.low >= found.worst).all()


def test_batches_are_as_good_as_one():
    """What is added later gets the chances that it had at once."""
    sizes = np.linspace(0.1, 1, 40)
    whole, _ = chances(sizes, 0.1)
    first, _ = chances(sizes[:15], 0.1)
    second, _ = chances(sizes[15:], 0.1, (float(sizes[:15].sum()), 15))
    assert np.concatenate([first, second]) == pytest.approx(whole)
