"""What `runoff bench` measures, on a scorer whose cost is known."""

import time

import numpy as np
import pytest

from runoff.bench._material import Material, of_words
from runoff.bench._measure import measure
from runoff.bench._searches import Searches, Timed, Times
from runoff.errors import ConnectionFailed, ModelNotFound, RunoffError
from runoff.rerank import Pointwise, Price
from runoff.scores import ModelIdentity, PairScores, ScoreKind, Usage

EACH = 0.002  # seconds for a pair
MATERIAL = Material("pieces", ("one question", "another question"), of_words(50))


class Slow:
    """Takes two milliseconds for each pair, and returns what it has at the deadline."""

    name = "slow"
    keeps_deadline = True

    def __init__(self, *, tokens=100, limit=200, fails_every=None, dies_after=None):
        self.tokens, self.limit, self.fails_every = tokens, limit, fails_every
        self.dies_after = dies_after  # so many searches of ten documents or more
        self.calls, self.pairs, self.wide = 0, 0, 0

    def score(self, pairs, *, deadline=None):
        self.calls += 1
        if self.fails_every and self.calls % self.fails_every == 0:
            raise ConnectionFailed("reset")
        if self.dies_after is not None and self.wide >= self.dies_after:
            raise ConnectionFailed("refused")
        self.wide += len(pairs) >= 10
        scored = np.zeros(len(pairs), bool)
        for at in range(len(pairs)):
            if deadline is not None and deadline.expired:
                break
            time.sleep(EACH)
            scored[at] = True
        done = int(scored.sum())
        self.pairs += done
        cut = np.array([len(text.split()) > self.limit for _, text in pairs], bool)
        used = Usage(pairs=done, tokens=self.tokens and done * self.tokens)
        kind, model = ScoreKind.LOGIT, ModelIdentity("slow")
        late = "" if scored.all() else "timeout"
        return PairScores(np.arange(len(pairs)), scored, cut, kind, model, used, reason=late)


def measured(scorer, **options):
    given = {"timeout": 0.1, "seconds": 3, "words": (20, 400)} | options
    return measure(Pointwise(scorer), MATERIAL, **given)


@pytest.fixture(scope="module")
def found():
    """One whole measurement, of which several tests look at a part each."""
    return measured(Slow(), seconds=4)


def test_the_window_that_fits_is_found(found):
    """At 2 ms for a pair at least, 50 pairs take the 100 ms; what is found was measured to fit."""
    assert 5 <= found.fit.window < 50
    assert EACH * 1000 * found.fit.window <= found.fit.times.p95 <= 100
    assert found.fit.times.count >= 3
    assert not found.fit.widest


def test_windows_and_lengths_are_timed(found):
    """A search takes as long as its pairs; texts beyond the limit are counted as truncated."""
    assert [one.window for one in found.windows] == [10, 25, 50, 100]
    for one in found.windows:
        assert one.times.p50 >= EACH * 1000 * one.window
        assert one.times.p95 >= one.times.p50
    short, long = found.lengths
    assert (short.words, short.tokens, short.truncated) == (20, 100, 0)
    assert (long.words, long.truncated) == (400, 1)
    assert EACH * 1000 <= short.one.p50 < 50
    assert 0 < short.pairs_per_second <= 1 / EACH
    assert found.tokens == (100, 100)
    assert found.truncated == 0


def test_a_deadline_cuts_a_window_that_is_too_wide(found):
    """The search returns at about the deadline, with the candidates scored in time."""
    assert 1 <= found.kept.scored <= 50
    assert found.kept.window >= 100
    assert found.kept.times.p50 >= 95


def test_callers_that_do_not_slow_each_other(found):
    """Sleeping callers share nothing: two score more in the same time than one."""
    one, two, *_ = found.callers
    assert (one.callers, two.callers) == (1, 2)
    assert one.window == two.window == found.fit.window
    assert two.pairs_per_second > 1.3 * one.pairs_per_second


def test_a_deadline_that_nothing_fits():
    """If one pair takes longer than the deadline, the window is 0 and its time is reported."""
    found = measured(Slow(), timeout=EACH / 2, seconds=1)
    assert found.fit.window == 0
    assert found.fit.times.p95 > EACH * 1000 / 2


def test_all_documents_may_fit():
    """If all documents fit, the result says so."""
    found = measured(Slow(), timeout=60, seconds=0.5)
    assert (found.fit.window, found.fit.widest) == (200, True)
    assert found.kept is None  # no window is too wide


def test_no_more_pairs_are_scored_than_allowed():
    """The cap holds over all measurements, including concurrent callers."""
    for most in (60, 600):
        scorer = Slow()
        found = measured(scorer, pairs=most, seconds=2)
        assert scorer.pairs <= most
        assert found.usage.pairs == scorer.pairs


def test_a_cap_that_allows_nothing_is_told():
    """Too few pairs for a single window are an error, not an empty report."""
    with pytest.raises(RunoffError, match="complete: too few pairs are allowed"):
        measured(Slow(), pairs=9, words=(20,))


def test_usage_is_told():
    """Usage is in the results, with its cost if there is a price."""
    price = Price(per_1k_pairs=2.0)
    found = measure(Pointwise(Slow(), price=price), MATERIAL, timeout=0.1, seconds=0.5, words=(20,))
    assert found.usage.cost == pytest.approx(found.usage.pairs * 0.002)
    assert found.usage.tokens == found.usage.pairs * 100


def test_a_reranker_that_tells_no_tokens():
    """Unknown tokens are None."""
    found = measured(Slow(tokens=None), seconds=0.5)
    assert found.tokens is None
    assert [one.tokens for one in found.lengths] == [None, None]


def test_degraded_searches_are_counted_and_not_timed():
    """A failed search is counted by reason and left out of the figures."""
    scorer = Slow(fails_every=5)
    found = measured(scorer, seconds=1)
    assert found.degraded["connection"] >= scorer.calls // 5 - 1
    assert all(one.times.p50 >= EACH * 1000 * one.window for one in found.windows if one.times)


def test_a_reranker_that_never_answers_ends():
    """If all searches fail, an error soon names the reason."""
    began = time.perf_counter()
    with pytest.raises(RunoffError, match="connection"):
        measured(Slow(fails_every=1), seconds=2)
    assert time.perf_counter() - began < 20


def test_a_reranker_that_dies_midway_ends():
    """Earlier measurements are returned with the failures, without waiting for the rest."""
    began = time.perf_counter()
    found = measured(Slow(dies_after=4), seconds=2)
    assert time.perf_counter() - began < 20
    assert found.windows[0].times is not None
    assert found.degraded["connection"] >= 5


def test_a_model_that_is_not_there_is_raised():
    """An error of `warmup` is raised."""
    from runoff.rerank import CrossEncoder

    with pytest.raises(ModelNotFound):
        measured(CrossEncoder("./absent"))


def test_times_by_hand():
    """Median and 95th percentile of known milliseconds, by linear interpolation."""
    found = Times.of([Timed(float(ms), 1, None, 0) for ms in range(101)])
    assert (found.count, found.p50, found.p95) == (101, 50, 95)


def test_windows_are_filled_with_different_documents():
    """Each search draws as many documents as its window, without repetition and anew each time."""
    seen = []

    class Watching(Slow):
        def score(self, pairs, *, deadline=None):
            seen.append([text for _, text in pairs])
            return super().score(pairs, deadline=deadline)

    searches = Searches(Pointwise(Watching()), ("q",), MATERIAL.documents)
    searches.run(10)
    searches.run(10)
    assert [len(set(texts)) for texts in seen] == [10, 10]
    assert seen[0] != seen[1]
