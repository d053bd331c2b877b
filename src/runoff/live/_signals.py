"""`signals`: spans and metrics of every answer, by OpenTelemetry's API.

A search is told as a whole when its answer is there: its spans are made with the durations that
its trace has measured. A span of each source, of fusion and of the second stage is below that of
the search, which is below the span that was current in the thread that searched.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import runoff
from runoff.errors import InvalidArgument, MissingExtra
from runoff.live import _conventions as names
from runoff.pipeline._systems import observed_system
from runoff.trace import FateKind, Scoring

try:
    from opentelemetry import metrics, trace
except ModuleNotFoundError as missing:
    raise MissingExtra("opentelemetry-api", "otel") from missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from opentelemetry.metrics import Counter, Histogram, MeterProvider
    from opentelemetry.trace import Span, Tracer, TracerProvider

    from runoff.trace import Fate, StageTrace
    from runoff.types import Response

_T = TypeVar("_T")
_LISTED = 10  # documents of a list; SDKs keep 128 attributes of a span
_RETRIEVER, _RERANKER, _CHAIN = "RETRIEVER", "RERANKER", "CHAIN"
_KINDS = {"recall": _RETRIEVER, "fusion": _CHAIN, "rerank": _RERANKER}
_USAGE = {
    names.PAIRS: "pairs",
    names.TOKENS: "tokens",
    names.BILLED: "billed_units",
    names.REQUESTS: "requests",
    names.CACHED: "cached",
    names.COST: "cost",
}


def signals(
    target: _T,
    *,
    texts: bool = False,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> _T:
    """Return a copy that answers exactly as before and sends spans and metrics of every answer.

    Names are those of OpenTelemetry's conventions for generative AI and of OpenInference, where
    they have one; see `docs/signals.md`. A search that raises sends nothing.

    Args:
        target: what `watch` takes.
        texts: whether spans have the texts of the query and of the documents.
        tracer_provider: where spans go; the global one by default. It is not pickled.
        meter_provider: where metrics go; the global one by default. It is not pickled.

    Raises:
        InvalidArgument: the target cannot be observed, or a provider is none.
        MissingExtra: opentelemetry-api is not installed.
    """
    for name, given, method in (
        ("tracer_provider", tracer_provider, "get_tracer"),
        ("meter_provider", meter_provider, "get_meter"),
    ):
        if given is not None and not hasattr(given, method):
            raise InvalidArgument(name, given, f"must have {method}, as OpenTelemetry's have")
    if not isinstance(texts, bool):
        raise InvalidArgument("texts", texts, "must be True or False")
    return observed_system(target, _Signals(texts, tracer_provider, meter_provider))


@dataclass(frozen=True, slots=True, eq=False)
class _Signals:
    """The observer that `signals` gives a pipeline."""

    texts: bool
    tracer_provider: TracerProvider | None = None
    meter_provider: MeterProvider | None = None

    def __call__(self, answer: Response | Callable[[], Response]) -> None:
        """Send the spans and the metrics of one answer."""
        response = answer() if callable(answer) else answer
        _send_metrics(_meters(self.meter_provider), response)
        tracer = trace.get_tracer("runoff", runoff.__version__, self.tracer_provider)
        _send_spans(tracer, response, texts=self.texts)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without the providers, which hold connections."""
        return _Signals, (self.texts,)


class _Meters(NamedTuple):
    """The instruments of one provider."""

    duration: Histogram
    stage_duration: Histogram
    candidates: Histogram
    deadline: Histogram
    answers: Counter
    degradations: Counter
    truncated: Counter
    usage: dict[str, Counter]


@lru_cache(maxsize=8)
def _meters(provider: MeterProvider | None) -> _Meters:
    meter = metrics.get_meter("runoff", runoff.__version__, provider)
    return _Meters(
        meter.create_histogram(names.DURATION, "s", "Duration of a search."),
        meter.create_histogram(names.STAGE_DURATION, "s", "Duration of a stage."),
        meter.create_histogram(names.CANDIDATES, "{document}", "Candidates after fusion."),
        meter.create_histogram(names.DEADLINE, "1", "Share of the deadline that was spent."),
        meter.create_counter(names.ANSWERS, "{answer}", "Answers, by outcome."),
        meter.create_counter(names.DEGRADATIONS, "{degradation}", "What answers lacked."),
        meter.create_counter(names.TRUNCATED, "{document}", "Documents that lost text."),
        {name: meter.create_counter(name, "1", f"Usage: {name}.") for name in _USAGE},
    )


def _send_metrics(meters: _Meters, response: Response) -> None:
    outcome, traced = response.outcome, response.trace
    state = {names.OUTCOME: "complete" if outcome.complete else "degraded"}
    operation = {names.OPERATION: "retrieval"}
    meters.answers.add(1, state)
    failed = {names.ERROR_TYPE: outcome.degraded[0].reason} if outcome.degraded else {}
    meters.duration.record(outcome.spent_ms / 1000, {**operation, **failed})
    meters.candidates.record(len(traced.fates))
    if outcome.budget_ms:
        meters.deadline.record(outcome.spent_ms / outcome.budget_ms, state)
    if traced.truncated:
        meters.truncated.add(traced.truncated)
    for one in outcome.degraded:
        labels = {names.STAGE: one.stage, names.SOURCE: one.source, names.ERROR_TYPE: one.reason}
        meters.degradations.add(1, labels)
    for stage in traced.stages:
        labels = {names.STAGE: stage.stage, names.SOURCE: stage.source}
        meters.stage_duration.record(stage.latency_ms / 1000, labels)
        for name, amount in _used(stage):
            meters.usage[name].add(amount, labels)


def _used(stage: StageTrace) -> Iterator[tuple[str, float]]:
    """Yield what a stage used of each unit."""
    for name, field in _USAGE.items():
        amount = getattr(stage.usage, field)
        if amount:
            yield name, amount


def _send_spans(tracer: Tracer, response: Response, *, texts: bool) -> None:
    outcome, traced = response.outcome, response.trace
    end = time.time_ns()
    spans = _times(traced.stages, end, outcome.spent_ms + traced.load_ms)
    root = tracer.start_span("retrieval", start_time=spans[0])
    if not root.is_recording():
        return  # no SDK is installed, or the trace is not sampled
    returned = [fate for fate in traced.fates if fate.kind is FateKind.RETURNED]
    _set_documents(root, names.RETRIEVED, returned, texts=texts)
    root.set_attributes(
        {
            names.OPERATION: "retrieval",
            names.KIND: _RETRIEVER,
            names.TOP_K: traced.top_k,
            names.OUTCOME: "complete" if outcome.complete else "degraded",
            names.DEGRADED: [f"{it.stage} {it.source} {it.reason}" for it in outcome.degraded],
            names.TOTAL: outcome.total,
            names.SCORED: outcome.scored,
            names.LOAD_MS: traced.load_ms,
            names.TRUNCATED: traced.truncated,
        }
    )
    if outcome.budget_ms:
        root.set_attribute(names.BUDGET_MS, outcome.budget_ms)
        root.set_attribute(names.SPENT_SHARE, outcome.spent_ms / outcome.budget_ms)
    if texts:
        root.set_attributes(
            {names.QUERY_TEXT: response.query.text, names.INPUT: response.query.text}
        )
    context = trace.set_span_in_context(root)
    for stage, (begun, ended) in zip(traced.stages, spans[1], strict=True):
        span = tracer.start_span(f"{stage.stage} {stage.source}", context, start_time=begun)
        if stage.stage == "rerank":
            _set_reranker(span, response, texts=texts)
        span.set_attributes(
            {
                names.KIND: _KINDS.get(stage.stage, _CHAIN),
                names.STAGE: stage.stage,
                names.SOURCE: stage.source,
                names.ENTERED: stage.entered,
                names.LEFT: stage.left,
                names.LOAD_MS: stage.load_ms,
                **dict(_used(stage)),
            }
        )
        for one in outcome.degraded:
            if (one.stage, one.source) == (stage.stage, stage.source):
                span.set_attribute(names.ERROR_TYPE, one.reason)
                span.set_status(trace.StatusCode.ERROR, one.reason)
        span.end(ended)
    root.end(end)


def _times(
    stages: Sequence[StageTrace], end: int, total_ms: float
) -> tuple[int, list[tuple[int, int]]]:
    """Return when the search began, and when each stage began and ended, in nanoseconds.

    Durations were measured. Sources begin with the search, all at once; what follows recall stands
    in its order before the end.
    """
    begun = end - int(total_ms * 1e6)
    spent = [int((one.latency_ms + one.load_ms) * 1e6) for one in stages]
    left = sum(ns for one, ns in zip(stages, spent, strict=True) if one.stage != "recall")
    at, found = max(begun, end - left), []
    for one, ns in zip(stages, spent, strict=True):
        if one.stage == "recall":
            found.append((begun, begun + ns))
        else:
            found.append((at, at + ns))
            at += ns
    return begun, found


def _set_reranker(span: Span, response: Response, *, texts: bool) -> None:
    traced = response.trace
    read = [fate for fate in traced.fates if fate.scoring in {Scoring.RERANKED, Scoring.UNSCORED}]
    fused = sorted(read, key=lambda fate: fate.candidate.fusion_rank)
    _set_documents(span, names.RERANKER_INPUT, fused, texts=texts, fused=True)
    ordered = [fate for fate in read if fate.rerank_rank is not None]
    _set_documents(span, names.RERANKER_OUTPUT, ordered, texts=texts)
    span.set_attributes(
        {names.RERANKER_MODEL: traced.model.name, names.RERANKER_TOP_K: traced.top_k}
    )
    span.set_attribute(names.TRUNCATED, traced.truncated)
    if texts:
        span.set_attribute(names.RERANKER_QUERY, response.query.text)


def _set_documents(
    span: Span, name: str, fates: Sequence[Fate], *, texts: bool, fused: bool = False
) -> None:
    """Set the first documents of a list as attributes.

    Args:
        span: the span.
        name: what the list is called.
        fates: the documents, best first.
        texts: whether their texts are set, too.
        fused: whether their score is fusion's, not the second stage's.
    """
    for at, fate in enumerate(fates[:_LISTED]):
        candidate = fate.candidate
        below = f"{name}.{at}.{names.DOCUMENT}"
        span.set_attribute(f"{below}.id", candidate.document.doc_id)
        score = candidate.fusion_score if fused else fate.rerank_score
        if score is not None:
            span.set_attribute(f"{below}.score", float(score))
        if texts:
            span.set_attribute(f"{below}.content", candidate.document.text)
