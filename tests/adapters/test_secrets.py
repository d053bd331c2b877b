"""A planted key appears nowhere in what the adapters show, log or serialise."""

import asyncio
import json
import logging
import pickle
from contextlib import contextmanager

import pytest
from planted import HEADER, KEY, SITUATIONS, check, logged, told

pytest.importorskip("httpx")

from runoff import Document
from runoff.errors import RunoffError
from runoff.recall import BM25
from runoff.rerank import Cascade, CohereRerank, Fallback, HTTPRerank, Metered, Pointwise, Step
from runoff.rerank._remote.retries import Retries
from runoff.testing.chaos import ChaosServer

QUERY = "how do otters sleep afloat"
TEXTS = {"bread": "bread rises with yeast", "otter": "otters sleep afloat", "tea": "tea steeps"}
FEW = ("success", "401", "503", "hang", "reset", "nan", "401 plain", "422 nested", "500 escaped")


def http(url):
    return HTTPRerank(
        url,
        dialect="tei",
        api_key=KEY,
        headers={"X-Token": HEADER},
        retries=Retries(1),
        circuit=None,
    )


def cohere(url):
    pytest.importorskip("cohere")
    return CohereRerank(base_url=url, api_key=KEY, retries=Retries(1), circuit=None)


RERANKERS = {
    "http": http,
    "cohere": cohere,
    "pointwise": lambda url: Pointwise(http(url)),
    "metered": lambda url: Metered(http(url)),
    "cascade": lambda url: Cascade([Step(http(url), keep=2), http(url)]),
    "fallback": lambda url: Fallback([http(url), cohere(url)]),
}


def source():
    return BM25([Document(name, text) for name, text in TEXTS.items()])


class LlamaIndex:
    def __init__(self):
        pytest.importorskip("llama_index.core")
        from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

        from runoff.llama_index import RunoffRerank

        self.picklable = RunoffRerank  # the retriever holds an index
        self.asked = QueryBundle(QUERY)
        self.given = [
            NodeWithScore(node=TextNode(id_=name, text=text), score=0.5)
            for name, text in TEXTS.items()
        ]

    def stages(self, reranker, seconds):
        """Return both stages, and how each is called and awaited."""
        from runoff.llama_index import RunoffRerank, TwoStageRetriever

        stage = RunoffRerank(reranker=reranker, timeout=seconds)
        retriever = TwoStageRetriever({"bm25": source()}, reranker=reranker, timeout=seconds)
        yield (
            stage,
            lambda: stage.postprocess_nodes(self.given, self.asked),
            lambda: stage.apostprocess_nodes(self.given, self.asked),
        )
        yield retriever, lambda: retriever.retrieve(QUERY), lambda: retriever.aretrieve(QUERY)

    def written(self, stage):
        """Yield all that the framework makes of a stage."""
        if isinstance(stage, self.picklable):
            yield "to_dict", json.dumps(stage.to_dict())
            yield "to_json", stage.to_json()
            yield "model_dump", repr(stage.model_dump())
            yield "model_dump_json", stage.model_dump_json()
            yield "schema", json.dumps(type(stage).model_json_schema())
            yield "copy", repr(stage.model_copy(deep=True))
            yield "copied dict", json.dumps(stage.model_copy(deep=True).to_dict())
            again = pickle.loads(pickle.dumps(stage))
            yield "pickled dict", json.dumps(again.to_dict())

    @contextmanager
    def watched(self, seen):
        """Note every event and span of LlamaIndex's dispatcher."""
        from llama_index.core.instrumentation import get_dispatcher
        from llama_index.core.instrumentation.event_handlers import BaseEventHandler
        from llama_index.core.instrumentation.span_handlers import SimpleSpanHandler

        class Handler(BaseEventHandler):
            def handle(self, event, **kwargs):
                seen.append(f"{event!r} {event.model_dump()!r} {kwargs!r}")

        root, handler, spans = get_dispatcher(), Handler(), SimpleSpanHandler()
        root.add_event_handler(handler)
        root.add_span_handler(spans)
        try:
            yield
        finally:
            root.event_handlers.remove(handler)
            root.span_handlers.remove(spans)
            seen.extend(
                f"{span!r} {span.model_dump()!r}"
                for span in (*spans.completed_spans, *spans.dropped_spans)
            )


class LangChain:
    def __init__(self):
        pytest.importorskip("langchain_core")
        from langchain_core.documents import Document

        from runoff.langchain import RunoffRerank

        self.picklable = RunoffRerank  # the retriever holds an index
        self.given = [Document(id=name, page_content=text) for name, text in TEXTS.items()]

    def stages(self, reranker, seconds):
        from runoff.langchain import RunoffRerank, TwoStageRetriever

        stage = RunoffRerank(reranker=reranker, timeout=seconds)
        retriever = TwoStageRetriever(retriever=source(), reranker=reranker, timeout=seconds)
        yield (
            stage,
            lambda: stage.compress_documents(self.given, QUERY),
            lambda: stage.acompress_documents(self.given, QUERY),
        )
        yield retriever, lambda: retriever.invoke(QUERY), lambda: retriever.ainvoke(QUERY)

    def written(self, stage):
        from langchain_core.load import dumpd, dumps
        from langchain_core.runnables import ConfigurableField, Runnable

        if isinstance(stage, Runnable):
            yield "dumps", dumps(stage)
            yield "dumpd", json.dumps(dumpd(stage))
            yield "in a chain", dumps(stage | str)
            yield "to_json", json.dumps(stage.to_json(), default=repr)
            yield "config", repr(stage.config_specs)
            yield "graph", repr(stage.get_graph()) + stage.get_graph().draw_mermaid()
            field = ConfigurableField(id="reranker")
            yield "configurable", repr(stage.configurable_fields(reranker=field))
        if isinstance(stage, self.picklable):
            yield "copy", repr(stage.model_copy(deep=True))
        fields = stage.model_dump(exclude={"retriever"})
        yield "model_dump", repr(fields)
        yield "model_dump as JSON", json.dumps(fields, default=repr)
        yield "schema", repr(type(stage).model_fields)
        try:
            written = stage.model_dump_json(exclude={"retriever"})
        except ValueError as error:  # pydantic cannot write a key
            written = repr(error)
        yield "model_dump_json", written

    @contextmanager
    def watched(self, seen):
        """Note every run as a tracer is given it."""
        from langchain_core.tracers.context import collect_runs

        with collect_runs() as collected:
            yield
        seen.extend(f"{run!r} {run.model_dump()!r}" for run in collected.traced_runs)


@pytest.fixture(params=[LlamaIndex, LangChain])
def adapter(request):
    return request.param()


@pytest.fixture(scope="module")
def server():
    with ChaosServer() as server:
        yield server


@pytest.mark.parametrize("name", RERANKERS)
def test_what_a_framework_makes_of_a_stage_holds_no_key(adapter, server, name):
    """Neither repr, fields, serialised forms, copies nor pickles, before and after use."""
    server.clear()
    for stage, call, _ in adapter.stages(RERANKERS[name](server.url), 5):
        for _ in range(2):
            check(adapter.written(stage), "written")
            check([("repr", f"{stage!r} {stage} {vars(stage)!r} {[stage]!r}")])
            if isinstance(stage, adapter.picklable):
                check([("pickle", repr(pickle.dumps(stage)))])
            assert call()
    assert any(KEY in repr(one.headers) for one in server.requests)  # it was there to be found


@pytest.mark.parametrize("situation", FEW)
@pytest.mark.parametrize("name", RERANKERS)
def test_neither_results_events_errors_nor_logs_hold_a_key(
    adapter, server, name, situation, caplog
):
    """Whatever the server does: nodes and documents, events, spans and runs, errors, loggers."""
    server.clear()
    server.fault = SITUATIONS[situation]
    seen = []
    stages = adapter.stages(RERANKERS[name](server.url), 0.2 if situation == "hang" else 5)
    with caplog.at_level(logging.DEBUG), adapter.watched(seen):
        for _, call, awaited in stages:
            for ask in (call, lambda awaited=awaited: asyncio.run(awaited())):
                try:
                    found = ask()
                except RunoffError as error:
                    check(told(error), "raised")
                else:
                    check([("results", f"{one!r} {one.model_dump()!r}") for one in found])
    assert len(seen) >= 4
    check([("event", one) for one in seen])
    check(logged(caplog.records), "logged")
