"""Small sources and rerankers whose behaviour is known exactly."""

import asyncio
import time
from dataclasses import astuple

from runoff.scores import ModelIdentity, ScoreKind
from runoff.types import Document, Hit, Ranked, Reranking


def _hit(given, rank):
    if isinstance(given, Hit):
        return given
    document = given if isinstance(given, Document) else Document(given, f"text of {given}")
    return Hit(document, 1 / rank)


class Listed:
    """A source that always finds the same documents, given as ids, documents or hits."""

    def __init__(self, *documents, wait=0.0, error=None):
        self.hits = [_hit(one, rank) for rank, one in enumerate(documents, 1)]
        self.wait = wait
        self.error = error
        self.asked = []

    def retrieve(self, query, *, depth, deadline=None):
        self.asked.append((query, depth))
        time.sleep(self.wait)
        if self.error is not None:
            raise self.error
        return self.hits


class Found:
    """A source that returns what it was made with, right or wrong."""

    def __init__(self, found):
        self.found = found

    def retrieve(self, query, *, depth, deadline=None):
        return self.found


class Backwards:
    """A reranker that reverses its candidates."""

    name = "backwards"

    def __init__(self, wait=0.0, error=None):
        self.wait = wait
        self.error = error
        self.read = []

    def rerank(self, query, candidates, *, deadline=None):
        self.read.append([one.document.doc_id for one in candidates])
        time.sleep(self.wait)
        if self.error is not None:
            raise self.error
        ordered = tuple(
            Ranked(one, float(place), float(place))
            for place, one in sorted(enumerate(candidates), reverse=True)
        )
        return Reranking(ordered, model=ModelIdentity("backwards"), kind=ScoreKind.LOGIT)


class Fixed:
    """A reranker that answers with what a function makes of the candidates."""

    def __init__(self, make):
        self.make = make

    def rerank(self, query, candidates, *, deadline=None):
        return self.make(candidates)


def ids(response):
    return [result.doc_id for result in response]


def both(pipeline, *args, **kwargs):
    """Search synchronously and asynchronously; the two must agree on everything but time."""
    first = pipeline.search(*args, **kwargs)
    second = asyncio.run(pipeline.asearch(*args, **kwargs))
    # as tuples: from Python 3.13 on, dataclasses with the same NaN are unequal
    assert [*map(astuple, first)] == [*map(astuple, second)]
    assert first.outcome.degraded == second.outcome.degraded
    assert [*map(astuple, first.trace.fates)] == [*map(astuple, second.trace.fates)]
    return first
