"""Spans and metrics by OpenTelemetry, read back through its in-memory exporters."""

import asyncio
import pickle

import pytest

pytest.importorskip("opentelemetry.sdk")
pytest.importorskip("pyarrow")

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from parts import Backwards, Listed, ids

from runoff import TwoStage
from runoff.errors import InvalidArgument
from runoff.live import _writer as writer
from runoff.live import signals, watch
from runoff.types import Document

SECRET = "zanzibar"
DOCUMENTS = [Document(name, f"{SECRET} {name}") for name in "abcd"]


class Sent:
    """What a pipeline sends."""

    def __init__(self):
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader])

    def of(self, pipeline, **options):
        return signals(
            pipeline, tracer_provider=self.tracers, meter_provider=self.meters, **options
        )

    @property
    def spans(self):
        return {one.name: one for one in self.exporter.get_finished_spans()}

    @property
    def metrics(self):
        found = {}
        for resource in self.reader.get_metrics_data().resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.data.data_points:
                        amount = getattr(point, "sum", None)
                        found[metric.name, *sorted(point.attributes.values())] = (
                            point.value if amount is None else amount
                        )
        return found


def pipeline(**options):
    sources = {"one": Listed(*DOCUMENTS), "two": Listed(*DOCUMENTS[::-1])}
    return TwoStage(sources, reranker=Backwards(**options), window=3)


def test_every_stage_has_a_span(tmp_path):
    """A search has a span with one for each source, fusion and rerank below it."""
    sent = Sent()
    watched = sent.of(pipeline())
    with sent.tracers.get_tracer("app").start_as_current_span("request"):
        response = watched.search(SECRET, top_k=2, timeout=30)
    assert ids(response) == ids(pipeline().search(SECRET, top_k=2))
    spans = sent.spans
    assert set(spans) == {
        "recall one", "recall two", "fusion Convex", "rerank backwards", "retrieval", "request",
    }  # fmt: skip
    root = spans["retrieval"]
    assert root.parent.span_id == spans["request"].context.span_id
    for name in set(spans) - {"retrieval", "request"}:
        assert spans[name].parent.span_id == root.context.span_id
        assert root.start_time <= spans[name].start_time
    assert root.attributes["gen_ai.operation.name"] == "retrieval"
    assert root.attributes["gen_ai.retrieval.top_k"] == 2
    assert root.attributes["openinference.span.kind"] == "RETRIEVER"
    assert root.attributes["runoff.outcome"] == "complete"
    assert root.attributes["retrieval.documents.0.document.id"] == ids(response)[0]
    assert 0 < root.attributes["runoff.deadline.spent_ratio"] < 1
    rerank = spans["rerank backwards"].attributes
    assert rerank["openinference.span.kind"] == "RERANKER"
    assert rerank["reranker.model_name"] == "backwards"
    assert rerank["reranker.top_k"] == 2
    fused = sorted(response.trace.fates, key=lambda fate: fate.candidate.fusion_rank)
    first = fused[0].candidate
    assert rerank["reranker.input_documents.0.document.id"] == first.document.doc_id
    assert rerank["reranker.input_documents.0.document.score"] == first.fusion_score
    assert rerank["reranker.output_documents.0.document.id"] == ids(response)[0]
    assert rerank["runoff.candidates.entered"] == 3


def test_a_span_lasts_as_long_as_its_stage():
    """Durations are those that the trace has measured, and stages follow each other."""
    sent = Sent()
    response = sent.of(pipeline(wait=0.02)).search("tea")
    spans = sent.spans
    for stage in response.trace.stages:
        span = spans[f"{stage.stage} {stage.source}"]
        assert (span.end_time - span.start_time) / 1e6 == pytest.approx(stage.latency_ms, abs=0.01)
    assert spans["fusion Convex"].end_time <= spans["rerank backwards"].start_time


def test_no_text_is_sent_unless_asked():
    """Neither spans nor metrics have a text of query, document or error; texts=True sends them."""
    for texts in (False, True):
        sent = Sent()
        sent.of(pipeline(error=ConnectionError(f"no {SECRET}")), texts=texts).search(f"{SECRET}?")
        everything = "".join(one.to_json() for one in sent.exporter.get_finished_spans())
        assert (SECRET in everything) is texts
        assert SECRET not in sent.reader.get_metrics_data().to_json()
    root = sent.spans["retrieval"].attributes
    assert root["gen_ai.retrieval.query.text"] == f"{SECRET}?"
    assert root["retrieval.documents.0.document.content"].startswith(SECRET)
    assert sent.spans["rerank backwards"].attributes["reranker.query"] == f"{SECRET}?"


def test_what_is_missing_is_an_error_of_its_stage():
    """The span of a stage that failed has an error and its reason; the search is degraded."""
    sent = Sent()
    sent.of(pipeline(error=TimeoutError("late"))).search("tea")
    failed, root = sent.spans["rerank backwards"], sent.spans["retrieval"]
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.attributes["error.type"] == "timeout"
    assert root.attributes["runoff.outcome"] == "degraded"
    assert root.attributes["runoff.degraded"] == ("rerank backwards timeout",)
    assert sent.metrics["runoff.degradations", "backwards", "rerank", "timeout"] == 1
    assert sent.metrics["runoff.answers", "degraded"] == 1


def test_metrics():
    """Answers, durations, candidates and usage are counted by stage, awaited or not."""
    sent = Sent()
    watched = sent.of(pipeline())
    watched.search("tea", timeout=30)
    asyncio.run(watched.asearch("tea", timeout=30))
    found = sent.metrics
    assert found["runoff.answers", "complete"] == 2
    assert found["runoff.candidates",] == 8
    assert found["gen_ai.retrieval.duration", "retrieval"] > 0
    assert found["runoff.stage.duration", "backwards", "rerank"] > 0
    assert 0 < found["runoff.deadline.spent", "complete"] < 2


def test_usage_is_counted():
    """Pairs of a model are a metric and an attribute of its span."""
    from runoff.rerank import CrossEncoder

    pytest.importorskip("runoff_models")
    sent = Sent()
    made = TwoStage({"one": Listed(*DOCUMENTS)}, reranker=CrossEncoder())
    sent.of(made).search("tea")
    (name,) = (one for one in sent.spans if one.startswith("rerank"))
    assert sent.spans[name].attributes["runoff.usage.pairs"] == 4
    assert sent.metrics["runoff.usage.pairs", "rerank", name.removeprefix("rerank ")] == 4


def test_with_watch_and_through_a_pickle(tmp_path):
    """Signals go along with `watch`; a pickle has none of the providers, and still answers."""
    sent = Sent()
    both = watch(sent.of(pipeline()), tmp_path / "kept", 1.0)
    assert ids(pickle.loads(pickle.dumps(both)).search("tea")) == ids(both.search("tea"))
    assert len([one for one in sent.exporter.get_finished_spans() if one.name == "retrieval"]) == 1
    assert writer.flush((tmp_path / "kept").absolute(), 20)


def test_wrong_arguments():
    """A provider that is none, and what cannot be observed, are named."""
    with pytest.raises(InvalidArgument, match="tracer_provider"):
        signals(pipeline(), tracer_provider="phoenix")
    with pytest.raises(InvalidArgument, match=r"^target=.* must be one of: a TwoStage"):
        signals(object())


def test_a_search_without_an_sdk_sends_nothing():
    """Without an SDK, OpenTelemetry's API does nothing, and neither does the pipeline."""
    assert ids(signals(pipeline()).search("tea")) == ids(pipeline().search("tea"))
