"""What LangChain's tracers see: the second stage as a run of its own, parts beneath it."""

import logging

import pytest
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.documents import BaseDocumentCompressor
from langchain_core.runnables import RunnableLambda
from langchain_core.tracers.base import AsyncBaseTracer, BaseTracer

from runoff.langchain import RunoffRerank, TwoStageRetriever, two_stage

QUESTION = "which cascade passes few documents to an expensive model"


class Kept(BaseTracer):
    """Keeps every finished root run."""

    def __init__(self):
        super().__init__()
        self.roots = []

    def _persist_run(self, run):
        self.roots.append(run)


class Traced(BaseDocumentCompressor):
    """A foreign compressor that opens a run of its own under the callbacks it is given."""

    def compress_documents(self, documents, query, callbacks=None):
        ask = RunnableLambda(len).with_config(run_name="ask")
        ask.invoke(query, {"callbacks": callbacks})
        return list(reversed(documents))


def tree(run):
    return (run.name, run.run_type, [tree(child) for child in run.child_runs])


def test_the_compressor_is_a_run_under_its_callbacks(documents, overlap):
    """`compress_documents` with callbacks is a run with ids, scores and the outcome."""
    tracer = Kept()
    results = RunoffRerank(reranker=overlap, top_n=2).compress_documents(
        documents, QUESTION, callbacks=[tracer]
    )
    (run,) = tracer.roots
    assert tree(run) == ("RunoffRerank", "chain", [])
    assert run.inputs == {"query": QUESTION, "documents": [one.id for one in documents]}
    assert [one["doc_id"] for one in run.outputs["documents"]] == [one.id for one in results]
    assert run.outputs["documents"][0]["rerank_score"] == results[0].metadata["relevance_score"]
    assert run.outputs["complete"] is True
    assert (run.outputs["scored"], run.outputs["total"]) == (10, 10)
    assert run.error is None


def test_texts_are_not_sent_twice(documents, overlap):
    """A rerank run names documents by id, and contains no text."""
    tracer = Kept()
    RunoffRerank(reranker=overlap).compress_documents(documents, QUESTION, callbacks=[tracer])
    (run,) = tracer.roots
    assert documents[0].page_content not in str(run.inputs) + str(run.outputs)


async def test_awaited_it_is_a_run_too(documents, overlap):
    """`acompress_documents` is traced alike, by synchronous and asynchronous tracers."""
    seen = []

    class Heard(AsyncCallbackHandler):
        async def on_chain_start(self, serialized, inputs, **kwargs):
            seen.append(("start", kwargs["name"]))

        async def on_chain_end(self, outputs, **kwargs):
            seen.append(("end", outputs["complete"]))

    tracer = Kept()
    await RunoffRerank(reranker=overlap).acompress_documents(
        documents, QUESTION, callbacks=[tracer, Heard()]
    )
    assert [tree(one) for one in tracer.roots] == [("RunoffRerank", "chain", [])]
    assert seen == [("start", "RunoffRerank"), ("end", True)]


def test_a_degraded_run_says_so(documents, failing):
    """A degraded answer is a finished run whose outputs name the stage and the reason."""
    tracer = Kept()
    RunoffRerank(reranker=failing).compress_documents(documents, QUESTION, callbacks=[tracer])
    (run,) = tracer.roots
    assert run.error is None
    assert run.outputs["degraded"] == [
        {"stage": "rerank", "source": "failing", "reason": "connection"}
    ]


def test_a_raised_error_ends_the_run(documents, failing):
    """An error that is raised is the run's error."""
    tracer = Kept()
    with pytest.raises(ConnectionError):
        RunoffRerank(reranker=failing, on_error="raise").compress_documents(
            documents, QUESTION, callbacks=[tracer]
        )
    assert "refused" in tracer.roots[0].error


def test_inside_a_runnable_it_finds_its_parent(documents, overlap):
    """Called without callbacks inside a traced runnable, the compressor is that one's child."""
    compressor = RunoffRerank(reranker=overlap)
    step = RunnableLambda(lambda query: compressor.compress_documents(documents, query))
    tracer = Kept()
    step.with_config(run_name="step").invoke(QUESTION, {"callbacks": [tracer]})
    assert [tree(one) for one in tracer.roots] == [
        ("step", "chain", [("RunoffRerank", "chain", [])])
    ]


def test_the_retriever_has_sources_and_second_stage_beneath(store, documents, overlap):
    """A two-stage retriever's run holds each source's run and the second stage's."""
    tracer = Kept()
    retriever = TwoStageRetriever(
        retrievers={"a": store, "b": two_stage(store, reranker=None)}, reranker=overlap
    )
    retriever.invoke(QUESTION, {"callbacks": [tracer]})
    (run,) = tracer.roots
    name, kind, children = tree(run)
    assert (name, kind) == ("TwoStageRetriever", "retriever")
    assert sorted(children) == [
        ("RunoffRerank", "chain", []),
        ("TwoStageRetriever", "retriever", [("VectorStoreRetriever", "retriever", [])]),
        ("VectorStoreRetriever", "retriever", []),
    ]
    reranked = next(one for one in run.child_runs if one.name == "RunoffRerank")
    assert set(reranked.inputs["documents"]) == {one.id for one in documents}
    assert reranked.outputs["model"] == "overlap"
    assert reranked.start_time <= reranked.end_time


async def test_awaited_the_tree_is_the_same(store, overlap):
    """Awaited, with an asynchronous tracer, the runs form the same tree."""

    class AsyncKept(AsyncBaseTracer):
        def __init__(self):
            super().__init__()
            self.roots = []

        async def _persist_run(self, run):
            self.roots.append(run)

    tracer = AsyncKept()
    await two_stage(store, reranker=overlap).ainvoke(QUESTION, {"callbacks": [tracer]})
    assert [tree(one) for one in tracer.roots] == [
        (
            "TwoStageRetriever",
            "retriever",
            [("VectorStoreRetriever", "retriever", []), ("RunoffRerank", "chain", [])],
        )
    ]


@pytest.mark.parametrize("how", ["compressor", "retriever"])
def test_what_a_foreign_reranker_runs_is_beneath_the_second_stage(store, documents, how):
    """A compressor of LangChain's used as reranker gets the second stage's callbacks."""
    tracer = Kept()
    if how == "compressor":
        RunoffRerank(reranker=Traced()).compress_documents(documents, QUESTION, callbacks=[tracer])
        (run,) = tracer.roots
    else:
        two_stage(store, reranker=Traced()).invoke(QUESTION, {"callbacks": [tracer]})
        run = tracer.roots[0].child_runs[-1]
    assert tree(run) == ("RunoffRerank", "chain", [("ask", "chain", [])])


def test_events_stream_from_the_retriever(store, overlap):
    """`astream_events` shows the second stage by name."""
    import asyncio

    async def names():
        retriever = two_stage(store, reranker=overlap)
        events = retriever.astream_events(QUESTION, version="v2")
        return [(one["event"], one["name"]) async for one in events]

    seen = asyncio.run(names())
    assert ("on_chain_start", "RunoffRerank") in seen
    assert ("on_chain_end", "RunoffRerank") in seen


def test_a_failing_handler_fails_no_search(documents, overlap, caplog):
    """A callback handler that raises is logged by LangChain; the documents are returned."""

    class Broken(BaseCallbackHandler):
        def on_chain_start(self, *args, **kwargs):
            raise RuntimeError("broken handler")

    with caplog.at_level(logging.WARNING):
        results = RunoffRerank(reranker=overlap).compress_documents(
            documents, QUESTION, callbacks=[Broken()]
        )
    assert len(results) == 5
    assert "broken handler" in caplog.text
