"""Chroma collections as a source."""

from __future__ import annotations

import math
import threading

import numpy as np
import pytest
from words import DIMENSIONS, embed, told

from runoff.deadline import Deadline
from runoff.errors import (
    AuthenticationFailed,
    BadReply,
    ConnectionFailed,
    DeadlineExceeded,
    EmbeddingError,
    IndexNotFound,
    InvalidArgument,
    ServerFailed,
)
from runoff.filters import Eq, Not, Range
from runoff.protocols import AsyncRecallSource, RecallSource
from runoff.recall import Chroma, Dense
from runoff.recall._stores.engine_errors import named
from runoff.testing.contracts import RecallSourceContract
from runoff.types import Document, Query


def records(documents):
    return {
        "ids": [one.doc_id for one in documents],
        "embeddings": embed([one.text for one in documents]),
        "documents": [one.text for one in documents],
        "metadatas": [dict(one.metadata) or None for one in documents],
    }


class TestContract(RecallSourceContract):
    """A Chroma collection keeps the contract of a source."""

    @pytest.fixture(autouse=True)
    def _collections(self, make_collection):
        self.collections = make_collection

    def make(self, documents):
        return Chroma(self.collections(**records(documents)), embed=embed)


@pytest.mark.parametrize(
    ("space", "expected", "score_range"),
    [
        ("cosine", [("c", 0.96), ("a", 0.6), ("b", 0.0), ("d", -0.8)], (-1.0, 1.0)),
        ("ip", [("c", 24.0), ("a", 3.0), ("b", 0.0), ("d", -4.0)], (None, None)),
        ("l2", [("c", 0.0), ("b", -11.5), ("a", -9.0), ("d", -16.0)], (None, 1.0)),
    ],
)
def test_distances_become_similarities(make_collection, space, expected, score_range):
    """1 - distance for cosine and ip, 1 - distance / 2 for l2, worked out by hand."""
    rows = [(1.0, 0.0), (0.0, 0.0), (4.0, 3.0), (0.0, -1.0)]
    collection = make_collection(space=space, ids=list("abcd"), embeddings=rows)
    source = Chroma(collection, embed=embed)
    found = source.retrieve(Query("?", embedding=(3.0, 4.0)), depth=10)
    assert source.space == space
    assert sorted(told(found)) == sorted(
        (one, pytest.approx(score, abs=1e-6)) for one, score in expected
    )
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)
    assert {hit.score_range for hit in found} == {score_range}


@pytest.mark.parametrize("space", ["cosine", "ip", "l2"])
def test_chroma_and_dense_agree(make_collection, space):
    """On the same vectors, Chroma and Dense give the same order and the same scores."""
    generator = np.random.default_rng(0)
    rows = generator.standard_normal((200, 16)).astype(np.float32)
    held = [Document(f"d{n}", f"text {n}", {"n": n}) for n in range(200)]
    collection = make_collection(
        space=space,
        ids=[one.doc_id for one in held],
        documents=[one.text for one in held],
        metadatas=[dict(one.metadata) for one in held],
        embeddings=rows,
    )
    chroma = Chroma(collection, embed=embed)
    dense = Dense(held, embed, embeddings=rows, similarity=space)
    for asked in generator.standard_normal((5, 16)):
        for condition in (None, Eq("n", 3), Not(Range("n", gte=50))):
            query = Query("?", condition, tuple(asked))
            ours, theirs = (one.retrieve(query, depth=30) for one in (dense, chroma))
            assert [hit.document for hit in ours] == [hit.document for hit in theirs]
            assert [hit.score for hit in ours] == pytest.approx(
                [hit.score for hit in theirs], abs=1e-5
            )


@pytest.mark.parametrize("space", ["cosine", "l2"])
def test_scores_of_unit_vectors_are_cosines(make_collection, space):
    """For vectors of length 1, l2 gives the cosine, as the cosine space does."""
    rows = [(math.cos(n), math.sin(n)) for n in range(20)]
    collection = make_collection(space=space, ids=[str(n) for n in range(20)], embeddings=rows)
    found = Chroma(collection, embed=embed).retrieve(Query("?", embedding=(1.0, 0.0)), depth=20)
    for hit in found:
        assert hit.score == pytest.approx(math.cos(int(hit.doc_id)), abs=1e-6)
        assert -1.0 <= hit.score <= 1.0


def test_a_zero_query_points_nowhere(make_collection):
    """A query whose vector is zero finds nothing, except by distance."""
    for space, count in (("cosine", 0), ("ip", 0), ("l2", 2)):
        collection = make_collection(space=space, ids=["a", "b"], embeddings=[(1, 0), (0, 0)])
        source = Chroma(collection, embed=embed)
        assert len(source.retrieve(Query("?", embedding=(0.0, 0.0)), depth=5)) == count


def test_equal_scores_are_ordered_by_id(make_collection):
    """Records with equal distances are ordered by id."""
    ids = [f"{n:02}" for n in np.random.default_rng(0).permutation(40)]
    collection = make_collection(ids=ids, embeddings=[(1.0, 2.0)] * 40)
    found = Chroma(collection, embed=embed).retrieve(Query("?", embedding=(1.0, 1.0)), depth=40)
    assert [hit.doc_id for hit in found] == sorted(ids)


def test_records_without_document_or_metadata(make_collection):
    """A record without a document has an empty text, one without metadata an empty mapping."""
    collection = make_collection(ids=["a"], embeddings=[(1.0, 0.0)])
    source = Chroma(collection, embed=embed)
    (hit,) = source.retrieve(Query("?", embedding=(1.0, 0.0)), depth=3)
    assert hit.document == Document("a", "", {})
    assert hit.document.own_id


def test_an_empty_collection_finds_nothing(make_collection):
    """A collection without records answers with no hits, filtered or not."""
    source = Chroma(make_collection(), embed=embed)
    assert source.retrieve(Query("fish"), depth=5) == []
    assert source.retrieve(Query("fish", filters=Not(Range("x", gt=1))), depth=5) == []


def test_any_depth_is_fine(make_collection):
    """A depth far above the number of records returns them all."""
    collection = make_collection(ids=["a", "b"], embeddings=[(1.0, 0.0), (0.0, 1.0)])
    source = Chroma(collection, embed=embed)
    for depth in (2, 3, 10**6, 2**31, 10**30):
        assert len(source.retrieve(Query("?", embedding=(1.0, 0.0)), depth=depth)) == 2


def test_what_is_searched_with(make_collection):
    """`embedding` is used before `embedding_texts`, and their mean before the text."""
    collection = make_collection(space="ip", ids=["a", "b"], embeddings=[(1.0, 0.0), (0.0, 1.0)])
    rows = {"0": (1, 0), "1": (0, 1), "2": (3, 0)}
    source = Chroma(collection, embed=lambda texts: [rows[one] for one in texts])

    def scores(query):
        return dict(told(source.retrieve(query, depth=5)))

    assert scores(Query("0")) == {"a": 1.0, "b": 0.0}
    assert scores(Query("0", embedding_texts=("1", "2"))) == {"a": 1.5, "b": 0.5}
    assert scores(Query("0", embedding=(7.0, 5.0), embedding_texts=("1",))) == {"a": 7, "b": 5}
    assert scores(Query("", embedding_texts=(" ",))) == {}


def test_the_collections_own_embedding_function_never_runs(chroma_client):
    """A collection whose embedding function raises, or would download, is searched without it."""
    from chromadb.api.types import EmbeddingFunction
    from chromadb.utils.embedding_functions import DefaultEmbeddingFunction

    class Forbidden(EmbeddingFunction):
        def __init__(self):
            pass

        def __call__(self, input):  # noqa: A002 - chromadb's name
            raise AssertionError

        @staticmethod
        def name():
            return "forbidden"

        @staticmethod
        def build_from_config(config):
            return Forbidden()

        def get_config(self):
            return {}

    for name, function in (("own", Forbidden()), ("default", DefaultEmbeddingFunction())):
        collection = chroma_client.create_collection(f"with-{name}", embedding_function=function)
        collection.add(ids=["a"], embeddings=[embed(["fish"])[0]], documents=["fish"])
        found = Chroma(collection, embed=embed).retrieve(Query("fish"), depth=5)
        assert told(found) == [("a", 1.0)]


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda one: Chroma("docs", embed=embed), "collection"),
        (lambda one: Chroma(None, embed=embed), "collection"),
        (lambda one: Chroma(one, embed=None), "embed"),
        (lambda one: Chroma(one, embed=embed, embed_query=1), "embed_query"),
        (lambda one: Chroma(one, embed=embed).retrieve("fish", depth=1), "query"),
        (lambda one: Chroma(one, embed=embed).retrieve(Query("fish"), depth=0), "depth"),
        (lambda one: Chroma(one, embed=embed).retrieve(Query("fish"), depth=-1), "depth"),
    ],
)
def test_wrong_arguments_are_named(make_collection, make, argument):
    """Every wrong argument raises InvalidArgument that names it."""
    with pytest.raises(InvalidArgument) as caught:
        make(make_collection())
    assert caught.value.argument == argument


def test_a_vector_of_another_dimension_is_named(make_collection):
    """A query of another dimension than the collection's raises EmbeddingError with both."""
    collection = make_collection(ids=["a"], embeddings=[(1.0, 0.0, 2.0)])
    source = Chroma(collection, embed=embed)
    with pytest.raises(EmbeddingError, match=rf"\b3\b.*\b{DIMENSIONS}\b") as caught:
        source.retrieve(Query("fish"), depth=5)
    assert caught.value.__cause__ is not None
    assert collection.name in str(caught.value)


@pytest.mark.parametrize("vector", [(math.nan, 1.0), (math.inf, 1.0), (1e39, 1.0), ()])
def test_a_vector_that_is_not_finite_is_refused(make_collection, vector):
    """NaN, infinity and numbers beyond float32, which Chroma would accept, raise."""
    collection = make_collection(ids=["a"], embeddings=[(1.0, 0.0)])
    with pytest.raises(EmbeddingError):
        Chroma(collection, embed=embed).retrieve(Query("?", embedding=vector), depth=5)


def test_a_damaged_record_is_a_bad_reply(make_collection):
    """A record whose distance is not finite raises BadReply that names it."""
    collection = make_collection(ids=["a", "b"], embeddings=[(3e38, 0.0), (1.0, 0.0)])
    with pytest.raises(BadReply, match="'a'"):
        Chroma(collection, embed=embed).retrieve(Query("?", embedding=(1.0, 1.0)), depth=5)


def test_a_collection_deleted_meanwhile_is_not_found(chroma_client, make_collection):
    """A search in a deleted collection raises IndexNotFound, with Chroma's error as its cause."""
    collection = make_collection(ids=["a"], embeddings=embed(["fish"]))
    source = Chroma(collection, embed=embed)
    assert source.retrieve(Query("fish"), depth=1)
    chroma_client.delete_collection(collection.name)
    with pytest.raises(IndexNotFound, match=collection.name) as caught:
        source.retrieve(Query("fish"), depth=1)
    assert type(caught.value.__cause__).__module__ == "chromadb.errors"


def test_other_errors_have_our_names(chromadb):
    """Each of Chroma's errors becomes one of runoff's; an unknown error stays as it is."""
    import httpx
    from chromadb import errors

    for error, kind in [
        (errors.AuthorizationError("no"), AuthenticationFailed),
        (errors.ChromaAuthError(), AuthenticationFailed),
        (errors.InternalError("broken"), ServerFailed),
        (errors.RateLimitError("slow"), ServerFailed),
        (errors.InvalidDimensionException("wrong dimension"), EmbeddingError),
        (errors.NotFoundError("gone"), IndexNotFound),
        (httpx.ConnectError("refused"), ConnectionFailed),
        (httpx.RemoteProtocolError("reset"), ConnectionFailed),
        (httpx.ReadTimeout("slow"), DeadlineExceeded),
        (Exception("<html>502 Bad Gateway</html>"), ServerFailed),
    ]:
        assert type(named(error, "doing")) is kind
    for error in (errors.InvalidArgumentError("odd"), TypeError("odd"), BadReply("ours")):
        assert named(error, "doing") is error


def test_a_spent_deadline_raises(make_collection):
    """With no time left Chroma is not asked."""
    source = Chroma(make_collection(ids=["a"], embeddings=embed(["fish"])), embed=embed)
    with pytest.raises(DeadlineExceeded):
        source.retrieve(Query("fish"), depth=1, deadline=Deadline(0))


def test_threads_share_a_source(make_collection):
    """Sixteen threads get the hits that a single thread gets."""
    held = [Document(f"d{n}", f"word{n} fish", {"n": n}) for n in range(100)]
    source = Chroma(make_collection(**records(held)), embed=embed)
    queries = [Query(f"word{n}", filters=Not(Range("n", lt=n))) for n in range(16)]
    expected = [told(source.retrieve(one, depth=10)) for one in queries]
    answers = [None] * 16

    def ask(place):
        for _ in range(10):
            answers[place] = told(source.retrieve(queries[place], depth=10))

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == expected


def test_a_plain_collection_is_no_async_source(make_collection):
    """A source over a synchronous collection has no `aretrieve`, so it runs in the pool."""
    source = Chroma(make_collection(), embed=embed)
    assert isinstance(source, RecallSource)
    assert not isinstance(source, AsyncRecallSource)
    assert repr(source).startswith("Chroma('collection-")


def test_warmup_embeds_and_asks_once(make_collection):
    """`warmup` loads the embedding model and searches once."""
    asked = []

    def watch(texts):
        asked.extend(texts)
        return embed(texts)

    Chroma(make_collection(ids=["a"], embeddings=embed(["fish"])), embed=watch).warmup()
    assert asked


def test_a_collection_is_listed(make_collection):
    """`documents` returns every record, page by page, with an empty text where it has none."""
    held = [Document(f"d{n:04}", f"fish {n}", {"n": n}) for n in range(1200)]
    source = Chroma(make_collection(**records(held)), embed=embed)
    assert sorted(source.documents(), key=lambda one: one.doc_id) == held
    bare = Chroma(make_collection(ids=["a"], embeddings=[(1.0, 0.0)]), embed=embed)
    assert list(bare.documents()) == [Document("a", "", {})]
