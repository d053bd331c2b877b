"""A cascade orders by its last stage what that one read, and by the earlier ones the rest."""

import asyncio
import dataclasses
import logging
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parts import Listed
from rerankers import AwaitedTable, Letters, Table, both, candidates, keys

from runoff import Query, TwoStage
from runoff.errors import AuthenticationFailed, BadReply, InvalidArgument, ServerFailed
from runoff.pipeline._stages import undo_threshold
from runoff.protocols import AsyncReranker, Reranker, Warmable
from runoff.rerank import Cascade, CrossEncoder, Pointwise, Step
from runoff.rerank._inner import check_reranking
from runoff.scores import ModelIdentity, ScoreKind, Threshold, Usage
from runoff.testing.contracts import RerankerContract
from runoff.types import Document, Dropped, Ranked, Reranking

QUERY = Query("what?")
CHEAP = Table({"a": 1, "b": 2, "c": 3, "d": 4}, "cheap", ScoreKind.SIMILARITY)
STRONG = Table({"a": 9.0, "b": 8.0, "c": 7.5, "d": 7.0}, "strong")


class TestCascade(RerankerContract):
    def make(self):
        return Cascade([Step(Letters(), 5), Letters(-1.0)])


class TestCascadeOfModels(RerankerContract):
    def make(self):
        pytest.importorskip("runoff_models")
        return Cascade([(Letters(), 4), CrossEncoder()])


def test_it_is_what_the_seams_ask_for():
    """A cascade reranks, can be awaited and warms up."""
    for seam in (Reranker, AsyncReranker, Warmable):
        assert isinstance(Cascade([STRONG]), seam)


async def test_the_last_stage_orders_what_the_one_before_kept():
    """The two that the cheap stage puts first are ordered anew; the others follow in its order."""
    answer = await both(Cascade([Step(CHEAP, 2), STRONG]), QUERY, candidates("a", "b", "c", "d"))
    assert keys(answer.ordered) == ["c", "d", "b", "a"]
    assert [one.rerank_score for one in answer.ordered] == [7.5, 7.0, None, None]
    assert [one.pair_score for one in answer.ordered] == [7.5, 7.0, None, None]
    assert (answer.kind, answer.model.name) == (ScoreKind.LOGIT, "strong")
    assert answer.usage == Usage(pairs=6, tokens=60)
    assert (answer.unscored, answer.reason, answer.detail) == ((), "", "")
    assert [(one.source, one.entered, one.left) for one in answer.parts] == [
        ("cheap", 4, 4),
        ("strong", 2, 2),
    ]


async def test_three_stages_narrow_down():
    """Each stage reads the first candidates of the order so far; the others keep their order."""
    middle = Table({"b": 1, "c": 2, "d": 0}, "middle")
    cascade = Cascade([(CHEAP, 3), (middle, 1), STRONG])
    answer = await both(cascade, QUERY, candidates("a", "b", "c", "d"))
    assert keys(answer.ordered) == ["c", "b", "d", "a"]
    assert [one.rerank_score for one in answer.ordered] == [7.5, None, None, None]
    assert [one.entered for one in answer.parts] == [4, 3, 1]


async def test_ties_of_the_last_stage_go_back_to_fused_order():
    """The last stage reads in the cheap one's order, and equal scores are in the fused one."""
    even = Table(dict.fromkeys("abcd", 1.0), "even")
    answer = await both(Cascade([(CHEAP, 3), even]), QUERY, candidates("a", "b", "c", "d"))
    assert keys(answer.ordered) == ["b", "c", "d", "a"]


@given(
    cheap=st.lists(st.integers(0, 3), min_size=1, max_size=12),
    strong=st.lists(st.one_of(st.none(), st.integers(0, 3)), min_size=12, max_size=12),
    keep=st.integers(1, 14),
)
def test_the_partition_is_exact_and_ties_keep_fused_order(cheap, strong, keep):
    """For any scores and gaps: no candidate is lost, scores fall, equal ones keep fused order."""
    ids = [f"d{place:02}" for place in range(len(cheap))]
    first = Table(dict(zip(ids, cheap, strict=True)), "cheap")
    known = {one: score for one, score in zip(ids, strong, strict=False) if score is not None}
    answer = Cascade([(first, keep), Table(known, "strong")]).rerank(QUERY, candidates(*ids))
    assert sorted(keys(answer.ordered)) == ids
    assert answer.unscored == answer.dropped == ()
    scored = [one for one in answer.ordered if one.rerank_score is not None]
    assert list(answer.ordered[: len(scored)]) == scored
    order = [(-one.rerank_score, one.candidate.fusion_rank) for one in scored]
    assert order == sorted(order)
    rest = [one.candidate for one in answer.ordered[len(scored) :]]
    assert rest == sorted(rest, key=lambda one: (-first.scores[one.key], one.fusion_rank))
    best = sorted(ids, key=lambda one: (-first.scores[one], one))[:keep]
    missed = [one for one in best if one not in known]
    assert bool(answer.detail) == bool(missed)


def pipeline(reranker):
    source = Listed(*(Document(one, one) for one in "abcd"))
    return TwoStage({"s": source}, reranker=reranker)


async def search(reranker, **options):
    """Search both ways; the answers agree."""
    two = pipeline(reranker)
    first = await asyncio.to_thread(lambda: two.search("what?", **options))
    second = await two.asearch("what?", **options)
    assert first.results == second.results
    assert [one.reason for one in first.outcome.degraded] == [
        one.reason for one in second.outcome.degraded
    ]
    return first


async def test_a_failed_last_stage_leaves_the_order_before_it(caplog):
    """A server error is a degraded answer in the cheap stage's order, with its scores and model."""
    strong = dataclasses.replace(STRONG, error=ServerFailed("503"))
    response = await search(Cascade([(CHEAP, 2), strong]))
    assert [one.doc_id for one in response] == ["d", "c", "b", "a"]
    assert [one.rerank_score for one in response] == [4, 3, 2, 1]
    (lost,) = response.outcome.degraded
    assert (lost.stage, lost.source, lost.reason) == ("rerank", "cheap > strong", "server_error")
    assert lost.detail == "strong: ServerFailed: 503"
    assert (response.outcome.scored, response.outcome.total) == (4, 4)
    assert (response.trace.model.name, response.trace.kind) == ("cheap", ScoreKind.SIMILARITY)
    assert "degraded answer: rerank cheap > strong: server_error" in caplog.text


@pytest.mark.parametrize("made", [Table, AwaitedTable])
async def test_a_hanging_last_stage_is_left_at_the_deadline(made):
    """At the deadline the answer is the cheap order, reason timeout, without waiting longer."""
    slow = made(STRONG.scores, "slow", wait=5.0)
    response = await search(Cascade([(CHEAP, 2), slow]), timeout=0.2)
    assert [one.doc_id for one in response] == ["d", "c", "b", "a"]
    assert [one.reason for one in response.outcome.degraded] == ["timeout"]
    assert response.outcome.spent_ms < 5000


async def test_a_part_of_the_last_stage_is_taken():
    """Candidates it scored in time come first, the others in the cheap order, with the reason."""
    partly = Table({"c": 1.0}, "partly", reason="timeout")
    response = await search(Cascade([(CHEAP, 3), partly]))
    assert [one.doc_id for one in response] == ["c", "d", "b", "a"]
    assert [one.rerank_score for one in response] == [1.0, None, None, None]
    (lost,) = response.outcome.degraded
    assert (lost.reason, lost.detail) == ("timeout", "partly scored 1 of 3 before the deadline")
    assert [(one.entered, one.left) for one in response.trace.stages[-1].parts] == [(4, 4), (3, 1)]


async def test_a_failed_first_stage_hands_on_the_fused_order():
    """The next stage reads the first `keep` fused candidates; the others count as unscored."""
    broken = dataclasses.replace(CHEAP, error=ServerFailed("503"))
    response = await search(Cascade([(broken, 2), STRONG]))
    assert [one.doc_id for one in response] == ["a", "b", "c", "d"]
    assert [one.rerank_score for one in response] == [9.0, 8.0, None, None]
    assert (response.outcome.scored, response.outcome.total) == (2, 4)
    assert response.outcome.degraded[0].reason == "server_error"


async def test_a_reply_that_loses_a_candidate_is_a_failed_stage():
    """A stage that does not return every candidate once is left out as a bad reply."""

    class Loses:
        def rerank(self, query, some, *, deadline=None):
            return Reranking((Ranked(some[0], 1.0),))

    answer = await both(Cascade([(CHEAP, 2), Loses()]), QUERY, candidates("a", "b", "c", "d"))
    assert keys(answer.ordered) == ["d", "c", "b", "a"]
    assert answer.reason == BadReply.reason
    assert answer.parts[1].error.startswith("BadReply: the reranker was given 2 candidates")


async def test_when_every_stage_fails_nothing_is_ordered():
    """All candidates come back unscored, in fused order, with both stages in the trace."""
    error = ServerFailed("503")
    cascade = Cascade(
        [(dataclasses.replace(CHEAP, error=error), 2), dataclasses.replace(STRONG, error=error)]
    )
    answer = await both(cascade, QUERY, candidates("a", "b", "c"))
    assert (answer.ordered, keys(answer.unscored)) == ((), ["a", "b", "c"])
    assert answer.detail == "cheap: ServerFailed: 503; strong: ServerFailed: 503"
    assert [one.entered for one in answer.parts] == [3, 2]


async def test_an_error_that_lasts_is_raised():
    """A bad key in the last stage is raised."""
    strong = dataclasses.replace(STRONG, error=AuthenticationFailed("no key"))
    cascade = Cascade([(CHEAP, 2), strong])
    with pytest.raises(AuthenticationFailed):
        cascade.rerank(QUERY, candidates("a", "b"))
    with pytest.raises(AuthenticationFailed):
        await cascade.arerank(QUERY, candidates("a", "b"))


def test_strict_pipelines_raise():
    """With on_error="raise" a failed stage is an error."""
    strong = dataclasses.replace(STRONG, error=ServerFailed("503"))
    two = dataclasses.replace(pipeline(Cascade([(CHEAP, 2), strong])), on_error="raise")
    with pytest.raises(BadReply, match="ServerFailed: 503"):
        two.search("what?")


async def test_a_clear_lead_skips_the_last_stage():
    """With a lead above the margin the strong stage is skipped, and a note says so."""
    clear = Table({"a": 0, "b": 1, "c": 0, "d": 10}, "clear")  # the lead is 2.1 deviations
    response = await search(Cascade([Step(clear, 2, margin=2.0), STRONG]))
    assert [one.doc_id for one in response] == ["d", "b", "a", "c"]
    assert response.outcome.complete
    assert response.trace.model.name == "clear"
    (note,) = response.outcome.notes
    assert note.startswith("strong skipped: the best of clear leads by 2.1 standard deviations")
    assert [one.entered for one in response.trace.stages[-1].parts] == [4, 0]
    assert "skipped" in response.explain().split("- strong", 1)[1].split("\n")[0]


@pytest.mark.parametrize(
    "scores",
    [
        {"a": 0, "b": 8, "c": 0, "d": 10},  # the lead is below the margin
        dict.fromkeys("abcd", 1.0),  # no spread
        {"a": 0, "d": 10},  # two without a score
    ],
)
def test_no_clear_lead_skips_nothing(scores):
    """A small lead, equal scores or a part of the scores are no reason to skip."""
    cascade = Cascade([Step(Table(scores, "first"), 2, margin=1.0), STRONG])
    answer = cascade.rerank(QUERY, candidates("a", "b", "c", "d"))
    assert answer.parts[1].entered == 2


def test_a_threshold_of_the_last_stage_drops_what_it_never_read():
    """After a threshold nothing without a score follows, unless the answer is degraded."""
    last = Pointwise(STRONG, threshold=Threshold(7.2, ScoreKind.LOGIT, "strong"))
    response = pipeline(Cascade([(CHEAP, 2), last])).search("what?")
    assert [one.doc_id for one in response] == ["c"]
    below, unread = response.trace.fate("d"), response.trace.fate("a")
    assert (below.kind, below.reason) == ("dropped", "below threshold")
    assert unread.kind == "dropped"
    assert "score" in unread.reason
    broken = dataclasses.replace(CHEAP, error=ServerFailed("503"))
    degraded = pipeline(Cascade([(broken, 4), last])).search("what?")
    assert [one.doc_id for one in degraded] == ["a", "b", "c", "d"]


def test_every_stage_is_in_the_report():
    """explain() and the notebook show a row for each stage, nested ones with two hyphens."""
    inner = Cascade([(CHEAP, 3), Table({"b": 1, "c": 2, "d": 0}, "middle")])
    response = pipeline(Cascade([(inner, 1), STRONG])).search("what?")
    text, page = response.explain(), response._repr_html_()
    for row in ("- cheap > middle", "- - cheap", "- - middle", "- strong"):
        assert row in text
        assert row.replace(">", "&gt;") in page
    assert "ordered 1 of 1, 10 tokens" in text
    assert "placed 2 by an earlier stage; strong did not score it" in response.explain("b")
    assert response.trace.usage.pairs == 4 + 3 + 1


def test_wrong_arguments_are_refused():
    """Each error names the argument."""
    bound = Pointwise(STRONG, threshold=Threshold(0, ScoreKind.LOGIT))
    for wrong, named in (
        ([], "steps"),
        ("runoff-mini", "steps"),
        ([CHEAP, STRONG], r"steps\[0\].keep"),
        ([(CHEAP, 2), Step(STRONG, 3)], r"steps\[1\].keep"),
        ([(CHEAP, 2), Step(STRONG, margin=1)], r"steps\[1\].margin"),
        ([(bound, 2), STRONG], r"steps\[0\]"),
        ([Step(CHEAP, 2, margin=1), bound], r"steps\[0\].margin"),
        ([None], "reranker"),
        ([3], "reranker"),
    ):
        with pytest.raises(InvalidArgument, match=named):
            Cascade(wrong)
    for keep in (0, True, 1.5):
        with pytest.raises(InvalidArgument, match="keep"):
            Step(CHEAP, keep)
    for margin in (0, -1, float("inf"), "2", True):
        with pytest.raises(InvalidArgument, match="margin"):
            Step(CHEAP, 2, margin=margin)


def test_it_is_configuration():
    """A cascade shows its stages, is equal to its like, and survives pickling and replace."""
    cascade = Cascade([(CHEAP, 2), STRONG])
    assert "keep=2" in repr(cascade)
    assert "'strong'" in repr(cascade)
    assert pickle.loads(pickle.dumps(cascade)) == cascade
    wider = dataclasses.replace(cascade, steps=[(CHEAP, 3), STRONG])
    some = candidates("a", "b", "c", "d")
    assert keys(wider.rerank(QUERY, some).ordered) == ["b", "c", "d", "a"]


async def test_fifty_queries_at_once():
    """One instance serves fifty concurrent searches, each with its own answer."""
    cascade = Cascade([(Letters(), 2), AwaitedTable(STRONG.scores, "strong", wait=0.01)])
    alone = {one: keys(cascade.rerank(Query(one), candidates(*"abcd")).ordered) for one in "abcd"}
    asked = [one for _ in range(13) for one in "abcd"][:50]
    answers = await asyncio.gather(
        *(cascade.arerank(Query(one), candidates(*"abcd")) for one in asked)
    )
    assert [keys(one.ordered) for one in answers] == [alone[one] for one in asked]
    assert alone["d"] != alone["a"]


def test_notes_of_the_stages_are_passed_on(caplog):
    """A stage's notes are in the outcome; a complete answer logs no warning."""
    noted = dataclasses.replace(CHEAP, notes=("read with care",))
    with caplog.at_level(logging.WARNING):
        response = pipeline(Cascade([(noted, 2), STRONG])).search("what?")
    assert response.outcome.notes == ("read with care",)
    assert caplog.text == ""
    assert response.trace.model == ModelIdentity("strong")


def test_who_has_no_score_comes_last_in_a_reranking():
    """A score below an unscored candidate, or no score at all, is a bad reply."""
    a, b, c = candidates("a", "b", "c")
    for wrong in ((2.0, None, 1.0), (None, None, None), (None, 2.0, 1.0)):
        ranked = tuple(map(Ranked, (a, b, c), wrong))
        with pytest.raises(BadReply):
            check_reranking(Reranking(ranked), [a, b, c])
    fine = Reranking(tuple(map(Ranked, (a, b, c), (2.0, None, None))))
    assert check_reranking(fine, [a, b, c]) is fine


def test_what_a_threshold_dropped_goes_back_before_who_has_no_score():
    """An answer that is degraded gets the dropped back at their score, ahead of the unread."""
    a, b, c = candidates("a", "b", "c")
    kept = Reranking((Ranked(a, 2.0), Ranked(b, None)), (), (Dropped(c, "below", 1.0, 1.0),))
    assert keys(undo_threshold(kept).ordered) == ["a", "c", "b"]


async def test_a_last_stage_that_scores_nothing_changes_nothing():
    """The cheap stage's order stands, with its scores, kind and model; the answer is degraded."""
    nothing = Table({}, "nothing", reason="timeout")
    answer = await both(Cascade([(CHEAP, 2), nothing]), QUERY, candidates("a", "b", "c"))
    assert [one.rerank_score for one in answer.ordered] == [3, 2, 1]
    assert (answer.model.name, answer.kind) == ("cheap", ScoreKind.SIMILARITY)
    assert (answer.reason, answer.detail) == (
        "timeout",
        "nothing scored 0 of 2 before the deadline",
    )
