import asyncio
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from runoff.errors import DeadlineExceeded, FilterNotSupported
from runoff.testing.contracts import RecallSourceContract
from runoff.types import Document, Hit


class Words:
    """A sound source: scores by shared words."""

    def __init__(self, documents):
        self.documents = tuple(documents)

    def found(self, query):
        words = set(query.text.lower().strip("?").split())
        scored = [
            (len(words & set(one.text.lower().strip(".").split())), one) for one in self.documents
        ]
        kept = [
            (score, one)
            for score, one in scored
            if score and (query.filters is None or query.filters.matches(one.metadata))
        ]
        kept.sort(key=lambda pair: (-pair[0], pair[1].doc_id))
        return [Hit(one, float(score), (0.0, None)) for score, one in kept]

    def retrieve(self, query, *, depth, deadline=None):
        return self.found(query)[:depth]


class Async(Words):
    async def aretrieve(self, query, *, depth, deadline=None):
        await asyncio.sleep(0.001)
        return self.retrieve(query, depth=depth)


class Unfiltered(Words):
    def retrieve(self, query, *, depth, deadline=None):
        if query.filters is not None:
            raise FilterNotSupported("filters", query.filters, "are not known here")
        return self.found(query)[:depth]


def contract(source):
    class Mine(RecallSourceContract):
        def make(self, documents):
            return source(documents)

    return Mine


class Silent(Words):
    def retrieve(self, query, *, depth, deadline=None):
        return []


class WorstFirst(Words):
    def retrieve(self, query, *, depth, deadline=None):
        return self.found(query)[:depth][::-1]


class NumpyScores(Words):
    def retrieve(self, query, *, depth, deadline=None):
        hits = [replace(hit) for hit in self.found(query)[:depth]]
        for hit in hits:  # past the constructor, as fast sources make their hits
            object.__setattr__(hit, "score", np.float32(hit.score))
        return hits


class HalfScored(Words):
    def retrieve(self, query, *, depth, deadline=None):
        first, *rest = [*super().retrieve(query, depth=depth)] or [None]
        return [] if first is None else [first, *(replace(hit, score=np.nan) for hit in rest)]


class Twice(Words):
    def retrieve(self, query, *, depth, deadline=None):
        return [hit for hit in self.found(query) for _ in range(2)][:depth]


class TooMany(Words):
    def retrieve(self, query, *, depth, deadline=None):
        return self.found(query)[: depth + 1]


class Shortened(Words):
    def retrieve(self, query, *, depth, deadline=None):
        return [
            replace(hit, document=Document(hit.doc_id, hit.document.text[:20]))
            for hit in super().retrieve(query, depth=depth)
        ]


class WrongRange(Words):
    def retrieve(self, query, *, depth, deadline=None):
        hits = super().retrieve(query, depth=depth)
        return [replace(hit, score_range=(0.0, 1.0)) for hit in hits]


class IgnoresFilters(Words):
    def retrieve(self, query, *, depth, deadline=None):
        return super().retrieve(replace(query, filters=None), depth=depth)


class FiltersAfterTheCut(Words):
    def retrieve(self, query, *, depth, deadline=None):
        hits = super().retrieve(replace(query, filters=None), depth=depth)
        return [
            h for h in hits if query.filters is None or query.filters.matches(h.document.metadata)
        ]


class FewerThanMatch(Words):
    def retrieve(self, query, *, depth, deadline=None):
        return super().retrieve(query, depth=depth)[: 1 if query.filters else depth]


class ChangesDocuments(Words):
    def __init__(self, documents):
        super().__init__(documents)
        for number, one in enumerate(documents):
            one.metadata["row"] = number


class HandsOutItsCache(Words):
    def __init__(self, documents):
        super().__init__(documents)
        self.cache = {}

    def retrieve(self, query, *, depth, deadline=None):
        return self.cache.setdefault((query, depth), super().retrieve(query, depth=depth))


class OneQueryAtATime(Words):
    """Keeps the query on the instance while it works."""

    def retrieve(self, query, *, depth, deadline=None):
        self.query = query
        time.sleep(0.001)
        return super().retrieve(self.query, depth=depth)


class Drifting(Words):
    calls = 0

    def retrieve(self, query, *, depth, deadline=None):
        self.calls += 1
        return [
            replace(h, score=h.score + self.calls) for h in super().retrieve(query, depth=depth)
        ]


class AsyncDiffers(Async):
    async def aretrieve(self, query, *, depth, deadline=None):
        return self.retrieve(query, depth=depth)[1:]


class AsyncBoundToItsFirstLoop(Async):
    """Keeps an asyncio lock from another loop."""

    def __init__(self, documents):
        super().__init__(documents)
        self.loop = None

    async def aretrieve(self, query, *, depth, deadline=None):
        self.loop = self.loop or asyncio.get_running_loop()
        if self.loop is not asyncio.get_running_loop():
            raise RuntimeError("attached to a different loop")
        return self.retrieve(query, depth=depth)


class AsyncBlocks(Async):
    async def aretrieve(self, query, *, depth, deadline=None):
        time.sleep(0.01)  # noqa: ASYNC251 - the fault
        return self.retrieve(query, depth=depth)


class RaisesAnything(Words):
    def retrieve(self, query, *, depth, deadline=None):
        if deadline is not None and deadline.finite:
            raise RuntimeError("late")
        return super().retrieve(query, depth=depth)


class BreaksItsWord(Words):
    keeps_deadline = True

    def retrieve(self, query, *, depth, deadline=None):
        if deadline is not None and deadline.finite:
            time.sleep(0.3)
            raise DeadlineExceeded("late")
        return super().retrieve(query, depth=depth)


class ColdPickle(Words):
    def __getstate__(self):
        return {"documents": ()}


class LockedPickle(Words):
    def __init__(self, documents):
        super().__init__(documents)
        self.lock = threading.Lock()


class ChangedByWarmup(Words):
    def warmup(self):
        self.documents = self.documents[1:]


@pytest.mark.parametrize("source", [Words, Async, Unfiltered, LockedPickle])
def test_sound_source_passes(verdicts, source):
    """A sound source passes every test that applies to it, also one that refuses all filters."""
    ended = verdicts(contract(source))
    assert not {n: how for n, how in ended.items() if how.startswith(("failed", "broke"))}
    asynchronous = {ended["test_async_agrees"], ended["test_async_does_not_block"]}
    assert (asynchronous == {"passed"}) is (source is Async)


@pytest.mark.parametrize(
    ("source", "failing"),
    [
        (Silent, "test_is_a_source"),
        (WorstFirst, "test_best_first"),
        (NumpyScores, "test_best_first"),
        (HalfScored, "test_best_first"),
        (Twice, "test_unique_ids"),
        (TooMany, "test_at_most_depth"),
        (Shortened, "test_documents_as_held"),
        (WrongRange, "test_score_range"),
        (IgnoresFilters, "test_filters_are_exact"),
        (FiltersAfterTheCut, "test_filters_are_exact"),
        (FewerThanMatch, "test_filters_are_exact"),
        (ChangesDocuments, "test_inputs_unchanged"),
        (HandsOutItsCache, "test_inputs_unchanged"),
        (OneQueryAtATime, "test_threads_with_queries_of_their_own"),
        (Drifting, "test_same_answer_again"),
        (AsyncDiffers, "test_async_agrees"),
        (AsyncBoundToItsFirstLoop, "test_async_agrees"),
        (AsyncBlocks, "test_async_does_not_block"),
        (RaisesAnything, "test_deadline"),
        (ColdPickle, "test_pickle"),
        (ChangedByWarmup, "test_warmup"),
    ],
)
def test_broken_source_fails(verdicts, source, failing):
    """Each broken part fails the test for its fault."""
    assert verdicts(contract(source))[failing].startswith(("failed", "broke"))


def test_broken_promise_to_keep_deadlines(verdicts):
    """A source with `keeps_deadline` that returns late fails."""

    class Strict(contract(BreaksItsWord)):
        patience = 0.1

    assert "returns by its deadline" in verdicts(Strict)["test_deadline"]
