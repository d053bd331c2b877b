"""Real stores: LlamaIndex's own, Chroma embedded and over HTTP, FAISS and Qdrant."""

import asyncio
import itertools
import threading
import uuid
import warnings

import pytest
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores.simple import SimpleVectorStore
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)

from runoff.errors import InvalidArgument
from runoff.filters import And, Eq, In, Not, Or, Range
from runoff.llama_index import FilteredQueryBundle, HybridRetriever, provenance, two_stage

QUERY = "sort dictionaries by value"
STORES = ["simple", "chroma", "chroma-http", "faiss-l2", "faiss-ip", "qdrant"]
FILTERS = [
    Eq("number", 3),
    Eq("parity", "even"),
    In("number", (1, 5, 7)),
    Range("number", gte=2, lt=6),
    Not(Eq("parity", "even")),
    Not(In("number", (0, 1, 2, 3))),
    Not(Range("number", gte=3)),
    And(Eq("parity", "even"), Or(Eq("number", 2), Range("number", gt=6))),
    Eq("absent", "x"),
    Not(Eq("absent", "x")),
    Eq("flag", value=True),
]
_names = itertools.count()


def chroma_of(client):
    stores = pytest.importorskip("llama_index.vector_stores.chroma")
    collection = client.create_collection(f"stores-{next(_names)}", embedding_function=None)
    return stores.ChromaVectorStore(chroma_collection=collection)


def make_store(kind, request):
    if kind == "simple":
        return SimpleVectorStore()
    if kind.startswith("faiss"):
        faiss = pytest.importorskip("faiss")
        stores = pytest.importorskip("llama_index.vector_stores.faiss")
        flat = faiss.IndexFlatL2 if kind == "faiss-l2" else faiss.IndexFlatIP
        return stores.FaissVectorStore(flat(128))
    if kind == "qdrant":
        client = pytest.importorskip("qdrant_client").QdrantClient(":memory:")
        stores = pytest.importorskip("llama_index.vector_stores.qdrant")
        return stores.QdrantVectorStore(f"stores-{next(_names)}", client=client)
    chromadb = pytest.importorskip("chromadb")
    settings = request.getfixturevalue("chroma_settings")
    if kind == "chroma":
        folder = request.getfixturevalue("tmp_path")
        return chroma_of(chromadb.PersistentClient(str(folder), settings()))
    return chroma_of(request.getfixturevalue("chroma_http"))


@pytest.fixture
def named(nodes):
    """The nodes under ids that every store takes, with more to filter by."""
    return [
        one.model_copy(
            update={
                "id_": str(uuid.uuid5(uuid.NAMESPACE_DNS, one.node_id)),
                "metadata": {"number": at, "parity": "odd" if at % 2 else "even", "flag": at == 4},
            }
        )
        for at, one in enumerate(nodes)
    ]


@pytest.fixture(params=STORES)
def kind(request):
    return request.param


@pytest.fixture
def index(kind, request, named, embed_model):
    """An index of the nodes over a store of each kind."""
    context = StorageContext.from_defaults(vector_store=make_store(kind, request))
    with warnings.catch_warnings():  # Qdrant's local mode has no payload indexes
        warnings.filterwarnings("ignore", "Payload indexes", UserWarning)
        return VectorStoreIndex(
            [one.model_copy() for one in named], storage_context=context, embed_model=embed_model
        )


def ids(found):
    return [one.node_id for one in found]


def test_recall_is_widened_and_reranked(index, named, overlap):
    """Every store is asked for as many as the depth, and the second stage decides."""
    scorer = overlap()
    came = two_stage(index.as_retriever(), reranker=scorer, top_n=3).retrieve(QUERY)
    assert len(scorer.read) == 10
    assert came[0].node.text == "sort dictionaries by value"
    assert [one.score for one in came] == sorted((one.score for one in came), reverse=True)


def test_awaited_it_is_the_same(index, overlap):
    """The asynchronous answer is the synchronous one."""
    stage = two_stage(index.as_retriever(), reranker=overlap(), top_n=4)
    assert ids(asyncio.run(stage.aretrieve(QUERY))) == ids(stage.retrieve(QUERY))


def test_scores_of_the_first_stage(index):
    """In provenance higher is better, and the node keeps the score its store gave."""
    theirs = index.as_retriever(similarity_top_k=10).retrieve(QUERY)
    came = two_stage(index.as_retriever(), reranker=None, top_n=10).retrieve(QUERY)
    assert [one.score for one in came] == pytest.approx([one.score for one in theirs])
    placed = [next(iter(provenance(one)["sources"].values()))["score"] for one in came]
    assert placed == sorted(placed, reverse=True)
    assert [abs(one) for one in placed] == pytest.approx([abs(one.score) for one in theirs])


@pytest.mark.parametrize("wanted", FILTERS, ids=repr)
def test_filters_are_honoured_exactly(index, named, overlap, wanted):
    """All nodes that pass are returned, and no others, in every store."""
    stage = two_stage(index.as_retriever(), reranker=overlap(), top_n=10)
    expected = sorted(one.node_id for one in named if wanted.matches(one.metadata))
    asked = FilteredQueryBundle(QUERY, filters=wanted)
    assert sorted(ids(stage.retrieve(asked))) == expected
    assert sorted(ids(asyncio.run(stage.aretrieve(asked)))) == expected


def test_a_narrow_depth_is_filled(index, overlap):
    """A store that does not filter is asked again until the depth is full."""
    stage = two_stage(index.as_retriever(), reranker=overlap(), depth=2, window=2, top_n=2)
    came = stage.retrieve(FilteredQueryBundle(QUERY, filters=Range("number", lt=3)))
    assert len(came) == 2


def test_a_hybrid_over_it(kind, index, named, overlap):
    """BM25 is built from the nodes of index and store; both sources honour the filters."""
    hybrid = HybridRetriever.from_defaults(index=index, reranker=overlap(), top_n=10)
    came = hybrid.retrieve(QUERY)
    assert sorted(ids(came)) == sorted(ids_of(named))
    assert set(provenance(came[0])["sources"]) == {"bm25", "dense"}
    theirs = MetadataFilters(
        filters=[
            MetadataFilter(key="number", value=[1, 2, 9], operator=FilterOperator.IN),
            MetadataFilter(key="parity", value="even"),
        ],
        condition=FilterCondition.AND,
    )
    came = hybrid.retrieve(FilteredQueryBundle(QUERY, filters=theirs))
    assert [one.metadata["number"] for one in came] == [2]
    assert set(provenance(came[0])["sources"]) == {"bm25", "dense"}


def ids_of(nodes):
    return [one.node_id for one in nodes]


def test_a_hybrid_adds_and_deletes(kind, index, named, overlap, embed_model):
    """Nodes are added to both; FAISS, which deletes nothing, says so and stays whole."""
    hybrid = HybridRetriever.from_defaults(index=index, reranker=overlap(), top_n=20)
    new = named[0].model_copy(update={"id_": str(uuid.uuid4()), "text": "sort a list of numbers"})
    hybrid.insert_nodes([new])
    assert new.node_id in ids(hybrid.retrieve("sort a list of numbers"))
    if kind.startswith("faiss"):
        with pytest.raises(NotImplementedError):
            hybrid.delete_nodes([new.node_id])
        assert new.node_id in ids(hybrid.retrieve("sort a list of numbers"))
        return
    assert hybrid.delete_nodes([new.node_id]) == 1
    assert new.node_id not in ids(hybrid.retrieve("sort a list of numbers"))


def test_a_retriever_of_several_passes_filters_on(index, overlap):
    """A retriever that combines others finds what the filter keeps, whatever its store takes."""
    from llama_index.core.retrievers import QueryFusionRetriever

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from llama_index.core.llms import MockLLM

        fusion = QueryFusionRetriever(
            [index.as_retriever()], llm=MockLLM(), num_queries=1, use_async=False
        )
    stage = two_stage(fusion, reranker=overlap())
    found = stage.retrieve(FilteredQueryBundle(QUERY, filters=Eq("number", 3)))
    assert [one.node.metadata["number"] for one in found] == [3]


@pytest.mark.parametrize("more", [{}, {"nodes": []}])
def test_a_store_without_text_says_what_to_pass(embed_model, request, more):
    """A store without text is refused without its index."""
    store = make_store("faiss-l2", request)
    with pytest.raises(InvalidArgument, match="vectors without text: pass the index"):
        HybridRetriever.from_defaults(vector_store=store, embed_model=embed_model, **more)


def test_an_empty_qdrant_store_is_a_beginning(embed_model):
    """A collection that does not exist yet counts as empty."""
    hybrid = HybridRetriever.from_defaults(
        vector_store=make_store("qdrant", None), embed_model=embed_model, reranker=None
    )
    assert len(hybrid.bm25) == 0
    hybrid.insert_nodes([TextNode(id_=str(uuid.uuid4()), text="zebras graze")])
    assert [one.text for one in hybrid.retrieve("zebras")] == ["zebras graze"]


class Awaited:
    """An asynchronous client over a synchronous one, whose collections it shares."""

    def __init__(self, client):
        self.client = client

    def __getattr__(self, name):
        async def call(*args, **options):
            return getattr(self.client, name)(*args, **options)

        return call


def test_qdrants_indexes_are_read_beside_the_loop(embed_model, named, monkeypatch):
    """A filter on a number asks the collection for its indexes, which blocks no event loop."""
    store, threads = make_store("qdrant", None), []
    context = StorageContext.from_defaults(vector_store=store)
    index = VectorStoreIndex(named, storage_context=context, embed_model=embed_model)
    store._aclient = Awaited(store.client)
    read = store.client.get_collection

    def seen(name):
        threads.append(threading.current_thread())
        return read(name)

    stage = two_stage(index.as_retriever(), reranker=None, top_n=10)
    monkeypatch.setattr(store.client, "get_collection", seen)
    asked = FilteredQueryBundle(QUERY, filters=Eq("number", 3))
    found = asyncio.run(stage.aretrieve(asked))
    assert [one.metadata["number"] for one in found] == [3]
    assert threads
    assert threading.current_thread() not in threads


@pytest.mark.slow("3 s: 10,001 nodes in Qdrant")
def test_qdrant_is_listed_to_its_end(embed_model):
    """All nodes are listed, also beyond the 9,999 that LlamaIndex lists by default."""
    store = make_store("qdrant", None)
    store.add(
        [
            TextNode(id_=str(uuid.UUID(int=n)), text=f"n{n}", embedding=[1.0, n])
            for n in range(10_001)
        ]
    )
    index = VectorStoreIndex.from_vector_store(store, embed_model=embed_model)
    assert len(HybridRetriever.from_defaults(index=index, reranker=None).bm25) == 10_001
