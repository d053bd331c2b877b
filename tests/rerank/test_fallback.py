"""A fallback returns the first complete answer within one deadline, and says which failed."""

import asyncio
import dataclasses
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parts import Listed
from rerankers import AwaitedTable, Letters, Table, both, candidates, keys

from runoff import Query, TwoStage
from runoff.deadline import Deadline
from runoff.errors import AuthenticationFailed, InvalidArgument, ServerFailed
from runoff.protocols import AsyncReranker, Reranker, Warmable
from runoff.rerank import Cascade, CrossEncoder, Fallback, Pointwise
from runoff.scores import ScoreKind, Threshold
from runoff.testing.contracts import RerankerContract
from runoff.types import Document

QUERY = Query("what?")
FIRST = Table({"a": 1, "b": 2, "c": 3}, "first", ScoreKind.PROBABILITY)
SECOND = Table({"a": 5.0, "b": 7.0, "c": 6.0}, "second")
DOWN = dataclasses.replace(FIRST, error=ServerFailed("503"))
REFUSED = dataclasses.replace(FIRST, error=AuthenticationFailed("no key"))
SOME = candidates("a", "b", "c")


class TestFallback(RerankerContract):
    def make(self):
        return Fallback([DOWN, Letters()])


class TestFallbackNotNeeded(RerankerContract):
    def make(self):
        return Fallback([Letters(), DOWN])


class TestFallbackToAModel(RerankerContract):
    def make(self):
        pytest.importorskip("runoff_models")
        return Fallback([DOWN, CrossEncoder()])


class TestFallbackOfCascades(RerankerContract):
    def make(self):
        return Fallback([Cascade([(DOWN, 3), DOWN]), Cascade([(Letters(), 5), Letters(-1.0)])])


def search(reranker, **options):
    source = Listed(*(Document(one, one) for one in "abc"))
    return TwoStage({"s": source}, reranker=reranker).search("what?", **options)


def test_it_is_what_the_seams_ask_for():
    """A fallback reranks, can be awaited and warms up."""
    for seam in (Reranker, AsyncReranker, Warmable):
        assert isinstance(Fallback([FIRST]), seam)


async def test_the_first_answer_is_taken(caplog):
    """While the first answers, no other reranker is asked and nothing is noted."""
    answer = await both(Fallback([FIRST, SECOND]), QUERY, SOME)
    assert keys(answer.ordered) == ["c", "b", "a"]
    assert (answer.model.name, answer.kind, answer.notes) == (
        "first",
        ScoreKind.PROBABILITY,
        (),
    )
    assert [one.source for one in answer.parts] == ["first"]
    assert caplog.text == ""


def test_the_next_one_answers_and_it_is_said(caplog):
    """A whole answer of the second is complete; note, warning and trace name the first's error."""
    response = search(Fallback([DOWN, SECOND]))
    assert [one.doc_id for one in response] == ["b", "c", "a"]
    assert response.outcome.complete
    said = "second answered in place of first (ServerFailed: 503)"
    assert response.outcome.notes == (said,)
    assert f"fallback: {said}" in caplog.text
    assert (response.trace.model.name, response.trace.kind) == ("second", ScoreKind.LOGIT)
    stage = response.trace.stages[-1]
    assert stage.source == "first or second"
    assert [(one.error, one.left) for one in stage.parts] == [("ServerFailed: 503", 0), ("", 3)]
    assert "left out: ServerFailed: 503" in response.explain()
    assert f"note: {said}" in response._repr_html_()


@pytest.mark.parametrize("made", [Table, AwaitedTable])
@pytest.mark.parametrize("share", [0.25, 0.5])
async def test_one_that_hangs_leaves_the_next_its_time(made, share):
    """The first is left behind after its share of the budget, and the second answers."""
    reranker = Fallback([made({}, "hangs", wait=5.0), SECOND], share=share)

    async def in_a_thread():
        return await asyncio.to_thread(reranker.rerank, QUERY, SOME, deadline=Deadline(0.4))

    for ask in (in_a_thread, lambda: reranker.arerank(QUERY, SOME, deadline=Deadline(0.4))):
        answer = await ask()
        assert answer.parts[0].latency_ms >= 400 * share - 10
        assert keys(answer.ordered) == ["b", "c", "a"]
        assert answer.parts[0].error.startswith("DeadlineExceeded: hangs: the budget of")
        assert answer.detail == ""


def test_each_of_three_has_a_share_of_what_is_left():
    """Of 800 s two that take all they may get half and a quarter, and the third still answers."""
    now, had = [0.0], []

    @dataclasses.dataclass(frozen=True)
    class Late(Table):
        keeps_deadline: bool = True

        def score(self, pairs, *, deadline=None):
            had.append(deadline.remaining())
            now[0] += deadline.remaining()
            raise TimeoutError("late")

    whole = Deadline(800, clock=lambda: now[0])
    answer = Fallback([Late({}), Late({}), SECOND]).rerank(QUERY, SOME, deadline=whole)
    assert had == [400, 200]
    assert answer.model.name == "second"


def test_loading_takes_nothing_from_the_share():
    """A first load of 300 s stops the clock of a budget of 200 s, and the first answers."""
    now = [0.0]

    @dataclasses.dataclass(frozen=True)
    class Loads(Table):
        def score(self, pairs, *, deadline=None):
            with deadline.paused():
                now[0] += 300
            return super().score(pairs)

    whole = Deadline(200, clock=lambda: now[0])
    answer = Fallback([Loads(FIRST.scores, "loads"), SECOND]).rerank(QUERY, SOME, deadline=whole)
    assert answer.model.name == "loads"
    assert answer.parts[0].load_ms == 300_000
    assert whole.spent() == 0


async def test_a_part_of_an_answer_is_not_enough():
    """When the first leaves one without a score, the second is asked for all of them."""
    partly = Table({"a": 1.0, "b": 2.0}, "partly")
    answer = await both(Fallback([partly, SECOND]), QUERY, SOME)
    assert keys(answer.ordered) == ["b", "c", "a"]
    assert answer.notes == (
        "second answered in place of partly (partly scored 2 of 3 with a finite value)",
    )
    assert answer.usage.pairs == 6


@pytest.mark.parametrize(
    ("first", "second", "model"),
    [
        ({"a": 1.0, "b": 2.0}, {"a": 1.0}, "one"),
        ({"a": 1.0}, {"a": 1.0, "b": 2.0}, "two"),
        ({"a": 1.0}, {"b": 1.0}, "one"),
    ],
)
async def test_the_most_whole_of_partial_answers_stands(first, second, model):
    """With no complete answer, the one with the most scores is used, the first of equals."""
    reranker = Fallback([Table(first, "one"), Table(second, "two")])
    answer = await both(reranker, QUERY, SOME)
    assert answer.model.name == model
    assert answer.reason == "bad_reply"
    assert "one scored" in answer.detail
    assert "two scored" in answer.detail
    assert not search(reranker).outcome.complete


def test_when_all_fail_the_answer_is_degraded_by_the_first_reason():
    """All unscored in fused order; the outcome names both, the trace has both."""
    late = dataclasses.replace(SECOND, error=TimeoutError("slow"))
    response = search(Fallback([DOWN, late]))
    assert [one.doc_id for one in response] == ["a", "b", "c"]
    (lost,) = response.outcome.degraded
    assert (lost.source, lost.reason) == ("first or second", "server_error")
    assert lost.detail == "first: ServerFailed: 503; second: TimeoutError: slow"
    assert (response.outcome.scored, response.outcome.total) == (0, 3)
    assert len(response.trace.stages[-1].parts) == 2


async def test_an_error_that_lasts_is_raised_unless_the_next_may_answer():
    """A bad key is raised; with on_permanent="next" the second answers and the key is named."""
    with pytest.raises(AuthenticationFailed):
        Fallback([REFUSED, SECOND]).rerank(QUERY, SOME)
    with pytest.raises(AuthenticationFailed):
        await Fallback([DOWN, REFUSED]).arerank(QUERY, SOME)
    answer = await both(Fallback([REFUSED, SECOND], on_permanent="next"), QUERY, SOME)
    assert answer.model.name == "second"
    assert "AuthenticationFailed: no key" in answer.notes[0]
    with pytest.raises(AuthenticationFailed):
        Fallback([REFUSED, DOWN], on_permanent="next").rerank(QUERY, SOME)


def test_a_threshold_stays_with_its_own_model():
    """The first's threshold does not touch the second's scores, and the note says so."""
    bound = Pointwise(DOWN, threshold=Threshold(6.5, ScoreKind.PROBABILITY, "first"))
    response = search(Fallback([bound, SECOND]))
    assert [one.doc_id for one in response] == ["b", "c", "a"]
    assert response.outcome.notes[0].endswith("; the threshold of first was not applied")
    own = Pointwise(SECOND, threshold=Threshold(5.5, ScoreKind.LOGIT, "second"))
    assert [one.doc_id for one in search(Fallback([DOWN, own]))] == ["b", "c"]


@given(
    lists=st.lists(
        st.lists(st.one_of(st.none(), st.integers(0, 2)), min_size=8, max_size=8),
        min_size=1,
        max_size=3,
    ),
    down=st.lists(st.booleans(), min_size=3, max_size=3),
)
def test_the_partition_is_exact_and_ties_keep_fused_order(lists, down):
    """Whichever fails or scores a part, no candidate is lost and equal scores keep fused order."""
    ids = [f"d{place}" for place in range(8)]
    rerankers = [
        Table(
            {one: score for one, score in zip(ids, scores, strict=True) if score is not None},
            error=ServerFailed("503") if fails else None,
        )
        for scores, fails in zip(lists, down, strict=False)
    ]
    answer = Fallback(rerankers).rerank(QUERY, candidates(*ids))
    assert sorted(keys(answer.ordered) + keys(answer.unscored)) == ids
    order = [(-one.rerank_score, one.candidate.fusion_rank) for one in answer.ordered]
    assert order == sorted(order)
    assert keys(answer.unscored) == sorted(keys(answer.unscored))
    most = max(
        (len(one.scores) for one in rerankers if one.error is None and one.scores), default=0
    )
    whole = [one for one in rerankers if one.error is None and len(one.scores) == 8]
    assert len(answer.ordered) == (8 if whole else most)


def test_wrong_arguments_are_refused():
    """Each error names the argument."""
    for wrong, options, named in (
        ([], {}, "rerankers"),
        ("runoff-mini", {}, "rerankers"),
        ([FIRST, None], {}, r"rerankers\[1\]"),
        ([FIRST], {"share": 0}, "share"),
        ([FIRST], {"share": 1}, "share"),
        ([FIRST], {"share": True}, "share"),
        ([FIRST], {"on_permanent": "degrade"}, "on_permanent"),
    ):
        with pytest.raises(InvalidArgument, match=named):
            Fallback(wrong, **options)


def test_it_is_configuration():
    """A fallback shows what it is made of, survives pickling, and `replace` changes it."""
    reranker = Fallback([FIRST, SECOND], share=0.4)
    assert "share=0.4" in repr(reranker)
    assert "'second'" in repr(reranker)
    assert pickle.loads(pickle.dumps(reranker)) == reranker
    other = dataclasses.replace(reranker, rerankers=[SECOND], share=0.3)
    assert (other.name, other.share) == ("second", 0.3)
    assert other.rerank(QUERY, SOME).model.name == "second"


async def test_fifty_queries_at_once():
    """One instance serves fifty concurrent searches, though its first reranker hangs in all."""
    hangs = AwaitedTable({}, "hangs", wait=5.0)
    reranker = Fallback([hangs, Letters()], share=0.1)
    asked = [one for _ in range(17) for one in "abc"][:50]
    answers = await asyncio.gather(
        *(reranker.arerank(Query(one), SOME, deadline=Deadline(4.0)) for one in asked)
    )
    assert [keys(one.ordered)[0] for one in answers] == asked
    assert all(one.model.name == "letters" and not one.unscored for one in answers)
