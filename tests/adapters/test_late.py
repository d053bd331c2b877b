"""Late interaction in both adapters."""

import json
import pickle
from dataclasses import replace

import pytest

pytest.importorskip("llama_index.core")
pytest.importorskip("langchain_core")

from langchain_core.documents import Document
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from runoff import langchain, llama_index
from runoff.errors import InvalidArgument
from runoff.rerank import LateInteraction, Pointwise, TokenStore

TEXTS = ["gamma delta", "alpha beta", "zeta eta theta"]


@pytest.fixture
def late(tiny, tmp_path):
    folder = tiny.save(tmp_path / "encoder", output="last_hidden_state")
    return Pointwise(LateInteraction(folder, store=TokenStore()), blend=None)


def test_llama_index_reranks_with_token_vectors(late):
    """One argument: the best match comes first, scored as a similarity, and nothing is lost."""
    nodes = [NodeWithScore(node=TextNode(text=one), score=0.5 - at) for at, one in enumerate(TEXTS)]
    rerank = llama_index.RunoffRerank(reranker=late, top_n=3)
    found = rerank.postprocess_nodes(nodes, query_bundle=QueryBundle("alpha beta"))
    assert found[0].node.get_content() == "alpha beta"
    assert len(found) == 3
    said = json.loads(found[0].node.metadata["runoff"])
    assert str(late.scorer.model) in json.dumps(said)
    rerank.postprocess_nodes(nodes, query_bundle=QueryBundle("alpha beta"))
    assert len(late.scorer.store) == 3


def test_langchain_reranks_with_token_vectors(late):
    """The same in LangChain; a rebuilt compressor finds the vectors of the one before."""
    documents = [Document(one) for one in TEXTS]
    for _ in range(2):
        found = langchain.RunoffRerank(reranker=late, top_n=2).compress_documents(
            documents, "alpha beta"
        )
        assert found[0].page_content == "alpha beta"
        assert len(found) == 2
    assert len(late.scorer.store) == 3


def test_both_take_the_short_name():
    """`reranker="late"` runs with the embedded encoder."""
    pytest.importorskip("runoff_models")
    texts = ["The moon raises the sea.", "Knead the dough and bake it.", "Cats sleep all day."]
    documents = [Document(one) for one in texts]
    rerank = langchain.RunoffRerank(reranker="late", top_n=1)
    assert "Knead" in rerank.compress_documents(documents, "how do I bake bread?")[0].page_content
    nodes = [NodeWithScore(node=TextNode(text=one.page_content)) for one in documents]
    other = llama_index.RunoffRerank(reranker="late", top_n=1)
    found = other.postprocess_nodes(nodes, query_bundle=QueryBundle("how do I bake bread?"))
    assert "Knead" in found[0].node.get_content()


@pytest.mark.parametrize("room", [llama_index, langchain])
def test_embeddings_fill_the_store_with_documents_alone(late, room):
    """Documents that a vector store embeds are in the token store then; queries never are."""
    scorer = late.scorer
    if room is langchain:
        embeddings = langchain.RunoffEmbeddings(str(scorer.model), late=scorer)
        embeddings.embed_documents(TEXTS)
        vector = embeddings.embed_query("alpha beta gamma")
        plain = langchain.RunoffEmbeddings(str(scorer.model)).embed_query("alpha beta gamma")
        assert "late=LateInteraction(" in repr(embeddings)
    else:
        made = llama_index.RunoffEmbedding(str(scorer.model), late=scorer)
        made.get_text_embedding_batch(TEXTS)
        vector = made.get_query_embedding("alpha beta gamma")
        plain = llama_index.RunoffEmbedding(str(scorer.model)).get_query_embedding(
            "alpha beta gamma"
        )
    assert vector == plain
    assert len(scorer.store) == 3
    known = scorer.score([("zeta", text) for text in TEXTS])
    assert known.usage.tokens < 5, "the query alone"


def test_a_llama_index_embedding_comes_back_with_late_interaction(late):
    """`to_dict` and pickles keep it as configuration."""
    scorer = replace(late.scorer, model=str(late.scorer.model))
    made = llama_index.RunoffEmbedding(scorer.model, late=scorer, embed_batch_size=7)
    for back in (
        llama_index.RunoffEmbedding.from_dict(made.to_dict()),
        llama_index.RunoffEmbedding.from_json(made.to_json()),
        pickle.loads(pickle.dumps(made)),
    ):
        assert back.late == scorer
        assert back.embed_batch_size == 7
        back.get_text_embedding("alpha beta")
        assert len(back.late.store) == 1


def test_embeddings_refuse_what_is_not_late_interaction():
    """The error names the argument."""
    for make in (langchain.RunoffEmbeddings, llama_index.RunoffEmbedding):
        with pytest.raises(InvalidArgument, match="late"):
            make(late="colbert")
