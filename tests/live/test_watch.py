"""`watch`: answers as before, and what is kept of them."""

import asyncio
import errno
import logging
import os
import pickle
import threading
import time
from dataclasses import astuple

import pytest
from parts import Backwards, Listed, ids

pytest.importorskip("pyarrow")

from runoff import TwoStage
from runoff._util.text import text_key
from runoff.errors import InvalidArgument
from runoff.live import Observations, watch
from runoff.live import _store as store
from runoff.live import _writer as writer
from runoff.rerank import Cap
from runoff.scores import ModelIdentity, Usage
from runoff.types import Document, Reranking

DOCUMENTS = [Document(name, f"text of {name}") for name in "abcde"]


def pipeline(**options):
    return TwoStage(
        {"one": Listed(*DOCUMENTS)}, **{"reranker": Backwards(), "window": 3, **options}
    )


def kept(path):
    """Return all observations, once this process has written what it holds."""
    assert writer.flush(path.absolute(), 20)
    return list(Observations(path))


class Pricy(Backwards):
    """A reranker that reports what it used."""

    def __init__(self, usage):
        super().__init__()
        self.usage = usage

    def rerank(self, query, candidates, *, deadline=None):
        made = super().rerank(query, candidates)
        return Reranking(made.ordered, model=ModelIdentity("pricy"), usage=self.usage)


def test_answers_are_the_same(tmp_path):
    """A watched pipeline is a TwoStage whose answers, awaited or not, are those of the original."""
    plain, watched = pipeline(), watch(pipeline(), tmp_path / "kept", 1.0)
    assert type(watched) is TwoStage
    expected = plain.search("tea", top_k=2)
    for found in (watched.search("tea", top_k=2), asyncio.run(watched.asearch("tea", top_k=2))):
        assert [*map(astuple, found)] == [*map(astuple, expected)]
        assert [*map(astuple, found.trace.fates)] == [*map(astuple, expected.trace.fates)]
    assert len(kept(tmp_path / "kept")) == 2


def test_both_orders_are_kept(tmp_path):
    """An observation has the fused order, the reranked one, scores, ranks and the outcome."""
    watched = watch(pipeline(), tmp_path / "kept", 1.0, slices=lambda query: {"words": 1})
    watched.search("tea", top_k=2)
    (one,) = kept(tmp_path / "kept")
    assert [one.doc_ids[at] for at in one.fused] == ["a", "b", "c", "d", "e"]
    assert [one.doc_ids[at] for at in one.reranked] == ["c", "b", "a", "d", "e"]
    assert one.rerank_scores[:3] == (0.0, 1.0, 2.0)
    assert one.sources["one"].rank == (1, 2, 3, 4, 5)
    assert (one.depth, one.window, one.top_k, one.sample) == (100, 3, 2, 1.0)
    assert one.model == ModelIdentity("backwards")
    assert one.outcome.complete
    assert (one.outcome.scored, one.outcome.total) == (3, 3)
    assert [stage.stage for stage in one.stages] == ["recall", "fusion", "rerank"]
    assert one.slices == {"words": "1"}
    assert abs(one.time - time.time()) < 60
    assert one.query_hash == text_key("tea")
    assert one.text_hashes[0] == text_key("text of a")


def test_no_text_is_written_unless_asked(tmp_path):
    """No byte of a query, a document or an error's text reaches the disk; texts=True keeps them."""
    secret = "zanzibar"
    documents = [Document(name, f"{secret} {name}") for name in "ab"]
    broken = TwoStage(
        {"one": Listed(*documents), "two": Listed(error=OSError(f"no {secret} here"))},
        reranker=Backwards(),
    )
    for texts in (False, True):
        path = tmp_path / str(texts)
        watch(broken, path, 1.0, texts=texts).search(f"{secret}?")
        (one,) = kept(path)
        everything = repr(astuple(one))
        assert (secret in everything) is texts
        assert one.texts == (("zanzibar a", "zanzibar b") if texts else ())
        assert [d.reason for d in one.outcome.degraded] == ["error"]


def test_a_share_of_the_answers_is_sampled(tmp_path):
    """About `sample` of all answers are kept, and all of them are counted."""
    watched = watch(pipeline(), tmp_path / "kept", 0.25)
    for _ in range(400):
        watched.search("tea")
    assert 50 < len(kept(tmp_path / "kept")) < 150  # 100 are expected, with a deviation of 9
    counts = [one for _, one in store.Store(tmp_path / "kept").counts()]
    assert sum(one.seen for one in counts) <= 400


def test_the_fingerprint_follows_the_configuration(tmp_path):
    """Equal pipelines have the same fingerprint; another window or fusion has another."""
    from runoff.fusion import RRF

    seen = []
    for at, one in enumerate((pipeline(), pipeline(), pipeline(window=2), pipeline(fusion=RRF()))):
        watch(one, tmp_path / str(at), 1.0).search("tea")
        seen.append(kept(tmp_path / str(at))[0].pipeline)
    assert seen[0] == seen[1]
    assert len(set(seen)) == 3


def test_a_pickle_is_watched_too(tmp_path):
    """A watched pipeline can be pickled, and so is what becomes of it."""
    watched = pickle.loads(pickle.dumps(watch(pipeline(), tmp_path / "kept", 1.0)))
    watched.search("tea")
    assert len(kept(tmp_path / "kept")) == 1


def test_two_watches_are_told(tmp_path):
    """A pipeline can be watched into two directories."""
    both = watch(watch(pipeline(), tmp_path / "a", 1.0), tmp_path / "b", 1.0)
    both.search("tea")
    assert len(kept(tmp_path / "a")) == len(kept(tmp_path / "b")) == 1


def test_a_full_disk_costs_no_answer(tmp_path, monkeypatch, caplog):
    """While nothing can be written, answers go on; once there is space, what was held is there."""
    monkeypatch.setattr(writer, "_AGAIN", 0.0)
    full = True
    put = store.Store._publish

    def publish(self, partial, data, name):
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        put(self, partial, data, name)

    monkeypatch.setattr(store.Store, "_publish", publish)
    path = tmp_path / "kept"
    watched = watch(pipeline(), path, 1.0)
    with caplog.at_level(logging.WARNING):
        assert ids(watched.search("tea")) == ["c", "b", "a", "d", "e"]
        assert not writer.flush(path, 20)
    assert "No space left" in caplog.text
    assert "answers are not affected" in caplog.text
    full = False
    assert len(kept(path)) == 1
    (_, counts) = store.Store(path).counts()[0]
    assert (counts.seen, counts.kept, counts.dropped) == (1, 1, 0)
    assert counts.failed >= 1


def test_a_full_queue_drops_and_counts(tmp_path, monkeypatch):
    """What finds the queue full is dropped and counted; no answer waits."""
    monkeypatch.setattr(writer, "_QUEUE", 4)
    path, hold, begun = tmp_path / "kept", threading.Event(), threading.Event()

    def make():
        begun.set()
        assert hold.wait(20)
        raise ValueError("not an observation")

    mine = writer.writer_of(path)
    mine.put(make)
    assert begun.wait(20)
    watched = watch(pipeline(), path, 1.0)
    for _ in range(10):
        watched.search("tea")
    hold.set()
    assert len(kept(path)) == 4
    (_, counts) = store.Store(path).counts()[0]
    assert (counts.seen, counts.dropped) == (10, 7)  # and what made none


def test_memory_is_bounded_while_nothing_is_written(tmp_path, monkeypatch):
    """Of what cannot be written, the youngest are held, and the others are counted."""
    monkeypatch.setattr(writer, "_HELD", 3)
    monkeypatch.setattr(store.Store, "prepare", lambda self: (tmp_path / "none").stat())
    path = tmp_path / "kept"
    watched = watch(pipeline(), path, 1.0)
    for _ in range(8):
        watched.search("tea")
    assert not writer.flush(path, 20)
    assert len(writer.writer_of(path)._rows) == 3
    monkeypatch.undo()
    assert len(kept(path)) == 3
    assert store.Store(path).counts()[0][1].dropped == 5


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_thread_is_replaced(tmp_path):
    """Should the writer's thread end, the next answer starts another."""
    path = tmp_path / "kept"

    def make():
        raise SystemExit

    mine = writer.writer_of(path)
    mine.put(make)
    mine._thread.join(20)
    watch(pipeline(), path, 1.0).search("tea")
    assert len(kept(path)) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_writes_its_own(tmp_path):
    """A child writes its own observations, and none of those its parent holds."""
    path = tmp_path / "kept"
    watched = watch(pipeline(), path, 1.0)
    watched.search("parent")
    child = os.fork()
    if not child:
        watched.search("child")
        os._exit(0 if writer.flush(path, 20) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    hashes = sorted(one.query_hash for one in kept(path))
    assert hashes == sorted(map(text_key, ("parent", "child")))


class TestShadow:
    def test_another_order_is_kept(self, tmp_path):
        """The shadow's order is of the same candidates, and the answer is not changed by it."""
        path = tmp_path / "kept"
        watched = watch(pipeline(reranker=None), path, 1.0, shadow=Backwards(), shadow_share=1)
        assert ids(watched.search("tea")) == ["a", "b", "c", "d", "e"]
        (one,) = kept(path)
        assert [one.doc_ids[at] for at in one.reranked] == ["a", "b", "c", "d", "e"]
        assert [one.doc_ids[at] for at in one.shadowed] == ["c", "b", "a", "d", "e"]
        assert one.shadow.name == "backwards"
        assert one.shadow.complete
        assert one.shadow.score[:3] == (0.0, 1.0, 2.0)

    def test_it_keeps_to_its_share_of_the_time(self, tmp_path):
        """A shadow that may run a thousandth of the time does not run again at once."""
        path = tmp_path / "kept"
        shadow = Backwards(wait=0.05)
        watched = watch(pipeline(), path, 1.0, shadow=shadow, shadow_share=0.001)
        for _ in range(5):
            watched.search("tea")
        assert [one.shadow is not None for one in kept(path)] == [True, *[False] * 4]

    def test_it_keeps_to_its_cap(self, tmp_path):
        """Once its cap of a day is used, observations are kept without it."""
        path = tmp_path / "kept"
        shadow, cap = Pricy(Usage(pairs=3, cost=1.0)), Cap(cost=2.0)
        watched = watch(pipeline(), path, 1.0, shadow=shadow, shadow_share=1, shadow_cap=cap)
        for _ in range(5):
            watched.search("tea")
        assert sum(one.shadow is not None for one in kept(path)) == 2

    def test_a_cap_that_cannot_be_kept_stops_it(self, tmp_path, caplog):
        """A shadow that reports no cost runs once under a cap on cost, and a warning says so."""
        path = tmp_path / "kept"
        shadow = Pricy(Usage(pairs=3))
        watched = watch(
            pipeline(), path, 1.0, shadow=shadow, shadow_share=1, shadow_cap=Cap(cost=2)
        )
        for _ in range(3):
            watched.search("tea")
        assert sum(one.shadow is not None for one in kept(path)) == 1
        assert "does not report cost" in caplog.text

    def test_its_faults_lose_nothing(self, tmp_path, caplog):
        """A shadow that fails is logged, and the observation is kept without it."""
        path = tmp_path / "kept"
        watched = watch(pipeline(), path, 1.0, shadow=Backwards(error=OSError("gone")))
        watched.search("tea")
        (one,) = kept(path)
        assert one.shadow is None
        assert "the shadow backwards failed: OSError: gone" in caplog.text


def test_an_observer_that_fails_is_logged(caplog):
    """An error of an observer is a warning; the answer comes back."""

    def fail(response):
        raise ValueError("broken")

    assert ids(pipeline(observer=fail).search("tea")) == ["c", "b", "a", "d", "e"]
    assert "the observer failed: ValueError: broken" in caplog.text


@pytest.mark.parametrize(
    ("argument", "options"),
    [
        ("sample", {"sample": 0}),
        ("sample", {"sample": 1.5}),
        ("slices", {"slices": "language"}),
        ("shadow_share", {"shadow_share": 0}),
        ("shadow_cap", {"shadow_cap": 5}),
        ("keep_days", {"keep_days": -1}),
        ("keep_megabytes", {"keep_megabytes": float("nan")}),
        ("reranker", {"shadow": 3}),
    ],
)
def test_wrong_arguments(tmp_path, argument, options):
    """A wrong argument is named at once."""
    with pytest.raises(InvalidArgument) as caught:
        watch(pipeline(), tmp_path / "kept", **options)
    assert caught.value.argument == argument


def test_an_observer_is_callable():
    """What cannot be called is refused when the pipeline is made."""
    with pytest.raises(InvalidArgument, match="observer"):
        pipeline(observer="log")


def test_a_server_that_is_down_does_not_stop_the_start(tmp_path):
    """A part that cannot be described now, as its server is down, is watched all the same."""

    class Down:
        @property
        def cache_key(self):
            raise ConnectionError("refused")

        def score(self, pairs, *, deadline=None):
            raise ConnectionError("refused")

    watched = watch(TwoStage({"one": Listed(*DOCUMENTS)}, reranker=Down()), tmp_path / "kept", 1.0)
    assert len(watched.search("tea")) == 5
    assert len(kept(tmp_path / "kept")) == 1


def test_a_directory_that_was_begun_is_taken_over(tmp_path):
    """A process that was killed while it made the directory does not block the next one."""
    (tmp_path / ".manifest-77.partial").write_text("{")
    watch(pipeline(), tmp_path, 1.0).search("tea")
    assert len(kept(tmp_path)) == 1


def test_a_foreign_directory_is_refused(tmp_path):
    """A directory with other files is not written into."""
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InvalidArgument, match="new or empty"):
        watch(pipeline(), tmp_path)
    with pytest.raises(InvalidArgument, match="must be one of: a TwoStage"):
        watch(object(), tmp_path / "kept")
