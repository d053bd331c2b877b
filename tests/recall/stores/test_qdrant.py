"""Qdrant collections as a source: a real Qdrant in local mode, and failing servers on loopback."""

import asyncio
import contextlib
import math
import socket
import uuid

import numpy as np
import pytest
from drawn_filters import DOCUMENTS, FILTERS, kept
from hypothesis import HealthCheck, given, settings
from overhead import overhead
from servers import serving
from words import DIMENSIONS, embed, langchain_words, told, vectors

from runoff import TwoStage
from runoff.deadline import Deadline
from runoff.errors import (
    AuthenticationFailed,
    BadReply,
    ConnectionFailed,
    DeadlineExceeded,
    EmbeddingError,
    IndexNotFound,
    InvalidArgument,
    RequestRejected,
    ServerFailed,
)
from runoff.filters import And, Eq, Not, Range
from runoff.protocols import AsyncRecallSource, RecallSource
from runoff.recall import BM25, Dense, Qdrant
from runoff.testing.contracts import RecallSourceContract
from runoff.types import Document, Query

qdrant_client = pytest.importorskip("qdrant_client", reason="the client of Qdrant is not installed")
models = pytest.importorskip("qdrant_client.models")

SPARSE = {"words": models.SparseVectorParams(modifier=models.Modifier.IDF)}


def sparse(text):
    """A sparse vector of words: how often each occurs, under a number of its letters."""
    counts = {}
    for word in text.lower().split():
        place = sum(map(ord, word))
        counts[place] = counts.get(place, 0) + 1
    return list(counts), list(counts.values())


def point(document, vector=None, number=None):
    indices, values = sparse(document.text)
    given = embed([document.text])[0].tolist() if vector is None else vector
    return models.PointStruct(
        id=str(uuid.uuid4()) if number is None else number,
        vector={"": given, "words": models.SparseVector(indices=indices, values=values)},
        payload={
            "page_content": document.text,
            "metadata": dict(document.metadata),
            "key": document.doc_id,
        },
    )


def fill(client, points, *, distance="Dot", size=DIMENSIONS):
    """Make a collection; cosines of local mode differ in the last bit from call to call."""
    name = f"collection-{uuid.uuid4().hex}"
    client.create_collection(
        name,
        vectors_config=models.VectorParams(size=size, distance=distance),
        sparse_vectors_config=SPARSE,
    )
    if points:
        client.upsert(name, points)
    return name


@pytest.fixture(scope="module")
def client():
    made = qdrant_client.QdrantClient(":memory:")
    yield made
    made.close()


class TestDenseContract(RecallSourceContract):
    """A collection searched by vectors keeps the contract of a source."""

    @pytest.fixture(autouse=True)
    def _client(self, client):
        self.client = client

    def make(self, documents):
        name = fill(self.client, [point(one) for one in documents])
        return Qdrant(self.client, name, embed=embed, id="key")


class TestTextContract(TestDenseContract):
    """A collection searched by sparse vectors keeps the contract of a source."""

    def make(self, documents):
        name = fill(self.client, [point(one) for one in documents])
        return Qdrant(self.client, name, search="text", sparse_embed=sparse, id="key")


@pytest.mark.parametrize(
    ("distance", "expected", "score_range"),
    [
        ("Cosine", {"2": 0.96, "0": 0.6, "3": -0.8}, (-1.0, 1.0)),
        ("Dot", {"2": 24.0, "0": 3.0, "3": -4.0}, (None, None)),
        ("Euclid", {"2": 0.0, "0": -9.0, "3": -16.0}, (None, 1.0)),
        ("Manhattan", {"2": -2.0, "0": -6.0, "3": -8.0}, (None, 0.0)),
    ],
)
def test_distances_become_similarities(client, distance, expected, score_range):
    """Higher is better for every distance; the values are worked out by hand."""
    rows = {0: [1.0, 0.0], 2: [4.0, 3.0], 3: [0.0, -1.0]}
    points = [point(Document("?", "?"), row, number) for number, row in rows.items()]
    source = Qdrant(client, fill(client, points, distance=distance, size=2), embed=embed)
    found = source.retrieve(Query("?", embedding=(3.0, 4.0)), depth=10)
    assert [hit.doc_id for hit in found] == list(expected)
    assert dict(told(found)) == pytest.approx(expected, abs=1e-5)
    assert {hit.score_range for hit in found} == {score_range}


@pytest.mark.parametrize(
    ("distance", "same"), [("Cosine", "cosine"), ("Dot", "ip"), ("Euclid", "l2")]
)
def test_recall_is_complete(client, distance, same):
    """Qdrant's exact search returns what brute force returns, with the same scores."""
    generator = np.random.default_rng(0)
    rows = generator.standard_normal((500, 16)).astype(np.float32)
    held = [Document(f"d{n}", f"text {n}", {"n": n}) for n in range(500)]
    points = [
        point(one, row.tolist(), n) for n, (one, row) in enumerate(zip(held, rows, strict=True))
    ]
    name = fill(client, points, distance=distance, size=16)
    source = Qdrant(client, name, embed=embed, id="key")
    dense = Dense(held, embed, embeddings=rows, similarity=same)
    for asked in generator.standard_normal((5, 16)):
        for condition in (None, Eq("n", 3), Not(Range("n", gte=50))):
            query = Query("?", condition, tuple(asked))
            ours, theirs = (one.retrieve(query, depth=30) for one in (source, dense))
            assert [hit.document for hit in ours] == [hit.document for hit in theirs]
            assert [hit.score for hit in ours] == pytest.approx(
                [hit.score for hit in theirs], abs=1e-4
            )


def test_sparse_vectors_are_weighed_by_idf(client):
    """A rare word counts more than a common one, by the collection's IDF, as BM25 does."""
    held = [Document("rare", "fish zebra"), *(Document(f"d{n}", "fish bread") for n in range(8))]
    name = fill(client, [point(one) for one in held])
    source = Qdrant(client, name, search="text", sparse_embed=sparse, id="key")
    found = source.retrieve(Query("zebra bread"), depth=9)
    assert found[0].doc_id == "rare"
    bm25 = BM25(held).retrieve(Query("zebra bread"), depth=9)
    assert [hit.doc_id for hit in found] == [hit.doc_id for hit in bm25]
    assert source.retrieve(Query("nothing"), depth=9) == []
    assert source.retrieve(Query("?", embedding=(1.0,)), depth=9) == []


@pytest.fixture(scope="module")
def odd(client):
    points = [point(one, [1000.0 - place, 0.0]) for place, one in enumerate(DOCUMENTS)]
    return Qdrant(client, fill(client, points, size=2), embed=embed, id="key")


def check(source, wanted):
    expected = [one.doc_id for one in DOCUMENTS if one.doc_id in kept(wanted)]
    for depth in (1, 3, len(DOCUMENTS) + 1):
        query = Query("?", filters=wanted, embedding=(1.0, 0.0))
        assert [hit.doc_id for hit in source.retrieve(query, depth=depth)] == expected[:depth]


@given(wanted=FILTERS)
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
def test_filters_are_exact(odd, wanted):
    """Random filters keep what `matches` keeps, at every depth, times among them."""
    check(odd, wanted)


@pytest.mark.slow("15 s: a thousand random filters, each at three depths")
@given(wanted=FILTERS)
@settings(max_examples=1000, suppress_health_check=list(HealthCheck))
def test_a_thousand_filters_are_exact(odd, wanted):
    """A thousand random filters keep what `matches` keeps, at every depth."""
    check(odd, wanted)


@pytest.mark.slow("10 s: what the source costs above the client, in processor time")
@pytest.mark.parametrize("condition", [None, And(Eq("topic", "tea"), Not(Range("n", lt=10)))])
def test_the_source_adds_little(client, condition):
    """A search for 100 documents costs at most 2 ms more than the client's own call."""
    held = [Document(f"d{n}", f"fish {n}", {"n": n, "topic": "tea"}) for n in range(1000)]
    rows = np.random.default_rng(0).standard_normal((1000, 64))
    name = fill(client, [point(*one, n) for n, one in enumerate(zip(held, rows, strict=True))])
    source = Qdrant(client, name, embed=embed, id="key")
    query = Query("?", condition, tuple(rows[0]))
    found = source.retrieve(query, depth=100)
    clause = None if condition is None else source._clause(condition, source._description)

    def theirs():
        return client.query_points(name, query=rows[0].tolist(), query_filter=clause, limit=100)

    assert len(found) == len(theirs().points) == 100
    added = overhead(lambda: source.retrieve(query, depth=100), theirs)
    print(f"Qdrant: {added:.2f} ms")  # noqa: T201 - for the documentation
    assert added < 2


def test_payloads_without_nesting(client):
    """Flat payloads are read by their names; the text's own key is no metadata to filter by."""
    name = fill(client, [])
    payloads = [{"content": "fish", "n": n} for n in range(6)]
    client.upsert(
        name,
        [
            models.PointStruct(id=n, vector={"": embed(["fish"])[0].tolist()}, payload=one)
            for n, one in enumerate(payloads)
        ],
    )
    source = Qdrant(client, name, embed=embed)
    (hit,) = source.retrieve(Query("fish", filters=Eq("n", 4)), depth=5)
    assert hit.document == Document("4", "fish", {"n": 4})
    assert source.retrieve(Query("fish", filters=Eq("content", "fish")), depth=9) == []
    assert len(source.retrieve(Query("fish", filters=Not(Eq("content", "fish"))), depth=9)) == 6
    texts = Qdrant(client, name, embed=embed, text="n", metadata="")
    with pytest.raises(BadReply, match="'n'"):
        texts.retrieve(Query("fish"), depth=5)


def test_what_langchain_wrote_is_read(client):
    """A collection of LangChain's store opens as it is: ids, texts, metadata, filters."""
    langchain_qdrant = pytest.importorskip("langchain_qdrant")

    name = fill(client, [], distance="Cosine")
    store = langchain_qdrant.QdrantVectorStore(client, name, langchain_words())
    ids = store.add_texts(["green tea", "rye bread"], [{"topic": "tea"}, {"topic": "bread"}])
    source = Qdrant(client, name, embed=embed)
    found = source.retrieve(Query("bread"), depth=5)
    # LangChain's are UUIDs without hyphens, as is an old local mode's
    tea, bread = map(uuid.UUID, ids)
    assert uuid.UUID(found[0].doc_id) == bread
    assert found[0].document.text == "rye bread"
    assert found[0].document.metadata == {"topic": "bread"}
    (hit,) = source.retrieve(Query("bread", filters=Eq("topic", "tea")), depth=5)
    assert uuid.UUID(hit.doc_id) == tea


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning")
def test_what_llama_index_wrote_is_read(client):
    """A collection of LlamaIndex's store opens as it is: ids, texts, metadata, filters."""
    module = pytest.importorskip("llama_index.vector_stores.qdrant")
    from llama_index.core.schema import TextNode

    name = f"collection-{uuid.uuid4().hex}"
    nodes = [
        TextNode(text=text, metadata={"topic": topic}, embedding=embed([text])[0].tolist())
        for text, topic in (("green tea", "tea"), ("rye bread", "bread"))
    ]
    module.QdrantVectorStore(name, client=client).add(nodes)
    source = Qdrant(client, name, embed=embed)
    found = source.retrieve(Query("bread"), depth=5)
    assert found[0].document == Document(nodes[1].node_id, "rye bread", {"topic": "bread"})
    (hit,) = source.retrieve(Query("bread", filters=Eq("topic", "tea")), depth=5)
    assert hit.doc_id == nodes[0].node_id
    without = Not(Eq("ref_doc_id", "None"))  # LlamaIndex's own field, which no metadata has
    assert len(source.retrieve(Query("bread", filters=without), depth=5)) == 2


def test_all_documents_are_listed_page_by_page(client):
    """`documents()` yields every document once, with its id, over several pages."""
    held = [Document(f"d{n}", f"text {n}", {"n": n}) for n in range(1201)]
    name = fill(client, [point(one, [1.0, n], n) for n, one in enumerate(held)], size=2)
    assert list(Qdrant(client, name, embed=embed, id="key").documents()) == held
    assert list(Qdrant(client, fill(client, []), embed=embed).documents()) == []


def test_an_empty_collection_is_read_again(client):
    """A source that found its collection empty recognises the first record that arrives."""
    name = fill(client, [])
    source = Qdrant(client, name, embed=embed)
    assert source.retrieve(Query("fish"), depth=5) == []
    client.upsert(name, [point(Document("a", "fish", {"n": 1}), number=7)])
    assert source.retrieve(Query("fish"), depth=5)[0].document == Document("7", "fish", {"n": 1})


def test_several_vectors_are_told_apart(client):
    """A collection with several vectors needs `vector`, and the error lists their names."""
    name = f"collection-{uuid.uuid4().hex}"
    dense = models.VectorParams(size=2, distance="Dot")
    tokens = models.VectorParams(
        size=2,
        distance="Dot",
        multivector_config=models.MultiVectorConfig(comparator="max_sim"),
    )
    client.create_collection(name, vectors_config={"a": dense, "b": dense, "tokens": tokens})
    client.upsert(name, [models.PointStruct(id=1, vector={"a": [1, 0], "b": [0, 1]}, payload={})])
    embed_row = vectors((3.0, 5.0))
    scores = [
        Qdrant(client, name, embed=embed_row, vector=one).retrieve(Query("0"), depth=1)[0].score
        for one in ("a", "b")
    ]
    assert scores == [3.0, 5.0]
    for wrong in (None, "tokens", "none"):
        with pytest.raises(InvalidArgument, match=r"'a', 'b'$") as caught:
            Qdrant(client, name, embed=embed_row, vector=wrong).retrieve(Query("0"), depth=1)
        assert caught.value.argument == "vector"


async def test_an_async_client_is_awaited():
    """An AsyncQdrantClient gives the same hits, awaited, and is refused elsewhere by name."""
    client = qdrant_client.AsyncQdrantClient(":memory:")
    size = models.VectorParams(size=DIMENSIONS, distance="Cosine")
    await client.create_collection("docs", vectors_config=size, sparse_vectors_config=SPARSE)
    held = [Document(f"d{n}", f"word{n} fish", {"n": n}) for n in range(20)]
    await client.upsert("docs", [point(one) for one in held])
    dense = Qdrant(client, "docs", embed=embed, id="key")
    text = Qdrant(client, "docs", search="text", sparse_embed=sparse, id="key")
    assert isinstance(dense, AsyncRecallSource)
    for source in (dense, text):
        query = Query("word7", filters=Range("n", gte=5))
        found = await source.aretrieve(query, depth=5, deadline=Deadline(5))
        assert found[0].document == held[7]
    assert {one async for one in dense.adocuments()} == set(held)
    answer = await TwoStage({"dense": dense, "text": text}, reranker=None).asearch("word3")
    assert answer[0].doc_id == "d3"
    with pytest.raises(InvalidArgument, match="adocuments"):
        dense.documents()
    with pytest.raises(InvalidArgument, match="asearch"):
        dense.retrieve(Query("fish"), depth=1)
    assert repr(dense) == "Qdrant('docs', search='dense')"
    dense.warmup()
    await client.close()


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda one: Qdrant("docs", "docs", embed=embed), "client"),
        (lambda one: Qdrant(one, "", embed=embed), "collection"),
        (lambda one: Qdrant(one, 7, embed=embed), "collection"),
        (lambda one: Qdrant(one, "docs"), "embed"),
        (lambda one: Qdrant(one, "docs", embed=embed, search="hybrid"), "search"),
        (lambda one: Qdrant(one, "docs", embed=embed, sparse_embed=sparse), "sparse_embed"),
        (lambda one: Qdrant(one, "docs", search="text"), "sparse_embed"),
        (lambda one: Qdrant(one, "docs", search="text", sparse_embed=1), "sparse_embed"),
        (lambda one: Qdrant(one, "docs", search="text", sparse_embed=sparse, embed=embed), "embed"),
        (lambda one: Qdrant(one, "docs", embed=embed).retrieve("fish", depth=1), "query"),
        (lambda one: Qdrant(one, "docs", embed=embed).retrieve(Query("fish"), depth=0), "depth"),
    ],
)
def test_wrong_arguments_are_named(client, make, argument):
    """Every wrong argument raises InvalidArgument that names it."""
    with pytest.raises(InvalidArgument) as caught:
        make(client)
    assert caught.value.argument == argument


@pytest.mark.parametrize(
    "returned", [None, ([1, 2], [1.0]), ([0.5], [1.0]), ([1], [math.nan]), (["a"], ["b"])]
)
def test_a_wrong_sparse_vector_is_named(client, returned):
    """What `sparse_embed` must return is said when it returns something else."""
    name = fill(client, [point(Document("a", "fish"))])
    source = Qdrant(client, name, search="text", sparse_embed=lambda text: returned)
    with pytest.raises(EmbeddingError, match="sparse_embed"):
        source.retrieve(Query("fish"), depth=1)


def test_permanent_faults_have_their_names(client):
    """A missing collection and a wrong dimension raise permanent errors that name them."""
    with pytest.raises(IndexNotFound, match="missing"):
        Qdrant(client, "missing", embed=embed).retrieve(Query("fish"), depth=1)
    name = fill(client, [point(Document("a", "fish"))])
    source = Qdrant(client, name, embed=embed)
    with pytest.raises(EmbeddingError, match=f"{DIMENSIONS}"):
        source.retrieve(Query("?", embedding=(1.0, 2.0)), depth=1)
    assert source.retrieve(Query("fish"), depth=1)
    client.delete_collection(name)
    with pytest.raises(IndexNotFound, match=name):
        source.retrieve(Query("fish"), depth=1)
    fill_again = models.VectorParams(size=2, distance="Dot")
    client.create_collection(name, vectors_config=fill_again)
    assert source.retrieve(Query("?", embedding=(1.0, 2.0)), depth=1) == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, AuthenticationFailed),
        (403, AuthenticationFailed),
        (404, IndexNotFound),
        (400, RequestRejected),
        (500, ServerFailed),
        (503, ServerFailed),
    ],
)
def test_a_servers_faults_have_their_names(status, kind):
    """Each status of a server becomes one of runoff's errors, with the client's as its cause."""
    with serving(lambda asked: (status, {"status": {"error": "no"}})) as server:
        client = qdrant_client.QdrantClient(url=server.url, check_compatibility=False)
        with pytest.raises(kind, match="Qdrant collection 'docs'") as caught:
            Qdrant(client, "docs", embed=embed).retrieve(Query("fish"), depth=1)
        client.close()
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("grpc", [False, True])
def test_a_dead_server_is_transient(grpc):
    """A server that refuses connections raises ConnectionFailed, over HTTP and gRPC."""
    client = qdrant_client.QdrantClient(
        host="127.0.0.1", port=9, grpc_port=9, prefer_grpc=grpc, check_compatibility=False
    )
    with pytest.raises(ConnectionFailed):
        Qdrant(client, "docs", embed=embed).retrieve(Query("fish"), depth=1)
    client.close()


@contextlib.contextmanager
def answering(params, *points):
    """Serve a collection with these parameters, and these points, as Qdrant does."""
    hnsw = {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000}
    optimizer = {
        "deleted_threshold": 0.2,
        "vacuum_min_vector_number": 1000,
        "default_segment_number": 0,
        "flush_interval_sec": 5,
    }
    config = {"params": params, "hnsw_config": hnsw, "optimizer_config": optimizer}
    info = {"status": "green", "optimizer_status": "ok", "segments_count": 1, "config": config}

    def answer(asked):
        if asked.path.endswith("docs"):
            return 200, {"result": info | {"payload_schema": {}}}
        return 200, {"result": {"points": list(points) if "query" in asked.path else []}}

    with serving(answer) as server:
        client = qdrant_client.QdrantClient(url=server.url, check_compatibility=False)
        yield client, server.asked
        client.close()


def test_the_deadline_is_the_servers_timeout():
    """What is left of the deadline is sent in whole seconds; a spent one asks nothing."""
    query = Query("?", embedding=(1.0, 2.0))
    with answering({"vectors": {"size": 2, "distance": "Dot"}}) as (client, asked):
        source = Qdrant(client, "docs", embed=embed, exact=True)
        assert source.retrieve(query, depth=3, deadline=Deadline(3.5)) == []
        assert [one.path.partition("?")[2] for one in asked[1:]] == ["timeout=4"] * 2
        assert asked[-1].body["params"]["exact"] is True
        del asked[:]
        with pytest.raises(DeadlineExceeded):
            source.retrieve(query, depth=3, deadline=Deadline(0))
        assert not asked
        text = Qdrant(client, "docs", search="text", sparse_embed="qdrant/bm25", vector="words")
        with pytest.raises(InvalidArgument, match="has none"):
            text.retrieve(Query("fish"), depth=1)


def test_a_model_of_the_server_makes_the_sparse_vector():
    """`sparse_embed="qdrant/bm25"` sends the text and the model's name, as a document."""
    reply = {"id": 7, "version": 0, "score": 2.5, "payload": {"text": "fish"}}
    with answering({"sparse_vectors": {"words": {"modifier": "idf"}}}, reply) as (client, asked):
        source = Qdrant(client, "docs", search="text", sparse_embed="qdrant/bm25")
        assert told(source.retrieve(Query("fish", filters=Not(Eq("n", 1))), depth=3)) == [
            ("7", 2.5)
        ]
    sent = asked[-1].body
    assert sent["query"]["nearest"].items() >= {"text": "fish", "model": "qdrant/bm25"}.items()
    assert sent["using"] == "words"
    assert sent["filter"]["must_not"]


def test_a_score_that_is_not_finite_is_a_bad_reply():
    """A score that is not a number raises BadReply that names the point."""
    reply = {"id": 7, "version": 0, "score": math.inf, "payload": {"text": "fish"}}
    query = Query("?", embedding=(1.0, 2.0))
    params = {"vectors": {"size": 2, "distance": "Dot"}}
    with answering(params, reply) as (client, _), pytest.raises(BadReply, match="for 7"):
        Qdrant(client, "docs", embed=embed).retrieve(query, depth=1)


def test_a_slow_async_server_is_cut_off():
    """Awaited, the deadline holds to the millisecond, whatever the client's own timeout is."""
    silent = socket.create_server(("127.0.0.1", 0))

    async def ask():
        client = qdrant_client.AsyncQdrantClient(
            host="127.0.0.1", port=silent.getsockname()[1], check_compatibility=False
        )
        source = Qdrant(client, "docs", embed=embed)
        try:
            await source.aretrieve(Query("fish"), depth=1, deadline=Deadline(0.05))
        finally:
            await client.close()

    with silent, pytest.raises(DeadlineExceeded):
        asyncio.run(ask())


def test_equal_scores_are_ordered_by_id(client):
    """Points with equal scores are ordered by id."""
    held = [Document(f"{n:02}", "fish") for n in np.random.default_rng(0).permutation(40)]
    name = fill(client, [point(one) for one in held])
    found = Qdrant(client, name, embed=embed, id="key").retrieve(Query("fish"), depth=40)
    assert [hit.doc_id for hit in found] == sorted(one.doc_id for one in held)


def test_chunks_of_one_document_are_one_hit(client):
    """Points that share the payload's id are one hit, the best of them, and depth is still met."""
    held = [Document(f"d{n % 3}", " ".join(["fish"] + ["bread"] * n)) for n in range(12)]
    name = fill(client, [point(one) for one in held])
    found = Qdrant(client, name, embed=embed, id="key").retrieve(Query("fish"), depth=3)
    assert told(found) == [("d0", 1.0), ("d1", 1.0), ("d2", 1.0)]


def test_a_plain_client_is_no_async_source(client):
    """A source over a synchronous client has no `aretrieve`, so it runs in the pool."""
    source = Qdrant(client, fill(client, [point(Document("a", "fish"))]), embed=embed)
    assert isinstance(source, RecallSource)
    assert not isinstance(source, AsyncRecallSource)
    source.warmup()
    condition = And(Eq("n", 1), Range("since", gte="2026-01-01"))
    assert source.retrieve(Query("fish", filters=condition), depth=1) == []
