import asyncio
import threading

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.indices.list.retrievers import SummaryIndexRetriever
from llama_index.core.schema import IndexNode, NodeWithScore, QueryBundle, TextNode
from llama_index.core.vector_stores.types import (
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)
from ticking import ticks_during

from runoff.errors import FilterNotSupported, InvalidArgument, RecallFailed, ServerFailed
from runoff.filters import Eq, In, Range
from runoff.fusion import RRF
from runoff.llama_index import (
    FilteredQueryBundle,
    RunoffRerank,
    TwoStageRetriever,
    provenance,
)
from runoff.recall import BM25

QUERY = "sort dictionaries by value"


def ids(nodes):
    return [one.node_id for one in nodes]


class Fixed(BaseRetriever):
    """A retriever of given nodes that keeps the bundles it gets."""

    def __init__(self, found, similarity_top_k=2, error=None, delay=0.0):
        self.found = found
        self.similarity_top_k = similarity_top_k
        self.error = error
        self.delay = delay
        self.bundles = []
        self.threads = []
        self.over = threading.Event()
        self.ended = 0
        super().__init__()

    def _retrieve(self, query_bundle):
        self.bundles.append(query_bundle)
        self.threads.append(threading.current_thread())
        self.over.wait(self.delay)
        self.ended += 1
        if self.error is not None:
            raise self.error
        return self.found[: self.similarity_top_k]


class Awaited(Fixed):
    async def _aretrieve(self, query_bundle):
        await asyncio.sleep(0)
        return self._retrieve(query_bundle)


@pytest.fixture
def fixed(scored):
    return Fixed(scored)


class TestAnswers:
    def test_recall_is_widened_and_the_best_come_first(self, overlap, index):
        """LlamaIndex's default of two nodes no longer decides what can be found."""
        plain = index.as_retriever()
        wide = TwoStageRetriever(plain, reranker=overlap(), top_n=3)
        assert len(plain.retrieve(QUERY)) == 2
        assert ids(wide.retrieve(QUERY))[0] == "sort"
        assert len(wide.retrieve(QUERY)) == 3
        assert plain.similarity_top_k == 2

    async def test_awaited_it_answers_the_same(self, overlap, index):
        """The asynchronous method gives what the synchronous one gives."""
        wide = TwoStageRetriever(index.as_retriever(), reranker=overlap())
        assert ids(await wide.aretrieve(QUERY)) == ids(wide.retrieve(QUERY))

    def test_several_retrievers_are_fused_by_id(self, overlap, index, scored):
        """Provenance names every retriever's rank and score."""
        both = TwoStageRetriever(
            {"fixed": Fixed(scored), "dense": index.as_retriever()}, reranker=overlap(), top_n=10
        )
        came = both.retrieve(QUERY)
        assert len(came) == len(set(ids(came))) == 10
        assert set(provenance(came[0])["sources"]) == {"fixed", "dense"}

    def test_sources_of_the_core_stand_beside_retrievers(self, overlap, index, nodes):
        """A BM25 of runoff and a LlamaIndex retriever are fused."""
        words = BM25([(node.node_id, node.text) for node in nodes])
        both = TwoStageRetriever(
            {"bm25": words, "dense": index.as_retriever()}, reranker=overlap(), top_n=2
        )
        came = both.retrieve(QUERY)
        assert came[0].node_id == "sort"
        assert provenance(came[0])["sources"]["bm25"]["rank"] == 1

    def test_a_source_of_the_core_alone_gives_nodes(self, nodes):
        """Documents that were never nodes become text nodes with their metadata."""
        words = BM25([(node.node_id, node.text) for node in nodes])
        came = TwoStageRetriever({"bm25": words}, reranker=None, top_n=1).retrieve(QUERY)
        assert isinstance(came[0].node, TextNode)
        assert (came[0].node_id, came[0].text) == ("sort", "sort dictionaries by value")
        assert came[0].score > 0

    def test_fusion_alone_keeps_the_scale_of_its_list(self, index, scored):
        """Without a reranker one retriever's scores stay, and several have the fusion_score."""
        one = TwoStageRetriever(Fixed(scored), reranker=None).retrieve(QUERY)
        assert [node.score for node in one] == [node.score for node in scored[:5]]
        two = TwoStageRetriever(
            [Fixed(scored), index.as_retriever()], reranker=None, fusion=RRF(rank_constant=60)
        ).retrieve(QUERY)
        assert two[0].score == provenance(two[0])["fusion_score"] <= 2 / 61

    def test_nodes_without_scores_are_fused_by_rank(self, index, nodes):
        """One retriever without scores: RRF takes the default's place, and the answer says so."""
        bare = Fixed([NodeWithScore(node=node) for node in nodes])
        given = {"bare": bare, "dense": index.as_retriever()}
        by_rank, default = (
            TwoStageRetriever(given, reranker=None, fusion=fusion, top_n=10)
            for fusion in (RRF(), None)
        )
        found = default.retrieve(QUERY)
        assert [(one.node_id, one.score) for one in found] == [
            (one.node_id, one.score) for one in by_rank.retrieve(QUERY)
        ]
        assert {provenance(one)["fusion"] for one in found} == {"RRF"}
        assert provenance(found[0])["sources"]["bare"]["score"] is None
        response = default.pipeline.search(QUERY)
        assert "note: fused by rank (RRF) instead of by score: bare gave no scores" in (
            response.explain()
        )

    def test_unnamed_retrievers_get_names(self, index, scored):
        """A list of retrievers is named by kind, and each name is used once."""
        both = TwoStageRetriever(
            [index.as_retriever(), index.as_retriever(), Fixed(scored)], reranker=None
        )
        assert list(both.pipeline.sources) == ["dense", "dense-2", "Fixed"]

    def test_nothing_found_is_nothing_returned(self, overlap):
        """An empty index answers with an empty list."""
        assert TwoStageRetriever(Fixed([]), reranker=overlap()).retrieve(QUERY) == []

    def test_found_nodes_are_not_changed(self, overlap, scored):
        """What the wrapped retriever holds stays as it was."""
        before = [one.model_dump_json() for one in scored]
        came = TwoStageRetriever(Fixed(scored), reranker=overlap()).retrieve(QUERY)
        came[0].node.metadata["mine"] = 1
        assert [one.model_dump_json() for one in scored] == before

    def test_its_pipeline_can_be_asked_directly(self, overlap, index):
        """The core's search explains the same answer."""
        wide = TwoStageRetriever(index.as_retriever(), reranker=overlap(), top_n=3)
        response = wide.pipeline.search(QUERY, top_k=3)
        assert [one.doc_id for one in response] == ids(wide.retrieve(QUERY))

    def test_a_query_engine_is_one_call_away(self, overlap, index, llm):
        """as_query_engine answers from the reranked nodes."""
        wide = TwoStageRetriever(index.as_retriever(), reranker=overlap(), top_n=1)
        answer = wide.as_query_engine(llm=llm).query(QUERY)
        assert ids(answer.source_nodes) == ["sort"]
        assert "runoff" not in str(answer)


class TestIndexNodes:
    def test_nodes_are_reranked_after_index_nodes_were_followed(self, overlap, scored, nodes):
        """What an index node points to is what the reranker reads and what comes back."""
        scorer = overlap()
        pointer = IndexNode(id_="pointer", text="a summary", index_id="there", obj=nodes[9])
        found = [NodeWithScore(node=pointer, score=0.0), *scored[:3]]
        came = TwoStageRetriever(Fixed(found), reranker=scorer).retrieve(QUERY)
        assert ids(came)[0] == "sort"
        assert came[0].score == 10.0
        assert not any("a summary" in text for text in scorer.read)

    def test_an_index_node_that_leads_nowhere_is_kept(self, overlap):
        """It is reranked by its own text and its score is not made up."""
        pointer = IndexNode(id_="pointer", text="sort nothing", index_id="nowhere")
        came = TwoStageRetriever(
            Fixed([NodeWithScore(node=pointer, score=0.5)]), reranker=overlap()
        ).retrieve(QUERY)
        assert [(one.node_id, one.score) for one in came] == [("pointer", 2.5)]


class TestBundles:
    def test_every_retriever_gets_a_bundle_of_its_own(self, overlap, scored):
        """What one retriever writes into its bundle reaches neither others nor the caller."""
        left, right = Fixed(scored), Fixed(scored)
        bundle = QueryBundle(QUERY, custom_embedding_strs=["hypothetical"], image_path="a.png")
        TwoStageRetriever({"left": left, "right": right}, reranker=overlap()).retrieve(bundle)
        assert left.bundles == right.bundles == [bundle]
        assert left.bundles[0] is not right.bundles[0]
        assert left.bundles[0] is not bundle

    def test_texts_to_embed_reach_retrievers_but_not_the_reranker(self, overlap, embed_model):
        """HyDE's texts decide the dense recall; the reranker reads the question."""
        index = VectorStoreIndex(
            [TextNode(id_="a", text="alpha"), TextNode(id_="b", text="beta")],
            embed_model=embed_model,
        )
        bundle = QueryBundle("alpha", custom_embedding_strs=["beta"])
        wide = TwoStageRetriever(index.as_retriever(), reranker=overlap(), depth=1)
        came = wide.retrieve(bundle)
        assert [(one.node_id, one.score) for one in came] == [("b", 0.0)]
        assert bundle.embedding is None

    def test_a_ready_embedding_is_handed_on(self, index, embed_model):
        """QueryBundle.embedding is searched with, unchanged."""
        vector = embed_model.get_query_embedding("thread")
        bundle = QueryBundle("unrelated words", embedding=vector)
        came = TwoStageRetriever(index.as_retriever(), reranker=None, top_n=1).retrieve(bundle)
        assert ids(came) == ["thread"]


class TestFilters:
    @pytest.mark.parametrize(
        "filters",
        [
            MetadataFilters(filters=[MetadataFilter(key="number", value=3)]),
            Eq("number", 3),
        ],
    )
    def test_a_bundle_may_filter_one_query(self, overlap, index, filters):
        """Filters travel with the query, through engines too."""
        wide = TwoStageRetriever(index.as_retriever(), reranker=overlap())
        bundle = FilteredQueryBundle(QUERY, filters=filters)
        assert ids(wide.retrieve(bundle)) == ["path-glob"]
        assert len(wide.retrieve(QUERY)) == 5

    def test_filters_add_to_those_the_retriever_has(self, index):
        """A retriever's own filters stay in force."""
        own = MetadataFilters(
            filters=[MetadataFilter(key="number", value=5, operator=FilterOperator.GTE)]
        )
        wide = TwoStageRetriever(index.as_retriever(filters=own), reranker=None, top_n=10)
        more = MetadataFilters(
            filters=[MetadataFilter(key="number", value=6, operator=FilterOperator.LTE)]
        )
        found = wide.retrieve(FilteredQueryBundle("parse", filters=more))
        assert sorted(ids(found)) == ["async", "regex"]

    def test_filters_of_the_retriever_hold_for_every_query(self, index):
        """filters= is honoured by each search, and with a query's own."""
        few = TwoStageRetriever(index.as_retriever(), reranker=None, filters=In("number", (3, 4)))
        assert sorted(ids(few.retrieve(QUERY))) == ["path-glob", "thread"]
        more = FilteredQueryBundle(QUERY, filters=Range("number", gte=4))
        assert ids(few.retrieve(more)) == ["thread"]

    def test_a_retriever_that_takes_none_is_sifted(self, fixed):
        """What a retriever that takes no filters returns is sifted."""
        bundle = FilteredQueryBundle(QUERY, filters=Eq("number", 3))
        found = TwoStageRetriever(fixed, reranker=None).retrieve(bundle)
        assert ids(found) == ["path-glob"]

    def test_a_retriever_that_cannot_be_widened_either_refuses(self, fixed):
        """A retriever that takes neither filters nor a count refuses filters."""
        del fixed.similarity_top_k
        with pytest.warns(UserWarning, match="cannot be widened"):
            retriever = TwoStageRetriever(fixed, reranker=None)
        bundle = FilteredQueryBundle(QUERY, filters=Eq("number", 3))
        with pytest.raises(FilterNotSupported, match="Fixed"):
            retriever.retrieve(bundle)

    def test_a_postprocessor_honours_them_too(self, overlap, scored):
        """A filtered bundle that reaches RunoffRerank filters what it was handed."""
        bundle = FilteredQueryBundle(QUERY, filters=Eq("number", 3))
        came = RunoffRerank(reranker=overlap()).postprocess_nodes(scored, query_bundle=bundle)
        assert ids(came) == ["path-glob"]


class TestFaults:
    def test_a_retriever_that_fails_is_left_out_by_name(self, overlap, scored):
        """The answer comes from the others and says so."""
        both = TwoStageRetriever(
            {"good": Fixed(scored), "bad": Fixed([], error=ServerFailed("503"))},
            reranker=overlap(),
        )
        came = both.retrieve(QUERY)
        told = provenance(came[0])
        assert came[0].node_id == "sort"
        why = {"stage": "recall", "source": "bad", "reason": "server_error"}
        assert told["degraded"] == [{**why, "detail": "ServerFailed: 503"}]

    def test_when_all_fail_it_raises(self, overlap):
        """If all retrievers fail, the search raises."""
        with pytest.raises(RecallFailed):
            TwoStageRetriever(Fixed([], error=ServerFailed("503")), reranker=overlap()).retrieve(
                QUERY
            )

    @pytest.mark.parametrize("kind", [Fixed, Awaited])
    async def test_a_late_retriever_is_left_behind(self, overlap, scored, kind):
        """One budget covers the whole search."""
        slow = Fixed(scored, delay=30.0)
        sources = {"good": kind(scored), "slow": slow}
        both = TwoStageRetriever(sources, reranker=overlap(), timeout=0.6)
        came = await both.aretrieve(QUERY)
        assert (len(slow.threads), slow.ended) == (1, 0)
        slow.over.set()
        assert provenance(came[0])["degraded"][0]["source"] == "slow"

    async def test_awaiting_leaves_the_loop_free(self, overlap, scored):
        """A retriever that blocks runs in a worker thread."""
        slow = Fixed(scored, delay=0.2)
        work = TwoStageRetriever(slow, reranker=overlap()).aretrieve(QUERY)
        assert await ticks_during(work) >= 10
        assert slow.threads[0] is not threading.current_thread()

    async def test_a_retriever_that_can_be_awaited_is(self, overlap, scored):
        """Native asynchronous retrievers stay on the loop and need no thread."""
        native = Awaited(scored)
        await TwoStageRetriever(native, reranker=overlap()).aretrieve(QUERY)
        assert native.threads == [threading.current_thread()]


class TestArguments:
    @pytest.mark.parametrize(
        ("options", "argument"),
        [
            ({"top_n": 0}, "top_n"),
            ({"depth": 0}, "depth"),
            ({"window": -1}, "window"),
            ({"timeout": "1"}, "timeout"),
            ({"on_error": "never"}, "on_error"),
            ({"reranker": 7}, "reranker"),
            ({"fusion": 7}, "fusion"),
            ({"metadata_mode": "some"}, "metadata_mode"),
            ({"text_template": "x"}, "text_template"),
            ({"filters": "x"}, "filters"),
            ({"retriever": "x"}, "retriever"),
            ({"retriever": []}, "retriever"),
            ({"retriever": {}}, "retriever"),
            ({"retriever": {"a": 7}}, "retriever['a']"),
        ],
    )
    def test_a_wrong_argument_is_named(self, fixed, options, argument):
        """The error names the argument."""
        with pytest.raises(InvalidArgument) as caught:
            TwoStageRetriever(**{"retriever": fixed, **options})
        assert caught.value.argument == argument

    def test_a_retriever_that_cannot_be_widened_warns(self, scored):
        """The warning names it."""

        class Stubborn(BaseRetriever):
            def _retrieve(self, query_bundle):
                return scored[:2]

        with pytest.warns(UserWarning, match="'only' \\(Stubborn\\) cannot be widened to 100"):
            TwoStageRetriever({"only": Stubborn()})

    def test_a_retriever_of_everything_needs_no_widening(self, nodes, overlap, embed_model):
        """A summary index returns all it has, so nothing warns."""
        from llama_index.core import SummaryIndex

        everything = SummaryIndexRetriever(SummaryIndex(nodes))
        came = TwoStageRetriever(everything, reranker=overlap(), top_n=1).retrieve(QUERY)
        assert ids(came) == ["sort"]

    def test_replace_makes_a_changed_copy(self, overlap, fixed):
        """The original keeps its options."""
        wide = TwoStageRetriever(fixed, reranker=overlap(), top_n=3)
        more = wide.replace(top_n=7)
        assert (len(wide.retrieve(QUERY)), len(more.retrieve(QUERY))) == (3, 7)

    def test_prompts_of_what_it_wraps_are_reachable(self, index):
        """LlamaIndex's prompt mixin finds the retrievers inside."""
        wide = TwoStageRetriever(index.as_retriever(), reranker=None)
        assert wide.get_prompts() == {}
        assert set(wide._get_prompt_modules()) == {"dense"}


def test_a_fusion_of_queries_keeps_a_node_once(index, overlap):
    """LlamaIndex's fusion of several queries, which compares hashes, returns each node once."""
    made = TwoStageRetriever(index.as_retriever(), reranker=overlap(), top_n=10)
    found = [made.retrieve(query) for query in ("read a csv file", "sort by value")]
    hashes = [{one.node_id: one.node.hash for one in nodes} for nodes in found]
    assert hashes[0] == hashes[1] == {one: node.hash for one, node in index.docstore.docs.items()}
    assert "runoff" in found[0][0].node.metadata
