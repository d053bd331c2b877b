"""What a dense index accepts, and how it changes."""

from __future__ import annotations

import math
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from words import DIMENSIONS, aembed_query, documents, embed

from runoff.errors import DuplicateId, EmbeddingError, InvalidArgument
from runoff.recall import Dense
from runoff.types import Document, Query


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
        ([[1, 2], [math.nan, 2]], "document 'd1' contains NaN"),
        ([[1, 2], [3, math.inf]], "document 'd1' contains NaN"),
        ([[1e39, 2], [3, 4]], "document 'd0' contains NaN, infinity or .* float32"),
        ([[1, 2]], "1 vector for 2 texts"),
        ([[1, 2], [1, 2], [1, 2]], "3 vectors for 2 texts"),
        ([[1, 2], [1, 2, 3]], "not an array of numbers"),
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
    with pytest.raises(EmbeddingError, match="document 'd1' has 2 dimensions, but the index has 1"):
        Dense(documents(2), lambda texts: [[1.0] * (int(texts[0]) + 1)], batch_size=1)
    source = Dense(documents(2), embed)
    with pytest.raises(EmbeddingError, match=f"has 3 dimensions, but the index has {DIMENSIONS}"):
        source.add([Document("new", "x")], embeddings=[[1, 2, 3]])
    assert len(source) == 2


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
        assert all(hit.document == held[hit.doc_id] for hit in found)


def test_adding_one_by_one_does_not_copy_the_index():
    """Of two thousand single adds a dozen copy the vectors; the others write behind the last."""
    source = Dense([], lambda texts: np.ones((len(texts), 4), np.float32))
    buffers = {}
    for n in range(2000):
        source.add([Document(str(n), "x")])
        buffer = source._rows._vectors.rows
        buffers[id(buffer)] = buffer
    assert len(source) == 2000
    assert len(buffers) <= 12


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
        (lambda: Dense([7], embed), "documents"),
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


def test_repr_shows_size_and_similarity():
    """`repr` shows the number of documents, the dimensions and the similarity."""
    assert (
        repr(Dense(documents(2), embed)) == f"Dense(2 documents, {DIMENSIONS} dimensions, 'cosine')"
    )
    assert repr(Dense([], embed, aembed_query=aembed_query)).startswith("Dense(0 documents")
