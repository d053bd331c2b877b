"""What a cache of scores promises, whether it is in memory or in a file."""

import asyncio
import copy
import dataclasses
import logging
import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest
from counting import Counting, same, value
from hypothesis import given, settings
from hypothesis import strategies as st

from runoff import TwoStage
from runoff.deadline import Deadline
from runoff.errors import AuthenticationFailed, InvalidArgument, ServerFailed
from runoff.recall import BM25
from runoff.rerank import Cached, CrossEncoder, DiskCache, MemoryCache, Pointwise
from runoff.rerank._cache import cached as cache
from runoff.scores import ModelIdentity, PairScores, Passage, ScoreKind, Usage
from runoff.types import Document

PAIRS = [("why?", f"text {n}") for n in range(5)]


def test_a_known_pair_is_not_scored_again(store):
    """The second call sends only the pair that is new, and counts the others as cached."""
    scorer = Counting()
    first = Cached(scorer, store=store).score(PAIRS[:4])
    second = Cached(scorer, store=store).score(PAIRS)
    assert first.usage == Usage(pairs=4, tokens=40)
    assert scorer.calls == [PAIRS[:4], PAIRS[4:]]
    assert second.usage == Usage(pairs=1, tokens=10, cached=4)
    assert same(second, Counting().score(PAIRS))


def test_what_else_is_said_of_a_pair_is_kept(store):
    """The truncated mark and the passages of a pair come back with its score."""

    class Passages(Counting):
        def _answer(self, pairs, *, late=False):
            parts = tuple((Passage(0, 3, 0.5), Passage(3, len(text), -1.25)) for _, text in pairs)
            return dataclasses.replace(super()._answer(pairs), passages=parts)

    pairs = [*PAIRS, ("why?", "long " * 100)]
    scorer = Passages()
    cached = Cached(scorer, store=store)
    cached.score(pairs)
    again = cached.score(pairs)
    assert len(scorer.calls) == 1
    assert again.truncated.tolist() == [False] * 5 + [True]
    assert same(again, Passages().score(pairs))


def test_equal_pairs_of_one_call_are_sent_once(store):
    """A pair that is twice in a call is scored once and answered twice."""
    scorer = Counting()
    scores = Cached(scorer, store=store).score([PAIRS[0], PAIRS[1], PAIRS[0]])
    assert scorer.calls == [PAIRS[:2]]
    assert scores.values[0] == scores.values[2] == np.float32(value(*PAIRS[0]))
    assert (scores.usage.pairs, scores.usage.cached) == (2, 1)


def test_no_pairs(store):
    """A call without pairs does not read the store."""
    assert len(Cached(Counting(), store=store).score([])) == 0


def test_pairs_that_are_none(store):
    """What is not two strings is named by its place, before anything is scored."""
    scorer = Counting()
    for wrong in (("why?",), ("why?", None), "ab", 7, ("a", "b", "c")):
        with pytest.raises(InvalidArgument, match=r"pairs\[1\].*query text, document text"):
            Cached(scorer, store=store).score([PAIRS[0], wrong])
    assert scorer.calls == []


def test_another_model_has_other_scores(store):
    """What one model scored is not given for another."""
    Cached(Counting(seed=1), store=store).score(PAIRS)
    other = Counting(seed=2)
    assert same(Cached(other, store=store).score(PAIRS), Counting(seed=2).score(PAIRS))
    assert other.asked == PAIRS


def test_query_and_document_cannot_be_confused(store):
    """Texts that are the same when joined, or swapped, are other pairs."""
    cached = Cached(Counting(), store=store)
    for pair in (("ab", "c"), ("a", "bc"), ("c", "ab"), ("", "abc"), ("\ud83d", "abc")):
        assert cached.score([pair]).usage.pairs == 1
        assert cached.score([pair]).usage.cached == 1


def test_unscored_pairs_are_not_kept(store):
    """A pair without a score is asked again, and has a score when the scorer has one."""
    scorer = Counting(unscored={"text 1"})
    cached = Cached(scorer, store=store)
    first = cached.score(PAIRS)
    assert (first.scored.tolist(), first.reason) == ([True, False, True, True, True], "bad_reply")
    assert first.usage.pairs == 4
    scorer.unscored = ()
    assert same(cached.score(PAIRS), Counting().score(PAIRS))
    assert scorer.calls[1:] == [PAIRS[1:2]]


def test_failures_are_not_kept(store):
    """A scorer that failed is asked again."""
    scorer = Counting(error=ServerFailed("503"))
    cached = Cached(scorer, store=store)
    with pytest.raises(ServerFailed):
        cached.score(PAIRS)
    scorer.error = None
    assert cached.score(PAIRS).usage.pairs == 5


def test_what_is_known_is_given_when_the_scorer_fails_in_passing(store):
    """A transient failure leaves new pairs unscored with its reason; a permanent one is raised."""
    scorer = Counting()
    cached = Cached(scorer, store=store)
    cached.score(PAIRS[:2])
    scorer.error = ServerFailed("503")
    scores = cached.score(PAIRS)
    assert scores.scored.tolist() == [True, True, False, False, False]
    assert scores.reason == "server_error"
    assert scores.usage == Usage(cached=2)
    scorer.error = AuthenticationFailed("bad key")
    with pytest.raises(AuthenticationFailed):
        cached.score(PAIRS)
    assert cached.score(PAIRS[:2]).scored.all(), "and what is known needs no scorer"


def test_a_model_replaced_behind_its_name(store):
    """When a server answers with another model, what is known of the old one is scored again."""
    scorer = Counting()
    cached = Cached(scorer, store=store)
    cached.score(PAIRS[:3])
    scorer.revision = "new"
    scores = cached.score(PAIRS)
    assert scores.model.revision == "new"
    assert scores.usage.pairs == 5
    assert cached.score(PAIRS).usage == Usage(cached=5)


def test_two_models_by_turns(store):
    """A model that changes with every reply is a bad reply, not an endless loop."""

    class Turns(Counting):
        def _answer(self, pairs, *, late=False):
            self.revision = str(len(self.calls))
            return super()._answer(pairs)

    cached = Cached(Turns(), store=store)
    cached.score(PAIRS[:3])
    scores = cached.score(PAIRS)
    assert scores.reason == "bad_reply"
    assert scores.scored.tolist() == [False] * 3 + [True] * 2


def test_kept_scores_of_two_models(store):
    """Scores that two models left under one key are not mixed."""
    scorer = Counting()
    cached = Cached(scorer, store=store)
    cached.score(PAIRS[:2])
    scorer.revision = "new"
    cached.score(PAIRS[2:])
    scores = cached.score(PAIRS)
    assert (scores.model.revision, scores.usage.pairs) == ("new", 5)


async def test_async(store):
    """`ascore` and `score` share what is known, also where the scorer has no `ascore`."""
    cached = Cached(Counting(), store=store)
    first = await cached.ascore(PAIRS)
    assert (first.usage.pairs, cached.score(PAIRS).usage.cached) == (5, 5)

    class Sync:
        name, cache_key = "sync", "sync"

        def score(self, pairs, *, deadline=None):
            return Counting().score(pairs)

    cached = Cached(Sync(), store=store)
    assert (await cached.ascore(PAIRS)).usage.pairs == 5
    assert (await cached.ascore(PAIRS)).usage.cached == 5


def test_out_of_time(store):
    """With no time left what is known is given, and the rest is unscored for that reason."""
    scorer = Counting()
    cached = Cached(scorer, store=store)
    cached.score(PAIRS[:2])
    scorer.wait = 5.0
    scores = cached.score(PAIRS, deadline=Deadline(0.05))
    assert scores.scored.tolist() == [True, True, False, False, False]
    assert scores.reason == "timeout"


def test_it_answers_for_its_scorer(store):
    """Name, deadline, blend and warmup are the scorer's."""

    class Full(Counting):
        default_blend = 0.25
        warm = 0

        def warmup(self):
            self.warm += 1

    scorer = Full()
    cached = Cached(scorer, store=store)
    cached.warmup()
    assert (cached.name, cached.keeps_deadline, cached.default_blend) == ("counting", True, 0.25)
    assert scorer.warm == 1


def test_remarks_on_texts_are_made_whether_or_not_they_are_cached(model, store):
    """An English model asked about Chinese texts says so when every score is known, too."""
    config = model / "config.json"
    config.write_text('{"language": "en", "max_position_embeddings": 128}', "utf-8")
    scorer = CrossEncoder(model)
    cached = Cached(scorer, store=store)
    pairs = [("alpha", "beta"), ("alpha", "茶を二分間蒸らす"), ("alpha", "黒茶を四分間蒸らす")]
    cached.score(pairs[:2])
    for _ in range(2):
        assert cached.score(pairs).notes == scorer.score(pairs).notes != ()
    assert cached.score(pairs[:1]).notes == ()


class TestPointwise:
    def test_what_cache_may_be(self, tmp_path):
        """True is a cache of its own, a path a file, None and False nothing."""
        assert isinstance(Pointwise(Counting(), cache=True).cache, MemoryCache)
        path = tmp_path / "scores.db"
        assert Pointwise(Counting(), cache=str(path)).cache == DiskCache(path)
        assert Pointwise(Counting(), cache=path).cache == DiskCache(path)
        assert Pointwise(Counting()).cache is Pointwise(Counting(), cache=False).cache is None
        with pytest.raises(InvalidArgument, match="cache=3"):
            Pointwise(Counting(), cache=3)

    def test_a_copy_goes_on_with_the_cache(self):
        """`replace` keeps the cache; a pickle and a deep copy start with an empty one."""
        reranker = Pointwise(Counting(), cache=True)
        Cached(reranker.scorer, store=reranker.cache).score(PAIRS)
        assert len(dataclasses.replace(reranker, blend=0.5).cache) == 5
        assert len(pickle.loads(pickle.dumps(reranker.cache))) == 0
        assert len(copy.deepcopy(reranker.cache)) == 0
        assert repr(reranker.cache) == "MemoryCache(max_entries=10000)"

    def test_a_pipeline_says_what_came_from_the_cache(self, store):
        """The trace, the explanation and the notebook show how many pairs were cached."""
        documents = [f"dough and text {n}" for n in range(6)]
        pipeline = TwoStage({"bm25": BM25(documents)}, reranker=Pointwise(Counting(), cache=store))
        first, second = (pipeline.search("dough") for _ in range(2))
        third = asyncio.run(pipeline.asearch("dough"))
        assert first.results == second.results == third.results
        assert first.trace.usage.cached == 0
        assert second.trace.usage == third.trace.usage == Usage(cached=6)
        assert "6 from the cache" in second.explain()
        assert "6 from the cache" in second._repr_html_()
        assert "cache" not in first.explain()


class Broken(MemoryCache):
    """A store that cannot be read or written."""

    def get(self, keys, patience=0.0):
        raise OSError("the disk is gone")

    put = get


def test_a_broken_store_costs_only_the_cache(caplog, monkeypatch):
    """Searches go on without it; a note says so each time, one WARNING per process and problem."""
    monkeypatch.setattr(cache, "_warned", set())
    cached = Cached(Counting(), store=Broken())
    with caplog.at_level(logging.WARNING, "runoff.rerank"):
        for scores in (cached.score(PAIRS), asyncio.run(cached.ascore(PAIRS))):
            assert scores.scored.all()
            assert [note.partition(":")[0] for note in scores.notes] == [
                "the score cache could not be read",
                "the score cache could not be written",
            ]
    assert len(caplog.records) == 2


TEXTS = st.text("ab \ud83d茶", max_size=3)
STEPS = st.lists(
    st.tuples(
        st.integers(0, 1),  # the model
        st.lists(st.tuples(TEXTS, TEXTS), max_size=6),
        st.booleans(),  # whether to await
    ),
    max_size=8,
)


@given(STEPS, st.integers(1, 12), st.booleans())
def test_a_cache_changes_no_answer(steps, size, on_disk):
    """In any order of calls, of either model, answers are those without a cache."""
    with tempfile.TemporaryDirectory() as folder:
        disk = DiskCache(Path(folder) / "scores.db")
        store = disk if on_disk else MemoryCache(size)
        models = [Counting(seed) for seed in (0, 1)]
        for seed, pairs, wait in steps:
            cached = Cached(models[seed], store=store)
            scores = asyncio.run(cached.ascore(pairs)) if wait else cached.score(pairs)
            plain = Counting(seed).score(pairs)
            assert same(scores, plain)
            assert scores.usage.pairs + scores.usage.cached == len(pairs)
        if on_disk:
            assert all(len(set(one.asked)) == len(one.asked) for one in models)
            disk.close()


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.sampled_from(["tea", "dough", "tea dough"]), st.integers(0, 5), st.text()),
        min_size=1,
        max_size=6,
    )
)
def test_a_cached_pipeline_answers_as_one_without(steps):
    """Repeated questions over documents whose texts change get the answers of a plain pipeline."""
    texts = {f"d{n}": f"tea and dough {n}" for n in range(6)}
    store = MemoryCache()
    for query, changed, text in steps:
        texts[f"d{changed}"] = f"tea {text}"
        bm25 = {"bm25": BM25([Document(*one) for one in texts.items()])}
        answers = [
            TwoStage(bm25, reranker=Pointwise(Counting(), blend=0.5, cache=one)).search(query)
            for one in (None, store)
        ]
        assert answers[0].results == answers[1].results


class TestMemoryCache:
    def test_the_least_recently_used_leave(self):
        """It keeps at most its limit, and the entries used last."""
        store = MemoryCache(3)
        cached = Cached(Counting(), store=store)
        for pair in (PAIRS[0], PAIRS[1], PAIRS[2], PAIRS[0], PAIRS[3]):
            cached.score([pair])
        assert len(store) == 3
        assert cached.score([PAIRS[0], PAIRS[2], PAIRS[3]]).usage.cached == 3
        assert cached.score([PAIRS[1]]).usage.cached == 0

    def test_clear(self):
        """A cleared cache knows nothing."""
        store = MemoryCache()
        Cached(Counting(), store=store).score(PAIRS)
        store.clear()
        assert len(store) == 0
        assert store, "and is still a cache"

    @pytest.mark.parametrize("most", [0, -1, True, 1.5, None])
    def test_bounds_that_are_none(self, most):
        """A bound is a number of pairs above 0."""
        with pytest.raises(InvalidArgument, match="max_entries"):
            MemoryCache(most)


def test_values_are_the_same_to_the_last_bit(store):
    """float32 scores of any size, zero and its sign come back as they were."""
    values = np.array([1e-45, -0.0, 3.4028235e38, 1 / 3, 17.000002], np.float32)

    class Exact(Counting):
        def _answer(self, pairs, *, late=False):
            marks = np.ones(5, bool)
            return PairScores(values, marks, ~marks, ScoreKind.LOGIT, ModelIdentity("m"))

    cached = Cached(Exact(), store=store)
    cached.score(PAIRS)
    again = cached.score(PAIRS)
    assert again.usage.cached == 5
    assert again.values.tobytes() == values.tobytes()
