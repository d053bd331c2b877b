"""A program that watches live traffic: mypy reads it, nothing runs it."""

from __future__ import annotations

from typing import Any, assert_type

from runoff import Query, TwoStage
from runoff.evaluation import Health, health
from runoff.langchain import TwoStageRetriever
from runoff.live import Observation, Observations, signals, watch
from runoff.rerank import Cap
from runoff.trace import Trace


def by_script(query: Query) -> dict[str, object]:
    return {"ascii": query.text.isascii()}


def watched(pipeline: TwoStage, retriever: TwoStageRetriever) -> None:
    assert_type(watch(pipeline, "observations", 0.1, slices=by_script), TwoStage)
    assert_type(watch(retriever, "observations", shadow="default"), TwoStageRetriever)
    assert_type(signals(pipeline, texts=True), TwoStage)
    watch(pipeline, "observations", shadow="late", shadow_cap=Cap(pairs=1000), keep_days=None)
    assert_type(pipeline.search("q").to_dict(texts=True), dict[str, Any])


def read() -> list[str]:
    seen = Observations("observations", since=0.0)
    found: list[str] = []
    for one in seen:
        assert_type(one, Observation)
        assert_type(one.trace, Trace)
        found += [one.doc_ids[at] for at in one.reranked[: one.top_k]]
    assert_type(health(seen), Health)
    assert_type(seen.forget(query="q"), int)
    found.append(seen.summary(days=7).to_prometheus())
    return found
