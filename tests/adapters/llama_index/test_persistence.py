import warnings

import pytest
from llama_index.core import MockEmbedding, Settings
from llama_index.core.schema import (
    IndexNode,
    NodeRelationship,
    RelatedNodeInfo,
    TextNode,
)

from runoff._util.provenance import KEY
from runoff.errors import IndexDamaged, IndexNotFound, InvalidArgument
from runoff.filters import Eq
from runoff.llama_index import (
    FilteredQueryBundle,
    HybridRetriever,
    TwoStageRetriever,
)
from runoff.recall import BM25

QUERY = "sort dictionaries by value"


def ids(nodes):
    return [one.node_id for one in nodes]


class TestPersistence:
    def test_what_was_saved_answers_the_same(self, index, embed_model, tmp_path, overlap):
        """Words, nodes and vectors come back with the same results and scores."""
        hybrid = HybridRetriever.from_defaults(
            index=index, reranker=None, top_n=10, analyzer="german"
        )
        hybrid.persist(tmp_path / "saved")
        back = HybridRetriever.from_persist_dir(
            tmp_path / "saved", embed_model=embed_model, reranker=None, top_n=10
        )
        for query in (QUERY, "file", "pattern in strings"):
            old, new = hybrid.retrieve(query), back.retrieve(query)
            assert [(one.node_id, one.score) for one in new] == [
                (one.node_id, one.score) for one in old
            ]
            assert [one.metadata for one in new] == [one.metadata for one in old]
        assert "german" in repr(back.bm25)

    def test_vectors_that_live_elsewhere_stay_there(self, chroma, tmp_path):
        """With Chroma only words and nodes are saved, and the store is given again."""
        hybrid = HybridRetriever.from_defaults(index=chroma, reranker=None, top_n=10)
        hybrid.persist(tmp_path)
        assert {one.name for one in tmp_path.iterdir()} == {"bm25", "embedder.json"}
        with pytest.raises(InvalidArgument, match="vector_store"):
            HybridRetriever.from_persist_dir(tmp_path)
        back = HybridRetriever.from_persist_dir(
            tmp_path,
            vector_store=chroma.vector_store,
            embed_model=chroma._embed_model,
            reranker=None,
            top_n=10,
        )
        assert ids(back.retrieve(QUERY)) == ids(hybrid.retrieve(QUERY))

    def test_a_loaded_one_can_be_changed_and_saved_again(self, index, embed_model, tmp_path):
        """Add, delete, filters and delete_ref_doc work on what was loaded."""
        HybridRetriever.from_defaults(index=index, reranker=None).persist(tmp_path)
        back = HybridRetriever.from_persist_dir(
            tmp_path, embed_model=embed_model, reranker=None, top_n=20
        )
        source = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id="doc")}
        back.insert_nodes([TextNode(id_="new", text="zebra", relationships=source)])
        back.delete_nodes(["sort"])
        back.persist(tmp_path)
        again = HybridRetriever.from_persist_dir(
            tmp_path, embed_model=embed_model, reranker=None, top_n=20
        )
        found = ids(again.retrieve("zebra"))
        assert found[0] == "new"
        assert "sort" not in found
        kept = again.retrieve(FilteredQueryBundle(QUERY, filters=Eq("number", 3)))
        assert ids(kept) == ["path-glob"]
        assert again.delete_ref_doc("doc") == 1

    def test_words_alone_return_whole_nodes_after_loading(self, index, embed_model, tmp_path):
        """A node that only BM25 found comes from the saved index, with all it had."""
        HybridRetriever.from_defaults(index=index, reranker=None).persist(tmp_path)
        words = TwoStageRetriever({"bm25": BM25.load(tmp_path / "bm25")}, reranker=None, top_n=1)
        came = words.retrieve(QUERY)[0]
        assert type(came.node) is TextNode
        assert {**came.metadata, KEY: None} == {"lang": "en", "number": 9, KEY: None}
        assert came.score > 0

    def test_an_empty_directory_is_named(self, tmp_path):
        """An empty directory raises IndexNotFound."""
        with pytest.raises(IndexNotFound):
            HybridRetriever.from_persist_dir(tmp_path / "none")

    def test_a_node_that_cannot_be_saved_is_named(self, nodes, embed_model, index, tmp_path):
        """An index node over a retriever cannot be written to a disk."""
        pointer = IndexNode(id_="p", text="x", index_id="i", obj=index.as_retriever())
        hybrid = HybridRetriever.from_defaults(
            index=index, nodes=[*nodes, pointer], embed_model=embed_model, reranker=None
        )
        with pytest.raises(InvalidArgument, match="cannot be saved"):
            hybrid.persist(tmp_path)


class TestEmbedder:
    """The model that embedded the nodes must embed the queries."""

    def test_another_default_is_refused(self, index, tmp_path, monkeypatch):
        """Without `embed_model=`, a retriever that another model embedded is not opened."""
        HybridRetriever.from_defaults(index=index, reranker=None).persist(tmp_path)
        with pytest.raises(InvalidArgument, match="embedded by WordEmbedding"):
            HybridRetriever.from_persist_dir(tmp_path)
        monkeypatch.setattr(Settings, "_embed_model", MockEmbedding(embed_dim=8))
        with pytest.raises(InvalidArgument, match="MockEmbedding"):
            HybridRetriever.from_persist_dir(tmp_path)

    def test_another_choice_is_warned_about(self, index, tmp_path):
        """A model that the caller passes is used, and a warning names both."""
        HybridRetriever.from_defaults(index=index, reranker=None).persist(tmp_path)
        with pytest.warns(UserWarning, match=r"WordEmbedding.*MockEmbedding"):
            HybridRetriever.from_persist_dir(tmp_path, embed_model=MockEmbedding(embed_dim=8))

    def test_the_same_model_has_many_names(self, index, tmp_path):
        """One model is the same in another class, and with or without its organisation."""
        named = MockEmbedding(embed_dim=8, model_name="org/model")
        nodes = [TextNode(id_="a", text="one")]
        made = HybridRetriever.from_defaults(nodes=nodes, embed_model=named, reranker=None)
        made.persist(tmp_path)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            again = index._embed_model.model_copy(update={"model_name": "model"})
            HybridRetriever.from_persist_dir(tmp_path, embed_model=again)

    @pytest.mark.parametrize("written", ["", "[]", "{}", '{"class": 1, "model": "m"}', "[" * 9999])
    def test_a_damaged_file_is_named(self, index, embed_model, tmp_path, written):
        """A file that names no model is damage; without the file nothing is checked."""
        HybridRetriever.from_defaults(index=index, reranker=None).persist(tmp_path)
        (tmp_path / "embedder.json").write_text(written)
        with pytest.raises(IndexDamaged, match=r"embedder\.json"):
            HybridRetriever.from_persist_dir(tmp_path, embed_model=embed_model)
        (tmp_path / "embedder.json").unlink()
        HybridRetriever.from_persist_dir(tmp_path, embed_model=embed_model)
