"""Retrievers of both frameworks are pickled, copied, and written as JSON."""

import copy
import json
import pickle
import threading

import pytest

pytest.importorskip("llama_index.core")
pytest.importorskip("langchain_core")

from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.vectorstores import InMemoryVectorStore
from llama_index.core import MockEmbedding, VectorStoreIndex
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import TextNode

from runoff import langchain, llama_index
from runoff.filters import Eq
from runoff.recall import BM25
from runoff.rerank import CohereRerank, CrossEncoder

TEXTS = ["green tea", "black tea and bread", "bread"]
AGAIN = [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))]


def lang_hybrid(**options):
    documents = [
        Document(text, id=f"{n}", metadata={"n": n, "tags": ["x"]}) for n, text in enumerate(TEXTS)
    ]
    embedding = DeterministicFakeEmbedding(size=8)
    return langchain.HybridRetriever.from_documents(documents, embedding, **options)


def lang_staged(**options):
    return langchain.TwoStageRetriever(BM25(TEXTS), **options)


def llama_hybrid(**options):
    nodes = [TextNode(id_=f"{n}", text=text, metadata={"n": n}) for n, text in enumerate(TEXTS)]
    return llama_index.HybridRetriever.from_defaults(
        nodes=nodes, embed_model=MockEmbedding(embed_dim=8), **options
    )


def llama_staged(**options):
    return llama_index.TwoStageRetriever(BM25(TEXTS), **options)


def ids(retriever):
    if isinstance(retriever, langchain.TwoStageRetriever | langchain.HybridRetriever):
        return [one.page_content for one in retriever.invoke("green bread")]
    return [one.text for one in retriever.retrieve("green bread")]


@pytest.mark.parametrize("again", AGAIN)
@pytest.mark.parametrize("make", [lang_hybrid, lang_staged, llama_hybrid, llama_staged])
def test_a_copy_answers_alike(make, again):
    """A pickled or deeply copied retriever has the same options and the same answers."""
    retriever = make(top_n=2, reranker=None, filters=None)
    other = again(retriever)
    assert type(other) is type(retriever)
    assert repr(other) == repr(retriever)
    assert ids(other) == ids(retriever)
    assert len(ids(other)) == 2


@pytest.mark.parametrize("make", [lang_hybrid, lang_staged, llama_hybrid, llama_staged])
def test_the_default_second_stage_is_pickled(make):
    """A retriever with the default second stage is pickled, as configuration and not as a model."""
    retriever = make()
    ids(retriever)
    pickled = pickle.dumps(retriever)
    assert len(pickled) < 50_000  # the model has 20 million bytes
    assert ids(pickle.loads(pickled)) == ids(retriever)


def test_callbacks_are_not_pickled():
    """Neither what a process has traced nor a handler with a lock is in a pickle of the index."""

    class Locked(TokenCountingHandler):
        def __init__(self):
            super().__init__(tokenizer=str.split)
            self.lock = threading.Lock()

    manager = CallbackManager([Locked()])
    index = VectorStoreIndex(
        [TextNode(id_=text, text=text) for text in TEXTS],
        embed_model=MockEmbedding(embed_dim=8, callback_manager=manager),
        callback_manager=manager,
        transformations=[SentenceSplitter(callback_manager=manager)],
    )
    retriever = llama_index.HybridRetriever.from_defaults(index=index, reranker=None)
    manager._trace_map["root"] += [f"event {number}" for number in range(10_000)]
    pickled = pickle.dumps(retriever)
    assert len(pickled) < 50_000
    for other in (pickle.loads(pickled), copy.deepcopy(retriever)):
        assert ids(other) == ids(retriever)
    assert index._embed_model.callback_manager is manager
    assert index._transformations[0].callback_manager is manager


@pytest.mark.parametrize("make", [lang_hybrid, lang_staged])
def test_json_does_not_raise_and_has_no_key(make):
    """`model_dump_json()` writes plain options, and of objects the class alone."""
    secret = "sk-planted"
    retriever = make(reranker=CohereRerank(api_key=secret), filters=Eq("n", 1), top_n=3)
    written = retriever.model_dump_json()
    assert secret not in written
    read = json.loads(written)
    assert read["top_n"] == 3
    assert read["filters"] == "Eq"
    assert retriever.model_dump()["top_n"] == 3


def test_a_compressor_is_written_as_json():
    """The second stage alone is written as JSON, too."""
    written = json.loads(langchain.RunoffRerank(reranker=CrossEncoder()).model_dump_json())
    assert written["window"] == 50
    assert written["reranker"] == "Pointwise"


def test_a_retriever_over_a_store_is_written_as_json():
    """A vector store in it is written as its class."""
    store = InMemoryVectorStore(DeterministicFakeEmbedding(size=8))
    read = json.loads(langchain.two_stage(store, reranker=None).model_dump_json())
    assert read["retriever"] == "VectorStoreRetriever"
