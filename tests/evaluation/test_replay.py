"""A replay returns what the live pipeline returns."""

from dataclasses import replace as changed

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded import Hashed, Noise, documents, pipeline, questions

from runoff.errors import InvalidArgument, ScoreKindMismatch
from runoff.evaluation import by_stage, record, replay
from runoff.fusion import RRF, Convex
from runoff.grouping import Grouping
from runoff.recall import BM25
from runoff.rerank import Cascade, Pointwise, Step
from runoff.scores import ScoreKind, Threshold

DEPTH = 40
QUESTIONS = questions()


def recorded(reranker=None, **options):
    return record(pipeline(reranker, **options), QUESTIONS, DEPTH, progress=False, workers=2)


def agrees(runs, live, **search):
    for query_id, text in QUESTIONS.queries.items():
        response = live.search(text, **search)
        assert list(runs[query_id]) == [one.doc_id for one in response]
        told = [np.nan if one.rerank_score is None else one.rerank_score for one in response]
        np.testing.assert_allclose(runs[query_id].rerank_score, told, atol=1e-6)
        fused = [one.fusion_score for one in response]
        np.testing.assert_allclose(runs[query_id].fusion_score, fused, atol=1e-9)


WEIGHTS = st.fixed_dictionaries(
    {name: st.sampled_from((0.2, 1.0, 3.0)) for name in ("bm25", "noise")}
)
FUSIONS = st.one_of(
    st.builds(RRF, st.none() | WEIGHTS, rank_constant=st.sampled_from((0, 1.5, 60))),
    st.builds(
        Convex, st.none() | WEIGHTS, normalizer=st.sampled_from(("minmax", "theoretical", "zscore"))
    ),
)
SETTINGS = st.fixed_dictionaries(
    {
        "depth": st.integers(1, DEPTH),
        "window": st.integers(1, 2 * DEPTH),
        "top_k": st.sampled_from((1, 5, 100)),
        "fusion": FUSIONS,
        "blend": st.sampled_from((None, 0.0, 0.3, 0.7, 1.0)),
        "threshold": st.none()
        | st.sampled_from((0.0, 2 / 7, 0.5, 2.0)).map(lambda at: Threshold(at, ScoreKind.LOGIT)),
    }
)


@pytest.fixture(scope="module")
def plain():
    """Record the small pipeline once."""
    return recorded()


@given(chosen=SETTINGS)
def test_replay_is_the_live_search(plain, chosen):
    """For any settings, replay returns the live answer: ids in order, scores to 1e-6."""
    scorer = Pointwise(Hashed(), blend=chosen["blend"], threshold=chosen["threshold"])
    live = pipeline(scorer, fusion=chosen["fusion"], depth=chosen["depth"], window=chosen["window"])
    agrees(replay(plain, **chosen), live, top_k=chosen["top_k"])


@settings(max_examples=25)
@given(
    by=st.sampled_from((None, "parent")),
    duplicates=st.sampled_from((None, 1, 0.5, 0.2)),
    per_group=st.integers(1, 2),
    depth=st.integers(1, DEPTH),
    window=st.integers(1, 50),
    fusion=FUSIONS,
)
def test_groups_are_replayed(by, duplicates, per_group, depth, window, fusion):
    """Groups and duplicates are found again in any fused order, at any depth."""
    if by is None and duplicates is None:
        duplicates = 1
    group = Grouping(by, duplicates=duplicates, per_group=per_group)
    runs = replay(recorded(group=group), depth=depth, window=window, fusion=fusion, top_k=None)
    agrees(runs, pipeline(group=group, depth=depth, window=window, fusion=fusion), top_k=100)


@settings(max_examples=40)
@given(
    keep=st.integers(1, 30),
    blend=st.sampled_from((None, 0.4)),
    margin=st.sampled_from((None, 0.01, 0.3, 2.0)),
    threshold=st.none() | st.just(Threshold(0.4, ScoreKind.LOGIT)),
    depth=st.integers(1, DEPTH),
    window=st.integers(1, 60),
)
def test_cascades_are_replayed(keep, blend, margin, threshold, depth, window):
    """A cascade's windows, blends, margins and thresholds give the live order."""
    if margin is not None:
        threshold = None

    def cascade(margin):
        first = Pointwise(Hashed(50, "cheap"), blend=blend)
        last = Pointwise(Hashed(9, "strong"), blend=blend, threshold=threshold)
        return Cascade([Step(first, keep, margin), last])

    made = recorded(cascade(None))
    runs = replay(made, depth=depth, window=window, margin=margin, top_k=None)
    agrees(runs, pipeline(cascade(margin), depth=depth, window=window), top_k=100)


def test_as_configured_is_the_default():
    """Without settings, replay answers as the system is configured, not as it was recorded."""
    scorer = Pointwise(Hashed(), blend=0.6, threshold=Threshold(0.2, ScoreKind.LOGIT))
    options = {"fusion": Convex({"bm25": 2, "noise": 1}), "depth": 13, "window": 9}
    made = recorded(scorer, **options)
    assert made.setup.recorded_depth == DEPTH
    agrees(replay(made), pipeline(scorer, **options))


@pytest.mark.parametrize(
    "fusion", [RRF({"bm25": 3, "noise": 1}), Convex(), Convex(normalizer="minmax")]
)
@pytest.mark.parametrize("grouped", [None, Grouping(by="parent", per_group=2)])
def test_recorded_scores_are_those_that_the_fusion_gives_again(fusion, grouped):
    """At the recorded depth nothing is fused again, and stages share one pass: same answers."""
    made = recorded(fusion=fusion, depth=DEPTH, group=grouped)
    runs = by_stage(made)
    for name, settings_ in (("fused", {"reranker": None}), ("reranked", {})):
        as_recorded = replay(made, top_k=None, **settings_)
        again = replay(made, top_k=None, fusion=fusion, **settings_)
        for query_id, ranking in as_recorded.items():
            assert runs[name][query_id] == list(ranking) == list(again[query_id])
            assert ranking.fusion_score.tolist() == again[query_id].fusion_score.tolist()


class Unsorted(Noise):
    """A source whose scores rise once, after the twelfth hit, or that has no scores."""

    def __init__(self, documents, *, scored):
        super().__init__(documents)
        self.scored = scored

    def retrieve(self, query, *, depth, deadline=None):
        hits = super().retrieve(query, depth=depth)
        if not self.scored:
            return [changed(hit, score=np.nan) for hit in hits]
        return [changed(hit, score=hit.score + (at >= 12)) for at, hit in enumerate(hits)]


@pytest.mark.parametrize("scored", [True, False])
@pytest.mark.parametrize("fusion", [Convex(), Convex({"bm25": 2, "noise": 1}, normalizer="minmax")])
def test_ranks_are_fused_where_the_live_search_fuses_them(scored, fusion, tmp_path):
    """Where scores are missing or in no order, at the depth replayed, both fuse by rank."""
    given = documents()
    sources = {"bm25": BM25(given), "noise": Unsorted(given, scored=scored)}
    live = changed(pipeline(fusion=fusion), sources=sources)
    made = record(live, QUESTIONS, DEPTH, path=tmp_path / "kept", progress=False)
    by_rank = made["q0"]
    assert [one.source for one in by_rank.stages if one.stage == "fusion"] == ["RRF"]
    assert "fused by rank (RRF)" in by_rank.outcome.notes[-1]
    for depth in (5, 12, 13, DEPTH):
        agrees(replay(made, depth=depth), changed(live, depth=depth))
    used = {
        depth: [one.source for one in live.search("tide", depth=depth).trace.stages][2]
        for depth in (12, 13)
    }
    assert used == {12: "Convex" if scored else "RRF", 13: "RRF"}


def test_without_a_second_stage(plain):
    """`reranker=None` gives the fused order alone."""
    runs = replay(plain, reranker=None, depth=20)
    agrees(runs, changed(pipeline(), reranker=None, depth=20))


def test_another_recordings_reranker(plain):
    """With another recording, its scores and configuration apply to the same candidates."""
    other = Pointwise(Hashed(11, "other"), blend=0.5)
    runs = replay(plain, reranker=recorded(other), window=25)
    agrees(runs, pipeline(other, window=25))


def test_a_scorer_reads_recorded_texts():
    """A scorer scores recorded texts now; without texts it is refused with the remedy."""
    other = Pointwise(Hashed(11, "other"), blend=0.5)
    made = record(pipeline(), QUESTIONS, DEPTH, texts=True, progress=False)
    agrees(replay(made, reranker=other, window=25), pipeline(other, window=25))
    with pytest.raises(InvalidArgument, match="texts=True"):
        replay(recorded(), reranker=other)


class Own:
    """A user's own fusion."""

    def fuse(self, rankings):
        best = {}
        for hits in rankings.values():
            for rank, hit in enumerate(hits, 1):
                best[hit.key] = max(best.get(hit.key, 0), hit.score / rank)
        return best


def test_a_fusion_of_ones_own():
    """A user's fusion is called again; its recorded scores serve only at the recorded depth."""
    made = recorded(fusion=Own(), depth=DEPTH)
    live = pipeline(fusion=Own(), depth=DEPTH)
    agrees(replay(made), live)
    agrees(replay(made, fusion=Own(), depth=11), changed(live, depth=11))
    with pytest.raises(InvalidArgument, match="must be given"):
        replay(made, depth=11)


def test_three_sources():
    """Sums over three sources are rounded once, as the pipeline rounds them."""
    from recorded import Noise

    sources = {**pipeline().sources, "third": Noise(documents(), levels=3)}
    live = changed(pipeline(), sources=sources, fusion=RRF({"third": 0.1}))
    made = record(live, QUESTIONS, DEPTH, progress=False)
    agrees(replay(made), live)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"depth": DEPTH + 1}, "recorded"),
        ({"window": 0}, "window"),
        ({"weights": {"lost": 1}}, "bm25"),
        ({"blend": 2}, "within 0 and 1"),
        ({"threshold": 0.5}, "must be a Threshold"),
        ({"margin": 1.0}, "cascade"),
        ({"fusion": None}, "must have fuse"),
        ({"reranker": None, "blend": 0.5}, "second stage"),
    ],
)
def test_settings_that_cannot_be(plain, options, told):
    """An invalid setting is refused by name."""
    with pytest.raises(InvalidArgument, match=told):
        replay(plain, **options)


def test_thresholds_keep_to_their_scale(plain):
    """A threshold made for another kind of score is refused."""
    with pytest.raises(ScoreKindMismatch):
        replay(plain, threshold=Threshold(0.5, ScoreKind.PROBABILITY))


def test_what_was_never_scored_is_refused():
    """A window wider than what was recorded is refused, and a narrower one is not."""
    made = record(pipeline(), QUESTIONS, DEPTH, window=10, progress=False)
    agrees(replay(made, depth=DEPTH, window=10), pipeline(depth=DEPTH, window=10))
    with pytest.raises(InvalidArgument, match="not scored"):
        replay(made, depth=DEPTH, window=40)


class Partial(Hashed):
    """A scorer that never scores some pairs."""

    def score(self, pairs, *, deadline=None):
        whole = super().score(pairs, deadline=deadline)
        return changed(whole, scored=np.array([len(text) % 5 > 0 for _, text in pairs]))


@pytest.mark.parametrize("window", [5, 20, 60])
@pytest.mark.parametrize("cascade", [False, True])
def test_answers_with_gaps_are_replayed(window, cascade):
    """Candidates without a score follow in fused order, and no threshold is applied then."""
    limited = Pointwise(Partial(), threshold=Threshold(0.5, ScoreKind.LOGIT), blend=0.7)
    reranker = Cascade([Step(Hashed(30, "cheap"), 8), limited]) if cascade else limited
    made = recorded(reranker)
    assert made.degraded
    live = pipeline(reranker, window=window)
    for query_id, text in QUESTIONS.queries.items():
        response = live.search(text, top_k=100)
        if not response.outcome.complete:
            assert list(replay(made, window=window, top_k=None)[query_id]) == [
                one.doc_id for one in response
            ]


def test_a_gap_in_an_earlier_stage_keeps_the_threshold_away():
    """If an early stage of a cascade lacks scores, the answer is degraded, live and replayed."""
    last = Pointwise(Hashed(), threshold=Threshold(0.5, ScoreKind.LOGIT))
    reranker = Cascade([Step(Partial(30, "cheap"), 40), last])
    made = recorded(reranker)
    assert made.degraded == made.query_ids
    assert "cheap scored" in made["q0"].outcome.degraded[0].detail
    agrees(replay(made, top_k=None), pipeline(reranker), top_k=100)


def test_another_reranker_is_whole_where_ours_was_not():
    """Scores that the recorded reranker lacks do not disable another recording's threshold."""
    made = record(pipeline(Partial()), QUESTIONS, DEPTH, texts=True, progress=False)
    assert made.degraded == made.query_ids
    other = Pointwise(Hashed(11, "other"), threshold=Threshold(0.5, ScoreKind.LOGIT))
    agrees(replay(made, reranker=other), pipeline(other))
    agrees(replay(made, reranker=recorded(other)), pipeline(other))
