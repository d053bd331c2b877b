"""The runs of every stage of one recording."""

from dataclasses import replace

import pytest

pytest.importorskip("ir_measures", reason="the eval extra is not installed")

import recorded

from runoff.evaluation import by_stage, record


def test_the_runs_are_those_of_the_stages_asked_alone():
    """Each source's order, the fused and the reranked one are what a live search gives."""
    questions, live = recorded.questions(), recorded.pipeline()
    runs = by_stage(record(live, questions, 50, progress=False))
    assert list(runs) == ["bm25", "noise", "fused", "reranked"]
    for query_id, text in questions.queries.items():
        for name in ("bm25", "noise"):
            alone = replace(live, sources={name: live.sources[name]}, reranker=None)
            assert runs[name][query_id] == ids(alone.search(text, top_k=100))
        fused = replace(live, reranker=None)
        assert runs["fused"][query_id] == ids(fused.search(text, top_k=100))
        assert runs["reranked"][query_id] == ids(live.search(text, top_k=100))


def ids(response):
    return [result.doc_id for result in response]


def test_what_grouping_does_is_not_booked_to_the_second_stage():
    """With one source and grouping, too, it compares with the reranker's input."""
    questions, live = recorded.questions(), recorded.pipeline(group="parent")
    live = replace(live, sources={"bm25": live.sources["bm25"]})
    runs = by_stage(record(live, questions, 50, progress=False))
    assert list(runs) == ["bm25", "fused", "reranked"]
    for query_id, text in questions.queries.items():
        assert runs["fused"][query_id] == ids(replace(live, reranker=None).search(text, top_k=100))
        assert set(runs["fused"][query_id]) == set(runs["reranked"][query_id])
        assert set(runs["fused"][query_id]) < set(runs["bm25"][query_id])
