"""LlamaIndex's retrievers and engines are recorded unchanged, and replay their own answers."""

import pytest
from llama_index.core.postprocessor import LongContextReorder, SimilarityPostprocessor
from llama_index.core.query_engine import RetrieverQueryEngine, RouterQueryEngine
from llama_index.core.schema import QueryBundle
from llama_index.core.selectors import LLMSingleSelector
from llama_index.core.tools import QueryEngineTool
from recorded import Questions

from runoff.errors import InvalidArgument
from runoff.evaluation import record, replay
from runoff.filters import Range
from runoff.llama_index import HybridRetriever, RunoffRerank, TwoStageRetriever
from runoff.scores import ScoreKind, Threshold

QUESTIONS = Questions(
    {"q1": "sort dictionaries by value", "q2": "read a file row by row", "q3": "match a string"}
)


def _same(made, answer):
    runs = replay(made)
    for query_id, text in QUESTIONS.queries.items():
        assert list(runs[query_id]) == [one.node.node_id for one in answer(text)]


def _recorded(system):
    return record(system, QUESTIONS, 10, progress=False, workers=2)


def test_a_retriever(index):
    """A plain retriever replays its own answer, and was asked for more."""
    made = _recorded(retriever := index.as_retriever(similarity_top_k=3))
    runs = replay(made)
    for query_id, text in QUESTIONS.queries.items():
        # the store breaks ties at its limit by chance, so scores are compared and not ids
        found = made[query_id].scores["VectorIndexRetriever"][runs[query_id].rows]
        assert found.tolist() == pytest.approx([one.score for one in retriever.retrieve(text)])
    assert {len(one) for one in made} == {10}
    assert made.setup.steps == ()


def test_two_stage_retrievers(index, overlap, embed_model):
    """Ours replay their answer, filters and groups included."""
    hybrid = HybridRetriever.from_defaults(
        index=index, reranker=overlap(), top_n=4, depth=8, window=5, group="lang"
    )
    filtered = TwoStageRetriever(
        index.as_retriever(),
        reranker=overlap(),
        filters=Range("number", gte=3),
        top_n=4,
        depth=6,
        threshold=Threshold(2.0, ScoreKind.LOGIT),
        text_template="{lang}: {text}",
    )
    for one in (hybrid, filtered):
        _same(_recorded(one), one.retrieve)


@pytest.mark.parametrize("window", [3, 50])
def test_an_engine_with_our_postprocessor(index, overlap, llm, window):
    """An engine replays what its postprocessor leaves, and its pairs are scored one by one."""
    ours = RunoffRerank(reranker=overlap(), top_n=2, window=window, blend=0.5)
    engine = index.as_query_engine(llm=llm, similarity_top_k=6, node_postprocessors=[ours])
    made = _recorded(engine)
    _same(made, lambda text: engine.retrieve(QueryBundle(text)))
    assert made.setup.steps[0].pointwise
    assert all((one.pair_score == one.pair_score).all() for one in made)


def test_an_engine_with_several_postprocessors(index, peer, llm):
    """A cutoff, LlamaIndex's own reranker and an arranger are recorded as one second stage."""
    after = [
        SimilarityPostprocessor(similarity_cutoff=0.01),
        peer(model="peer", top_n=10),
        LongContextReorder(),
    ]
    engine = index.as_query_engine(llm=llm, similarity_top_k=10, node_postprocessors=after)
    made = _recorded(engine)
    _same(made, lambda text: engine.retrieve(QueryBundle(text)))
    assert not made.setup.steps[0].pointwise
    assert made.setup.steps[0].name == (
        "SimilarityPostprocessor > SentenceTransformerRerank > LongContextReorder"
    )


def test_an_engine_that_arranges_nodes(index, llm):
    """LlamaIndex's arranger reads all nodes, and is recorded as the engine gives them to it."""
    engine = index.as_query_engine(
        llm=llm, similarity_top_k=6, node_postprocessors=[LongContextReorder()]
    )
    with pytest.raises(InvalidArgument, match="depth=10: must be 6, and window=6"):
        _recorded(engine)
    made = record(engine, QUESTIONS, 6, progress=False)
    _same(made, lambda text: engine.retrieve(QueryBundle(text)))
    with pytest.raises(InvalidArgument, match="several candidates at once"):
        replay(made, window=4)


def test_an_engine_with_a_cutoff(index, llm):
    """A cutoff reads each node alone, so the recording may be deeper."""
    cutoff = SimilarityPostprocessor(similarity_cutoff=0.05)
    engine = index.as_query_engine(llm=llm, similarity_top_k=4, node_postprocessors=[cutoff])
    made = _recorded(engine)
    assert not made.setup.steps[0].listwise
    assert {len(one) for one in made} == {10}


def test_an_engine_over_two_stages_with_more_behind(index, overlap, llm):
    """Our retriever is recorded together with the postprocessor behind it."""
    retriever = TwoStageRetriever(index.as_retriever(), reranker=overlap(), top_n=10, depth=10)
    cutoff = SimilarityPostprocessor(similarity_cutoff=3)
    engine = RetrieverQueryEngine.from_args(retriever, llm=llm, node_postprocessors=[cutoff])
    _same(_recorded(engine), lambda text: engine.retrieve(QueryBundle(text)))


def test_a_router_is_refused(index, llm):
    """An engine without one retriever is refused by name."""
    tool = QueryEngineTool.from_defaults(index.as_query_engine(llm=llm), description="all")
    router = RouterQueryEngine(LLMSingleSelector.from_defaults(llm=llm), [tool], llm=llm)
    with pytest.raises(InvalidArgument, match="an engine over one"):
        record(router, QUESTIONS, progress=False)
