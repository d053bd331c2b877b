"""Real stores behind the adapter: in memory, Chroma embedded and over HTTP, FAISS, Qdrant."""

import itertools
import threading
import uuid
import warnings

import pytest
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore

from runoff.errors import InvalidArgument
from runoff.filters import And, Eq, In, Not, Or, Range
from runoff.fusion import Convex
from runoff.langchain import HybridRetriever, TwoStageRetriever, provenance, two_stage
from runoff.langchain._filters import store_kwargs

QUESTION = "which cascade passes few documents to an expensive model"
STORES = ["memory", "chroma", "chroma-http", "faiss", "qdrant"]
FILTERS = [
    Eq("topic", "search"),
    Eq("year", 2013.0),
    Eq("even", value=True),
    Eq("labels", "odd"),
    In("year", (2011, 2013, 2019, "2014")),
    In("topic", ()),
    Range("year", gte=2012, lt=2016),
    And(Eq("topic", "life"), Range("year", gt=2014)),
    Or(Eq("year", 2010), Eq("topic", "search")),
    Not(Eq("topic", "search")),
    Not(Eq("year", 2013)),
    Not(In("labels", ("odd", 3))),
    Not(Range("year", gte=2012)),
    Not(And(Eq("topic", "search"), Not(Eq("year", 2013)))),
    Eq("absent", "x"),
    Not(Eq("absent", "x")),
    Eq("dotted.name", "x"),
]
_names = itertools.count()


def faiss_of(embeddings):
    pytest.importorskip("faiss")
    with warnings.catch_warnings():  # that the package is no longer maintained is known
        warnings.simplefilter("ignore", DeprecationWarning)
        community = pytest.importorskip("langchain_community.vectorstores.faiss")
    import faiss
    from langchain_community.docstore.in_memory import InMemoryDocstore

    index = faiss.IndexFlatL2(len(embeddings.embed_query("a")))
    return community.FAISS(embeddings, index, InMemoryDocstore(), {})


def qdrant_of(embeddings):
    qdrant = pytest.importorskip("langchain_qdrant")
    client = pytest.importorskip("qdrant_client").QdrantClient(":memory:")
    from qdrant_client import models

    size = len(embeddings.embed_query("a"))
    how = models.VectorParams(size=size, distance=models.Distance.COSINE)
    client.create_collection("documents", vectors_config=how)
    return qdrant.QdrantVectorStore(client, "documents", embeddings)


def chroma_of(embeddings, client):
    chroma = pytest.importorskip("langchain_chroma")
    return chroma.Chroma(f"stores-{next(_names)}", embeddings, client=client)


@pytest.fixture(params=STORES)
def empty(request, embeddings):
    """An empty store of each kind."""
    if request.param == "memory":
        return InMemoryVectorStore(embeddings)
    if request.param == "faiss":
        return faiss_of(embeddings)
    if request.param == "qdrant":
        return qdrant_of(embeddings)
    if request.param == "chroma":
        return chroma_of(embeddings, request.getfixturevalue("chroma_client"))
    return chroma_of(embeddings, request.getfixturevalue("chroma_http"))


@pytest.fixture
def named(documents):
    """The documents under ids that every store takes, with more to filter by."""
    return [
        one.model_copy(
            update={
                "id": str(uuid.uuid5(uuid.NAMESPACE_DNS, one.id)),
                "metadata": {
                    **one.metadata,
                    "even": index % 2 == 0,
                    "labels": _labels("even" if index % 2 == 0 else "odd"),
                    "dotted.name": "x" if index == 3 else "y",
                },
            }
        )
        for index, one in enumerate(documents)
    ]


@pytest.fixture
def filled(empty, named):
    empty.add_documents(named, ids=[one.id for one in named])
    return empty


def _labels(own):
    """Return a list, or one label if this chromadb cannot store lists."""
    from runoff.recall._stores.chroma_where import knows_lists

    pytest.importorskip("chromadb")
    return [own, "all"] if knows_lists() else own


def ids(documents):
    return {one.id or one.metadata["_id"] for one in documents}


def test_recall_is_widened_and_reranked(filled, named, overlap):
    """Every store is asked for as many as the depth, and the second stage decides."""
    results = two_stage(
        filled.as_retriever(search_kwargs={"k": 1}), reranker=overlap, top_n=3
    ).invoke(QUESTION)
    assert overlap.calls == [10]
    assert len(results) == 3
    assert results[0].page_content == named[1].page_content
    assert [one.metadata["relevance_score"] for one in results] == sorted(
        (one.metadata["relevance_score"] for one in results), reverse=True
    )


async def test_awaited_it_is_the_same(filled, overlap):
    """The asynchronous answer is the synchronous one."""
    stage = two_stage(filled, reranker=overlap, top_n=4)
    assert [one.page_content for one in await stage.ainvoke(QUESTION)] == [
        one.page_content for one in stage.invoke(QUESTION)
    ]


def test_scores_of_the_first_stage_are_the_stores(filled):
    """Distances and similarities are told apart: higher is better, and they are not 1/rank."""
    results = two_stage(filled, reranker=None, top_n=10).invoke(QUESTION)
    (source,) = provenance(results[0])["sources"]
    scores = [provenance(one)["sources"][source]["score"] for one in results]
    assert scores == sorted(scores, reverse=True)
    assert scores[1] != pytest.approx(1 / 2)
    theirs = [score for _, score in filled.similarity_search_with_score(QUESTION, k=10)]
    assert [abs(score) for score in scores] == pytest.approx([abs(one) for one in theirs], abs=1e-4)


def test_ids_are_kept(filled, named, overlap):
    """A result has the id that it has in its store."""
    results = two_stage(filled, reranker=overlap, top_n=10).invoke(QUESTION)
    assert ids(results) == {one.id for one in named}
    assert {provenance(one)["doc_id"] for one in results} == {one.id for one in named}


@pytest.mark.parametrize("wanted", FILTERS, ids=repr)
def test_filters_are_honoured_exactly(filled, named, overlap, wanted):
    """All documents that pass are returned, and no others."""
    results = two_stage(filled, reranker=overlap, top_n=10).invoke(QUESTION, filter=wanted)
    assert ids(results) == {one.id for one in named if wanted.matches(one.metadata)}


@pytest.mark.parametrize("wanted", [Not(Range("year", gte=2012)), Range("year", gte=2017)])
def test_a_narrow_depth_is_filled_with_what_passes(filled, overlap, wanted):
    """A store that applies a filter roughly is asked again until the depth is full."""
    retriever = TwoStageRetriever(retriever=filled, reranker=overlap, k=2, depth=2)
    assert len(retriever.invoke(QUESTION, filter=wanted)) == 2


def test_filters_of_store_and_request_add_up(empty, named, overlap):
    """The retriever's own filter holds in addition to the request's."""
    empty.add_documents(named, ids=[one.id for one in named])
    kind = type(empty).__name__
    if kind == "QdrantVectorStore":
        from qdrant_client import models

        search = models.FieldCondition(
            key="metadata.topic", match=models.MatchValue(value="search")
        )
        own = models.Filter(must=[search])
    elif kind == "InMemoryVectorStore":
        own = lambda one: one.metadata["topic"] == "search"  # noqa: E731
    else:
        own = {"topic": "search"}
    retriever = empty.as_retriever(search_kwargs={"filter": own})
    results = two_stage(retriever, reranker=overlap, top_n=10).invoke(
        QUESTION, filter=Range("year", gte=2013)
    )
    assert {one.metadata["year"] for one in results} == {2013, 2014, 2018}


def test_a_hybrid_lists_what_the_store_holds(filled, named, overlap):
    """BM25 is made of what the store lists, under its ids."""
    hybrid = HybridRetriever.from_vectorstore(filled, reranker=overlap, k=10)
    results = hybrid.invoke(QUESTION)
    assert ids(results) == {one.id for one in named}
    assert set(provenance(results[0])["sources"]) == {"bm25", "dense"}
    filtered = hybrid.invoke(QUESTION, filter=Eq("topic", "search"))
    assert {one.metadata["topic"] for one in filtered} == {"search"}


def test_a_hybrid_adds_and_deletes_in_both(empty, named, overlap):
    """Documents are added to and deleted from store and BM25, sync and async."""
    hybrid = HybridRetriever.from_vectorstore(empty, [], reranker=overlap, k=10)
    assert hybrid.add_documents(named[:6]) == [one.id for one in named[:6]]
    assert ids(hybrid.invoke(QUESTION)) == {one.id for one in named[:6]}
    assert hybrid.delete([named[0].id])["num_deleted"] == 1
    assert ids(hybrid.invoke(QUESTION)) == {one.id for one in named[1:6]}


def test_a_store_that_lists_nothing_says_what_to_pass(documents):
    """A store of another kind needs its documents passed in."""

    class Foreign(VectorStore):
        def similarity_search(self, query, k=4, **kwargs):
            return documents[:k]

        @classmethod
        def from_texts(cls, texts, embedding, metadatas=None, **kwargs):
            return cls()

    with pytest.raises(InvalidArgument, match="Foreign cannot list its documents: pass doc"):
        HybridRetriever.from_vectorstore(Foreign())
    assert not store_kwargs(Foreign(), {}, Eq("a", 1), None, "dense").pushed


def test_a_lone_hit_keeps_its_direction(filled):
    """A single hit has no order: the store's own function says whether its score is a distance."""
    told = [
        provenance(
            TwoStageRetriever(retriever=filled, reranker=None, depth=depth, k=1).invoke(QUESTION)[0]
        )["sources"]["dense"]["score"]
        for depth in (1, 10)
    ]
    assert told[0] == pytest.approx(told[1], abs=1e-6)


def test_fusion_by_score_prefers_the_nearest(filled, named):
    """Convex fusion, which reads scores, puts the nearest first over distances too."""
    fusion = Convex({"bm25": 0.0, "dense": 1.0})
    hybrid = HybridRetriever.from_vectorstore(filled, reranker=None, fusion=fusion, k=10)
    assert provenance(hybrid.invoke(QUESTION)[0])["doc_id"] == named[1].id


async def test_add_replace_and_delete_reach_both(filled):
    """A document is added, replaced under its id and deleted, in words and vectors."""
    hybrid = HybridRetriever.from_vectorstore(filled, reranker=None, k=20)
    (new,) = hybrid.add_documents([Document("Zebras graze at night")])
    assert set(provenance(hybrid.invoke("zebras graze", k=1)[0])["sources"]) == {"bm25", "dense"}
    assert await hybrid.aadd_documents([Document("Zebras sleep by day", id=new)]) == [new]
    found = [one.page_content for one in hybrid.invoke("zebras sleep")]
    assert found[0] == "Zebras sleep by day"
    assert "Zebras graze at night" not in found
    assert hybrid.delete([new, "unknown"])["num_deleted"] == 1
    assert (await hybrid.adelete([new]))["num_deleted"] == 0
    assert not any("Zebras" in one.page_content for one in hybrid.invoke("zebras"))


def test_qdrant_lists_more_than_a_page(embeddings):
    """A collection of more points than one page has is read to its end."""
    store = qdrant_of(embeddings)
    store.add_documents([Document(f"number {number}") for number in range(1005)])
    assert len(HybridRetriever.from_vectorstore(store, reranker=None).bm25) == 1005


def test_qdrants_numbers_are_ids_too(embeddings):
    """Points under whole numbers keep them, and are deleted by them."""
    store = qdrant_of(embeddings)
    store.add_texts(["Zebras graze", "Otters sleep"], ids=[7, 8])
    hybrid = HybridRetriever.from_vectorstore(store, reranker=None)
    assert set(provenance(hybrid.invoke("zebras")[0])["sources"]) == {"bm25", "dense"}
    assert hybrid.delete(["7"])["num_deleted"] == 1
    assert [one.page_content for one in hybrid.invoke("zebras")] == ["Otters sleep"]


def test_ids_that_qdrant_refuses_are_named(embeddings):
    """An id that is not a UUID raises InvalidArgument before anything is written."""
    hybrid = HybridRetriever.from_vectorstore(qdrant_of(embeddings), reranker=None)
    with pytest.raises(InvalidArgument, match="UUID"):
        hybrid.add_documents([Document("Zebras", id="zebra")])
    assert len(hybrid.bm25) == 0


def test_one_form_of_a_uuid_in_both(embeddings):
    """A UUID without hyphens is added in the form in which Qdrant gives it back."""
    hybrid = HybridRetriever.from_vectorstore(qdrant_of(embeddings), reranker=None)
    given = uuid.uuid4()
    assert hybrid.add_documents([Document("Zebras", id=given.hex)]) == [str(given)]
    assert set(provenance(hybrid.invoke("zebras")[0])["sources"]) == {"bm25", "dense"}


async def test_qdrants_indexes_are_read_beside_the_loop(embeddings, monkeypatch):
    """A filter on a number asks the collection for its indexes, which blocks no event loop."""
    store, threads = qdrant_of(embeddings), []
    store.add_texts(["Zebras graze", "Otters sleep"], [{"n": 1}, {"n": 2}])
    read = store.client.get_collection
    seen = lambda name: threads.append(threading.current_thread()) or read(name)  # noqa: E731
    monkeypatch.setattr(store.client, "get_collection", seen)
    retriever = TwoStageRetriever(retriever=store, reranker=None)
    found = await retriever.ainvoke("zebras", filter=Eq("n", 2))
    assert [one.page_content for one in found] == ["Otters sleep"]
    assert threads
    assert threading.current_thread() not in threads
