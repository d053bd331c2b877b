"""LangChain's retrievers are recorded unchanged, and replay their own answers."""

import pytest
from langchain_core.documents import BaseDocumentCompressor
from langchain_core.runnables import RunnableLambda
from recorded import Questions

from runoff import TwoStage
from runoff.errors import InvalidArgument
from runoff.evaluation import record, replay
from runoff.langchain import HybridRetriever, RunoffRerank, TwoStageRetriever
from runoff.recall import BM25
from runoff.scores import ScoreKind, Threshold

QUESTIONS = Questions(
    {"q1": "how do rankers use a query", "q2": "documents near a query", "q3": "ship at dawn"}
)


def _same(made, retriever):
    runs = replay(made)
    for query_id, text in QUESTIONS.queries.items():
        assert list(runs[query_id]) == [one.id for one in retriever.invoke(text)]


def _recorded(system, depth=10):
    return record(system, QUESTIONS, depth, progress=False, workers=2)


def test_a_retriever(store):
    """A plain retriever replays its own answer, and was asked for more."""
    made = _recorded(retriever := store.as_retriever(search_kwargs={"k": 3}))
    _same(made, retriever)
    assert {len(one) for one in made} == {10}


def test_two_stage_retrievers(store, documents, embeddings, overlap):
    """Ours replay their answer; pairs are scored as a template shows them."""
    hybrid = HybridRetriever.from_documents(
        documents, embeddings, reranker=overlap, k=4, depth=8, window=5, group="topic"
    )
    shown = TwoStageRetriever(
        retriever=store.as_retriever(),
        reranker=overlap,
        k=4,
        depth=6,
        threshold=Threshold(0.2, ScoreKind.PROBABILITY),
        blend=0.6,
        text_template="{topic}: {page_content}",
    )
    for one in (hybrid, shown):
        made = _recorded(one)
        _same(made, one)
        assert made.setup.steps[0].pointwise
    assert any(text.startswith("search: ") for text in overlap.seen)


@pytest.mark.parametrize("window", [3, 50])
def test_a_compression_retriever_with_ours(store, overlap, window):
    """A ContextualCompressionRetriever around ours replays its answer."""
    classic = pytest.importorskip("langchain_classic.retrievers")
    retriever = classic.ContextualCompressionRetriever(
        base_compressor=RunoffRerank(reranker=overlap, top_n=2, window=window),
        base_retriever=store.as_retriever(search_kwargs={"k": 6}),
    )
    _same(_recorded(retriever), retriever)


class Backwards(BaseDocumentCompressor):
    """Somebody else's compressor: turns the documents round and drops those about tea."""

    def compress_documents(self, documents, query, callbacks=None):
        return [one for one in reversed(documents) if "Tea" not in one.page_content]


def test_a_compression_retriever_with_theirs(store):
    """Somebody else's compressor is recorded as one reading of the whole."""
    classic = pytest.importorskip("langchain_classic.retrievers")
    retriever = classic.ContextualCompressionRetriever(
        base_compressor=Backwards(), base_retriever=store.as_retriever(search_kwargs={"k": 10})
    )
    made = _recorded(retriever)
    _same(made, retriever)
    assert not made.setup.steps[0].pointwise


class Shortest(BaseDocumentCompressor):
    """Somebody else's compressor: the shortest documents, and no more than it is set to."""

    top_n: int = 2

    def compress_documents(self, documents, query, callbacks=None):
        return sorted(documents, key=lambda one: len(one.page_content))[: self.top_n]


def test_a_compressor_with_a_limit(store):
    """A compressor that cuts by itself is recorded whole, and cut when it is replayed."""
    classic = pytest.importorskip("langchain_classic.retrievers")
    retriever = classic.ContextualCompressionRetriever(
        base_compressor=Shortest(), base_retriever=store.as_retriever(search_kwargs={"k": 4})
    )
    made = _recorded(retriever)
    _same(made, retriever)
    assert all((one.rerank_rank > 0).all() for one in made)


@pytest.mark.filterwarnings("ignore:.*cannot be widened:UserWarning")
def test_a_runnable(store):
    """A runnable from a question to documents can be recorded; a warning says what it cannot do."""
    retriever = store.as_retriever(search_kwargs={"k": 5})
    runnable = RunnableLambda(retriever.invoke)
    _same(_recorded(runnable, 100), runnable)


def test_a_bare_compressor_is_refused():
    """A compressor cannot be recorded alone, and is refused by name."""
    with pytest.raises(InvalidArgument, match="TwoStage"):
        record(RunoffRerank(), QUESTIONS, progress=False)


class Strict(Backwards):
    """Keeps the first three documents."""

    def compress_documents(self, documents, query, callbacks=None):
        return list(documents)[:3]


def test_what_theirs_leaves_out_is_not_replaced(store):
    """A replay puts no unread candidate in the place of what a foreign compressor left out."""
    one = TwoStageRetriever(
        retriever=store.as_retriever(), reranker=Strict(), k=8, depth=10, window=5
    )
    with pytest.raises(InvalidArgument, match="window=10: must be 5"):
        _recorded(one)
    _same(record(one, QUESTIONS, 10, window=5, progress=False), one)


@pytest.mark.filterwarnings("ignore:.*langchain-community:DeprecationWarning")
@pytest.mark.parametrize("kind", ["LongContextReorder", "EmbeddingsRedundantFilter"])
def test_transformers_that_read_documents_together(store, embeddings, kind):
    """LangChain's own are recorded as the system reads, and replayed in no other window."""
    compressors = pytest.importorskip("langchain_classic.retrievers.document_compressors")
    transformers = pytest.importorskip("langchain_community.document_transformers")
    options = {"embeddings": embeddings, "similarity_threshold": 0.4}
    part = getattr(transformers, kind)(**options if kind.startswith("Emb") else {})
    one = TwoStageRetriever(
        retriever=store.as_retriever(),
        reranker=compressors.DocumentCompressorPipeline(transformers=[part]),
        k=6,
        depth=8,
    )
    with pytest.raises(InvalidArgument, match="depth=10: must be 8"):
        _recorded(one)
    made = record(one, QUESTIONS, 8, progress=False)
    _same(made, one)
    assert made.setup.steps[0].listwise
    with pytest.raises(InvalidArgument, match="several candidates at once"):
        replay(made, window=5)


@pytest.mark.filterwarnings("ignore:.*langchain-community:DeprecationWarning")
def test_a_filter_that_reads_each_document_alone(store, embeddings):
    """LangChain's filter by similarity replays every window."""
    pytest.importorskip("langchain_community")
    compressors = pytest.importorskip("langchain_classic.retrievers.document_compressors")
    part = compressors.EmbeddingsFilter(embeddings=embeddings, k=None, similarity_threshold=0.1)
    options = {"retriever": store.as_retriever(), "reranker": part, "k": 6, "depth": 8}
    made = _recorded(TwoStageRetriever(**options))
    one = TwoStageRetriever(**options, window=5)
    runs = replay(made, window=5)
    for query_id, text in QUESTIONS.queries.items():
        assert list(runs[query_id]) == [two.id for two in one.invoke(text)]


class Interleaved(BaseDocumentCompressor):
    """Somebody else's compressor: every second document first."""

    def compress_documents(self, documents, query, callbacks=None):
        return [*documents[::2], *documents[1::2]]


def test_a_compressor_in_a_pipeline_of_ours():
    """A TwoStage is given the compressor itself, and is recorded as it reads."""
    texts = [f"ship {'at dawn ' * (at % 5)}{at}" for at in range(30)]
    one = TwoStage({"bm25": BM25(texts)}, reranker=Interleaved(), depth=20, window=10)
    with pytest.raises(InvalidArgument, match="depth=200: must be 20, and window=10"):
        record(one, QUESTIONS, progress=False)
    runs = replay(record(one, QUESTIONS, 20, window=10, progress=False))
    for query_id, text in QUESTIONS.queries.items():
        assert list(runs[query_id]) == [two.doc_id for two in one.search(text)]
