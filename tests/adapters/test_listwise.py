"""`ListwiseLLM` in both frameworks: order, scores, provenance, what is refused and written."""

import json
import pickle

import pytest
from langchain_core.documents import Document
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.retrievers import BaseRetriever
from langchain_core.tracers.context import collect_runs
from listwise import Asked, AwaitedOfLlamaIndex, OfLlamaIndex, OwnAsync, by_number, in_turn
from llama_index.core.schema import NodeWithScore, TextNode

import runoff.langchain
import runoff.llama_index
from runoff.errors import InvalidArgument
from runoff.rerank import ListwiseLLM
from runoff.scores import ScoreKind, Threshold

MODELS = [OwnAsync(), OfLlamaIndex(), AwaitedOfLlamaIndex(), by_number]
VALUES = (1, 3, 2)


async def langchain(reranker, values=VALUES, **options):
    """The order of LangChain's documents, their scores and provenance, both ways alike."""
    made = runoff.langchain.RunoffRerank(reranker=reranker, top_n=9, **options)
    some = [Document(id=str(one), page_content=f"document {one}") for one in values]
    found = made.compress_documents(some, "which?")
    awaited = await made.acompress_documents(some, "which?")
    ids = [one.id for one in found]
    assert ids == [one.id for one in awaited]
    told = [runoff.langchain.provenance(one) for one in found]
    return ids, [one.metadata.get("relevance_score") for one in found], told


async def llama_index(reranker, values=VALUES, **options):
    """The same of LlamaIndex's nodes."""
    made = runoff.llama_index.RunoffRerank(reranker=reranker, top_n=9, **options)
    some = [NodeWithScore(node=TextNode(id_=str(one), text=f"document {one}")) for one in values]
    found = made.postprocess_nodes(some, query_str="which?")
    awaited = await made.apostprocess_nodes(some, query_str="which?")
    ids = [one.node_id for one in found]
    assert ids == [one.node_id for one in awaited]
    told = [runoff.llama_index.provenance(one) for one in found]
    return ids, [one.score for one in found], told


both = pytest.mark.parametrize("adapter", [langchain, llama_index])


@both
@pytest.mark.parametrize("llm", MODELS, ids=["chat", "llm", "awaited llm", "callable"])
async def test_a_model_of_either_framework_reranks_in_both(adapter, llm):
    """Synchronously and awaited; scores are 1 / rank, and provenance has no score of a pair."""
    ids, scores, told = await adapter(ListwiseLLM(llm))
    assert ids == ["3", "2", "1"]
    assert scores == [1, 1 / 2, 1 / 3]
    assert [(one["rerank_rank"], one["rerank_score"], one["pair_score"]) for one in told] == [
        (rank, 1 / rank, None) for rank in (1, 2, 3)
    ]
    assert all(one["complete"] and one["kind"] == "unknown" and one["model"] for one in told)


@both
async def test_a_reply_that_cannot_be_read_leaves_order_and_scores(adapter):
    """The provenance says why."""
    ids, scores, told = await adapter(ListwiseLLM(Asked("I cannot say.")))
    assert ids == ["1", "3", "2"]
    assert scores == [None] * 3
    for one in told:
        assert not one["complete"]
        (fault,) = one["degraded"]
        assert (fault["stage"], fault["reason"]) == ("rerank", "bad_reply")
        assert "no ranking" in fault["detail"]


@both
async def test_an_order_that_lacks_a_prompt_is_degraded(adapter):
    """What was found so far is used; both ways, as the replies come twice."""
    replies = in_turn(None, "?", None, None, "?", None)
    ids, _, told = await adapter(ListwiseLLM(replies, at_once=4, step=2), range(8))
    assert ids == list("32107654")
    assert {one["degraded"][0]["reason"] for one in told} == {"bad_reply"}
    assert "2 of 3 prompts" in told[0]["degraded"][0]["detail"]


@both
@pytest.mark.parametrize(
    "option", [{"threshold": Threshold(0.5, ScoreKind.UNKNOWN)}, {"blend": 0.5}]
)
async def test_what_needs_scores_is_refused(adapter, option):
    """With the class that brings its own order."""
    with pytest.raises(InvalidArgument, match="ListwiseLLM orders the candidates itself"):
        await adapter(ListwiseLLM(by_number), **option)


class Found(BaseRetriever):
    """A retriever of LangChain that finds the same every time."""

    k: int = 100

    def _get_relevant_documents(self, query, *, run_manager):
        return [Document(id=str(one), page_content=f"document {one}") for one in VALUES]


class Keyed(FakeListChatModel):
    """A chat model whose own `repr` shows a key."""

    api_key: str = "sk-planted"


def test_what_is_written_holds_no_key():
    """LlamaIndex's `to_dict` and LangChain's JSON name the model's class; it is passed again."""
    reranker = ListwiseLLM(Keyed(responses=["[1]"]), at_once=10, step=5)
    node = runoff.llama_index.RunoffRerank(reranker=reranker)
    written = node.to_dict()
    compressor = runoff.langchain.RunoffRerank(reranker=reranker)
    for text in (json.dumps(written), repr(node), repr(compressor), compressor.model_dump_json()):
        assert "sk-planted" not in text
    with pytest.raises(InvalidArgument, match="pass the object as reranker="):
        runoff.llama_index.RunoffRerank.from_dict(written)
    again = runoff.llama_index.RunoffRerank.from_dict({**written, "reranker": reranker})
    assert again.stage == reranker
    assert pickle.loads(pickle.dumps(node)).stage == reranker


def test_the_models_run_is_part_of_langchains_trace():
    """Its run lies below the reranker's, in a thread of ours too."""
    reranker = ListwiseLLM(OwnAsync())
    retriever = runoff.langchain.TwoStageRetriever(retriever=Found(), reranker=reranker, timeout=60)
    with collect_runs() as seen:
        retriever.invoke("which?")
    (root,) = seen.traced_runs
    names = _names(root)
    assert "OwnAsync" in names
    assert names.index("RunoffRerank") < names.index("OwnAsync")


def _names(run):
    return [run.name, *(name for one in run.child_runs for name in _names(one))]
