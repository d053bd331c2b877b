"""Retrievers and engines of both frameworks, watched: the same answers, and both orders kept."""

import asyncio
import pickle

import pytest

pytest.importorskip("llama_index.core")
pytest.importorskip("langchain_core")
pytest.importorskip("pyarrow")

from langchain_core.documents import BaseDocumentCompressor
from langchain_core.documents import Document as LangChainDocument
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import ConfigurableField, RunnableLambda
from llama_index.core.base.base_retriever import BaseRetriever as LlamaIndexRetriever
from llama_index.core.llms.mock import MockLLM
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.response_synthesizers.no_text import NoText
from llama_index.core.schema import NodeWithScore, TextNode
from parts import Backwards

from runoff import langchain, llama_index
from runoff.errors import InvalidArgument
from runoff.live import Observations, watch
from runoff.live import _writer as writer

pytestmark = pytest.mark.filterwarnings("ignore:the recall of")
TEXTS = {"a": "green tea", "b": "black tea", "c": "white tea"}


def orders(path):
    """Return the fused and the final order of every observation."""
    assert writer.flush(path.absolute(), 20)
    return [
        ([one.doc_ids[at] for at in one.fused], [one.doc_ids[at] for at in one.reranked])
        for one in Observations(path)
    ]


class Fixed(BaseRetriever):
    """Finds the same three documents."""

    note: str = "mine"

    def _get_relevant_documents(self, query, *, run_manager):
        return [LangChainDocument(id=name, page_content=text) for name, text in TEXTS.items()]


class Reversing(BaseDocumentCompressor):
    """A compressor that is not runoff's: it drops the first and reverses the rest."""

    top_n: int = 5

    def compress_documents(self, documents, query, callbacks=None):
        return [*documents[:0:-1]]


class Compression(BaseRetriever):
    """As LangChain's `ContextualCompressionRetriever`, which has moved between its packages."""

    base_compressor: BaseDocumentCompressor
    base_retriever: BaseRetriever

    def _get_relevant_documents(self, query, *, run_manager):
        return self.base_compressor.compress_documents(self.base_retriever.invoke(query), query)


def lc_staged(**options):
    return langchain.TwoStageRetriever(Fixed(), reranker=Backwards(), top_n=2, **options)


LANGCHAIN = {
    "ours": (lc_staged, (["a", "b", "c"], ["c", "b", "a"])),
    "bound": (lambda: lc_staged().bind(top_n=1), (["a", "b", "c"], ["c", "b", "a"])),
    "foreign": (Fixed, (["a", "b", "c"], ["a", "b", "c"])),
    "compressing": (
        lambda: Compression(
            base_compressor=langchain.RunoffRerank(reranker=Backwards(), top_n=2),
            base_retriever=Fixed(),
        ),
        (["a", "b", "c"], ["c", "b", "a"]),
    ),
    "foreign compressor": (
        lambda: Compression(base_compressor=Reversing(), base_retriever=Fixed()),
        (["a", "b", "c"], ["c", "b"]),
    ),
}


@pytest.mark.parametrize("name", LANGCHAIN)
class TestLangChain:
    def test_same_answers_and_both_orders(self, tmp_path, name):
        """Invoked and awaited, it answers as the original; both orders are kept each time."""
        make, expected = LANGCHAIN[name]
        plain = make()
        watched = watch(plain, tmp_path / "kept", 1.0)
        assert watched.invoke("tea") == plain.invoke("tea")
        assert asyncio.run(watched.ainvoke("tea")) == asyncio.run(plain.ainvoke("tea"))
        assert (watched | RunnableLambda(len)).invoke("tea") == len(plain.invoke("tea"))
        assert orders(tmp_path / "kept") == [expected] * 3

    def test_a_pickle_is_watched(self, tmp_path, name):
        """A copy through pickle tells the same directory."""
        watched = watch(LANGCHAIN[name][0](), tmp_path / "kept", 1.0)
        pickle.loads(pickle.dumps(watched)).invoke("tea")
        assert len(orders(tmp_path / "kept")) == 1


def test_attributes_of_langchains_pass_through(tmp_path):
    """Ours stays of its type; another retriever's own attributes are there."""
    assert type(watch(lc_staged(), tmp_path / "a")) is langchain.TwoStageRetriever
    assert watch(Fixed(note="here"), tmp_path / "b").note == "here"


def test_configured_fields_are_watched(tmp_path):
    """LangChain rebuilds a configured retriever at each call; its observer goes along."""
    made = lc_staged().configurable_fields(top_n=ConfigurableField(id="n"))
    watched = watch(made, tmp_path / "kept", 1.0)
    assert len(watched.with_config(configurable={"n": 1}).invoke("tea")) == 1
    assert len(orders(tmp_path / "kept")) == 1


def test_a_chain_is_refused(tmp_path):
    """What is no retriever is refused, with what to watch instead."""
    with pytest.raises(InvalidArgument, match="watch the one inside"):
        watch(lc_staged() | RunnableLambda(len), tmp_path / "kept")


class FixedNodes(LlamaIndexRetriever):
    """Finds the same three nodes."""

    note = "mine"

    def _retrieve(self, query_bundle):
        return [
            NodeWithScore(node=TextNode(id_=name, text=text), score=1.0 - at / 10)
            for at, (name, text) in enumerate(TEXTS.items())
        ]


class ReversingNodes(BaseNodePostprocessor):
    """A postprocessor that is not runoff's: it drops the first and reverses the rest."""

    def _postprocess_nodes(self, nodes, query_bundle=None):
        return [*nodes[:0:-1]]


def li_staged():
    return llama_index.TwoStageRetriever(FixedNodes(), reranker=Backwards(), top_n=2)


def engine(retriever, *after):
    made = NoText(llm=MockLLM())
    return RetrieverQueryEngine(retriever, made, node_postprocessors=list(after))


LLAMA_INDEX = {
    "ours": (lambda: engine(li_staged()), (["a", "b", "c"], ["c", "b", "a"])),
    "foreign": (lambda: engine(FixedNodes()), (["a", "b", "c"], ["a", "b", "c"])),
    "reranking": (
        lambda: engine(FixedNodes(), llama_index.RunoffRerank(reranker=Backwards(), top_n=2)),
        (["a", "b", "c"], ["c", "b", "a"]),
    ),
    "foreign reranking": (
        lambda: engine(FixedNodes(), ReversingNodes()),
        (["a", "b", "c"], ["c", "b"]),
    ),
}


def shown(response):
    return [(one.node_id, one.score, one.node.metadata) for one in response.source_nodes]


@pytest.mark.parametrize("name", LLAMA_INDEX)
def test_engines_answer_the_same(tmp_path, name):
    """An engine, asked or awaited, answers as the original; both orders are kept each time."""
    make, expected = LLAMA_INDEX[name]
    plain = make()
    watched = watch(plain, tmp_path / "kept", 1.0)
    assert isinstance(watched, type(plain))
    assert shown(watched.query("tea")) == shown(plain.query("tea"))
    assert shown(asyncio.run(watched.aquery("tea"))) == shown(asyncio.run(plain.aquery("tea")))
    assert orders(tmp_path / "kept") == [expected] * 2


@pytest.mark.parametrize("make", [li_staged, FixedNodes])
def test_retrievers_answer_the_same(tmp_path, make):
    """A retriever of LlamaIndex answers as the original, and through a pickle."""
    plain = make()
    watched = watch(plain, tmp_path / "kept", 1.0)
    copy = pickle.loads(pickle.dumps(watched))
    expected = [(one.node_id, one.score) for one in plain.retrieve("tea")]
    for one in (watched, copy):
        assert [(it.node_id, it.score) for it in one.retrieve("tea")] == expected
    assert [(it.node_id, it.score) for it in asyncio.run(watched.aretrieve("tea"))] == expected
    assert len(orders(tmp_path / "kept")) == 3


def test_attributes_of_llama_indexes_pass_through(tmp_path):
    """Ours stays of its type, through `replace` too; another's own attributes are there."""
    watched = watch(li_staged(), tmp_path / "a", 1.0)
    assert type(watched) is llama_index.TwoStageRetriever
    watched.replace(top_n=1).retrieve("tea")
    assert len(orders(tmp_path / "a")) == 1
    assert watch(FixedNodes(), tmp_path / "b").note == "mine"
