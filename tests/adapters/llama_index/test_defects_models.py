"""Defects of LlamaIndex's local rerankers that are about their models: lengths, labels, options."""

import sys

import numpy as np
import pytest
from llama_index.core.schema import NodeWithScore, TextNode
from tiny import save

from runoff import Document, TwoStage
from runoff.llama_index import RunoffRerank, provenance
from runoff.recall import Function
from runoff.rerank import CrossEncoder

QUERY = "alpha beta"
SHORT = "gamma delta"
LONG = "gamma delta epsilon " * 400


@pytest.fixture
def two():
    return [
        NodeWithScore(node=TextNode(id_="short", text=SHORT), score=0.9),
        NodeWithScore(node=TextNode(id_="long", text=LONG), score=0.8),
    ]


@pytest.fixture
def packaged(peer):
    """LlamaIndex's reranker of the same name from its own package, which installs torch."""
    theirs = pytest.importorskip("llama_index.postprocessor.sbert_rerank")
    model = peer.model

    class Named(model):
        def __init__(self, model_name_or_path, **options):
            super().__init__(model_name_or_path, **options)

    sys.modules["sentence_transformers"].CrossEncoder = Named
    return theirs.SentenceTransformerRerank


class TestSilentTruncation:
    """Their reranker reads 512 tokens whatever the model, and does not say what it left out."""

    @pytest.mark.parametrize("model", ["BAAI/bge-reranker-v2-m3", "some/model-of-128-tokens"])
    def test_theirs(self, peer, two, model):
        """The length is fixed, no argument changes it, and truncation is not reported."""
        theirs = peer(model=model)
        assert theirs._model.options["max_length"] == 512
        with pytest.raises(TypeError):
            peer(model=model, max_length=8192)
        came = theirs.postprocess_nodes(two, query_str=QUERY)
        assert [one.node.metadata for one in came] == [{}, {}]

    def test_theirs_packaged(self, packaged):
        """The reranker in its own package has the same length for every model."""
        assert packaged(model="some/model", device="cpu")._model.options["max_length"] == 512

    @pytest.mark.parametrize("max_length", [16, None])
    def test_ours(self, tmp_path, two, max_length):
        """Ours reads what the model or the argument says, and names every text it cut."""
        encoder = CrossEncoder(save(tmp_path), max_length=max_length)
        came = RunoffRerank(reranker=encoder).postprocess_nodes(two, query_str=QUERY)
        told = {one.node_id: provenance(one)["truncated"] for one in came}
        assert told == {"short": False, "long": True}

    def test_ours_counts(self, tmp_path):
        """The trace of a search counts them."""
        hits = [(Document("short", SHORT), 0.9), (Document("long", LONG), 0.8)]
        pipeline = TwoStage(
            {"all": Function(lambda query, depth: hits)},
            reranker=CrossEncoder(save(tmp_path), max_length=16),
        )
        assert pipeline.search(QUERY).trace.truncated == 1


class TestDefect15TwoLabels:
    """A cross-encoder with two labels crashes their rerankers."""

    def test_theirs(self, peer, two):
        """Their reranker fails on two numbers a pair."""
        peer.model.values = np.array([[0.1, 0.9], [0.8, 0.2]]).tolist()
        with pytest.raises(ValueError, match="ambiguous"):
            peer().postprocess_nodes(two, query_str=QUERY)

    def test_theirs_packaged(self, packaged, peer, two):
        """The reranker in its own package fails, too."""
        peer.model.values = np.array([[0.1, 0.9], [0.8, 0.2]]).tolist()
        with pytest.raises(TypeError):
            packaged(device="cpu").postprocess_nodes(two, query_str=QUERY)

    def test_ours(self, tmp_path, two):
        """Ours scores the log-odds of the second label."""
        encoder = CrossEncoder(save(tmp_path, labels=2))
        came = RunoffRerank(reranker=encoder).postprocess_nodes(two, query_str=QUERY)
        assert {one.node_id for one in came} == {"short", "long"}
        assert all(isinstance(one.score, float) for one in came)
        assert provenance(came[0])["complete"] is True


class TestDefect15OptionsLost:
    """The configuration that their packaged reranker writes lacks options that were set."""

    def test_theirs(self, packaged):
        """to_dict leaves out the device and the cache folder of the model."""
        told = packaged(device="cpu", cache_folder="models").to_dict()
        assert not told.keys() & {"device", "cache_folder"}

    def test_ours(self, tmp_path, two):
        """Ours writes all options, and what is read back scores the same."""
        encoder = CrossEncoder(str(save(tmp_path)), max_length=16, cache_dir="models")
        ours = RunoffRerank(reranker=encoder, timeout=5, top_n=2)
        told = ours.to_dict()
        assert told["timeout"] == 5
        assert told["reranker"]["cache_dir"] == "models"
        back = RunoffRerank.from_dict(told)
        assert back.reranker == encoder
        scores = [
            [(node.node_id, node.score) for node in one.postprocess_nodes(two, query_str=QUERY)]
            for one in (ours, back)
        ]
        assert scores[0] == scores[1]
