"""Unknown options are refused by name, in both frameworks."""

import pytest

pytest.importorskip("llama_index.core")
pytest.importorskip("langchain_core")

from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.vectorstores import InMemoryVectorStore
from llama_index.core import MockEmbedding, VectorStoreIndex
from llama_index.core.llms import MockLLM
from llama_index.core.schema import TextNode

from runoff import langchain, llama_index
from runoff.errors import InvalidArgument
from runoff.filters import Eq
from runoff.recall import BM25

TENANTS = {f"{tenant}{number}": tenant for tenant in "ab" for number in range(4)}


@pytest.fixture
def store():
    """Documents of two tenants in one vector store."""
    store = InMemoryVectorStore(DeterministicFakeEmbedding(size=8))
    store.add_documents(
        [
            Document(id=doc_id, page_content=f"oil {doc_id}", metadata={"tenant": tenant})
            for doc_id, tenant in TENANTS.items()
        ]
    )
    return store


@pytest.fixture
def index():
    """Nodes of two tenants in one index."""
    nodes = [
        TextNode(id_=doc_id, text=f"oil {doc_id}", metadata={"tenant": tenant})
        for doc_id, tenant in TENANTS.items()
    ]
    return VectorStoreIndex(nodes, embed_model=MockEmbedding(8))


def targets(store, index):
    """Return every way to make one of ours, for options that no framework binds."""
    bm25 = BM25([("a", "oil")])
    engine = index.as_query_engine(llm=MockLLM())
    return {
        "langchain RunoffRerank": langchain.RunoffRerank,
        "langchain TwoStageRetriever": lambda **how: langchain.TwoStageRetriever(store, **how),
        "langchain from_vectorstore": lambda **how: langchain.HybridRetriever.from_vectorstore(
            store, **how
        ),
        "langchain two_stage": lambda **how: langchain.two_stage(store, **how),
        "llama_index RunoffRerank": llama_index.RunoffRerank,
        "llama_index TwoStageRetriever": lambda **how: llama_index.TwoStageRetriever(bm25, **how),
        "llama_index HybridRetriever": lambda **how: llama_index.HybridRetriever(
            index, bm25, **how
        ),
        "llama_index from_defaults": lambda **how: llama_index.HybridRetriever.from_defaults(
            index=index, **how
        ),
        "llama_index two_stage": lambda **how: llama_index.two_stage(index, **how),
        "llama_index two_stage engine": lambda **how: llama_index.two_stage(engine, **how),
    }


@pytest.mark.parametrize(
    ("option", "value", "right"),
    [
        ("top_k", 3, "top_n"),
        ("similarity_top_k", 3, "top_n"),
        ("topn", 3, "top_n"),
        ("model", "cross-encoder/ms-marco-MiniLM-L-6-v2", "reranker"),
        ("timeout_s", 0.01, "timeout (in seconds)"),
        ("on_errors", "raise", "on_error"),
    ],
)
def test_an_unknown_option_is_refused(store, index, option, value, right):
    """The error names the unknown option and the one that was meant, wherever it is given."""
    for name, make in targets(store, index).items():
        with pytest.raises(InvalidArgument) as caught:
            make(**{option: value})
        assert caught.value.argument == option, name
        assert f"has no such option; did you mean {right}?" in str(caught.value), name


def test_search_kwargs_name_the_way_that_works(store):
    """A filter in `search_kwargs=` is refused with the remedy."""
    for make in (langchain.two_stage, langchain.TwoStageRetriever):
        with pytest.raises(InvalidArgument, match=r"as_retriever\(search_kwargs=.*pass filters="):
            make(store, search_kwargs={"filter": {"tenant": "a"}})


def test_weights_name_the_fusion(store, index):
    """For `weights=` the error names `fusion=`."""
    for make in (
        lambda **how: langchain.TwoStageRetriever(store, **how),
        lambda **how: llama_index.TwoStageRetriever(index.as_retriever(), **how),
    ):
        with pytest.raises(InvalidArgument, match=r"did you mean fusion, as in fusion=RRF\("):
            make(weights=[0.5, 0.5])


def test_an_option_of_retrievers_is_explained_to_a_reranker():
    """A reranker says where depth, fusion and filters belong."""
    for face in (langchain, llama_index):
        with pytest.raises(InvalidArgument, match="a reranker reads what the retriever found"):
            face.RunoffRerank(filters=Eq("tenant", "a"))


@pytest.mark.parametrize("face", [langchain, llama_index], ids=lambda face: face.__name__)
def test_a_reranker_without_a_name(face):
    """For a model without a name the error shows how to pass it by name."""
    with pytest.raises(InvalidArgument, match=r"takes options by name: RunoffRerank\(reranker="):
        face.RunoffRerank("cross-encoder/ms-marco-MiniLM-L-6-v2")


def test_a_hybrid_of_an_index_alone(store, index):
    """The constructor names the classmethod that makes the other half."""
    with pytest.raises(InvalidArgument, match=r"^bm25=.*from_defaults\(index=index\)"):
        llama_index.HybridRetriever(index)
    with pytest.raises(InvalidArgument, match=r"from_defaults\(index=index\)"):
        llama_index.HybridRetriever.from_defaults(index)
    with pytest.raises(InvalidArgument, match=r"from_vectorstore\(store\)"):
        langchain.HybridRetriever(store)
    with pytest.raises(InvalidArgument, match=r"^bm25=.*from_vectorstore\(store\)"):
        langchain.HybridRetriever(vectorstore=store)
    with pytest.raises(InvalidArgument, match=r"^vectorstore=None: is required"):
        langchain.HybridRetriever(bm25=BM25())


def test_an_unknown_argument_of_a_call_is_refused(store):
    """A LangChain retriever's call refuses what it does not know, and two names that disagree."""
    retriever = langchain.two_stage(store, reranker=None)
    with pytest.raises(InvalidArgument, match=r"top_k=3: .*did you mean top_n"):
        retriever.invoke("oil", top_k=3)
    with pytest.raises(InvalidArgument, match="top_n"):
        langchain.TwoStageRetriever(store, reranker=None, k=1, top_n=2)


@pytest.mark.parametrize("name", ["filter", "filters"])
@pytest.mark.parametrize(
    "way", ["two_stage", "TwoStageRetriever", "from_vectorstore", "configured"]
)
def test_a_filter_holds_in_both_halves(store, name, way):
    """A LangChain retriever applies a constructor's filter to words and vectors, for each call."""
    from langchain_core.runnables import ConfigurableField

    wanted = {name: {"tenant": "a"}}
    hybrid = langchain.HybridRetriever.from_vectorstore
    config = None
    if way == "two_stage":
        retriever = langchain.two_stage(hybrid(store, reranker=None), top_n=9, **wanted)
    elif way == "TwoStageRetriever":
        retriever = langchain.TwoStageRetriever(store, reranker=None, k=9, **wanted)
    elif way == "from_vectorstore":
        retriever = hybrid(store, reranker=None, k=9, **wanted)
    else:
        retriever = hybrid(store, reranker=None, k=9).configurable_fields(
            **{name: ConfigurableField(id="wanted")}
        )
        config = {"configurable": {"wanted": {"tenant": "a"}}}
    found = retriever.invoke("oil", config)
    assert [one.metadata["tenant"] for one in found] == ["a"] * 4
    assert retriever.invoke("oil", config, filter={"tenant": "b"}) == []


def test_a_bound_filter_holds_inside_another_retriever(store):
    """What a filter was bound to stays bound: a call's filter comes on top."""
    bound = langchain.HybridRetriever.from_vectorstore(store, reranker=None).bind(
        filter={"tenant": "a"}
    )
    outer = langchain.two_stage(bound, top_n=9, reranker=None)
    assert {one.metadata["tenant"] for one in outer.invoke("oil")} == {"a"}
    assert outer.invoke("oil", filter={"tenant": "b"}) == []


def test_a_filter_of_the_vector_half_alone_is_refused(store):
    """A hybrid's `search_kwargs` take no filter: BM25 would not honour it."""
    with pytest.raises(
        InvalidArgument, match="only the vector store and not BM25: pass filters= instead"
    ):
        langchain.HybridRetriever.from_vectorstore(store, search_kwargs={"filter": {"tenant": "a"}})


def test_two_stage_adds_filters_to_those_there_are(store, index):
    """A second stage put behind a filtered retriever does not open it."""
    tenant, other = Eq("tenant", "a"), Eq("tenant", "b")
    ours = langchain.two_stage(store, reranker=None, filters=tenant)
    assert langchain.two_stage(ours, filters=other).invoke("oil") == []
    assert len(langchain.two_stage(ours, top_n=9).invoke("oil")) == 4
    theirs = llama_index.two_stage(index, reranker=None, filters=tenant)
    assert llama_index.two_stage(theirs, filters=other).retrieve("oil") == []
    assert len(llama_index.two_stage(theirs, top_n=9).retrieve("oil")) == 4


def test_filters_of_a_llama_index_retriever_hold(index):
    """The same option filters words and vectors in LlamaIndex."""
    for make in (
        llama_index.two_stage,
        lambda one, **how: llama_index.HybridRetriever.from_defaults(index=one, **how),
    ):
        retriever = make(index, top_n=9, reranker=None, filters=Eq("tenant", "a"))
        assert {one.metadata["tenant"] for one in retriever.retrieve("oil")} == {"a"}


def test_representations_are_short(store, index):
    """Retrievers and rerankers show in a line what they are made of, and no nested object."""
    made = [
        langchain.RunoffRerank(timeout=0.5),
        langchain.two_stage(store, filters={"tenant": "a"}),
        langchain.HybridRetriever.from_vectorstore(store),
        llama_index.RunoffRerank(timeout=0.5),
        llama_index.two_stage(index),
        llama_index.HybridRetriever.from_defaults(index=index),
    ]
    for one in made:
        assert len(repr(one)) < 160, repr(one)
        assert repr(one).startswith(f"{type(one).__name__}(")
        assert "runoff-late" in repr(one)
        assert "object at" not in repr(one)
        assert "\n" not in repr(one)
    assert repr(made[0]) == "RunoffRerank(reranker=runoff-late, timeout=0.5, top_n=5)"
    assert str(made[1]) == repr(made[1])
