"""Exact search over embeddings in memory."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from words import aembed_query, documents, embed, told, vectors

from runoff.deadline import Deadline
from runoff.errors import DeadlineExceeded, EmbeddingError, InvalidArgument
from runoff.filters import And, Eq, In, Not, Or, Range
from runoff.protocols import AsyncRecallSource, Warmable
from runoff.recall import Dense
from runoff.testing._contracts import samples
from runoff.testing.contracts import RecallSourceContract
from runoff.types import Document, Query


class TestContract(RecallSourceContract):
    """Dense keeps the contract of a source."""

    def make(self, documents):
        return Dense(documents, embed)


class TestAsyncContract(RecallSourceContract):
    """Dense with an async query embedding keeps the contract, and never blocks the loop."""

    def make(self, documents):
        return Dense(documents, embed, aembed_query=aembed_query)


@pytest.mark.parametrize(
    ("similarity", "expected", "score_range"),
    [
        ("cosine", [("d0", 1.0), ("d2", 0.8), ("d1", 0.0), ("d3", 0.0)], (-1.0, 1.0)),
        ("ip", [("d2", 8.0), ("d0", 2.0), ("d1", 0.0), ("d3", 0.0)], (None, None)),
        ("l2", [("d0", 0.5), ("d3", -1.0), ("d1", -3.0), ("d2", -5.5)], (None, 1.0)),
    ],
)
def test_scores_are_the_similarity(similarity, expected, score_range):
    """Cosine, inner product and 1 - d²/2, worked out by hand, ties in order of id."""
    rows = vectors((1, 0), (0, 2), (4, 3), (0, 0))
    source = Dense(documents(4), rows, embed_query=lambda text: (2, 0), similarity=similarity)
    found = source.retrieve(Query("?"), depth=9)
    assert told(found) == [(one, pytest.approx(score, abs=1e-7)) for one, score in expected]
    assert {hit.score_range for hit in found} == {score_range}
    assert all(type(hit.score) is float for hit in found)


ENTRIES = st.one_of(
    st.integers(-2, 2).map(float),
    st.floats(-1e3, 1e3, width=32),
    st.sampled_from([1e-45, 1e-39, 1e-30, 1e-20, -1e-20, 1e-8]),
)


@given(
    data=st.data(),
    similarity=st.sampled_from(["cosine", "ip", "l2"]),
    shape=st.tuples(st.integers(1, 25), st.integers(1, 4)),
    depth=st.integers(1, 30),
    modulus=st.integers(1, 4),
)
@settings(max_examples=150)
def test_the_best_are_found_exactly(data, similarity, shape, depth, modulus):
    """Every search, filtered or not, equals sorting all documents by (-score, id)."""
    rows = data.draw(
        st.lists(
            st.lists(ENTRIES, min_size=shape[1], max_size=shape[1]),
            min_size=shape[0],
            max_size=shape[0],
        )
    )
    query = data.draw(st.lists(ENTRIES, min_size=shape[1], max_size=shape[1]))
    held = [Document(f"d{n}", "x", {"n": n % modulus}) for n in range(shape[0])]
    source = Dense(held, embed, embeddings=rows, similarity=similarity)
    full = source.retrieve(Query("?", embedding=tuple(query)), depth=len(held))
    if similarity == "l2" or any(query):
        assert len(full) == len(held)
    assert told(full) == sorted(told(full), key=lambda one: (-one[1], one[0]))
    for hit in full:
        row = np.array(rows[int(hit.doc_id[1:])], np.float32).astype(float)
        asked = np.array(query)
        product, lengths = row @ asked, np.linalg.norm(row) * np.linalg.norm(asked)
        reference = {
            "cosine": product / lengths if lengths > 1e-30 else hit.score,
            "ip": product,
            "l2": 1 - ((row - asked) ** 2).sum() / 2,
        }[similarity]
        assert_allclose(hit.score, reference, rtol=1e-5, atol=1e-5 * max(1.0, lengths))
    assert (
        told(source.retrieve(Query("?", embedding=tuple(query)), depth=depth)) == told(full)[:depth]
    )
    chosen = Query("?", embedding=tuple(query), filters=Eq("n", 0))
    kept = [one for one in told(full) if int(one[0][1:]) % modulus == 0]
    assert told(source.retrieve(chosen, depth=depth)) == kept[:depth]


@pytest.mark.parametrize("similarity", ["cosine", "ip", "l2"])
def test_near_ties_beyond_float32_are_told_apart(similarity):
    """Rows whose products float32 puts in a wrong order come in that of their float64 values."""
    generator = np.random.default_rng(0)
    rows = generator.standard_normal(256) + generator.standard_normal((2000, 256)) * 1e-6
    rows = rows.astype(np.float32)
    query = generator.standard_normal(256).astype(np.float32).astype(float)
    source = Dense(documents(2000), embed, embeddings=rows, similarity=similarity)
    wide = source._rows.view.vectors.take(np.arange(2000)).wide()
    truth = {
        "cosine": wide @ query / np.linalg.norm(wide, axis=1),
        "ip": wide @ query,
        "l2": -((wide - query) ** 2).sum(axis=1),
    }[similarity]
    expected = [f"d{n}" for n in np.argsort(-truth)[:10]]
    rough = [f"d{n}" for n in np.argsort(-(rows @ query.astype(np.float32)))[:10]]
    found = source.retrieve(Query("?", embedding=tuple(query)), depth=10)
    assert [hit.doc_id for hit in found] == expected != rough


@pytest.mark.parametrize("similarity", ["cosine", "ip", "l2"])
@given(
    seed=st.integers(0, 1000),
    size=st.sampled_from([1, 7, 300]),
    scale=st.sampled_from([1e-30, 1.0, 1e30]),
)
@settings(max_examples=6)
def test_rounded_vectors_are_searched_exactly(similarity, seed, size, scale):
    """With int8, every search equals sorting all documents by their scores; those are close."""
    generator = np.random.default_rng(seed)
    rows = (generator.standard_normal((size, 24)) * scale).astype(np.float32)
    rows[::5] = rows[0]
    rows[1::9] = 0
    asked = generator.standard_normal(24) * scale
    query = Query("?", embedding=tuple(asked))
    held = documents(size)
    source = Dense(held, embed, embeddings=rows, similarity=similarity, stored="int8")
    whole = told(source.retrieve(query, depth=size))
    assert whole == sorted(whole, key=lambda one: (-one[1], one[0]))
    assert len(whole) == size
    for depth in (1, 10, 100):
        assert told(source.retrieve(query, depth=depth)) == whole[:depth]
    exact = dict(
        told(Dense(held, embed, embeddings=rows, similarity=similarity).retrieve(query, depth=size))
    )
    if similarity == "cosine":
        unit = 1.0
    else:
        lengths = np.linalg.norm(rows.astype(float), axis=1).max()
        unit = lengths * np.linalg.norm(asked)
        unit += lengths**2 * (similarity == "l2")
    assert max(abs(exact[name] - score) for name, score in whole) <= 0.02 * unit


def test_int8_is_changed_and_copied_like_any_other():
    """Adding, replacing, deleting and pickling an int8 index leaves what a new one would have."""
    generator = np.random.default_rng(3)
    rows = generator.standard_normal((50, 16))
    held = documents(50)
    index = Dense(held[:20], embed, embeddings=rows[:20], stored="int8")
    index.add(held[20:], embeddings=rows[20:])
    index.add(held[7:9], embeddings=rows[40:42])
    index.delete(["d3"])
    rows[7:9] = rows[40:42]
    left = [number for number in range(50) if number != 3]
    fresh = Dense([held[n] for n in left], embed, embeddings=rows[left], stored="int8")
    query = Query("?", embedding=tuple(rows[0]))
    expected = told(fresh.retrieve(query, depth=60))
    for one in (index, copy.deepcopy(index)):
        assert told(one.retrieve(query, depth=60)) == expected
    assert index._rows.view.vectors.numbers.dtype == np.int8
    assert "int8" in repr(index)
    with pytest.raises(InvalidArgument, match="stored='float16'"):
        Dense([], embed, stored="float16")


def test_scores_do_not_depend_on_the_order_of_documents():
    """Two indexes of the same documents in another order answer alike to the last bit."""
    generator = np.random.default_rng(1)
    rows = generator.standard_normal((300, 48)).astype(np.float32)
    rows[100:200] = rows[:100]
    held = documents(300)
    order = generator.permutation(300)
    one = Dense(held, embed, embeddings=rows)
    other = Dense([held[n] for n in order], embed, embeddings=rows[order])
    for asked in generator.standard_normal((20, 48)):
        query = Query("?", embedding=tuple(asked))
        for depth in (1, 10, 300):
            assert told(one.retrieve(query, depth=depth)) == told(
                other.retrieve(query, depth=depth)
            )


def test_large_and_small_vectors_keep_their_direction():
    """Entries whose squares leave float64 are still scaled to length 1."""
    source = Dense(documents(2), vectors((1e-200, 0), (1e30, 1e30)))
    found = source.retrieve(Query("?", embedding=(1.0, 0.0)), depth=2)
    assert told(found) == [("d0", 1.0), ("d1", pytest.approx(math.sqrt(0.5)))]


def test_products_beyond_float32_are_ordered():
    """Inner products that overflow float32 are worked out in float64."""
    source = Dense(documents(3), vectors((1e30, 0), (-1e30, 0), (2e30, 0)), similarity="ip")
    found = source.retrieve(Query("?", embedding=(1e30, 0.0)), depth=3)
    assert [hit.doc_id for hit in found] == ["d2", "d0", "d1"]
    assert all(map(math.isfinite, (hit.score for hit in found)))


def test_a_zero_query_points_nowhere():
    """A query whose vector is zero finds nothing, except by distance."""
    for similarity, count in (("cosine", 0), ("ip", 0), ("l2", 2)):
        source = Dense(documents(2), vectors((1, 0), (0, 1)), similarity=similarity)
        assert len(source.retrieve(Query("?", embedding=(0.0, 0.0)), depth=5)) == count


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (Eq("n", 3), {3}),
        (Eq("n", 3.0), {3}),
        (In("n", (1, 99, 999)), {1, 99}),
        (In("n", ()), set()),
        (Range("n", gte=5, lt=8), {5, 6, 7}),
        (Not(Range("n", gt=1)), {0, 1}),
        (Not(Eq("other", 1)), set(range(100))),
        (And(Range("n", gt=2), Not(Eq("n", 4)), Range("n", lt=6)), {3, 5}),
        (Or(Eq("n", 1), Eq("n", 2)), {1, 2}),
    ],
)
def test_filters_come_before_the_cut(condition, expected):
    """A filtered search of depth d returns the d best that match, however far down they are."""
    rows = np.random.default_rng(2).standard_normal((100, 8))
    source = Dense(documents(100), vectors(*rows))
    query = (1.0,) * 8
    everything = source.retrieve(Query("?", embedding=query), depth=100)
    kept = [hit.doc_id for hit in everything if int(hit.doc_id[1:]) in expected]
    for depth in (1, 2, 5, 100):
        found = source.retrieve(Query("?", condition, query), depth=depth)
        assert [hit.doc_id for hit in found] == kept[:depth]


def test_a_filter_is_asked_once_for_a_document():
    """A filtered search asks the filter at most once for each document, the best first."""
    asked = []

    class Watched(dict):
        def get(self, name, default=None):
            asked.append(self["n"])
            return super().get(name, default)

    held = [Document(f"d{n}", "x", Watched(n=n)) for n in range(5000)]
    rows = [(math.cos(n / 5000), math.sin(n / 5000)) for n in range(5000)]
    source = Dense(held, embed, embeddings=rows)
    source.retrieve(Query("?", filters=Range("n", gte=3), embedding=(1.0, 0.0)), depth=10)
    assert len(asked) == len(set(asked)) < 100


def test_what_is_searched_with():
    """`embedding` is used before `embedding_texts`, and their mean before the text."""
    rows = vectors((1, 0), (0, 1), (3, 0))
    source = Dense(documents(2), rows, similarity="ip")

    def scores(query):
        return dict(told(source.retrieve(query, depth=5)))

    assert scores(Query("0")) == {"d0": 1.0, "d1": 0.0}
    assert scores(Query("0", embedding_texts=("1", "2"))) == {"d0": 1.5, "d1": 0.5}
    assert scores(Query("0", embedding_texts=(" ", "1"))) == {"d0": 0.0, "d1": 1.0}
    assert scores(Query("0", embedding=(7.0, 5.0), embedding_texts=("1",))) == {"d0": 7, "d1": 5}
    assert scores(Query("", embedding_texts=(" ",))) == {}


def test_queries_may_be_embedded_differently():
    """`embed_query` embeds every text of the query, `embed` those of the documents."""
    asked = []

    def embed_query(text):
        asked.append(text)
        return [embed([text])[0]]

    source = Dense([Document("a", "red fish")], embed, embed_query=embed_query)
    source.retrieve(Query("red"), depth=1)
    source.retrieve(Query("red", embedding_texts=("blue", "fish")), depth=1)
    assert asked == ["red", "blue", "fish"]


@pytest.mark.parametrize(
    ("vector", "said"),
    [
        ((1.0, 2.0), "2 dimensions, but the index has 3"),
        ((1.0, math.nan, 1.0), "NaN"),
        ((math.inf, 1.0, 1.0), "NaN, infinity"),
        ((), "shape"),
        (("a", "b", "c"), "type"),
    ],
)
def test_bad_vectors_of_queries_are_named(vector, said):
    """A query's vector that is not finite or has a wrong dimension raises EmbeddingError."""
    source = Dense(documents(1), lambda texts: [[1, 2, 3]])
    with pytest.raises(EmbeddingError, match=said):
        source.retrieve(Query("?", embedding=vector), depth=1)
    source = Dense(documents(1), lambda texts: [[1, 2, 3]], embed_query=lambda text: vector)
    with pytest.raises(EmbeddingError, match=said) as caught:
        source.retrieve(Query("who?"), depth=1)
    assert "'who?'" in str(caught.value)


class Lender:
    """Has deadline-aware ways of embedding a query, as `runoff.recall.Embedder` has them."""

    def __init__(self):
        self.calls = []

    def __call__(self, texts):
        return embed(texts)

    def embed_query(self, text, *, deadline=None):
        self.calls.append(("embed_query", text, deadline))
        return embed([text])[0]

    async def aembed_query(self, text, *, deadline=None):
        self.calls.append(("aembed_query", text, deadline))
        return embed([text])[0]

    def warmup(self):
        self.calls.append("warmup")


async def test_an_embedder_lends_its_own_methods():
    """An embedder's own deadline-aware query methods are used, and are given the deadline."""
    lender, deadline = Lender(), Deadline(5)
    source = Dense(samples.DOCUMENTS, lender)
    assert isinstance(source, AsyncRecallSource)
    assert isinstance(source, Warmable)
    source.warmup()
    found = source.retrieve(Query("tea"), depth=3, deadline=deadline)
    assert await source.aretrieve(Query("tea"), depth=3, deadline=deadline) == found
    expected = ["warmup", ("embed_query", "tea", deadline), ("aembed_query", "tea", deadline)]
    assert lender.calls == expected


def test_foreign_query_methods_are_not_borrowed():
    """A method of the same name that takes no deadline may expect something else: it is left."""

    class Foreign:
        def __call__(self, texts):
            return embed(texts)

        def embed_query(self, texts):
            raise AssertionError

    source = Dense(samples.DOCUMENTS, Foreign())
    assert source.retrieve(Query("tea"), depth=1)
    assert not isinstance(source, AsyncRecallSource)


async def test_async_search_embeds_in_its_own_loop():
    """`aretrieve` awaits `aembed_query` and agrees with `retrieve`; without it there is none."""
    source = Dense(samples.DOCUMENTS, embed, aembed_query=aembed_query)
    assert isinstance(source, Dense)
    query = Query("tea", embedding_texts=("green tea", "water"))
    assert await source.aretrieve(query, depth=5) == source.retrieve(query, depth=5)
    assert await source.aretrieve(Query("", embedding_texts=(" ",)), depth=5) == []
    assert await Dense([], embed, aembed_query=aembed_query).aretrieve(query, depth=5) == []
    with pytest.raises(InvalidArgument):
        await source.aretrieve(query, depth=0)
    assert not isinstance(Dense(samples.DOCUMENTS, embed), AsyncRecallSource)


async def test_a_spent_deadline_raises():
    """With no time left, neither way embeds; both raise DeadlineExceeded."""
    source = Dense(samples.DOCUMENTS, embed, aembed_query=aembed_query)
    with pytest.raises(DeadlineExceeded):
        source.retrieve(Query("tea"), depth=1, deadline=Deadline(0))
    with pytest.raises(DeadlineExceeded):
        await source.aretrieve(Query("tea"), depth=1, deadline=Deadline(0))


def test_warmup_embeds_a_word():
    """`warmup` runs the query's embedding once."""
    asked = []
    source = Dense([], embed, embed_query=lambda text: asked.append(text) or embed([text])[0])
    source.warmup()
    assert len(asked) == 1


@pytest.mark.parametrize("form", ["map", "tensor"])
def test_vectors_in_any_iterable(form):
    """An embedding may return a map, or a tensor that NumPy cannot read."""

    class Tensor(list):
        def __array__(self, dtype=None, copy=None):
            raise TypeError("Got unsupported ScalarType BFloat16")

        def tolist(self):
            return list(self)

    def embed(texts):
        vectors = [[float(len(text)), 1.0] for text in texts]
        return map(Tensor, vectors) if form == "map" else Tensor(vectors)

    dense = Dense([("a", "one"), ("b", "three")], embed=embed)
    assert [hit.document.doc_id for hit in dense.retrieve(Query("three"), depth=1)] == ["b"]
