"""Chroma over HTTP: a real `chroma run` on loopback, sync and async."""

from __future__ import annotations

import asyncio

import pytest
from words import DIMENSIONS, embed

from runoff import TwoStage
from runoff.errors import ConnectionFailed, EmbeddingError, IndexNotFound, InvalidArgument
from runoff.filters import And, Eq, In, Not, Or, Range
from runoff.protocols import AsyncRecallSource
from runoff.recall import Chroma, Function
from runoff.recall._stores.chroma_where import knows_lists
from runoff.testing.contracts import RecallSourceContract
from runoff.types import Query


def records(documents):
    return {
        "ids": [one.doc_id for one in documents],
        "embeddings": embed([one.text for one in documents]),
        "documents": [one.text for one in documents],
        "metadatas": [dict(one.metadata) or None for one in documents],
    }


def told(hits):
    return [(hit.doc_id, hit.score) for hit in hits]


@pytest.fixture(scope="module")
def client(chroma_http):
    return chroma_http


@pytest.fixture
async def opened(chromadb, chroma_server, chroma_settings):
    """Return what opens a collection through a new async client, whose connections it closes."""
    client = await chromadb.AsyncHttpClient(
        "127.0.0.1", chroma_server.port, settings=chroma_settings()
    )

    async def opened(name):
        return await client.get_collection(name, embedding_function=None)

    yield opened
    connections = client._server._clients  # one of httpx for each event loop, and no public close
    await client._server.__aexit__(None, None, None)
    assert not connections


class TestContract(RecallSourceContract):
    """A collection of a real server keeps the contract of a source."""

    @pytest.fixture(autouse=True)
    def _collections(self, client, make_collection):
        self.collections = lambda **held: make_collection(client, **held)

    def make(self, documents):
        return Chroma(self.collections(**records(documents)), embed=embed)


pytest.importorskip("chromadb")
LISTS = knows_lists()  # since chromadb 1.5
HELD = [
    {"n": 1, "tag": "a"},
    {"n": 2.0},
    {"n": True, "tag": ["a", "b"] if LISTS else "a"},
    {"n": "2", "tag": "c"},
    {"tag": ["x"] if LISTS else "x"},
    {"n": 7, "tag": "b"},
    {"n": [7, 8] if LISTS else 8},
    {},
]


@pytest.mark.parametrize(
    "condition",
    [
        Eq("n", 2),
        Eq("n", value=True),
        Eq("tag", "a"),
        Not(Eq("tag", "a")),
        Not(Range("n", gt=1)),
        In("n", (1.0, "2", 8)),
        Not(In("n", (1, 7))),
        And(Not(Range("n", lt=5)), Or(Eq("tag", "b"), Not(Eq("n", 7)))),
        In("n", tuple(range(20_000))),
        Eq("n", 2**70),
        Eq("#document", "text 0"),
    ],
)
def test_filters_are_exact_over_http(client, make_collection, condition):
    """Over HTTP too, at every depth, Chroma returns what `matches` keeps."""
    collection = make_collection(
        client,
        ids=[f"d{n}" for n in range(len(HELD))],
        embeddings=[(float(n), 1.0) for n in range(len(HELD))],
        documents=[f"text {n}" for n in range(len(HELD))],
        metadatas=[one or None for one in HELD],
    )
    source = Chroma(collection, embed=embed)
    kept = [f"d{n}" for n, one in enumerate(HELD) if condition.matches(one)]
    for depth in (1, 3, 100):
        query = Query("?", condition, (0.0, 1.0))
        assert [hit.doc_id for hit in source.retrieve(query, depth=depth)] == kept[:depth]


def test_a_collection_is_opened_by_name(client, make_collection, chroma_server):
    """`from_http` opens a collection by its name, and lists the existing names if there is none."""
    made = make_collection(client, space="cosine", ids=["a"], embeddings=embed(["fish"]))
    options = {"embed": embed, "host": "127.0.0.1", "port": chroma_server.port}
    source = Chroma.from_http(made.name, **options, headers={"X-Test": "1"})
    assert told(source.retrieve(Query("fish"), depth=1)) == [("a", 1.0)]
    assert source.space == "cosine"
    with pytest.raises(IndexNotFound, match="it has collection-"):
        Chroma.from_http("absent", **options)


def test_errors_over_http_have_our_names(client, make_collection):
    """A wrong dimension and a deleted collection are named as in an embedded one."""
    made = make_collection(client, ids=["a"], embeddings=[(1.0, 2.0)])
    source = Chroma(made, embed=embed)
    with pytest.raises(EmbeddingError, match=rf"\b2\b.*\b{DIMENSIONS}\b"):
        source.retrieve(Query("fish"), depth=1)
    client.delete_collection(made.name)
    with pytest.raises(IndexNotFound):
        source.retrieve(Query("?", embedding=(1.0, 0.0)), depth=1)


def test_a_server_without_lists_is_asked_again_without_them(client, make_collection):
    """If a server refuses `$contains`, as chromadb 1.0 does, filters are sent without it."""
    from chromadb.errors import InvalidArgumentError

    made = make_collection(
        client, ids=["a", "b"], embeddings=[(1.0, 0.0)] * 2, metadatas=[{"n": 1}, {"n": 2}]
    )
    query, refused = made.query, []

    def old(**request):
        if "contains" in str(request["where"]):
            refused.append(request["where"])
            raise InvalidArgumentError("Invalid where clause")
        return query(**request)

    made.query = old
    if not LISTS:
        pytest.skip("this chromadb knows no lists either")
    source = Chroma(made, embed=embed)
    for condition, expected in ((Eq("n", 1), "a"), (Not(Eq("n", 1)), "b")):
        found = source.retrieve(Query("?", condition, (1.0, 0.0)), depth=5)
        assert [hit.doc_id for hit in found] == [expected]
    assert len(refused) == 1


async def test_an_async_collection_is_awaited(client, make_collection, opened):
    """`aretrieve` on an AsyncHttpClient's collection returns what `retrieve` does elsewhere."""
    held = [(f"d{n}", f"word{n} fish", {"n": n}) for n in range(30)]
    made = make_collection(
        client,
        ids=[one[0] for one in held],
        documents=[one[1] for one in held],
        metadatas=[one[2] for one in held],
        embeddings=embed([one[1] for one in held]),
    )

    async def aembed_query(text):
        await asyncio.sleep(0)
        return embed([text])[0]

    collection = await opened(made.name)
    plain = Chroma(made, embed=embed)
    for source in (
        Chroma(collection, embed=embed),
        Chroma(collection=collection, embed=embed, aembed_query=aembed_query),
    ):
        assert isinstance(source, Chroma)
        assert isinstance(source, AsyncRecallSource)
        for condition in (None, Not(Range("n", lt=20)), In("n", ())):
            query = Query("word3", filters=condition)
            assert await source.aretrieve(query, depth=8) == plain.retrieve(query, depth=8)
        with pytest.raises(InvalidArgument, match="asearch"):
            source.retrieve(Query("fish"), depth=1)
        with pytest.raises(InvalidArgument):
            await source.aretrieve(Query("fish"), depth=0)
        source.warmup()
    client.delete_collection(made.name)
    with pytest.raises(IndexNotFound):
        await source.aretrieve(Query("fish"), depth=1)


async def test_the_pipeline_searches_plain_and_async_collections(client, make_collection, opened):
    """`asearch` fuses an async collection, a plain one and a function; all of them answer."""
    made = make_collection(
        client, ids=["a", "b"], embeddings=embed(["fish", "bird"]), documents=["fish", "bird"]
    )
    sources = {
        "plain": Chroma(made, embed=embed),
        "async": Chroma(await opened(made.name), embed=embed),
        "function": Function(lambda query, depth: [("b", "bird", 1.0)]),
    }
    response = await TwoStage(sources=sources, reranker=None).asearch("fish", top_k=2)
    assert response.outcome.complete
    placed = {one.doc_id: {each.source for each in one.placements} for one in response}
    assert placed == {"a": {"plain", "async"}, "b": {"plain", "async", "function"}}


async def test_a_server_that_is_gone_is_a_failed_connection(
    chromadb, chroma_server, make_collection, client, opened
):
    """Once the server is gone, both ways raise ConnectionFailed, and a pipeline degrades."""
    made = make_collection(client, ids=["a"], embeddings=embed(["fish"]), documents=["fish"])
    source = Chroma(made, embed=embed)
    awaited = Chroma(await opened(made.name), embed=embed)
    chroma_server.process.kill()
    chroma_server.process.wait()
    with pytest.raises(ConnectionFailed, match=made.name):
        source.retrieve(Query("fish"), depth=1)
    with pytest.raises(ConnectionFailed):
        await awaited.aretrieve(Query("fish"), depth=1)
    sources = {"gone": source, "here": Function(lambda query, depth: [("b", "bird", 1.0)])}
    response = TwoStage(sources=sources, reranker=None).search("fish")
    assert [one.doc_id for one in response] == ["b"]
    assert [(one.source, one.reason) for one in response.outcome.degraded] == [
        ("gone", "connection")
    ]
