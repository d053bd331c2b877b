"""Defects of LlamaIndex's own parts: the peer's wrong result, then ours."""

import json
import pickle
import time

import pytest
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.core.retrievers.fusion_retriever import FUSION_MODES
from llama_index.core.schema import ImageNode, MetadataMode, NodeWithScore, TextNode
from llama_index.core.settings import Settings
from llama_index.core.vector_stores.types import MetadataFilter, MetadataFilters
from ticking import ticks_during

from runoff.errors import ServerFailed
from runoff.fusion import RRF
from runoff.llama_index import HybridRetriever, RunoffRerank, TwoStageRetriever, provenance
from runoff.rerank import CrossEncoder

QUERY = "sort dictionaries by value"


def ids(nodes):
    return [one.node_id for one in nodes]


class Fixed(BaseRetriever):
    def __init__(self, found, error=None, delay=0.0):
        self.found = found
        self.error = error
        self.delay = delay
        self.similarity_top_k = 10
        super().__init__()

    def _retrieve(self, query_bundle):
        time.sleep(self.delay)
        if self.error is not None:
            raise self.error
        return self.found


class TestDefect1FiltersLeak:
    """Their BM25 returns excluded nodes at score 0."""

    def test_theirs(self, nodes):
        """An excluded node comes back."""
        theirs = pytest.importorskip("llama_index.retrievers.bm25")
        filters = MetadataFilters(filters=[MetadataFilter(key="number", value=3)])
        retriever = theirs.BM25Retriever(nodes=nodes, similarity_top_k=4, filters=filters)
        assert {one.metadata["number"] for one in retriever.retrieve(QUERY)} - {3}

    @pytest.mark.parametrize("top_n", [1, 4, 10, 100])
    def test_ours(self, index, top_n):
        """No excluded id at any k."""
        filters = MetadataFilters(filters=[MetadataFilter(key="number", value=3)])
        ours = HybridRetriever.from_defaults(
            index=index, reranker=None, top_n=top_n, filters=filters
        )
        assert ids(ours.retrieve(QUERY)) == ["path-glob"]


class TestDefect2ReloadChangesResults:
    """Their BM25 forgets its analyzer when saved."""

    def test_theirs(self, tmp_path):
        """A query that found something finds nothing after loading."""
        theirs = pytest.importorskip("llama_index.retrievers.bm25")
        stemmer = pytest.importorskip("Stemmer").Stemmer("german")
        nodes = [TextNode(text="die Häuser stehen"), TextNode(text="ein Baum")]
        before = theirs.BM25Retriever(
            nodes=nodes, stemmer=stemmer, language="de", similarity_top_k=1
        )
        before.persist(str(tmp_path))
        after = theirs.BM25Retriever.from_persist_dir(str(tmp_path))
        scores = [one.retrieve("Häuser")[0].score for one in (before, after)]
        assert scores[0] > scores[1]

    def test_ours(self, embed_model, tmp_path):
        """Scores are the same after loading."""
        nodes = [TextNode(id_="a", text="die Häuser stehen"), TextNode(id_="b", text="ein Baum")]
        before = HybridRetriever.from_defaults(
            nodes=nodes, embed_model=embed_model, analyzer="german", reranker=None
        )
        before.persist(tmp_path)
        after = HybridRetriever.from_persist_dir(tmp_path, embed_model=embed_model, reranker=None)
        told = [provenance(one.retrieve("Häuser")[0])["sources"]["bm25"] for one in (before, after)]
        assert told[0] == told[1]
        assert told[0]["score"] > 0


class TestDefect3WeightsIgnored:
    """Their reciprocal rank fusion does not read its weights."""

    def test_theirs(self, scored, llm):
        """All the weight on one retriever changes nothing."""
        left, right = Fixed(scored[:1]), Fixed(scored[1:2])

        def fuse(weights):
            found = QueryFusionRetriever(
                [left, right], llm=llm, num_queries=1, use_async=False,
                mode=FUSION_MODES.RECIPROCAL_RANK, retriever_weights=weights,
            ).retrieve(QUERY)  # fmt: skip
            return [(one.node_id, one.score) for one in found]

        assert fuse([1.0, 0.0]) == fuse([0.0, 1.0])

    def test_ours(self, index):
        """Weights decide."""
        first = {}
        for weights in ({"bm25": 1.0, "dense": 0.1}, {"bm25": 0.1, "dense": 1.0}):
            found = HybridRetriever.from_defaults(
                index=index, reranker=None, fusion=RRF(weights), top_n=10
            ).retrieve("read strings row")
            for one in found:
                told = provenance(one)
                shares = [
                    weights[name] / (60 + place["rank"]) for name, place in told["sources"].items()
                ]
                assert told["fusion_score"] == pytest.approx(sum(shares))
            first[str(weights)] = [one.score for one in found]
        assert len({tuple(one) for one in first.values()}) == 2


class TestDefect4FusionNeedsAnLLM:
    """Their fusion resolves an LLM even when it generates no queries."""

    def test_theirs(self, scored, monkeypatch):
        """Without an LLM package it cannot be made."""
        monkeypatch.delenv("IS_TESTING", raising=False)
        monkeypatch.setattr(Settings, "_llm", None)
        with pytest.raises(ImportError, match="llms-openai"):
            QueryFusionRetriever([Fixed(scored)], num_queries=1)

    def test_ours(self, index, monkeypatch):
        """Ours needs no LLM."""
        monkeypatch.setattr(Settings, "_llm", None)
        hybrid = HybridRetriever.from_defaults(index=index, reranker=None)
        assert ids(hybrid.retrieve(QUERY))[0] == "sort"
        assert Settings._llm is None


class TestDefect5AsyncBlocksTheLoop:
    """Their default asynchronous retrieval runs on the event loop."""

    async def test_theirs(self, scored):
        """The event loop is blocked meanwhile."""
        assert await ticks_during(Fixed(scored, delay=0.2).aretrieve(QUERY)) <= 1

    async def test_ours(self, scored, overlap):
        """A ticker goes on while the same retriever works."""
        ours = TwoStageRetriever(Fixed(scored, delay=0.2), reranker=overlap())
        assert await ticks_during(ours.aretrieve(QUERY)) >= 10

    async def test_theirs_over_a_vector_store(self, index, embed_model, monkeypatch):
        """A vector retriever whose store has no asynchronous query blocks too."""
        store = type(index.vector_store)
        query = store.query
        monkeypatch.setattr(store, "query", lambda *given, **more: _slow(query, *given, **more))
        assert await ticks_during(index.as_retriever().aretrieve(QUERY)) <= 1

    async def test_ours_over_a_vector_store(self, index, overlap, monkeypatch):
        """Ours sees that the store has none and leaves the loop free."""
        store = type(index.vector_store)
        query = store.query
        monkeypatch.setattr(store, "query", lambda *given, **more: _slow(query, *given, **more))
        ours = HybridRetriever.from_defaults(index=index, reranker=overlap())
        assert await ticks_during(ours.aretrieve(QUERY)) >= 10


def _slow(call, *given, **more):
    time.sleep(0.2)
    return call(*given, **more)


class TestDefect7NoFallback:
    """An error of their reranker or of one retriever kills the query."""

    def test_theirs(self, peer, scored, monkeypatch, llm):
        """Both errors are raised."""

        def refuse(*args):
            raise ConnectionError("down")

        monkeypatch.setattr(peer.model, "predict", refuse)
        with pytest.raises(ConnectionError):
            peer(top_n=2).postprocess_nodes(scored, query_str=QUERY)
        fusion = QueryFusionRetriever(
            [Fixed(scored), Fixed([], error=ConnectionError("down"))],
            llm=llm, num_queries=1, use_async=False,
        )  # fmt: skip
        with pytest.raises(ConnectionError):
            fusion.retrieve(QUERY)

    def test_ours(self, overlap, scored):
        """An answer comes back, degraded, with the reason."""
        rerank = RunoffRerank(reranker=overlap(error=ServerFailed("503")), top_n=2)
        assert ids(rerank.postprocess_nodes(scored, query_str=QUERY)) == ids(scored)[:2]
        both = TwoStageRetriever(
            {"good": Fixed(scored), "bad": Fixed([], error=ConnectionError("down"))},
            reranker=overlap(),
            top_n=1,
        )
        assert ids(both.retrieve(QUERY)) == ["sort"]
        assert provenance(both.retrieve(QUERY)[0])["degraded"][0]["source"] == "bad"

    def test_ours_over_theirs(self, peer, scored, monkeypatch):
        """Their reranker in ours has a fallback too."""

        def refuse(*args):
            raise ConnectionError("down")

        monkeypatch.setattr(peer.model, "predict", refuse)
        rerank = RunoffRerank(reranker=peer(), top_n=2)
        came = rerank.postprocess_nodes(scored, query_str=QUERY)
        assert ids(came) == ids(scored)[:2]
        assert provenance(came[0])["degraded"][0]["reason"] == "connection"


class TestDefect8ProvenancePollutes:
    """Their retrieval score is written into the caller's metadata and read by the next pass."""

    def test_theirs(self, peer, scored):
        """Input is changed, the LLM and the second pass read it, stage 1 is forgotten."""
        before = scored[9].score
        theirs = peer(top_n=10, keep_retrieval_score=True)
        once = theirs.postprocess_nodes(list(scored), query_str=QUERY)
        assert scored[9].score != before
        assert "retrieval_score" in once[0].node.get_content(metadata_mode=MetadataMode.LLM)
        theirs.postprocess_nodes(once, query_str=QUERY)
        assert any("retrieval_score" in text for text in peer.model.read)
        assert once[0].node.metadata["retrieval_score"] == 10.0

    def test_ours(self, overlap, scored):
        """Input is unchanged, no LLM or second pass reads scores; provenance keeps stage 1."""
        before = [one.model_dump_json() for one in scored]
        scorer = overlap()
        rerank = RunoffRerank(reranker=scorer, top_n=10)
        once = rerank.postprocess_nodes(scored, query_str=QUERY)
        rerank.postprocess_nodes(once, query_str=QUERY)
        assert [one.model_dump_json() for one in scored] == before
        assert not any("runoff" in text for text in scorer.read)
        assert "runoff" not in once[0].node.get_content(metadata_mode=MetadataMode.LLM)
        assert provenance(once[0])["sources"]["input"]["score"] == pytest.approx(0.1)


class TestDefect9EmptyAndImageNodesAreSent:
    """Their rerankers send an empty string to the model for nodes without text."""

    def test_theirs(self, peer, scored):
        """The model gets empty texts."""
        picture = NodeWithScore(node=ImageNode(image_path="a.png"), score=0.5)
        peer(top_n=2).postprocess_nodes([picture, scored[0]], query_str=QUERY)
        assert "" in peer.model.read

    def test_ours(self, overlap, scored):
        """The model gets no empty text, and the nodes are kept."""
        scorer = overlap()
        given = [
            NodeWithScore(node=ImageNode(id_="picture", image_path="a.png"), score=0.5),
            NodeWithScore(node=TextNode(id_="blank", text=""), score=0.4),
            scored[0],
        ]
        came = RunoffRerank(reranker=scorer).postprocess_nodes(given, query_str=QUERY)
        assert len(scorer.read) == 1
        assert set(ids(came)) == {"picture", "blank", "csv-dict"}


class TestDefect15Plumbing:
    """Their configuration is lost or wrong after a round trip, and scores are not JSON."""

    def test_theirs(self, peer, scored):
        """Remote code is trusted although the configuration says otherwise; scores break JSON."""
        theirs = peer(top_n=2)
        assert theirs._model.options["trust_remote_code"] is True
        assert theirs.to_dict()["trust_remote_code"] is False
        came = theirs.postprocess_nodes(scored, query_str=QUERY)
        with pytest.raises(TypeError):
            json.dumps(came[0].score)

    def test_ours(self, overlap, scored):
        """The written configuration is what was set, and scores are plain floats."""
        ours = RunoffRerank(reranker=CrossEncoder("some/model", max_length=64), top_n=2)
        told = ours.to_dict()
        assert told["reranker"]["max_length"] == 64
        assert RunoffRerank.from_dict(json.loads(json.dumps(told))).reranker == ours.reranker
        assert pickle.loads(pickle.dumps(ours)).reranker == ours.reranker
        came = RunoffRerank(reranker=overlap()).postprocess_nodes(scored, query_str=QUERY)
        json.dumps([one.score for one in came])


class TestNaNOrder:
    """NaN sorts first in theirs."""

    def test_theirs(self, peer, scored):
        """The node scored NaN comes first."""
        peer.model.values = [1.0, float("nan"), 3.0]
        came = peer(top_n=3).postprocess_nodes(scored[:3], query_str=QUERY)
        assert ids(came) != ["json-load", "csv-dict", "csv-plain"]

    def test_ours_over_theirs(self, peer, scored):
        """The node scored NaN comes last, without a score, and the answer is not complete."""
        peer.model.values = [1.0, float("nan"), 3.0]
        came = RunoffRerank(reranker=peer()).postprocess_nodes(scored[:3], query_str=QUERY)
        assert ids(came) == ["json-load", "csv-dict", "csv-plain"]
        assert came[-1].score is None
        assert provenance(came[0])["complete"] is False
