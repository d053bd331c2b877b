import logging
import math
import threading

import pytest
from llama_index.core.schema import (
    ImageNode,
    MediaResource,
    MetadataMode,
    Node,
    NodeWithScore,
    QueryBundle,
    TextNode,
)
from reranked import fields, snapshot
from ticking import ticks_during

from runoff._util.provenance import KEY
from runoff.errors import InvalidArgument, ModelNotFound, ScoreKindMismatch, ServerFailed
from runoff.llama_index import RunoffRerank, provenance
from runoff.rerank import Pointwise
from runoff.scores import Threshold

QUERY = "sort dictionaries by value"


def ids(nodes):
    return [one.node_id for one in nodes]


class TestAnswers:
    def test_the_best_come_first_with_the_rerankers_scores(self, overlap, scored):
        """The nodes are ordered by the reranker and cut to top_n."""
        came = RunoffRerank(reranker=overlap(), top_n=2).postprocess_nodes(scored, query_str=QUERY)
        assert ids(came) == ["sort", "csv-dict"]
        assert came[0].score == 10.0
        assert type(came[0].score) is float

    async def test_awaited_it_answers_the_same(self, overlap, scored):
        """The asynchronous method gives what the synchronous one gives."""
        rerank = RunoffRerank(reranker=overlap(), top_n=4)
        awaited = await rerank.apostprocess_nodes(scored, query_str=QUERY)
        assert ids(awaited) == ids(rerank.postprocess_nodes(scored, query_str=QUERY))

    def test_what_lies_below_the_window_follows_without_a_score(self, overlap, scored):
        """In a complete answer the tail keeps its order and has None, never another scale."""
        rerank = RunoffRerank(reranker=overlap(), top_n=10, window=3)
        came = rerank.postprocess_nodes(scored, query_str=QUERY)
        assert ids(came)[3:] == ids(scored)[3:]
        assert [one.score is None for one in came] == [False] * 3 + [True] * 7

    def test_nothing_passed_in_is_changed(self, overlap, scored):
        """Nodes, metadata and scores of the caller stay as they were."""
        before = snapshot(scored)
        came = RunoffRerank(reranker=overlap()).postprocess_nodes(scored, query_str=QUERY)
        came[0].node.metadata["mine"] = 1
        came[0].node.excluded_llm_metadata_keys.append("mine")
        assert snapshot(scored) == before

    def test_no_nodes_give_no_nodes(self):
        """An empty list comes back empty, and no model is looked for."""
        assert RunoffRerank(reranker="no/such-model").postprocess_nodes([], query_str="q") == []

    def test_a_node_listed_twice_is_not_lost(self, overlap, scored):
        """Two nodes with one id both come back."""
        came = RunoffRerank(reranker=overlap(), top_n=9).postprocess_nodes(
            [scored[0], scored[0], scored[1]], query_str=QUERY
        )
        assert sorted(ids(came)) == ["csv-dict", "csv-dict", "csv-plain"]

    def test_nodes_without_scores_are_ordered_too(self, overlap, nodes):
        """A node whose incoming score is None can be reranked."""
        given = [NodeWithScore(node=node) for node in nodes]
        came = RunoffRerank(reranker=overlap(), top_n=1).postprocess_nodes(given, query_str=QUERY)
        assert ids(came) == ["sort"]
        assert provenance(came[0])["sources"] == {"input": {"rank": 10, "score": None}}
        assert "NaN" not in came[0].node.metadata[KEY]

    def test_a_threshold_drops_what_lies_below(self, overlap, scored):
        """Only nodes at or above the threshold come back."""
        rerank = RunoffRerank(reranker=overlap(), threshold=Threshold(6.0, "logit"), top_n=9)
        assert ids(rerank.postprocess_nodes(scored, query_str=QUERY)) == ["sort"]

    def test_a_threshold_for_other_scores_is_refused(self, overlap, scored):
        """A threshold chosen on probabilities does not cut logits."""
        rerank = RunoffRerank(reranker=overlap(), threshold=Threshold(0.5, "probability"))
        with pytest.raises(ScoreKindMismatch):
            rerank.postprocess_nodes(scored, query_str=QUERY)

    @pytest.mark.parametrize(
        ("scores", "fusion", "counted"),
        [
            ((9.0, 8.0, 1.0), "Convex", (9.0, 8.0, 1.0)),
            ((0.1, 0.2, 0.9), "Convex", (-0.1, -0.2, -0.9)),  # distances
            ((None, None, None), "RRF", (None, None, None)),
            ((9.0, None, 1.0), "RRF", (9.0, None, 1.0)),
            ((9.0, math.nan, 1.0), "RRF", (9.0, None, 1.0)),
            ((1.0, 9.0, 8.0), "RRF", (1.0, 9.0, 8.0)),
        ],
    )
    def test_incoming_scores_reach_the_blend(self, overlap, nodes, scores, fusion, counted):
        """Scores of the list count where they agree with its order; otherwise its ranks do."""
        pairs = zip(nodes[:3], scores, strict=True)
        given = [NodeWithScore(node=node, score=score) for node, score in pairs]
        rerank = RunoffRerank(reranker=overlap(), blend=0.0, top_n=3)
        found = [provenance(one) for one in rerank.postprocess_nodes(given, query_str=QUERY)]
        assert [one["fusion"] for one in found] == [fusion] * 3
        assert [one["fusion_rank"] for one in found] == [1, 2, 3]
        assert [one["sources"]["input"]["score"] for one in found] == list(counted)
        expected = [1 / 61, 1 / 62, 1 / 63]
        if fusion == "Convex":
            mean = sum(counted) / 3
            deviation = math.sqrt(sum((one - mean) ** 2 for one in counted) / 3)
            expected = [(one - mean) / deviation for one in counted]
        assert [one["fusion_score"] for one in found] == pytest.approx(expected)

    def test_a_blend_mixes_in_the_incoming_order(self, overlap, scored):
        """With no weight on the reranker, the incoming order stays."""
        rerank = RunoffRerank(reranker=overlap(), blend=0.0, top_n=10)
        assert ids(rerank.postprocess_nodes(scored, query_str=QUERY)) == ids(scored)

    def test_threads_get_what_one_caller_gets(self, overlap, scored):
        """One instance serves many threads."""
        rerank = RunoffRerank(reranker=overlap(delay=0.001), top_n=10)
        queries = [QUERY, "read a csv file", "run a thread", "match strings"] * 8
        alone = [ids(rerank.postprocess_nodes(scored, query_str=query)) for query in queries]
        together = [None] * len(queries)

        def ask(place):
            came = rerank.postprocess_nodes(scored, query_str=queries[place])
            together[place] = ids(came)

        threads = [threading.Thread(target=ask, args=(place,)) for place in range(len(queries))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert together == alone


class TestText:
    def test_the_reranker_reads_what_was_embedded(self, overlap):
        """By default metadata stand before the content, those excluded from embedding left out."""
        scorer = overlap()
        node = TextNode(
            text="body",
            metadata={"title": "head", "path": "secret"},
            excluded_embed_metadata_keys=["path"],
        )
        RunoffRerank(reranker=scorer).postprocess_nodes(
            [NodeWithScore(node=node, score=1.0)], query_str="q"
        )
        assert scorer.read == [node.get_content(metadata_mode=MetadataMode.EMBED)]
        assert scorer.read == ["title: head\n\nbody"]

    @pytest.mark.parametrize(
        ("options", "read"),
        [
            ({"metadata_mode": "none"}, "body"),
            ({"metadata_mode": MetadataMode.ALL}, "title: head\n\nbody"),
            ({"text_template": "{title} | {text}{absent}"}, "head | body"),
            ({"text_template": "{text} ({metadata})"}, "body (title: head)"),
        ],
    )
    def test_the_layout_can_be_chosen(self, overlap, options, read):
        """metadata_mode and text_template say what the reranker reads."""
        scorer = overlap()
        node = TextNode(text="body", metadata={"title": "head"})
        RunoffRerank(reranker=scorer, **options).postprocess_nodes(
            [NodeWithScore(node=node, score=1.0)], query_str="q"
        )
        assert scorer.read == [read]

    @pytest.mark.parametrize("mode", list(MetadataMode))
    def test_a_second_pass_reads_no_provenance_and_replaces_it(self, overlap, scored, mode):
        """Provenance never reaches a reranker and never nests."""
        scorer = overlap()
        rerank = RunoffRerank(reranker=scorer, metadata_mode=mode, top_n=10)
        once = rerank.postprocess_nodes(scored, query_str=QUERY)
        twice = rerank.postprocess_nodes(once, query_str=QUERY)
        assert sorted(scorer.read[:10]) == sorted(scorer.read[10:])
        assert KEY not in " ".join(scorer.read)
        assert provenance(twice[0])["sources"] == {"input": {"rank": 1, "score": 10.0}}
        assert twice[0].node.metadata[KEY].count("doc_id") == 1
        assert twice[0].node.excluded_llm_metadata_keys == [KEY]

    def test_images_keep_their_place_and_empty_nodes_are_never_sent(self, overlap, scored):
        """Images without text stay where they were; empty nodes follow; neither is read."""
        scorer = overlap()
        picture = NodeWithScore(node=ImageNode(id_="picture", image_path="a.png"), score=0.9)
        image = Node(image_resource=MediaResource(url="http://a/b.png"), metadata={"a": 1})
        image.id_ = "resource"
        blank = NodeWithScore(node=TextNode(id_="blank", text=" \n", metadata={"a": 1}), score=0.8)
        given = [scored[0], picture, blank, NodeWithScore(node=image), scored[9]]
        came = RunoffRerank(reranker=scorer, top_n=9).postprocess_nodes(given, query_str=QUERY)
        assert ids(came) == ["sort", "picture", "csv-dict", "resource", "blank"]
        assert [one.score for one in came][1::2] == [None, None]
        assert len(scorer.read) == 2

    def test_an_image_with_a_caption_is_read(self, overlap):
        """An image that has text is reranked by it."""
        scorer = overlap()
        node = ImageNode(text="sort dictionaries", image_path="a.png")
        RunoffRerank(reranker=scorer).postprocess_nodes([NodeWithScore(node=node)], query_str=QUERY)
        assert len(scorer.read) == 1


class TestProvenance:
    def test_it_tells_every_stage(self, overlap, scored):
        """One JSON string has a node's ranks and scores before and after."""
        came = RunoffRerank(reranker=overlap()).postprocess_nodes(scored, query_str=QUERY)
        told = provenance(came[0])
        assert isinstance(came[0].node.metadata[KEY], str)
        assert told["sources"] == {"input": {"rank": 10, "score": pytest.approx(0.1)}}
        assert (told["rank"], told["rerank_rank"], told["rerank_score"]) == (1, 1, 10.0)
        assert (told["model"], told["kind"], told["complete"]) == ("overlap", "logit", True)

    def test_prompts_and_embeddings_do_not_see_it(self, overlap, scored):
        """It stays out of the text that LLMs and embedding models get."""
        came = RunoffRerank(reranker=overlap()).postprocess_nodes(scored, query_str=QUERY)
        for mode in (MetadataMode.LLM, MetadataMode.EMBED):
            assert KEY not in came[0].node.get_content(metadata_mode=mode)

    def test_a_node_without_it_has_none(self, nodes):
        """A node that runoff did not return has no provenance."""
        assert provenance(nodes[0]) is None


class TestFaults:
    def test_a_reranker_that_is_down_leaves_order_and_scores(self, overlap, scored, caplog):
        """A transient fault degrades the answer, says so, and touches no score."""
        rerank = RunoffRerank(reranker=overlap(error=ServerFailed("503")), top_n=4)
        with caplog.at_level(logging.WARNING, "runoff"):
            came = rerank.postprocess_nodes(scored, query_str=QUERY)
        assert ids(came) == ids(scored)[:4]
        assert [one.score for one in came] == [one.score for one in scored[:4]]
        told = provenance(came[0])
        assert told["complete"] is False
        assert told["degraded"][0]["reason"] == "server_error"
        assert "degraded" in caplog.text

    def test_a_partly_scored_list_has_none_on_its_tail(self, overlap, scored):
        """What a deadline left unscored follows in its incoming order with None."""
        rerank = RunoffRerank(reranker=overlap(unscored=("sort", "thread")), top_n=10)
        came = rerank.postprocess_nodes(scored, query_str=QUERY)
        assert ids(came)[-2:] == ["thread", "sort"]
        assert [one.score is None for one in came] == [False] * 8 + [True] * 2
        assert provenance(came[0])["complete"] is False

    @pytest.mark.parametrize("on_error", ["transient", "degrade"])
    def test_a_timeout_is_kept(self, overlap, scored, on_error):
        """A slow reranker is left behind when time is up, and the incoming order stands."""
        rerank = RunoffRerank(reranker=overlap(delay=0.5), timeout=0.05, on_error=on_error)
        came = rerank.postprocess_nodes(scored, query_str=QUERY)
        assert ids(came) == ids(scored)[:5]
        assert provenance(came[0])["degraded"][0]["reason"] == "timeout"

    async def test_a_timeout_is_kept_when_awaited(self, overlap, scored):
        """The same holds for the asynchronous method."""
        rerank = RunoffRerank(reranker=overlap(delay=0.5), timeout=0.05)
        came = await rerank.apostprocess_nodes(scored, query_str=QUERY)
        assert ids(came) == ids(scored)[:5]

    def test_on_error_raise_raises(self, overlap, scored):
        """With on_error="raise" every fault is raised."""
        rerank = RunoffRerank(reranker=overlap(error=ServerFailed("503")), on_error="raise")
        with pytest.raises(ServerFailed):
            rerank.postprocess_nodes(scored, query_str=QUERY)

    def test_an_unknown_model_raises(self, scored, tmp_path):
        """A permanent fault is never hidden by the default."""
        rerank = RunoffRerank(reranker=str(tmp_path / "nowhere"))
        with pytest.raises(ModelNotFound):
            rerank.postprocess_nodes(scored, query_str=QUERY)

    async def test_awaiting_leaves_the_loop_free(self, overlap, scored):
        """A reranker that blocks does not block the event loop."""
        slow = RunoffRerank(reranker=overlap(delay=0.2))
        assert await ticks_during(slow.apostprocess_nodes(scored, query_str=QUERY)) >= 10


class TestArguments:
    @pytest.mark.parametrize(
        ("options", "argument"),
        [
            ({"top_n": 0}, "top_n"),
            ({"top_n": 2.5}, "top_n"),
            ({"top_n": True}, "top_n"),
            ({"window": 0}, "window"),
            ({"timeout": -1}, "timeout"),
            ({"on_error": "ignore"}, "on_error"),
            ({"reranker": 7}, "reranker"),
            ({"reranker": object()}, "reranker"),
            ({"blend": 2}, "blend"),
            ({"threshold": 0.5}, "threshold"),
            ({"metadata_mode": "some"}, "metadata_mode"),
            ({"text_template": "no placeholder"}, "text_template"),
            ({"text_template": "{text.__class__}"}, "text_template"),
            ({"text_template": "{text:>5}"}, "text_template"),
            ({"text_template": "{text"}, "text_template"),
            ({"text_template": 7}, "text_template"),
        ],
    )
    def test_a_wrong_argument_is_named(self, options, argument):
        """The error names the argument, at construction and at assignment."""
        with pytest.raises(InvalidArgument) as caught:
            RunoffRerank(**options)
        assert caught.value.argument == argument
        if argument in {"blend", "threshold", "reranker"}:
            return
        good = RunoffRerank()
        with pytest.raises(InvalidArgument):
            setattr(good, argument, options[argument])

    def test_an_unknown_argument_is_refused(self):
        """Nothing is dropped silently."""
        with pytest.raises(InvalidArgument, match=r"topn=.*did you mean top_n"):
            RunoffRerank(topn=3)

    def test_a_field_can_be_set_later(self, overlap, scored):
        """Fields may be assigned; the next call honours them."""
        rerank = RunoffRerank(reranker=overlap())
        rerank.top_n = 1
        rerank.reranker = Pointwise(overlap(), blend=0.0)
        assert ids(rerank.postprocess_nodes(scored, query_str=QUERY)) == ["csv-dict"]

    def test_none_is_the_embedded_model(self):
        """None means the default reranker."""
        assert fields(RunoffRerank(reranker=None)) == fields(RunoffRerank())
        assert RunoffRerank().reranker == "default"

    def test_a_query_is_needed(self, overlap, scored):
        """Without a query the error says what to pass."""
        with pytest.raises(InvalidArgument, match="query_bundle"):
            RunoffRerank(reranker=overlap()).postprocess_nodes(scored)

    def test_two_queries_are_refused(self, overlap, scored):
        """query_str and query_bundle exclude each other."""
        with pytest.raises(ValueError, match="both"):
            RunoffRerank(reranker=overlap()).postprocess_nodes(
                scored, query_bundle=QueryBundle("a"), query_str="b"
            )

    def test_a_blank_query_is_refused(self, overlap, scored):
        """A blank query raises."""
        with pytest.raises(InvalidArgument, match="blank"):
            RunoffRerank(reranker=overlap()).postprocess_nodes(scored, query_str="  ")


def test_scores_of_nodes_stay_finite(overlap, scored):
    """A non-finite score never reaches a result."""

    class Odd(overlap):
        @staticmethod
        def value(query, text):
            return math.nan if "csv" in text else 1.0

    came = RunoffRerank(reranker=Odd(), top_n=10).postprocess_nodes(scored, query_str=QUERY)
    assert ids(came)[-2:] == ["csv-dict", "csv-plain"]
    assert [one.score for one in came[-2:]] == [None, None]
