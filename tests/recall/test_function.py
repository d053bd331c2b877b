"""A function as a source."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runoff.errors import BadReply, FilterNotSupported, InvalidArgument
from runoff.filters import Eq
from runoff.protocols import AsyncRecallSource, RecallSource
from runoff.recall import Dense, Function
from runoff.testing.contracts import RecallSourceContract
from runoff.types import Document, Hit, Query

QUERY = Query("what?")


def answer(*found):
    return Function(lambda query, depth: list(found))


class TestContract(RecallSourceContract):
    """A function that honours filters makes a source that keeps the contract."""

    def make(self, documents):
        held = Dense(documents, lambda texts: [[len(text), text.count("e")] for text in texts])
        return Function(
            lambda query, depth: held.retrieve(query, depth=depth), honours_filters=True
        )


class TestWithoutFiltersContract(RecallSourceContract):
    """A function that is not declared to honour filters keeps the contract by refusing them."""

    def make(self, documents):
        found = [(one.doc_id, one.text, -float(n)) for n, one in enumerate(documents)]
        return Function(lambda query, depth: found)


def test_the_function_is_given_the_query_and_the_depth():
    """The function sees the whole `Query` and the depth, by position."""
    seen = []

    def find(*asked):
        seen.append(asked)
        return []

    query = Query("what?", embedding=(1.0,))
    assert Function(find).retrieve(query, depth=7) == []
    assert seen == [(query, 7)]
    assert seen[0][0] is query


def test_hits_are_passed_on_as_they_are():
    """A `Hit` is returned as the same object, with its own range and key."""
    hits = [Hit(Document("a", "x"), 2.0, (0.0, 3.0), "key"), Hit(Document("b", ""), 1.0)]
    found = answer(*hits).retrieve(QUERY, depth=5)
    assert all(one is other for one, other in zip(found, hits, strict=True))


def test_pairs_and_triples_become_hits():
    """`(Document, score)` and `(doc_id, text, score)` become hits with the declared range."""
    source = Function(
        lambda query, depth: [(Document("a", "x", {"n": 1}), np.float32(0.5)), ("b", "y", 0)],
        score_range=(0.0, 1.0),
    )
    first, second = source.retrieve(QUERY, depth=5)
    assert (first.doc_id, first.score, first.score_range) == ("a", 0.5, (0.0, 1.0))
    assert first.document.metadata == {"n": 1}
    assert (second.doc_id, second.document.text, second.score) == ("b", "y", 0.0)
    assert type(first.score) is float


def test_bare_documents_have_no_score():
    """Documents without scores keep their order, and no score is made up for them."""
    found = answer(*(Document(name, name) for name in "abc")).retrieve(QUERY, depth=5)
    assert [hit.doc_id for hit in found] == ["a", "b", "c"]
    assert all(math.isnan(hit.score) for hit in found)


def test_the_order_returned_is_the_order():
    """Hits are never sorted by their scores."""
    found = answer(("a", "", 1.0), ("b", "", 9.0), ("c", "", -2.0)).retrieve(QUERY, depth=5)
    assert [hit.doc_id for hit in found] == ["a", "b", "c"]


def test_no_more_is_read_than_the_depth():
    """An endless generator is read up to the depth and cut there."""
    source = Function(lambda query, depth: ((str(n), "", -float(n)) for n in itertools.count()))
    assert [hit.doc_id for hit in source.retrieve(QUERY, depth=3)] == ["0", "1", "2"]


@given(st.lists(st.sampled_from("abcde"), max_size=12), st.integers(1, 8))
def test_an_id_is_returned_once_at_its_best_place(ids, depth):
    """For a repeated id the first hit is kept, and the depth counts ids, not items."""
    source = Function(lambda query, depth: [(one, str(n), 1.0) for n, one in enumerate(ids)])
    found = source.retrieve(QUERY, depth=depth)
    assert [hit.doc_id for hit in found] == list(dict.fromkeys(ids))[:depth]
    assert [hit.document.text for hit in found] == [str(ids.index(hit.doc_id)) for hit in found]


@pytest.mark.parametrize(
    "returned",
    [
        None,
        "abc",
        b"abc",
        3,
        {"a": 1},
        Document("a", "x"),
        Hit(Document("a", "x"), 1.0),
        ["a"],
        [("a", "x")],
        [("a", 1.0)],
        [(Document("a", "x"), "high")],
        [(Document("a", "x"), None)],
        [("a", "x", 1.0, {})],
        [["a", "x", 1.0]],
        [(1, "x", 1.0)],
        [("", "x", 1.0)],
        [("a", None, 1.0)],
        [Document("a", "x"), ("b", "y", 1.0)],
    ],
)
def test_anything_else_returned_is_refused(returned):
    """A result that is not a list of hits raises InvalidArgument at once."""
    with pytest.raises(InvalidArgument):
        Function(lambda query, depth: returned).retrieve(QUERY, depth=3)


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_a_score_that_is_not_finite_is_a_bad_reply(score):
    """NaN and infinity raise BadReply and name the document."""
    for found in [("doc-7", "x", score), Hit(Document("doc-7", "x"), score)]:
        with pytest.raises(BadReply, match="doc-7"):
            answer(found).retrieve(QUERY, depth=3)


def test_filters_are_refused_unless_honoured():
    """A query with filters raises, unless the function is declared to honour them."""
    query = Query("what?", filters=Eq("lang", "de"))
    with pytest.raises(FilterNotSupported, match="honours_filters=True"):
        answer().retrieve(query, depth=3)
    seen = []
    honest = Function(lambda query, depth: seen.append(query.filters) or [], honours_filters=True)
    assert honest.retrieve(query, depth=3) == []
    assert seen == [Eq("lang", "de")]


def test_what_a_function_raises_comes_through():
    """An error of the function is raised as it is."""

    def broken(query, depth):
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        Function(broken).retrieve(QUERY, depth=3)


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: Function(None), "function"),
        (lambda: Function("find"), "function"),
        (lambda: Function(print, score_range=(0.0,)), "score_range"),
        (lambda: Function(print, score_range=1.0), "score_range"),
        (lambda: answer().retrieve("what?", depth=3), "query"),
        (lambda: answer().retrieve(QUERY, depth=0), "depth"),
        (lambda: answer().retrieve(QUERY, depth=-1), "depth"),
        (lambda: answer().retrieve(QUERY, depth=1.5), "depth"),
        (lambda: answer().retrieve(QUERY, depth=True), "depth"),
    ],
)
def test_wrong_arguments_are_named(make, argument):
    """A wrong function, range, query or depth raises InvalidArgument that names it."""
    with pytest.raises(InvalidArgument) as caught:
        make()
    assert caught.value.argument == argument


async def find_slowly(query, depth):
    await asyncio.sleep(0)
    return [("a", query.text, 1.0), ("a", "again", 0.5), ("b", "", 0.1)]


class Finder:
    async def __call__(self, query, depth):
        return await find_slowly(query, depth)


@pytest.mark.parametrize(
    "function", [find_slowly, Finder(), Finder().__call__, functools.partial(find_slowly)]
)
async def test_an_async_function_is_awaited(function):
    """An async function, method or object is awaited by `aretrieve`, with the same rules."""
    source = Function(function)
    assert isinstance(source, Function)
    assert isinstance(source, AsyncRecallSource)
    found = await source.aretrieve(QUERY, depth=5)
    assert [(hit.doc_id, hit.document.text) for hit in found] == [("a", "what?"), ("b", "")]
    with pytest.raises(FilterNotSupported):
        await source.aretrieve(Query("what?", filters=Eq("a", 1)), depth=5)


def test_an_async_function_is_refused_by_retrieve():
    """`retrieve` on an async function raises and leaves no coroutine unawaited."""
    with pytest.raises(InvalidArgument, match="asearch"):
        Function(find_slowly).retrieve(QUERY, depth=3)
    with pytest.raises(InvalidArgument, match="async def"):
        Function(lambda query, _: find_slowly(query, 1)).retrieve(QUERY, depth=3)


def test_a_plain_function_is_no_async_source():
    """A source of a plain function has no `aretrieve`, so the pipeline runs it in its pool."""
    assert isinstance(answer(), RecallSource)
    assert not isinstance(answer(), AsyncRecallSource)


def test_a_function_source_is_a_value():
    """`replace` changes one setting, and `repr` shows them."""
    source = answer(("a", "", 0.5))
    changed = dataclasses.replace(source, score_range=(0.0, 1.0))
    assert changed.retrieve(QUERY, depth=1)[0].score_range == (0.0, 1.0)
    assert "honours_filters=False" in repr(source)
    again = dataclasses.replace(Function(find_slowly), honours_filters=True)
    assert isinstance(again, AsyncRecallSource)
