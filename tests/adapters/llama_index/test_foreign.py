import pytest
from llama_index.core.postprocessor import LLMRerank, LongContextReorder, SimilarityPostprocessor
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, TextNode

from runoff import Document, TwoStage
from runoff.errors import InvalidArgument
from runoff.llama_index import RunoffRerank, provenance
from runoff.recall import Function
from runoff.rerank._as_reranker import as_reranker
from runoff.scores import Threshold

QUERY = "sort dictionaries by value"


def ids(nodes):
    return [one.node_id for one in nodes]


class Reverse(BaseNodePostprocessor):
    """Order by falling number, change what it is given, and return the first top_n."""

    top_n: int = 2
    asked: list

    def _postprocess_nodes(self, nodes, query_bundle=None):
        self.asked.append((query_bundle.query_str, [one.score for one in nodes]))
        for one in nodes:
            one.node.metadata["touched"] = True
            one.score = float(one.node.metadata.get("number", 0))
        return sorted(nodes, key=lambda one: -one.score)[: self.top_n]


class TestPostprocessorAsReranker:
    def test_its_order_and_scores_are_taken(self, scored):
        """Any node postprocessor can be the second stage, and cannot change the caller's nodes."""
        theirs = Reverse(asked=[])
        came = RunoffRerank(reranker=theirs, top_n=3).postprocess_nodes(scored, query_str=QUERY)
        assert ids(came) == ["sort", "zip", "date"]
        assert [one.score for one in came] == [9.0, 8.0, 7.0]
        assert not any("touched" in one.node.metadata for one in [*scored, *came])
        assert theirs.asked == [(QUERY, [one.score for one in scored])]
        assert theirs.top_n == 2
        assert provenance(came[0])["model"] == "Reverse"

    async def test_awaited_it_is_the_same(self, scored):
        """The asynchronous path pairs scores the same way."""
        rerank = RunoffRerank(reranker=Reverse(asked=[]), top_n=3)
        assert ids(await rerank.apostprocess_nodes(scored, query_str=QUERY)) == [
            "sort", "zip", "date",
        ]  # fmt: skip

    def test_what_it_removes_is_dropped_by_name(self, scored):
        """A filter used as reranker drops, and the core's trace says who did."""
        cutoff = SimilarityPostprocessor(similarity_cutoff=0.75)
        came = RunoffRerank(reranker=cutoff, top_n=10).postprocess_nodes(scored, query_str=QUERY)
        assert ids(came) == ids(scored)[:3]
        hits = [(Document("a", "one"), 0.9), (Document("b", "two"), 0.1)]
        pipeline = TwoStage({"all": Function(lambda query, depth: hits)}, reranker=cutoff)
        fate = pipeline.search("one").trace.fate("b")
        assert (fate.kind, fate.reason) == ("dropped", "removed by SimilarityPostprocessor")

    def test_an_order_without_scores_counts(self, scored):
        """Where scores do not fall with the order, the order decides."""
        came = RunoffRerank(reranker=LongContextReorder(), top_n=10).postprocess_nodes(
            scored, query_str=QUERY
        )
        theirs = LongContextReorder().postprocess_nodes(list(scored))
        assert ids(came) == ids(theirs)
        assert [one.score for one in came] == [1 / rank for rank in range(1, 11)]

    def test_an_llm_reranker_works(self, scored, llm):
        """Nodes an LLM leaves out are dropped, those it names are ordered."""
        theirs = LLMRerank(
            llm=llm, top_n=2, parse_choice_select_answer_fn=lambda text, number: ([2, 1], [9, 8])
        )
        came = RunoffRerank(reranker=theirs, top_n=5).postprocess_nodes(scored[:3], query_str=QUERY)
        assert ids(came) == ["csv-plain", "csv-dict"]

    def test_a_node_from_nowhere_is_refused(self, scored):
        """A postprocessor that adds nodes is no reranker."""

        class Adding(BaseNodePostprocessor):
            def _postprocess_nodes(self, nodes, query_bundle=None):
                return [*nodes, NodeWithScore(node=TextNode(id_="new", text="x"), score=1.0)]

        with pytest.raises(InvalidArgument, match="'new'"):
            RunoffRerank(reranker=Adding()).postprocess_nodes(scored, query_str=QUERY)

    def test_two_nodes_of_one_id_stay_apart(self, scored):
        """Two nodes with the same id get their own scores."""
        twin = NodeWithScore(
            node=TextNode(id_="csv-dict", text="other", metadata={"number": 50}), score=0.1
        )
        came = RunoffRerank(reranker=Reverse(asked=[]), top_n=2).postprocess_nodes(
            [scored[0], twin], query_str=QUERY
        )
        assert [(one.text, one.score) for one in came] == [
            ("other", 50.0),
            (scored[0].text, 0.0),
        ]

    def test_it_takes_no_threshold(self):
        """A threshold is refused for scores of an unknown kind."""
        with pytest.raises(InvalidArgument, match="threshold"):
            RunoffRerank(reranker=Reverse(asked=[]), threshold=Threshold(1.0, "logit"))

    def test_ours_stands_for_what_it_holds(self, overlap, scored):
        """A RunoffRerank handed over as reranker is its own second stage."""
        inner = RunoffRerank(reranker=overlap())
        assert as_reranker(inner) is inner.stage
        came = RunoffRerank(reranker=inner, top_n=1).postprocess_nodes(scored, query_str=QUERY)
        assert ids(came) == ["sort"]

    def test_it_is_named_in_the_list_of_what_is_accepted(self):
        """The error for a wrong reranker mentions postprocessors."""
        with pytest.raises(InvalidArgument, match="LlamaIndex node postprocessor"):
            RunoffRerank(reranker=object())

    def test_its_configuration_comes_back(self, scored):
        """to_dict writes theirs too, without anything that looks like a key."""

        class Keyed(SimilarityPostprocessor):
            api_key: str = ""

            @classmethod
            def class_name(cls):
                return "Keyed"

        rerank = RunoffRerank(reranker=Keyed(similarity_cutoff=0.75, api_key="sk-secret"))
        told = rerank.to_json()
        assert "sk-secret" not in told
        back = RunoffRerank.from_json(told)
        assert back.reranker.similarity_cutoff == 0.75
        assert ids(back.postprocess_nodes(scored, query_str=QUERY)) == ids(scored)[:3]

    def test_an_unknown_class_is_asked_for(self):
        """Configuration of a package that is not imported says so."""
        data = {"reranker": {"type": "llama_index", "class_name": "NoSuchRerank"}}
        with pytest.raises(InvalidArgument, match="import the package of NoSuchRerank"):
            RunoffRerank.from_dict(data)


class Shortens(BaseNodePostprocessor):
    """Keeps the first `most` nodes, and one word of each."""

    most: int = 100
    top_k: int = 3

    def _postprocess_nodes(self, nodes, query_bundle=None):
        for one in nodes:
            one.node.set_content(one.node.get_content(metadata_mode="none").split()[0])
        return nodes[: self.top_k][: self.most]


def test_rewritten_content_is_kept(nodes):
    """A postprocessor that rewrites nodes has its content in the results, on copies."""
    before = [one.text for one in nodes]
    found = [NodeWithScore(node=one, score=1.0) for one in nodes]
    results = RunoffRerank(reranker=Shortens(), top_n=5).postprocess_nodes(found, query_str="csv")
    assert [one.node.text for one in results] == [text.split()[0] for text in before[:5]]
    assert [one.text for one in nodes] == before


def test_unread_nodes_do_not_fill_places(nodes):
    """What a postprocessor leaves out is not replaced by nodes below the window."""
    found = [NodeWithScore(node=one, score=1.0) for one in nodes]
    rerank = RunoffRerank(reranker=Shortens(most=2), top_n=5, window=4)
    results = rerank.postprocess_nodes(found, query_str="csv")
    assert [one.node_id for one in results] == [one.node_id for one in nodes[:2]]


class Guessing(BaseNodePostprocessor):
    """Picks the nodes that a language model names, as LLMRerank does."""

    places: list[int]

    def _postprocess_nodes(self, nodes, query_bundle=None):
        return [nodes[place] for place in self.places]


class GuessingAwaited(Guessing):
    async def _apostprocess_nodes(self, nodes, query_bundle=None):
        return self._postprocess_nodes(nodes, query_bundle)


@pytest.mark.parametrize("kind", [Guessing, GuessingAwaited])
async def test_a_language_model_that_returns_a_wrong_index_degrades(scored, kind):
    """An IndexError of a postprocessor is a bad reply, called and awaited."""
    rerank = RunoffRerank(reranker=kind(places=[0, 99]), top_n=20)
    for came in (
        rerank.postprocess_nodes(scored, query_str=QUERY),
        await rerank.apostprocess_nodes(scored, query_str=QUERY),
    ):
        assert ids(came) == ids(scored)
        (lacking,) = provenance(came[0])["degraded"]
        assert lacking["reason"] == "bad_reply"
        assert "IndexError" in lacking["detail"]
