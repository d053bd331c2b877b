"""An option that is assigned is checked as the constructor checks it, in both frameworks."""

import copy
import pickle

import pytest

pytest.importorskip("llama_index.core")
pytest.importorskip("langchain_core")

from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.runnables import RunnableLambda
from langchain_core.vectorstores import InMemoryVectorStore

from runoff import langchain, llama_index
from runoff.errors import InvalidArgument
from runoff.recall import BM25
from runoff.rerank import Fallback, Pointwise
from runoff.scores import PairScores

SHARED = {
    "top_n": -1,
    "window": 0,
    "timeout": -1,
    "on_error": "ignore",
    "threshold": 0.5,
    "blend": 2,
    "text_template": "{",
    "group": 3,
    "provenance": "maybe",
    "observer": 3,
    "reranker": object(),
}
OF_RETRIEVERS = {"depth": 0, "fusion": "rrf", "filters": 3, "id_of": 3, "on_blank": "ask"}
OF_LANGCHAIN = {**OF_RETRIEVERS, "k": -1, "filter": {"$gt": 3}, "translate_filter": 3, "tags": 3}
WRONG = {
    "langchain RunoffRerank": SHARED,
    "langchain TwoStageRetriever": {**SHARED, **OF_LANGCHAIN, "retriever": 3, "id_key": 3},
    "langchain HybridRetriever": {
        **SHARED,
        **OF_LANGCHAIN,
        "bm25": 3,
        "vectorstore": 3,
        "search_kwargs": {"filter": {"year": 2020}},
        "search_type": "nearest",
        "refresh": "now",
    },
    "llama_index RunoffRerank": {**SHARED, "metadata_mode": "some"},
    "llama_index TwoStageRetriever": {**SHARED, **OF_RETRIEVERS},
    "llama_index RunoffEmbedding": {"model_name": "", "late": 3},
}


class Lengths:
    """Scores a pair by the length of its document."""

    def score(self, pairs, *, deadline=None):
        return PairScores([len(text) for _, text in pairs])


@pytest.fixture
def store():
    """One document in a vector store."""
    store = InMemoryVectorStore(DeterministicFakeEmbedding(size=8))
    store.add_documents([Document(id="a", page_content="oil")])
    return store


def make(name, store):
    """Return one of runoff's parts, with its defaults but for the reranker."""
    stage = Pointwise(Lengths())
    bm25 = BM25([("a", "oil")])
    return {
        "langchain RunoffRerank": lambda: langchain.RunoffRerank(reranker=stage),
        "langchain TwoStageRetriever": lambda: langchain.TwoStageRetriever(store, reranker=stage),
        "langchain HybridRetriever": lambda: langchain.HybridRetriever.from_vectorstore(
            store, reranker=stage
        ),
        "llama_index RunoffRerank": lambda: llama_index.RunoffRerank(reranker=stage),
        "llama_index TwoStageRetriever": lambda: llama_index.TwoStageRetriever(
            bm25, reranker=stage
        ),
        "llama_index RunoffEmbedding": llama_index.RunoffEmbedding,
    }[name]()


@pytest.mark.parametrize(
    ("name", "option"), [(name, option) for name, options in WRONG.items() for option in options]
)
def test_a_wrong_value_is_refused_and_changes_nothing(name, option, store):
    """What the constructor would refuse is refused by name, and the part is as it was."""
    part = make(name, store)
    before = repr(part), getattr(part, option, None)
    with pytest.raises(InvalidArgument) as caught:
        setattr(part, option, WRONG[name][option])
    said = {"k": "top_n", "filters": "filter", "model_name": "model"}
    assert caught.value.argument.partition("[")[0] in {option, said.get(option)}
    assert (repr(part), getattr(part, option, None)) == before


@pytest.mark.parametrize("name", [name for name in WRONG if "Embedding" not in name])
def test_a_right_value_takes_effect(name, store):
    """What the constructor takes is taken, by LangChain's other name too, and kept by a pickle."""
    part = make(name, store)
    part.top_n, part.timeout = 3, 1
    assert (part.top_n, part.timeout) == (3, 1.0)
    if "langchain" in name and "Retriever" in name:
        part.k = 2
        assert part.top_n == 2
    if name == "llama_index TwoStageRetriever":
        other = copy.copy(part)
        other.top_n = 4
        assert (part.top_n, other.replace(window=9).top_n) == (3, 4)
        assert pickle.loads(pickle.dumps(other)).top_n == 4


@pytest.mark.parametrize("adapter", [langchain, llama_index])
def test_options_that_exclude_each_other_are_refused(adapter):
    """A blend is refused beside a reranker that brings its own order, and the reverse."""
    listwise = Fallback([Pointwise(Lengths())])
    part = adapter.RunoffRerank(reranker=listwise)
    with pytest.raises(InvalidArgument, match="blend"):
        part.blend = 0.5
    part.reranker = Pointwise(Lengths())
    part.blend = 0.5
    with pytest.raises(InvalidArgument, match="blend"):
        part.reranker = listwise
    assert isinstance(part.reranker, Pointwise)


def test_fixed_retriever_that_is_assigned_is_warned_of_once(store):
    """The warning names the caller's line, and comes with the depth or the retriever alone."""
    part = make("langchain TwoStageRetriever", store)
    with pytest.warns(UserWarning, match="cannot be widened to 100") as seen:
        part.retriever = RunnableLambda(lambda _: [])
    part.top_n = 3
    assert [one.filename for one in seen] == [__file__]


def test_hybrid_retriever_asks_its_store_only_when_the_store_changes(store, caplog):
    """Assigning `top_n` looks nothing up; another store is checked against BM25's ids."""
    part = make("langchain HybridRetriever", store)
    part.top_n = 3
    assert not caplog.records
    other = InMemoryVectorStore(DeterministicFakeEmbedding(size=8))
    part.vectorstore = other
    assert "are not in the store" in caplog.text


def test_another_model_of_an_embedding_takes_effect():
    """`model_name` names the model that embeds, also after it was assigned."""
    part = llama_index.RunoffEmbedding()
    part.model_name = "some/other"
    assert part._embedder.model == "some/other"
