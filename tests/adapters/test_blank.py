"""A blank query, as an agent's model sometimes sends one, in both frameworks."""

import asyncio

import pytest

pytest.importorskip("llama_index.core")
pytest.importorskip("langchain_core")

from boundary import Lengths
from langchain_core.tools import create_retriever_tool
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from runoff import langchain, llama_index
from runoff.errors import InvalidArgument
from runoff.recall import BM25

SOURCE = BM25([("a", "one tea"), ("b", "two teas")])
FACES = {
    "langchain": lambda one, query: one.invoke(query),
    "llama_index": lambda one, query: one.retrieve(query),
}
AWAITED = {
    "langchain": lambda one, query: one.ainvoke(query),
    "llama_index": lambda one, query: one.aretrieve(query),
}
MAKE = {"langchain": langchain.TwoStageRetriever, "llama_index": llama_index.TwoStageRetriever}


@pytest.mark.parametrize("query", ["", " \n"])
@pytest.mark.parametrize("face", FACES)
def test_it_finds_nothing_and_says_so(face, query, caplog):
    """A blank query gets an empty list, and a warning says why, called and awaited."""
    retriever = MAKE[face](SOURCE, reranker=None)
    assert list(FACES[face](retriever, query)) == []
    assert list(asyncio.run(AWAITED[face](retriever, query))) == []
    said = [one for one in caplog.records if one.levelname == "WARNING"]
    assert len(said) == 2
    assert all("blank" in one.message for one in said)
    assert len(FACES[face](retriever, "tea")) == 2


@pytest.mark.parametrize("face", FACES)
def test_it_is_an_error_by_option(face):
    """`on_blank="raise"` refuses a blank query by name."""
    retriever = MAKE[face](SOURCE, reranker=None, on_blank="raise")
    with pytest.raises(InvalidArgument, match="query"):
        FACES[face](retriever, "")


@pytest.mark.parametrize("face", FACES)
def test_the_option_is_checked(face):
    """Another value of `on_blank` is refused by name."""
    with pytest.raises(InvalidArgument, match="on_blank"):
        MAKE[face](SOURCE, reranker=None, on_blank="ignore")


def test_an_agents_tool_goes_on():
    """LangChain's retriever tool answers a blank query with an empty text."""
    retriever = langchain.TwoStageRetriever(SOURCE, reranker=None)
    tool = create_retriever_tool(retriever, "search", "finds teas")
    assert tool.invoke({"query": ""}) == ""
    assert "tea" in tool.invoke({"query": "tea"})


def test_an_embedding_is_a_question():
    """A LlamaIndex bundle that is blank but has an embedding is searched."""

    class Dense:
        asked = 0

        def retrieve(self, query, *, depth, deadline=None):
            self.asked += 1
            return []

    dense = Dense()
    llama_index.TwoStageRetriever(dense, reranker=None).retrieve(QueryBundle("", embedding=[1.0]))
    assert dense.asked == 1


class _ByImage(BaseRetriever):
    """A multi-modal retriever: it finds two nodes by the image of a bundle."""

    def _retrieve(self, query_bundle):
        assert query_bundle.image_path == "a.png"
        return [
            NodeWithScore(node=TextNode(id_=name, text=name), score=score)
            for name, score in (("tea pot", 0.9), ("cup", 0.8))
        ]


@pytest.mark.filterwarnings("ignore:the recall of")
@pytest.mark.parametrize("text", ["", " \n"])
def test_an_image_is_enough(text):
    """A bundle with an image and no text keeps the retriever's order, and says why."""
    bundle = QueryBundle(text, image_path="a.png")
    retriever = llama_index.TwoStageRetriever(_ByImage(), reranker=Lengths())
    reranker = llama_index.RunoffRerank(reranker=Lengths())
    for found in (
        retriever.retrieve(bundle),
        asyncio.run(retriever.aretrieve(bundle)),
        reranker.postprocess_nodes(_ByImage().retrieve(bundle), query_bundle=bundle),
    ):
        assert [(one.node.node_id, one.score) for one in found] == [("tea pot", 0.9), ("cup", 0.8)]
        (degraded,) = llama_index.provenance(found[0])["degraded"]
        assert (degraded["stage"], degraded["reason"]) == ("rerank", "request_rejected")
        assert "query is blank" in degraded["detail"]
