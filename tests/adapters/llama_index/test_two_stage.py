import pytest
from llama_index.core import StorageContext, SummaryIndex, VectorStoreIndex
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.callbacks import CallbackManager
from llama_index.core.chat_engine import (
    SimpleChatEngine,
)
from llama_index.core.evaluation import RetrieverEvaluator
from llama_index.core.indices.query.query_transform.base import IdentityQueryTransform
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.postprocessor import (
    FixedRecencyPostprocessor,
    LongContextReorder,
    MetadataReplacementPostProcessor,
    SimilarityPostprocessor,
)
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.prompts import PromptTemplate
from llama_index.core.query_engine import (
    CitationQueryEngine,
    RetrieverQueryEngine,
    RouterQueryEngine,
    SubQuestionQueryEngine,
    TransformQueryEngine,
)
from llama_index.core.query_engine.sub_question_query_engine import SubQuestion
from llama_index.core.question_gen.types import BaseQuestionGenerator
from llama_index.core.response_synthesizers import get_response_synthesizer
from llama_index.core.retrievers import (
    AutoMergingRetriever,
    QueryFusionRetriever,
    RecursiveRetriever,
    TransformRetriever,
)
from llama_index.core.schema import (
    IndexNode,
    NodeRelationship,
    NodeWithScore,
    QueryBundle,
    TextNode,
)
from llama_index.core.selectors import LLMSingleSelector
from llama_index.core.tools import QueryEngineTool

from runoff._util.provenance import KEY
from runoff.errors import InvalidArgument
from runoff.llama_index import RunoffRerank, TwoStageRetriever, provenance, two_stage

QUERY = "sort dictionaries by value"


def ids(nodes):
    return [one.node_id for one in nodes]


def kinds(engine):
    return [type(one).__name__ for one in engine._node_postprocessors]


class Recording(BaseNodePostprocessor):
    """Returns nodes unchanged and keeps them."""

    seen: list

    def _postprocess_nodes(self, nodes, query_bundle=None):
        self.seen.append(nodes)
        return nodes


class TestRetrieversAndIndexes:
    def test_a_retriever_becomes_a_two_stage_retriever(self, overlap, index):
        """Recall is widened and the best come first."""
        found = two_stage(index.as_retriever(), top_n=3, reranker=overlap()).retrieve(QUERY)
        assert ids(found)[0] == "sort"
        assert len(found) == 3

    def test_an_index_becomes_a_two_stage_retriever(self, overlap, index, llm):
        """An index is asked through its retriever, and can be an engine from there."""
        wide = two_stage(index, top_n=2, reranker=overlap())
        assert isinstance(wide, TwoStageRetriever)
        assert ids(wide.as_query_engine(llm=llm).query(QUERY).source_nodes) == ids(
            wide.retrieve(QUERY)
        )

    def test_a_two_stage_retriever_gets_other_options(self, overlap, index):
        """Applied twice, the last call decides and nothing is reranked twice."""
        scorer = overlap()
        once = two_stage(index, top_n=2, reranker=scorer, depth=20)
        again = two_stage(once, top_n=4, depth=4)
        assert again.pipeline.depth == 4
        assert len(again.retrieve(QUERY)) == 4
        assert len(scorer.read) == 4
        assert once.top_n == 2

    def test_recall_is_never_narrowed(self, overlap, index):
        """A retriever that returns more than the default depth still does."""
        wide = two_stage(index.as_retriever(similarity_top_k=250), reranker=overlap())
        assert wide.pipeline.depth == 250
        assert two_stage(index.as_retriever(), reranker=overlap()).pipeline.depth == 100

    def test_a_fusion_retriever_is_widened_with_its_sources(self, overlap, index, llm):
        """Every retriever inside is asked for depth nodes, on copies."""
        inner = index.as_retriever()
        fusion = QueryFusionRetriever([inner, inner], llm=llm, num_queries=1, use_async=False)
        found = two_stage(fusion, top_n=10, reranker=overlap()).retrieve(QUERY)
        assert len(found) == 10
        assert (fusion.similarity_top_k, inner.similarity_top_k) == (2, 2)
        assert fusion._retrievers == [inner, inner]

    def test_a_transform_retriever_is_widened(self, overlap, index):
        """What it wraps is asked for depth nodes."""
        plain = TransformRetriever(index.as_retriever(), IdentityQueryTransform())
        assert len(two_stage(plain, top_n=10, reranker=overlap()).retrieve(QUERY)) == 10

    def test_a_recursive_retriever_is_widened_at_its_root(self, overlap, index, nodes):
        """Nodes behind references are what is reranked."""
        recursive = RecursiveRetriever("root", {"root": index.as_retriever()})
        found = two_stage(recursive, top_n=10, reranker=overlap()).retrieve(QUERY)
        assert len(found) == 10
        assert ids(found)[0] == "sort"

    def test_auto_merged_parents_are_reranked(self, overlap, embed_model):
        """The second stage reads what merging made, and leaves are recalled wide."""
        words = {"sort": "sort dictionaries by value", "read": "read a file inside an archive"}
        nodes, leaves = [], []
        for name, text in words.items():
            parent = TextNode(id_=name, text=f"{text}. {text}.")
            parts = [TextNode(id_=f"{name}-{part}", text=f"{text} {part}") for part in range(2)]
            for part in parts:
                part.relationships[NodeRelationship.PARENT] = parent.as_related_node_info()
            parent.relationships[NodeRelationship.CHILD] = [
                part.as_related_node_info() for part in parts
            ]
            nodes += [parent, *parts]
            leaves += parts
        storage = StorageContext.from_defaults()
        storage.docstore.add_documents(nodes)
        index = VectorStoreIndex(leaves, storage_context=storage, embed_model=embed_model)
        merging = AutoMergingRetriever(index.as_retriever(), storage)
        found = two_stage(merging, top_n=3, reranker=overlap()).retrieve(QUERY)
        assert ids(found) == ["sort", "read"]
        assert provenance(found[0])["rerank_score"] == found[0].score

    def test_a_retriever_with_references_follows_them(self, overlap, embed_model, nodes):
        """Index nodes with objects are followed before the second stage."""
        pointer = IndexNode(text=nodes[9].text, index_id="there", obj=nodes[9])
        index = VectorStoreIndex(objects=[pointer], embed_model=embed_model)
        assert ids(two_stage(index, reranker=overlap()).retrieve(QUERY)) == ["sort"]

    async def test_retriever_evaluator_scores_it(self, overlap, index):
        """LlamaIndex's evaluator sees a retriever like any other."""
        wide = two_stage(index, top_n=2, reranker=overlap())
        evaluator = RetrieverEvaluator.from_metric_names(["mrr", "hit_rate"], retriever=wide)
        came = await evaluator.aevaluate(QUERY, ["sort"])
        assert came.metric_vals_dict == {"mrr": 1.0, "hit_rate": 1.0}


class TestQueryEngines:
    def test_the_answer_is_made_of_the_best(self, overlap, index, llm):
        """One line makes a default engine find what two nodes could not show."""
        engine = index.as_query_engine(llm=llm)
        better = two_stage(engine, top_n=3, reranker=overlap())
        assert len(engine.query(QUERY).source_nodes) == 2
        answer = better.query(QUERY)
        assert ids(answer.source_nodes)[0] == "sort"
        assert len(answer.source_nodes) == 3
        assert KEY not in str(answer)

    async def test_awaited_it_answers_the_same(self, overlap, index, llm):
        """`aquery` gives the same nodes."""
        better = two_stage(index.as_query_engine(llm=llm), reranker=overlap())
        awaited = await better.aquery(QUERY)
        assert ids(awaited.source_nodes) == ids(better.query(QUERY).source_nodes)

    def test_streaming_goes_on(self, overlap, index, llm):
        """A streaming engine streams, from the reranked nodes."""
        engine = two_stage(index.as_query_engine(llm=llm, streaming=True), reranker=overlap())
        answer = engine.query(QUERY)
        assert "sort dictionaries" in "".join(answer.response_gen)
        assert ids(answer.source_nodes)[0] == "sort"

    def test_nothing_that_can_change_is_shared(self, overlap, index, llm):
        """Prompts, postprocessors and recall of copy and original are their own."""
        kept = SimilarityPostprocessor(similarity_cutoff=0.0)
        engine = index.as_query_engine(llm=llm, node_postprocessors=[kept])
        better = two_stage(engine, reranker=overlap())
        better.update_prompts(
            {"response_synthesizer:text_qa_template": PromptTemplate("{query_str} {context_str}")}
        )
        better._node_postprocessors[0].similarity_cutoff = 0.9
        old = engine.get_prompts()["response_synthesizer:text_qa_template"]
        assert old.get_template() != "{query_str} {context_str}"
        assert kept.similarity_cutoff == 0.0
        assert engine.retriever.similarity_top_k == 2
        assert kinds(engine) == ["SimilarityPostprocessor"]
        assert isinstance(better, RetrieverQueryEngine)

    def test_prompts_and_callbacks_are_kept(self, overlap, index, llm):
        """What was set on the engine holds for the copy."""
        manager = CallbackManager([])
        engine = RetrieverQueryEngine.from_args(
            index.as_retriever(),
            llm=llm,
            text_qa_template=PromptTemplate("mine {query_str} {context_str}"),
            callback_manager=manager,
        )
        better = two_stage(engine, reranker=overlap())
        assert str(better.query(QUERY)).startswith("mine ")
        assert better.callback_manager is manager
        assert better._node_postprocessors[-1].callback_manager is manager

    def test_cutoffs_come_before_and_finishers_after(self, overlap, index, llm):
        """Stage-1 cutoffs judge stage-1 scores; what changes or arranges nodes sees the result."""
        engine = index.as_query_engine(
            llm=llm,
            node_postprocessors=[
                MetadataReplacementPostProcessor("window"),
                SimilarityPostprocessor(similarity_cutoff=0.1),
                LongContextReorder(),
            ],
        )
        assert kinds(two_stage(engine, reranker=overlap())) == [
            "SimilarityPostprocessor",
            "RunoffRerank",
            "MetadataReplacementPostProcessor",
            "LongContextReorder",
        ]

    def test_ones_own_postprocessors_keep_their_place(self, overlap, index, llm):
        """An unknown one stays before the second stage, or after what it followed."""
        first, last = Recording(seen=[]), Recording(seen=[])
        engine = index.as_query_engine(
            llm=llm, node_postprocessors=[first, LongContextReorder(), last]
        )
        better = two_stage(engine, reranker=overlap(), top_n=3)
        assert kinds(better) == ["Recording", "RunoffRerank", "LongContextReorder", "Recording"]
        better.query(QUERY)
        assert (len(first.seen[0]), len(last.seen[0])) == (10, 3)

    def test_the_sentence_is_reranked_and_its_window_returned(self, overlap, embed_model, llm):
        """With sentence windows the reranker reads the sentence, the LLM the window."""
        scorer = overlap()
        nodes = [
            TextNode(
                id_=str(place),
                text=text,
                metadata={"window": f"before {text} after"},
                excluded_embed_metadata_keys=["window"],
                excluded_llm_metadata_keys=["window"],
            )
            for place, text in enumerate(["sort by value", "read a file", "run a thread"])
        ]
        index = VectorStoreIndex(nodes, embed_model=embed_model)
        engine = index.as_query_engine(
            llm=llm, node_postprocessors=[MetadataReplacementPostProcessor("window")]
        )
        answer = two_stage(engine, reranker=scorer, top_n=1).query("sort by value")
        assert sorted(scorer.read) == ["read a file", "run a thread", "sort by value"]
        assert answer.source_nodes[0].text == "before sort by value after"
        assert "before sort by value after" in str(answer)
        assert index.docstore.get_node("0").text == "sort by value"

    def test_another_reranker_is_kept_behind_and_warned_of(self, overlap, index, llm):
        """Another reranker of the engine orders what ours chose, and a warning says so."""
        engine = index.as_query_engine(
            llm=llm, node_postprocessors=[FixedRecencyPostprocessor(date_key="number")]
        )
        with pytest.warns(UserWarning, match="FixedRecencyPostprocessor"):
            better = two_stage(engine, reranker=overlap())
        assert kinds(better) == ["RunoffRerank", "FixedRecencyPostprocessor"]

    def test_our_own_is_replaced(self, overlap, index, llm):
        """Applied twice, one second stage is left."""
        once = two_stage(index.as_query_engine(llm=llm), reranker=overlap(), top_n=2)
        with pytest.warns(UserWarning, match="the new one replaces it"):
            twice = two_stage(once, reranker=overlap(), top_n=4)
        assert kinds(twice) == ["RunoffRerank"]
        assert len(twice.query(QUERY).source_nodes) == 4

    def test_an_engine_over_our_retriever_gets_no_second_second_stage(self, overlap, index, llm):
        """The retriever inside gets the options; nothing is reranked twice."""
        scorer = overlap()
        inner = two_stage(index, reranker=scorer, top_n=4, depth=10)
        engine = inner.as_query_engine(llm=llm)
        better = two_stage(engine, top_n=2)
        assert len(better.query(QUERY).source_nodes) == 2
        assert len(scorer.read) == 10
        assert kinds(better) == []
        assert engine.retriever.top_n == 4

    def test_a_retriever_that_cannot_be_widened_warns(self, overlap, scored, llm):
        """The warning names the retriever."""

        class Stubborn(BaseRetriever):
            def _retrieve(self, query_bundle):
                return scored[:2]

        engine = RetrieverQueryEngine.from_args(Stubborn(), llm=llm)
        with pytest.warns(UserWarning, match="Stubborn cannot be widened to 100"):
            better = two_stage(engine, reranker=overlap())
        assert len(better.query(QUERY).source_nodes) == 2

    def test_a_citation_engine_is_an_engine_over_a_retriever(self, overlap, index, llm):
        """CitationQueryEngine keeps its kind and gets the second stage."""
        engine = CitationQueryEngine.from_args(index, llm=llm)
        better = two_stage(engine, reranker=overlap(), top_n=1)
        assert isinstance(better, CitationQueryEngine)
        assert "sort dictionaries by value" in better.query(QUERY).source_nodes[0].text

    def test_a_transform_engine_is_given_a_better_engine(self, overlap, index, llm):
        """The engine inside is copied and improved."""
        engine = TransformQueryEngine(index.as_query_engine(llm=llm), IdentityQueryTransform())
        better = two_stage(engine, reranker=overlap(), top_n=3)
        assert len(better.query(QUERY).source_nodes) == 3
        assert len(engine.query(QUERY).source_nodes) == 2

    def test_better_engines_work_inside_a_router(self, overlap, index, llm):
        """RouterQueryEngine asks a two-stage engine like any other."""
        engine = two_stage(index.as_query_engine(llm=llm), reranker=overlap(), top_n=3)
        tool = QueryEngineTool.from_defaults(engine, description="everything")

        class First(LLMSingleSelector):
            def _select(self, choices, query):
                from llama_index.core.base.base_selector import SelectorResult, SingleSelection

                return SelectorResult(selections=[SingleSelection(index=0, reason="")])

        router = RouterQueryEngine(
            First.from_defaults(llm=llm),
            [tool],
            llm=llm,
        )
        assert ids(router.query(QUERY).source_nodes)[0] == "sort"

    def test_better_engines_work_behind_sub_questions(self, overlap, index, llm):
        """SubQuestionQueryEngine asks a two-stage engine like any other."""
        engine = two_stage(index.as_query_engine(llm=llm), reranker=overlap(), top_n=1)
        tool = QueryEngineTool.from_defaults(engine, name="all", description="everything")

        class OneQuestion(BaseQuestionGenerator):
            def _get_prompts(self):
                return {}

            def _update_prompts(self, prompts):
                pass

            def generate(self, tools, query):
                return [SubQuestion(sub_question=QUERY, tool_name="all")]

            async def agenerate(self, tools, query):
                return self.generate(tools, query)

        outer = SubQuestionQueryEngine.from_defaults(
            [tool],
            llm=llm,
            question_gen=OneQuestion(),
            response_synthesizer=get_response_synthesizer(llm=llm),
            use_async=False,
            verbose=False,
        )
        assert "sort" in ids(outer.query("anything").source_nodes)


class TestArguments:
    def test_an_engine_without_a_retriever_is_refused_with_advice(self, overlap, llm):
        """The error says what is supported and what to do."""
        with pytest.raises(InvalidArgument, match="RetrieverQueryEngine") as caught:
            two_stage(
                SimpleChatEngine.from_defaults(llm=llm, memory=ChatMemoryBuffer.from_defaults())
            )
        assert caught.value.argument == "target"

    @pytest.mark.parametrize("target", [None, 7, "index", RunoffRerank()])
    def test_anything_else_is_refused(self, target):
        """The error names what was given."""
        with pytest.raises(InvalidArgument):
            two_stage(target)

    def test_top_n_is_checked(self, index):
        """top_n below 1 is refused."""
        with pytest.raises(InvalidArgument, match="top_n"):
            two_stage(index, top_n=0)

    def test_a_summary_index_is_an_index(self, overlap, nodes):
        """Its retriever returns everything, so no widening is needed."""
        found = two_stage(SummaryIndex(nodes), top_n=1, reranker=overlap()).retrieve(QUERY)
        assert ids(found) == ["sort"]


def test_query_bundles_pass_through_engines(overlap, index, llm):
    """An engine takes a bundle as it takes a string."""
    engine = two_stage(index.as_query_engine(llm=llm), reranker=overlap(), top_n=1)
    assert ids(engine.query(QueryBundle(QUERY)).source_nodes) == ["sort"]
    assert isinstance(engine.retrieve(QueryBundle(QUERY))[0], NodeWithScore)
