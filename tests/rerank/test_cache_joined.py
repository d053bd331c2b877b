"""Pairs that several callers need at once are scored once, and no caller waits for ever."""

import asyncio
import dataclasses
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from counting import Counting, value

from runoff.deadline import Deadline
from runoff.errors import DeadlineExceeded, ServerFailed
from runoff.rerank import Cached, MemoryCache
from runoff.rerank._cache import flights as cache_flights
from runoff.scores import ModelIdentity

PAIRS = [("why?", f"text {n}") for n in range(20)]
MANY = 50


@pytest.fixture(autouse=True)
def nothing_left_behind():
    yield
    assert cache_flights._flights == {}


def right(scores, pairs=PAIRS):
    return scores.values.tolist() == [np.float32(value(*pair)) for pair in pairs]


def in_threads(*calls):
    """Start all calls at one moment; return what each returned or raised."""
    barrier = threading.Barrier(len(calls))

    def run(call):
        barrier.wait()
        try:
            return call()
        except Exception as error:  # noqa: BLE001 - what it raised is part of the answer
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


class Held(Counting):
    """Scores once `free` is set."""

    def __init__(self):
        super().__init__()
        self.free = threading.Event()

    def score(self, pairs, *, deadline=None):
        self._note(pairs)
        assert self.free.wait(30)
        return self._answer(pairs)

    async def ascore(self, pairs, *, deadline=None):
        return await asyncio.to_thread(self.score, pairs, deadline=deadline)


def until(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_threads_score_each_pair_once(store):
    """50 threads that ask the same at once get every score, and each pair is scored once."""
    scorer = Counting(wait=0.1)
    cached = Cached(scorer, store=store)
    answers = in_threads(*[lambda: cached.score(PAIRS)] * MANY)
    assert all(map(right, answers))
    assert sorted(scorer.asked) == sorted(PAIRS)
    assert sum(one.usage.pairs for one in answers) == len(PAIRS)
    assert sum(one.usage.cached for one in answers) == len(PAIRS) * (MANY - 1)


async def test_coroutines_score_each_pair_once(store):
    """50 coroutines that ask the same at once get every score, and each pair is scored once."""
    scorer = Counting(wait=0.1)
    cached = Cached(scorer, store=store)
    answers = await asyncio.gather(*(cached.ascore(PAIRS) for _ in range(MANY)))
    assert all(map(right, answers))
    assert sorted(scorer.asked) == sorted(PAIRS)


def test_overlapping_questions(store):
    """Threads and event loops that want overlapping pairs in any order wait for no circle."""
    scorer = Counting(wait=0.02)
    cached = Cached(scorer, store=store)

    def ask(turn):
        pairs = PAIRS[turn:] + PAIRS[:turn]
        if turn % 2:
            return right(cached.score(pairs), pairs)
        return right(asyncio.run(cached.ascore(pairs)), pairs)

    assert all(in_threads(*[lambda turn=turn: ask(turn) for turn in range(20)]))
    assert sorted(scorer.asked) == sorted(PAIRS)


def test_who_waits_leaves_at_its_deadline(store):
    """A caller whose time is up leaves, and the one it waited for is not disturbed."""
    scorer = Held()
    cached = Cached(scorer, store=store)

    def hurried():
        until(lambda: scorer.calls)
        with pytest.raises(DeadlineExceeded):
            cached.score(PAIRS, deadline=Deadline(0.05))
        with pytest.raises(DeadlineExceeded):
            asyncio.run(cached.ascore(PAIRS, deadline=Deadline(0.05)))
        scorer.free.set()  # not before both have left

    patient, _ = in_threads(lambda: cached.score(PAIRS), hurried)
    assert right(patient)
    assert scorer.calls == [PAIRS]


def test_who_waits_gets_what_it_knows_at_its_deadline(store):
    """Of its pairs, a caller whose time is up gives those that were known."""
    scorer = Held()
    cached = Cached(scorer, store=store)
    scorer.free.set()
    cached.score(PAIRS[:5])
    scorer.free.clear()

    def hurried():
        until(lambda: len(scorer.calls) > 1)
        scores = cached.score(PAIRS, deadline=Deadline(0.05))
        scorer.free.set()
        return scores

    _, scores = in_threads(lambda: cached.score(PAIRS), hurried)
    assert scores.scored.tolist() == [True] * 5 + [False] * 15
    assert scores.reason == "timeout"


class FailsFirst(Counting):
    """Fails the first call once the others wait for it; those score only all at once."""

    def __init__(self, others, error=None):
        super().__init__(error=error)
        self.together = threading.Barrier(others, timeout=10)

    def score(self, pairs, *, deadline=None):
        with self.lock:
            self.calls.append(list(pairs))
            first = len(self.calls) == 1
        if first:
            time.sleep(0.1)  # for the others to get as far as waiting
            raise ServerFailed("503")
        self.together.wait()
        return self._answer(pairs)


def test_when_it_fails_each_tries_for_itself(store):
    """Those who waited for a caller that failed score for themselves, all at once."""
    cached = Cached(FailsFirst(7), store=store)
    answers = in_threads(*[lambda: cached.score(PAIRS)] * 8)
    assert sum(isinstance(one, ServerFailed) for one in answers) == 1
    assert sum(not isinstance(one, Exception) and right(one) for one in answers) == 7


def test_a_server_that_is_down_is_not_asked_one_after_the_other(store):
    """When every call fails, those who waited for the first ask at the same time."""
    cached = Cached(FailsFirst(11, error=ServerFailed("503")), store=store)
    answers = in_threads(*[lambda: cached.score(PAIRS)] * 12)
    assert all(isinstance(one, ServerFailed) for one in answers)


def test_scores_that_land_between_look_and_claim_are_found():
    """A pair scored by another after the first look at the store is not scored again."""
    scorer = Counting()

    class Interrupted(MemoryCache):
        def get(self, keys, patience=0.0):
            found = super().get(keys)
            if not scorer.calls:
                assert right(Cached(scorer, store=plain).score(PAIRS))
                self.put(plain.get(keys))
            return found

    plain = MemoryCache()
    scores = Cached(scorer, store=Interrupted()).score(PAIRS)
    assert right(scores)
    assert (scorer.calls, scores.usage.cached) == ([PAIRS], 20)


async def test_when_it_is_cancelled_another_takes_over(store):
    """The pairs of a cancelled caller are scored by one of those who waited, and once."""
    scorer = Held()
    cached = Cached(scorer, store=store)
    first = asyncio.create_task(cached.ascore(PAIRS))
    await asyncio.to_thread(until, lambda: scorer.calls)
    others = [asyncio.create_task(cached.ascore(PAIRS)) for _ in range(10)]
    await asyncio.sleep(0.03)
    first.cancel()
    scorer.free.set()
    assert all(map(right, await asyncio.gather(*others)))
    assert first.cancelled()
    assert scorer.calls == [PAIRS, PAIRS]


async def test_a_waiter_that_is_cancelled_disturbs_nobody(store):
    """Cancelling a caller that waits takes no score from the others."""
    scorer = Held()
    cached = Cached(scorer, store=store)
    tasks = [asyncio.create_task(cached.ascore(PAIRS)) for _ in range(5)]
    await asyncio.to_thread(until, lambda: scorer.calls)
    await asyncio.sleep(0.02)
    tasks[3].cancel()
    scorer.free.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(one, asyncio.CancelledError) for one in answers] == [0, 0, 0, 1, 0]
    assert all(right(one) for one in answers if not isinstance(one, asyncio.CancelledError))
    assert scorer.calls == [PAIRS]


def test_when_its_own_time_is_up_another_takes_over(store):
    """What a caller in a hurry left unscored is scored by one of those with more time."""
    scorer = Counting(wait=0.2)
    cached = Cached(scorer, store=store)

    def patient():
        until(lambda: scorer.calls)
        return cached.score(PAIRS, deadline=Deadline(10))

    hurried, *others = in_threads(
        lambda: cached.score(PAIRS, deadline=Deadline(0.05)), patient, patient, patient
    )
    assert not hurried.scored.any()
    assert all(map(right, others))
    assert scorer.calls == [PAIRS, PAIRS]


def test_a_caller_that_hangs_is_not_waited_for(store):
    """A caller far beyond its deadline is not waited for, and its late scores change no answer."""
    free = threading.Event()

    class Hangs(Counting):
        def score(self, pairs, *, deadline=None):
            if not self.calls:
                self._note(pairs)
                free.wait(10)
                return self._answer(pairs)
            return super().score(pairs, deadline=deadline)

    scorer = Hangs()
    cached = Cached(scorer, store=store)

    def second():
        until(lambda: scorer.calls)
        answer = cached.score(PAIRS)
        free.set()
        return answer

    answers = in_threads(lambda: cached.score(PAIRS, deadline=Deadline(0.05)), second)
    assert all(map(right, answers))
    assert scorer.calls == [PAIRS, PAIRS]


def test_loading_a_model_stops_the_clock_of_all_who_wait(store):
    """While one caller loads the model, the time of those who wait for it stands still too."""

    class Loads(Counting):
        def score(self, pairs, *, deadline=None):
            if not self.calls:
                self._note([])
                with deadline.paused():
                    time.sleep(0.8)
            return super().score(pairs, deadline=deadline)

    cached = Cached(Loads(), store=store)
    deadlines = [Deadline(0.5) for _ in range(6)]
    answers = in_threads(
        *[lambda one=one: cached.score(PAIRS, deadline=one) for one in deadlines[:3]],
        *[lambda one=one: asyncio.run(cached.ascore(PAIRS, deadline=one)) for one in deadlines[3:]],
    )
    assert all(not isinstance(one, Exception) and right(one) for one in answers)


def test_what_others_scored_counts_where_the_own_pairs_have_no_score(store):
    """A caller whose own pairs got no score, and so no full name of the model, has the others'."""

    class Nameless(Counting):
        def score(self, pairs, *, deadline=None):
            self._note(pairs)
            until(lambda: len(self.calls) > 1)  # the second has claimed its own pairs
            return self._answer(pairs)

        def _answer(self, pairs, *, late=False):
            scores = super()._answer(pairs, late=late)
            if scores.scored.any():
                return scores
            return dataclasses.replace(scores, model=ModelIdentity("counting"))

    scorer = Nameless(unscored={text for _, text in PAIRS[10:]})
    cached = Cached(scorer, store=store)

    def second():
        until(lambda: scorer.calls)
        return cached.score(PAIRS)

    first, scores = in_threads(lambda: cached.score(PAIRS[:10]), second)
    assert scores.scored.tolist() == [True] * 10 + [False] * 10
    assert (scores.model, scores.reason) == (first.model, "bad_reply")
    assert sorted(scorer.asked) == sorted(PAIRS)
    assert cached.score(PAIRS[10:]).model == ModelIdentity("counting")


def test_stores_do_not_share():
    """Two caches in memory share no scoring in progress: each has its own scores in the end."""
    scorer = Counting(wait=0.05)
    stores = [MemoryCache(), MemoryCache()]
    calls = [lambda one=one: Cached(scorer, store=one).score(PAIRS) for one in stores]
    assert all(map(right, in_threads(*calls)))
    assert [len(one) for one in stores] == [20, 20]
