"""Exact search over embeddings in memory."""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from runoff.deadline import Deadline
from runoff.errors import DeadlineExceeded, DuplicateId, EmbeddingError, InvalidArgument
from runoff.filters import And, Eq, In, Not, Or, Range
from runoff.protocols import AsyncRecallSource, Warmable
from runoff.recall import Dense
from runoff.testing import samples
from runoff.testing.contracts import RecallSourceContract
from runoff.types import Document, Query

DIMENSIONS = 64


def embed(texts):
    """Embed texts by their words: each word adds to one of 64 numbers."""
    rows = np.zeros((len(texts), DIMENSIONS))
    for row, text in zip(rows, texts, strict=True):
        for word in text.lower().split():
            row[sum(map(ord, word)) % DIMENSIONS] += 1
    return rows


async def aembed_query(text):
    await asyncio.sleep(0)
    return embed([text])[0]


def vectors(*rows):
    """Make an `embed` that looks texts such as "0" up in these vectors."""
    return lambda texts: [rows[int(text)] for text in texts]


def documents(count):
    return [Document(f"d{n}", str(n), {"n": n}) for n in range(count)]


def told(hits):
    return [(hit.doc_id, hit.score) for hit in hits]


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
)


@given(
    data=st.data(),
    similarity=st.sampled_from(["cosine", "ip", "l2"]),
    shape=st.tuples(st.integers(1, 25), st.integers(1, 4)),
    depth=st.integers(1, 30),
    modulus=st.integers(1, 4),
)
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


def test_near_ties_beyond_float32_are_told_apart():
    """Products that float32 rounds to one value are ordered by their float64 value."""
    rows = np.full((50, 256), 1.0, np.float32)
    rows[:, 0] = 1.0 + np.arange(50) * np.float32(2.0**-22)
    shuffled = np.random.default_rng(0).permutation(50)
    held = [Document(f"d{n:02}", "x") for n in shuffled]
    query = Query("?", embedding=(1.0,) * 256)
    source = Dense(held, embed, embeddings=rows[shuffled], similarity="ip")
    found = source.retrieve(query, depth=10)
    assert [hit.doc_id for hit in found] == [f"d{n}" for n in range(49, 39, -1)]


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
    """A query whose vector is zero finds nothing, save by distance."""
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
    """`embedding` goes before `embedding_texts`, whose mean goes before the text."""
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


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.int8, list, tuple])
def test_any_array_of_numbers_is_a_set_of_vectors(kind):
    """Arrays of every number type, nested sequences and iterators over vectors are accepted."""

    def make(texts):
        rows = [[len(text), 1] for text in texts]
        return np.array(rows, kind) if issubclass(kind, np.generic) else kind(rows)

    for embed_all in (make, lambda texts: iter(make(texts))):
        source = Dense([Document("a", "x"), Document("b", "xxxx")], embed_all)
        assert source.dimension == 2
        assert [hit.doc_id for hit in source.retrieve(Query("yyyy"), depth=2)] == ["b", "a"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([[1, 2], [math.nan, 2]], "document 'd1' has NaN"),
        ([[1, 2], [3, math.inf]], "document 'd1' has NaN"),
        ([[1e39, 2], [3, 4]], "document 'd0' has NaN, infinity or a number beyond float32"),
        ([[1, 2]], "1 vectors came back for 2 texts"),
        ([[1, 2], [1, 2], [1, 2]], "3 vectors came back for 2 texts"),
        ([[1, 2], [1, 2, 3]], "no array of numbers"),
        ([1, 2], r"shape \(2,\)"),
        ([[], []], r"shape \(2, 0\)"),
        ([["a"], ["b"]], "type <U1"),
        ([[1j], [2]], "type complex128"),
        ([[True], [False]], "type bool"),
        (None, r"shape \(\)"),
        ([None, None], "type object"),
        ([[None], [1]], "type object"),
    ],
)
def test_bad_vectors_of_documents_are_named(rows, said):
    """Vectors that are not finite or have a wrong shape raise EmbeddingError with the document."""
    with pytest.raises(EmbeddingError, match=said):
        Dense(documents(2), lambda texts: rows)
    if rows is not None:
        with pytest.raises(EmbeddingError, match=said):
            Dense(documents(2), embed, embeddings=rows)


def test_batches_with_different_dimensions_are_refused():
    """A later batch, or a later `add`, of another dimension names both."""
    with pytest.raises(EmbeddingError, match="document 'd1' has 2 dimensions, and the index has 1"):
        Dense(documents(2), lambda texts: [[1.0] * (int(texts[0]) + 1)], batch_size=1)
    source = Dense(documents(2), embed)
    with pytest.raises(EmbeddingError, match=f"has 3 dimensions, and the index has {DIMENSIONS}"):
        source.add([Document("new", "x")], embeddings=[[1, 2, 3]])
    assert len(source) == 2


@pytest.mark.parametrize(
    ("vector", "said"),
    [
        ((1.0, 2.0), "2 dimensions, and the index has 3"),
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


def test_blank_documents_are_held_and_not_embedded():
    """A document with blank text is never sent to `embed`, is kept by id, and never found."""
    seen = []

    def watch(texts):
        seen.extend(texts)
        return embed(texts)

    source = Dense([Document("a", " \n"), Document("b", "fish"), Document("c", "")], watch)
    assert seen == ["fish"]
    assert (len(source), "a" in source, "x" in source) == (3, True, False)
    assert [hit.doc_id for hit in source.retrieve(Query("fish"), depth=9)] == ["b"]
    source.add([Document("a", "fish two"), Document("b", "")])
    assert [hit.doc_id for hit in source.retrieve(Query("fish"), depth=9)] == ["a"]
    assert source.delete(["b", "c", "nobody"]) == 2
    assert len(source) == 1
    source.add([Document("image", "", image=True)], embeddings=embed(["fish"]))
    assert source.retrieve(Query("fish"), depth=1)[0].doc_id == "image"


def test_nothing_indexed_finds_nothing():
    """An empty index answers with no hits and never embeds."""

    def never(texts):
        raise AssertionError

    source = Dense([], never)
    assert source.retrieve(Query("fish"), depth=5) == []
    assert (len(source), source.dimension) == (0, None)
    source.add([], embeddings=[])
    source.add([], embeddings=np.zeros((0, 5)))
    assert source.delete(["a"]) == 0


def test_adding_replaces_by_id():
    """A known id gets the new text, metadata and vector; an unchanged text is not embedded."""
    seen = []

    def watch(texts):
        seen.extend(texts)
        return embed(texts)

    source = Dense([Document("a", "red"), Document("b", "blue")], watch)
    source.add([Document("a", "green"), Document("b", "blue", {"n": 1}), Document("c", "grey")])
    assert seen == ["red", "blue", "green", "grey"]
    assert len(source) == 3
    assert source.retrieve(Query("green"), depth=1)[0].doc_id == "a"
    assert source.retrieve(Query("blue"), depth=1)[0].document.metadata == {"n": 1}
    source.add([Document("b", "blue")], embeddings=embed(["green"]))
    assert [hit.doc_id for hit in source.retrieve(Query("green"), depth=2)] == ["a", "b"]


WORDS = ("red fish", "blue fish", "one two", "grey", "", "two red", "fish")
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("add"),
            st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(WORDS), max_size=4),
        ),
        st.tuples(st.just("delete"), st.sets(st.sampled_from("abcdef"), max_size=3)),
    ),
    max_size=8,
)


@given(STEPS)
def test_a_changed_index_equals_a_fresh_one(steps):
    """After any adds and deletes, answers equal those of a fresh build, to the last bit."""
    source, held = Dense([], embed), {}
    for number, (step, given_) in enumerate(steps):
        if step == "add":
            added = {one: Document(one, text, {"n": number}) for one, text in given_.items()}
            source.add(added.values())
            held |= added
        else:
            assert source.delete(given_) == len(held.keys() & given_)
            held = {one: document for one, document in held.items() if one not in given_}
    fresh = Dense(held.values(), embed)
    assert len(source) == len(held)
    for text in ("red", "fish two", "grey"):
        found = source.retrieve(Query(text), depth=10)
        assert found == fresh.retrieve(Query(text), depth=10)
        assert all(hit.document is held[hit.doc_id] for hit in found)


def test_adding_one_by_one_is_cheap():
    """Ten thousand single adds take seconds, not a copy of the whole index each."""
    source = Dense([], lambda texts: np.ones((len(texts), 256), np.float32))
    started = time.perf_counter()
    for n in range(10_000):
        source.add([Document(str(n), "x")])
    assert len(source) == 10_000
    assert time.perf_counter() - started < 10


def test_one_id_with_two_texts_is_refused():
    """One id with two texts in a call raises DuplicateId; with one text, the last one stays."""
    with pytest.raises(DuplicateId, match="'a'"):
        Dense([Document("a", "x"), Document("b", "y"), Document("a", "z")], embed)
    source = Dense([Document("a", "x", {"n": 1}), Document("a", "x", {"n": 2})], embed)
    assert [hit.document.metadata["n"] for hit in source.retrieve(Query("x"), depth=5)] == [2]
    again = [Document("a", "x", {"n": 1}), Document("a", "x", {"n": 2})]
    source.add(again, embeddings=embed(["x", "x"]))
    assert [hit.document.metadata["n"] for hit in source.retrieve(Query("x"), depth=5)] == [2]


def test_a_failed_add_changes_nothing():
    """When `embed` raises half-way, the index answers as before."""

    def fragile(texts):
        if "bad" in texts:
            raise OSError
        return embed(texts)

    source = Dense([Document("a", "red")], fragile, batch_size=1)
    with pytest.raises(OSError, match=r"^$"):
        source.add([Document("a", "green"), Document("b", "blue"), Document("c", "bad")])
    assert len(source) == 1
    assert source.retrieve(Query("red"), depth=5)[0].document.text == "red"


def test_searches_see_one_state():
    """While a writer replaces all documents again and again, each search sees one version."""
    held = [Document(str(n), "fish", {"version": 0}) for n in range(50)]
    source = Dense(held, embed)
    stop = threading.Event()
    seen, wrong = set(), []

    def read():
        while not stop.is_set():
            found = source.retrieve(Query("fish"), depth=100)
            versions = {hit.document.metadata["version"] for hit in found}
            seen.update(versions)
            if len(found) != 50 or len(versions) != 1:
                wrong.append((len(found), versions))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for version in range(1, 200):
        text = "fish" if version % 3 else "fish fish"
        source.add([Document(str(n), text, {"version": version}) for n in range(50)])
    stop.set()
    for reader in readers:
        reader.join()
    assert not wrong
    assert len(seen) > 1


def test_embedding_goes_in_batches_with_progress():
    """`embed` gets at most `batch_size` texts, and `progress` hears of each batch."""
    sizes, heard = [], []

    def watch(texts):
        sizes.append(len(texts))
        return embed(texts)

    Dense(documents(7), watch, batch_size=3, progress=lambda *told: heard.append(told))
    assert sizes == [3, 3, 1]
    assert heard == [(3, 7), (6, 7), (7, 7)]


def test_documents_may_be_an_iterator():
    """Documents are read once, from any iterable."""
    assert len(Dense(iter(documents(5)), embed)) == 5


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: Dense(None, embed), "documents"),
        (lambda: Dense("text", embed), "documents"),
        (lambda: Dense(["text"], embed), "documents"),
        (lambda: Dense([], None), "embed"),
        (lambda: Dense([], embed, embed_query="x"), "embed_query"),
        (lambda: Dense([], embed, aembed_query="x"), "aembed_query"),
        (lambda: Dense([], embed, similarity="dot"), "similarity"),
        (lambda: Dense([], embed, batch_size=0), "batch_size"),
        (lambda: Dense([], embed, batch_size=1.5), "batch_size"),
        (lambda: Dense([], embed, progress=3), "progress"),
        (lambda: Dense([], embed).delete("abc"), "doc_ids"),
        (lambda: Dense([], embed).retrieve("fish", depth=1), "query"),
        (lambda: Dense([], embed).retrieve(Query("fish"), depth=0), "depth"),
        (lambda: Dense([], embed).retrieve(Query("fish"), depth=-1), "depth"),
    ],
)
def test_wrong_arguments_are_named(make, argument):
    """Every wrong argument raises InvalidArgument that names it."""
    with pytest.raises(InvalidArgument) as caught:
        make()
    assert caught.value.argument == argument


def test_a_frameworks_embedding_object_is_refused_with_the_remedy():
    """LangChain's and LlamaIndex's embedding objects are told which method to pass."""

    class LangChain:
        def embed_documents(self, texts):
            return embed(texts)

    class LlamaIndex:
        def get_text_embedding_batch(self, texts):
            return embed(texts)

        def __call__(self, nodes):
            return nodes

    for made, method in ((LangChain(), "embed_documents"), (LlamaIndex(), "get_text_embedding")):
        with pytest.raises(InvalidArgument, match=method):
            Dense([], made)


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


def test_repr_shows_size_and_similarity():
    """`repr` tells how many documents, of how many dimensions, by which similarity."""
    assert (
        repr(Dense(documents(2), embed)) == f"Dense(2 documents, {DIMENSIONS} dimensions, 'cosine')"
    )
    assert repr(Dense([], embed, aembed_query=aembed_query)).startswith("Dense(0 documents")


def test_importing_recall_loads_nothing_heavy():
    """`runoff.recall` and its names `Dense` and `Function` load no index, model or database."""
    code = (
        "import sys, runoff.recall as recall; recall.Dense, recall.Function;"
        "assert set(recall.__all__) <= set(dir(recall));"
        "print([one for one in ('bm25s', 'onnxruntime', 'chromadb', 'tokenizers', 'asyncio') "
        "if one in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_name_of_recall_is_an_attribute_error():
    """`runoff.recall` has its names and no other."""
    import runoff.recall

    with pytest.raises(AttributeError, match="Dens"):
        _ = runoff.recall.Dens
