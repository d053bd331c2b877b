import asyncio

import pytest
from llama_index.core import Settings, SummaryIndex, VectorStoreIndex
from llama_index.core.schema import (
    Document,
    ImageNode,
    IndexNode,
    MetadataMode,
    NodeRelationship,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)
from llama_index.vector_stores.chroma import ChromaVectorStore

from runoff._util.provenance import KEY
from runoff.errors import DuplicateId, FilterNotSupported, InvalidArgument
from runoff.filters import Eq, In, Not, Range
from runoff.fusion import Convex
from runoff.llama_index import (
    FilteredQueryBundle,
    HybridRetriever,
    provenance,
    two_stage,
)
from runoff.recall import BM25

QUERY = "sort dictionaries by value"


def ids(nodes):
    return [one.node_id for one in nodes]


class TestMaking:
    def test_an_index_is_searched_by_words_and_vectors(self, both):
        """BM25 is built from the index's nodes, whichever store they are in."""
        hybrid = HybridRetriever.from_defaults(index=both, reranker=None, top_n=10)
        came = hybrid.retrieve(QUERY)
        assert len(hybrid.bm25) == 10
        assert ids(came)[0] == "sort"
        assert set(provenance(came[0])["sources"]) == {"bm25", "dense"}
        told = provenance(came[0])
        assert {one["rank"] for one in told["sources"].values()} == {1}
        assert told["fusion"] == "Convex"
        assert came[0].score == told["fusion_score"] > 1  # deviations above the mean of both lists

    @pytest.mark.parametrize("given", ["nodes", "docstore", "vector_store"])
    def test_other_beginnings_give_the_same(self, given, nodes, embed_model, chroma, overlap):
        """It can be made from nodes, a docstore or a vector store."""
        docstore = SimpleDocumentStore()
        docstore.add_documents(nodes)
        what = {"nodes": nodes, "docstore": docstore, "vector_store": chroma.vector_store}[given]
        hybrid = HybridRetriever.from_defaults(
            **{given: what}, embed_model=embed_model, reranker=overlap(), top_n=3
        )
        whole = HybridRetriever.from_defaults(index=chroma, reranker=overlap(), top_n=3)
        assert ids(hybrid.retrieve(QUERY)) == ids(whole.retrieve(QUERY))
        assert ids(asyncio.run(hybrid.aretrieve(QUERY))) == ids(whole.retrieve(QUERY))

    def test_words_are_those_that_were_embedded(self, embed_model):
        """BM25 reads metadata and content as the embedding does, without what is excluded."""
        node = TextNode(
            id_="a",
            text="body",
            metadata={"title": "heading", "path": "secret"},
            excluded_embed_metadata_keys=["path"],
        )
        hybrid = HybridRetriever.from_defaults(nodes=[node], embed_model=embed_model, reranker=None)
        assert hybrid.bm25.get("a").text == node.get_content(metadata_mode=MetadataMode.EMBED)

    def test_nodes_come_back_whole(self, both, nodes):
        """Metadata, relationships and exclusions survive, whichever source found the node."""
        nodes[9].relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id="doc")
        hybrid = HybridRetriever.from_defaults(index=both, nodes=nodes, reranker=None, top_n=1)
        came = hybrid.retrieve(QUERY)[0].node
        assert came.metadata["number"] == 9
        assert came.ref_doc_id == "doc"
        assert came.excluded_llm_metadata_keys == [KEY]
        assert nodes[9].excluded_llm_metadata_keys == []

    def test_an_empty_index_finds_nothing(self, embed_model, overlap):
        """An empty list of nodes is accepted."""
        hybrid = HybridRetriever.from_defaults(
            nodes=[], embed_model=embed_model, reranker=overlap()
        )
        assert hybrid.retrieve(QUERY) == []

    def test_images_do_no_harm(self, embed_model, nodes, overlap):
        """BM25 cannot find nodes without text; the vector index still does."""
        picture = ImageNode(id_="picture", image_path="a.png", text="a caption about sorting")
        hybrid = HybridRetriever.from_defaults(
            nodes=[*nodes, picture], embed_model=embed_model, reranker=overlap(), top_n=11
        )
        assert "picture" in ids(hybrid.retrieve("caption"))

    @pytest.mark.parametrize("saved", [False, True])
    def test_references_are_followed_by_both(self, embed_model, nodes, tmp_path, saved):
        """What an index node points to comes back, whichever source found it, saved or not."""
        pointer = IndexNode(id_="p", text="a zebra summary", index_id="there", obj=nodes[9])
        hybrid = HybridRetriever.from_defaults(
            nodes=[*nodes[:9], pointer], embed_model=embed_model, reranker=None, top_n=3
        )
        if saved:
            hybrid.persist(tmp_path)
            hybrid = HybridRetriever.from_persist_dir(
                tmp_path, embed_model=embed_model, reranker=None, top_n=3
            )
        came = hybrid.retrieve("zebra summary")
        assert came[0].text == "sort dictionaries by value"
        assert provenance(came[0])["sources"]["bm25"]["rank"] == 1
        assert "a zebra summary" not in [one.text for one in came]

    def test_weights_and_other_fusions_are_taken(self, index):
        """Fusion is the core's, weights included."""
        words = HybridRetriever.from_defaults(
            index=index,
            reranker=None,
            fusion=Convex({"bm25": 1, "dense": 0}, normalizer="minmax"),
            top_n=10,
        )
        found = words.retrieve(QUERY)
        assert provenance(found[0])["sources"]["bm25"]["rank"] == 1
        assert found[0].score == 1.0

    def test_only_hierarchical_leaves_are_listed(self, embed_model, nodes):
        """Nodes of the docstore that the index does not name are not searched."""
        from llama_index.core import StorageContext

        storage = StorageContext.from_defaults()
        storage.docstore.add_documents([TextNode(id_="parent", text="sort"), *nodes])
        index = VectorStoreIndex(nodes, storage_context=storage, embed_model=embed_model)
        assert "parent" not in HybridRetriever.from_defaults(index=index, reranker=None).bm25

    @pytest.mark.parametrize("both_given", [("index", "vector_store"), ("nodes", "docstore")])
    def test_two_of_the_same_are_refused(self, both_given, index, nodes):
        """The error names the arguments that exclude each other."""
        what = {
            "index": index,
            "vector_store": index.vector_store,
            "nodes": nodes,
            "docstore": index.docstore,
        }
        with pytest.raises(
            InvalidArgument, match=f"give either {both_given[0]}= or {both_given[1]}="
        ):
            HybridRetriever.from_defaults(**{name: what[name] for name in both_given})

    def test_nothing_given_is_refused(self):
        """The error lists what could be given."""
        with pytest.raises(InvalidArgument, match="nodes=, docstore= or vector_store="):
            HybridRetriever.from_defaults()

    def test_a_store_that_does_not_list_its_nodes_asks_for_them(self, chroma, nodes):
        """The error says to pass nodes, and with them it works."""

        class Silent(ChromaVectorStore):
            def get_nodes(self, node_ids=None, filters=None):
                raise NotImplementedError

        silent = Silent(chroma_collection=chroma.vector_store.client)
        with pytest.raises(InvalidArgument, match="pass nodes="):
            HybridRetriever.from_defaults(vector_store=silent, embed_model=chroma._embed_model)
        hybrid = HybridRetriever.from_defaults(
            vector_store=silent, nodes=nodes, embed_model=chroma._embed_model, reranker=None
        )
        assert ids(hybrid.retrieve(QUERY))[0] == "sort"

    def test_one_id_with_two_texts_is_refused(self, embed_model):
        """Two nodes with the same id and different text are refused."""
        twice = [TextNode(id_="a", text="one"), TextNode(id_="a", text="two")]
        with pytest.raises(DuplicateId):
            HybridRetriever.from_defaults(nodes=twice, embed_model=embed_model)

    def test_another_kind_of_index_is_refused(self, nodes):
        """An index without vectors is refused."""
        with pytest.raises(InvalidArgument, match="VectorStoreIndex"):
            HybridRetriever(SummaryIndex(nodes), BM25())

    def test_two_stage_gives_it_other_options(self, index, overlap):
        """two_stage keeps the kind and the index, and changes the rest."""
        hybrid = HybridRetriever.from_defaults(index=index, reranker=None)
        better = two_stage(hybrid, top_n=2, reranker=overlap())
        assert type(better) is HybridRetriever
        assert better.bm25 is hybrid.bm25
        assert [one.score for one in better.retrieve(QUERY)] == [10.0, 5.0]

    def test_it_answers_a_query_engine(self, both, overlap, llm):
        """An engine over it synthesizes from the reranked nodes."""
        hybrid = HybridRetriever.from_defaults(index=both, reranker=overlap(), top_n=1)
        answer = hybrid.as_query_engine(llm=llm).query(QUERY)
        assert ids(answer.source_nodes) == ["sort"]
        assert KEY not in str(answer)


FILTERS = [
    (MetadataFilter(key="number", value=3), Eq("number", 3), {3}),
    (
        MetadataFilter(key="number", value=8, operator=FilterOperator.GTE),
        Range("number", gte=8),
        {8, 9},
    ),
    (
        MetadataFilter(key="number", value=[1, 2], operator=FilterOperator.IN),
        In("number", (1, 2)),
        {1, 2},
    ),
    (
        MetadataFilter(key="number", value=[0, 1, 2, 3], operator=FilterOperator.NIN),
        Not(In("number", (0, 1, 2, 3))),
        {4, 5, 6, 7, 8, 9},
    ),
    (
        MetadataFilter(key="number", value=3, operator=FilterOperator.NE),
        Not(Eq("number", 3)),
        {0, 1, 2, 4, 5, 6, 7, 8, 9},
    ),
]


class TestFilters:
    @pytest.mark.parametrize(("theirs", "ours", "numbers"), FILTERS)
    @pytest.mark.parametrize("top_n", [1, 3, 50])
    async def test_both_sources_honour_them(self, both, theirs, ours, numbers, top_n):
        """No excluded node is returned at any k, for filters of either kind, set at any time."""
        filters = MetadataFilters(filters=[theirs])
        always = HybridRetriever.from_defaults(
            index=both, reranker=None, top_n=top_n, filters=filters
        )
        found = always.retrieve(QUERY)
        assert {one.metadata["number"] for one in found} <= numbers
        assert len(found) == min(top_n, len(numbers))
        once = always.replace(filters=None)
        for given in (filters, ours):
            bundle = FilteredQueryBundle(QUERY, filters=given)
            assert ids(once.retrieve(bundle)) == ids(found)
            assert ids(await once.aretrieve(bundle)) == ids(found)
        assert provenance(found[0])["complete"] is True

    def test_conditions_combine(self, both):
        """Nested filters hold, and a query's own are added."""
        either = MetadataFilters(
            filters=[
                MetadataFilter(key="number", value=2),
                MetadataFilter(key="number", value=9),
                MetadataFilter(key="lang", value="de"),
            ],
            condition=FilterCondition.OR,
        )
        hybrid = HybridRetriever.from_defaults(index=both, reranker=None, top_n=50, filters=either)
        assert sorted(ids(hybrid.retrieve(QUERY))) == ["json-load", "sort"]
        more = FilteredQueryBundle(QUERY, filters=Eq("number", 2))
        came = hybrid.retrieve(more)
        assert ids(came) == ["json-load"]

    def test_filters_travel_through_an_engine(self, both, llm):
        """engine.query takes a filtered bundle."""
        engine = HybridRetriever.from_defaults(index=both, reranker=None).as_query_engine(llm=llm)
        answer = engine.query(FilteredQueryBundle(QUERY, filters=Eq("number", 4)))
        assert ids(answer.source_nodes) == ["thread"]

    def test_no_match_is_an_empty_answer(self, both):
        """A filter that keeps nothing finds nothing."""
        hybrid = HybridRetriever.from_defaults(
            index=both, reranker=None, filters=Eq("lang", "none")
        )
        assert hybrid.retrieve(QUERY) == []

    @pytest.mark.parametrize(
        "leaf",
        [
            MetadataFilter(key="lang", value="e", operator=FilterOperator.TEXT_MATCH),
            MetadataFilter(key="lang", value=None, operator=FilterOperator.IS_EMPTY),
            MetadataFilter(key="lang", value="e", operator=FilterOperator.GT),
        ],
    )
    def test_what_cannot_be_honoured_exactly_is_refused(self, index, leaf):
        """A filter is never ignored."""
        with pytest.raises(FilterNotSupported):
            HybridRetriever.from_defaults(index=index, filters=MetadataFilters(filters=[leaf]))


class TestChanges:
    def test_inserted_nodes_are_found_by_both(self, both):
        """A node added later is found by word and by vector, and replaces one of its id."""
        hybrid = HybridRetriever.from_defaults(index=both, reranker=None, top_n=3)
        hybrid.insert_nodes([TextNode(id_="new", text="zebra stripes")])
        hybrid.insert_nodes([TextNode(id_="sort", text="zebra sorting")])
        found = hybrid.retrieve("zebra")
        assert set(ids(found)[:2]) == {"new", "sort"}
        assert all(set(provenance(one)["sources"]) == {"bm25", "dense"} for one in found[:2])
        assert len(hybrid.bm25) == 11
        assert {one.text for one in found[:2]} == {"zebra stripes", "zebra sorting"}

    def test_deleted_nodes_are_found_by_neither(self, both):
        """A deleted node is gone; deleting it again returns 0."""
        hybrid = HybridRetriever.from_defaults(index=both, reranker=None, top_n=20)
        assert hybrid.delete_nodes(["sort", "unknown"]) == 1
        assert "sort" not in ids(hybrid.retrieve(QUERY))
        assert hybrid.delete_nodes(["sort"]) == 0
        with pytest.raises(InvalidArgument, match="list of ids"):
            hybrid.delete_nodes("sort")

    async def test_changes_can_be_awaited(self, both):
        """The asynchronous methods do the same."""
        hybrid = HybridRetriever.from_defaults(index=both, reranker=None, top_n=20)
        await hybrid.ainsert_nodes([TextNode(id_="new", text="zebra")])
        assert ids(await hybrid.aretrieve("zebra"))[0] == "new"
        assert await hybrid.adelete_nodes(["new"]) == 1
        assert "new" not in ids(await hybrid.aretrieve("zebra"))

    def test_a_source_document_goes_with_all_its_nodes(self, both):
        """delete_ref_doc removes every node that was made of one document."""
        hybrid = HybridRetriever.from_defaults(index=both, reranker=None, top_n=20)
        source = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id="doc")}
        hybrid.insert_nodes(
            [TextNode(id_=name, text=f"zebra {name}", relationships=source) for name in "ab"]
        )
        assert hybrid.delete_ref_doc("doc") == 2
        assert not {"a", "b"} & set(ids(hybrid.retrieve("zebra")))

    def test_refresh_takes_over_what_others_changed(self, chroma):
        """Changes made in the store by others are found after a refresh."""
        hybrid = HybridRetriever.from_defaults(index=chroma, reranker=None, top_n=20)
        chroma.insert_nodes([TextNode(id_="new", text="zebra")])
        chroma.delete_nodes(["sort"])
        assert hybrid.refresh() == (1, 1)
        assert hybrid.refresh() == (0, 0)
        assert "new" in hybrid.bm25
        assert "sort" not in hybrid.bm25

    def test_nodes_passed_in_are_not_changed(self, both, nodes):
        """Neither building nor inserting touches the caller's nodes."""
        before = [one.model_dump_json() for one in nodes]
        hybrid = HybridRetriever.from_defaults(index=both, nodes=nodes, reranker=None)
        hybrid.insert_nodes(nodes)
        assert [one.model_dump_json() for one in nodes] == before

    def test_reranked_nodes_can_be_indexed_again(self, both):
        """Provenance of an earlier answer is not indexed."""
        hybrid = HybridRetriever.from_defaults(index=both, reranker=None, top_n=2)
        came = hybrid.retrieve(QUERY)
        hybrid.insert_nodes([one.node for one in came])
        assert KEY not in hybrid.bm25.get(came[0].node_id).metadata


class TestEmbedding:
    def test_the_models_of_settings_are_used_where_set(self, nodes, embed_model, monkeypatch):
        """LlamaIndex's global embedding model comes before ours."""
        monkeypatch.setattr(Settings, "_embed_model", embed_model)
        hybrid = HybridRetriever.from_defaults(nodes=nodes, reranker=None)
        assert hybrid.index._embed_model is embed_model

    def test_without_any_the_local_model_embeds(self, nodes):
        """No OpenAI package, key or network is needed."""
        pytest.importorskip("runoff_models")
        hybrid = HybridRetriever.from_defaults(nodes=nodes, reranker=None, top_n=1)
        assert ids(hybrid.retrieve("how do I order a dict by what it holds?")) == ["sort"]


class TestChangedAlone:
    """The index, or what it is made of, is changed without BM25."""

    def test_deleted_nodes_do_not_come_back(self, index, caplog):
        """Nodes deleted from the index alone are left out, and a warning says it, once."""
        hybrid = HybridRetriever.from_defaults(index=index, reranker=None, top_n=10)
        hybrid.retrieve("sort dictionaries")
        assert caplog.records == []
        index.delete_nodes(["sort"], delete_from_docstore=True)
        for _ in range(2):
            assert "sort" not in [one.node_id for one in hybrid.retrieve("sort dictionaries")]
        assert sum("changed without BM25" in one.message for one in caplog.records) == 1

    @pytest.mark.parametrize("awaited", [False, True])
    async def test_refresh_auto(self, index, awaited):
        """With `refresh="auto"` a search first takes over what was changed in the index alone."""
        hybrid = HybridRetriever.from_defaults(
            index=index, reranker=None, top_n=20, refresh="auto"
        ).replace(top_n=12)
        index.insert_nodes([TextNode(id_="new", text="sort dictionaries by key")])
        nodes = await hybrid.aretrieve("key") if awaited else hybrid.retrieve("key")
        assert "new" in [one.node_id for one in nodes]
        assert "new" in hybrid.bm25
        assert hybrid.sync() == (0, 0)

    def test_a_docstore_with_whole_documents_is_told(self, both, caplog):
        """A docstore whose ids are not the index's, as an ingestion pipeline's, is warned about."""
        docstore = SimpleDocumentStore()
        docstore.add_documents([Document(id_=f"doc{n}", text="a whole one") for n in range(5)])
        HybridRetriever.from_defaults(index=both, docstore=docstore, reranker=None)
        assert any("5 of 5 ids in BM25, such as 'doc0'" in one.message for one in caplog.records)

    def test_other_values_are_refused(self, index):
        """Another value of `refresh` is refused by name."""
        with pytest.raises(InvalidArgument, match="refresh"):
            HybridRetriever.from_defaults(index=index, reranker=None, refresh="daily")
