"""Known defects of other packages: first the peer's wrong result, then runoff's right one.

The peer's half runs where its package is installed; a peer that is mended fails its half, and the
sentence in the documentation goes.
"""

import asyncio
import importlib.metadata
import threading
import types
import warnings

import pytest
from cross_encoders import BaseCrossEncoder
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import ConfigurableField
from langchain_core.tracers.base import BaseTracer
from packaging.requirements import Requirement

from runoff.langchain import HybridRetriever, RunoffRerank, TwoStageRetriever, provenance

QUESTION = "which cascade passes few documents to an expensive model"


class Lengths(BaseCrossEncoder):
    def score(self, text_pairs):
        return [float(len(text)) for _, text in text_pairs]


class Numbers(BaseCrossEncoder):
    """Scores every text 1, and one of them NaN."""

    def score(self, text_pairs):
        return [float("nan") if "sugar" in text else 1.0 for _, text in text_pairs]


class Names(BaseTracer):
    """Keeps the names of all runs."""

    def __init__(self):
        super().__init__()
        self.names = []

    def _persist_run(self, run):
        waiting = [run]
        while waiting:
            one = waiting.pop()
            self.names.append(one.name)
            waiting += one.child_runs


class Broken(BaseRetriever):
    """Fails."""

    k: int = 4

    def _get_relevant_documents(self, query, *, run_manager):
        raise ConnectionError("down")


class TestDefect07NoFallback:
    """A failing reranker makes the whole retrieval fail."""

    def test_peer(self, documents):
        """LangChain's CrossEncoderReranker raises, and no document is returned."""
        classic = pytest.importorskip("langchain_classic.retrievers.document_compressors")

        class Down(Lengths):
            def score(self, text_pairs):
                raise ConnectionError("down")

        with pytest.raises(ConnectionError):
            classic.CrossEncoderReranker(model=Down()).compress_documents(documents, QUESTION)

    def test_ours(self, documents, failing):
        """Ours returns the incoming order and says so."""
        results = RunoffRerank(reranker=failing).compress_documents(documents, QUESTION)
        assert len(results) == 5
        assert provenance(results[0])["complete"] is False


class TestDefect10ScoresDiscardedAndUntraced:
    """CrossEncoderReranker discards scores, and reranking is invisible in traces."""

    def test_peer(self, store):
        """Its documents carry no score, and no run but the retrievers' is traced."""
        retrievers = pytest.importorskip("langchain_classic.retrievers")
        compressors = pytest.importorskip("langchain_classic.retrievers.document_compressors")
        tracer = Names()
        results = retrievers.ContextualCompressionRetriever(
            base_compressor=compressors.CrossEncoderReranker(model=Lengths()),
            base_retriever=store.as_retriever(),
        ).invoke(QUESTION, {"callbacks": [tracer]})
        assert not any("relevance_score" in one.metadata for one in results)
        assert sorted(tracer.names) == ["ContextualCompressionRetriever", "VectorStoreRetriever"]

    def test_ours(self, store):
        """The same cross-encoder in ours: scores on the documents, a run in the trace."""
        tracer = Names()
        results = TwoStageRetriever(retriever=store, reranker=Lengths()).invoke(
            QUESTION, {"callbacks": [tracer]}
        )
        assert all(isinstance(one.metadata["relevance_score"], float) for one in results)
        assert "RunoffRerank" in tracer.names

    def test_ours_in_theirs(self, store):
        """Inside a ContextualCompressionRetriever ours is traced too."""
        retrievers = pytest.importorskip("langchain_classic.retrievers")
        tracer = Names()
        retrievers.ContextualCompressionRetriever(
            base_compressor=RunoffRerank(reranker=Lengths()), base_retriever=store.as_retriever()
        ).invoke(QUESTION, {"callbacks": [tracer]})
        assert "RunoffRerank" in tracer.names


class TestDefect11DocumentIdLost:
    """LangChain's Cohere and Flashrank compressors rebuild documents without their id."""

    @pytest.fixture
    def compressor(self):
        """langchain-cohere's compressor over a client that scores by place, without a network."""
        peer = pytest.importorskip("langchain_cohere")
        cohere = pytest.importorskip("cohere")

        class Client(cohere.ClientV2):
            def __init__(self):
                """Need no key."""

            def rerank(self, *, documents, **options):
                places = range(len(documents))
                items = [
                    types.SimpleNamespace(index=place, relevance_score=1 / (2 + place))
                    for place in places
                ]
                return types.SimpleNamespace(results=items)

        return peer.CohereRerank(client=Client(), model="m", top_n=None)

    def test_peer(self, documents, compressor):
        """langchain-cohere's compressor returns documents without ids."""
        results = compressor.compress_documents(documents, QUESTION)
        assert [one.id for one in results] == [None] * len(documents)

    def test_ours_over_theirs(self, documents, compressor):
        """The same compressor in ours: every document has its id, and Cohere's score."""
        results = RunoffRerank(reranker=compressor, top_n=10).compress_documents(
            documents, QUESTION
        )
        assert [one.id for one in results] == [one.id for one in documents]
        assert results[0].metadata["relevance_score"] == 0.5

    def test_ours(self, documents, overlap):
        """Every result of ours keeps its id."""
        results = RunoffRerank(reranker=overlap, top_n=10).compress_documents(documents, QUESTION)
        assert sorted(one.id for one in results) == sorted(one.id for one in documents)


class TestDefect12ConfigurableLost:
    """ContextualCompressionRetriever loses `configurable` and hides what can be configured."""

    @pytest.fixture
    def base(self, store):
        return store.as_retriever(search_kwargs={"k": 3}).configurable_fields(
            search_kwargs=ConfigurableField(id="search")
        )

    def test_peer(self, base, overlap):
        """Invoked with `configurable`, its base retriever never sees it; its specs are empty."""
        retrievers = pytest.importorskip("langchain_classic.retrievers")
        retriever = retrievers.ContextualCompressionRetriever(
            base_compressor=RunoffRerank(reranker=overlap), base_retriever=base
        )
        config = {"configurable": {"search": {"k": 1}}}
        assert len(base.invoke(QUESTION, config)) == 1
        assert len(retriever.invoke(QUESTION, config)) == 3
        assert retriever.config_specs == []

    async def test_ours(self, base, overlap):
        """Ours hands `configurable` down and lists the base retriever's fields."""
        retriever = TwoStageRetriever(retriever=base, reranker=overlap, k=10)
        assert [spec.id for spec in retriever.config_specs] == ["search"]
        only = {"filter": lambda document: document.id == "tea"}
        config = {"configurable": {"search": only}}
        for results in (
            retriever.invoke(QUESTION, config),
            await retriever.ainvoke(QUESTION, config),
        ):
            assert [one.id for one in results] == ["tea"]


class TestDefect13Ensemble:
    """EnsembleRetriever: a failing retriever is fatal, id_key must be there, k is ignored."""

    def test_peer(self, store):
        """One failing retriever fails all; a document without the key raises; k=1 returns more."""
        retrievers = pytest.importorskip("langchain_classic.retrievers")
        good = store.as_retriever(search_kwargs={"k": 3})
        with pytest.raises(ConnectionError):
            retrievers.EnsembleRetriever(retrievers=[good, Broken()]).invoke(QUESTION)
        with pytest.raises(KeyError):
            retrievers.EnsembleRetriever(retrievers=[good], id_key="key").invoke(QUESTION)
        assert len(retrievers.EnsembleRetriever(retrievers=[good]).invoke(QUESTION, k=1)) == 3

    def test_ours(self, store):
        """Ours leaves the failing one out by name, tolerates absence of the key, and honours k."""
        retriever = TwoStageRetriever(
            retrievers={"good": store, "bad": Broken()}, reranker=None, id_key="key"
        )
        (only,) = retriever.invoke(QUESTION, k=1)
        assert provenance(only)["degraded"][0]["source"] == "bad"


class TestDefect14BM25:
    """LangChain's BM25Retriever: case-sensitive, hits without a shared word, no scores."""

    @pytest.fixture
    def community(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the package announces its own end at import
            return pytest.importorskip("langchain_community.retrievers")

    def test_peer(self, documents, community):
        """It misses "Apple pie" when asked for "apple", and returns documents all the same."""
        retriever = community.BM25Retriever.from_documents(documents, k=2)
        assert retriever.vectorizer.get_scores(["apple"]).max() == 0.0
        results = retriever.invoke("apple")
        assert len(results) == 2
        assert results[0].metadata == documents[-1].metadata  # no score

    @pytest.mark.parametrize(
        ("texts", "error"), [([], ValueError), ([" "], ZeroDivisionError)], ids=["none", "blank"]
    )
    def test_peer_without_words(self, community, texts, error):
        """Without documents, or with blank ones alone, it cannot be built."""
        with pytest.raises(error):
            community.BM25Retriever.from_documents([Document(page_content=one) for one in texts])

    def test_peer_cannot_be_saved(self, documents, community):
        """It has no way to be written to disk and loaded."""
        retriever = community.BM25Retriever.from_documents(documents)
        assert not any(hasattr(retriever, one) for one in ("persist", "save", "save_local"))

    def test_ours(self, documents, embeddings):
        """Ours ignores case, scores it, and finds nothing if no word is shared."""
        hybrid = HybridRetriever.from_documents(documents, embeddings, reranker=None)
        best = hybrid.invoke("apple")[0]
        assert best.id == "apple"
        assert provenance(best)["sources"]["bm25"]["score"] > 0
        told = [provenance(one) for one in hybrid.invoke("zebra", k=10)]
        assert not any("bm25" in one["sources"] for one in told)

    @pytest.mark.parametrize("texts", [[], [" "]], ids=["none", "blank"])
    def test_ours_without_words(self, embeddings, texts):
        """Ours can be built, and finds nothing."""
        hybrid = HybridRetriever.from_documents(
            [Document(page_content=one) for one in texts], embeddings, reranker=None
        )
        found = hybrid.invoke("apple")
        assert len(found) <= len(texts)
        assert not any("bm25" in provenance(one)["sources"] for one in found)


class TestNaNSortsFirst:
    """A NaN score is sorted to the front."""

    def test_peer(self, documents):
        """CrossEncoderReranker puts the document scored NaN before better ones."""
        compressors = pytest.importorskip("langchain_classic.retrievers.document_compressors")
        listed = [documents[5], *documents[:3]]
        results = compressors.CrossEncoderReranker(model=Numbers()).compress_documents(
            listed, QUESTION
        )
        assert results[0].id == "bread"

    def test_ours(self, documents):
        """Ours counts it as unscored: it comes last, and the answer says it is degraded."""
        listed = [documents[5], *documents[:3]]
        results = RunoffRerank(reranker=Numbers()).compress_documents(listed, QUESTION)
        assert results[-1].id == "bread"
        assert provenance(results[0])["degraded"][0]["reason"] == "bad_reply"


class TestBlockedLoop:
    """An asynchronous call that does not block the loop, in compressor and retriever alike."""

    def test_ours(self, documents, overlap):
        """A retriever and a scorer that only wait leave the loop free for 50 callers at once."""
        both = threading.Barrier(2)

        class Slow(BaseRetriever):
            k: int = 4

            def _get_relevant_documents(self, query, *, run_manager):
                both.wait(30)  # until another call is here
                return [Document(page_content=query)]

        retriever = TwoStageRetriever(retriever=Slow(), reranker=overlap)

        async def many():
            calls = (retriever.ainvoke(f"question {n}") for n in range(50))
            return await asyncio.gather(*calls)

        assert [len(one) for one in asyncio.run(many())] == [1] * 50


class TestDefect15Pins:
    """LangChain's package for Hugging Face excludes sentence-transformers 6."""

    def test_peer(self):
        """Its metadata require a version below 6."""
        pytest.importorskip("langchain_huggingface", reason="the peers group is not installed")
        (asked,) = _asked("langchain-huggingface")
        assert asked.contains("5.7.0")
        assert not asked.contains("6.2.0")

    def test_ours(self):
        """Ours allow 5 and 6."""
        asked = _asked("runoff")
        assert asked
        assert all(one.contains("5.7.0") and one.contains("6.2.0") for one in asked)


def _asked(package):
    """Return a package's requirements of sentence-transformers, in any of its extras."""
    wanted = [Requirement(one) for one in importlib.metadata.requires(package) or []]
    return [one.specifier for one in wanted if one.name == "sentence-transformers"]
