"""What a cross-encoder does under deadlines, loops and many threads."""

import asyncio
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
from parts import Listed

from runoff import TwoStage
from runoff._onnx import cpu, sessions
from runoff.deadline import Deadline
from runoff.errors import DeadlineExceeded, ModelDamaged
from runoff.recall._dense.embedder import Embedder
from runoff.rerank import CrossEncoder

CORES = cpu.cores()
BUDGET = 20 + 2 * CORES  # runs of the model
PAIRS = [("alpha beta", f"gamma delta {number} " * 20) for number in range(10 * BUDGET)]


class Runs:
    """What a loaded model is run on, counted; a test may have something done in every run."""

    def __init__(self, monkeypatch):
        self.count = 0
        self.before = lambda: None
        self._lock = threading.Lock()
        run = sessions.Loaded.run

        def counted(loaded, encoded, output, interrupt=None):
            self.before()
            result = run(loaded, encoded, output, interrupt)
            with self._lock:
                self.count += 1
            return result

        monkeypatch.setattr(sessions.Loaded, "run", counted)

    def deadline(self):
        """Return a deadline after `BUDGET` runs from now: its clock ticks once for each run."""
        return Deadline(BUDGET, clock=lambda: float(self.count))


@pytest.fixture
def runs(monkeypatch):
    return Runs(monkeypatch)


@pytest.fixture(scope="module")
def scorer(tiny, tmp_path_factory):
    """A loaded model."""
    scorer = CrossEncoder(tiny.save(tmp_path_factory.mktemp("model")))
    scorer.warmup()
    return scorer


def check_partial(scores):
    """Check that as many pairs have a score as there was time for, and no others."""
    count = int(scores.scored.sum())
    assert BUDGET - CORES <= count <= BUDGET + CORES
    assert scores.reason == "timeout"
    assert scores.usage.pairs == count
    return count


def test_the_deadline_returns_what_is_there(scorer, runs):
    """At the deadline the first pairs are scored, save those under way, and the rest is not."""
    scores = scorer.score(PAIRS, deadline=runs.deadline())
    begun = np.flatnonzero(scores.scored)[-1] + 1
    assert begun - check_partial(scores) <= CORES


async def test_the_deadline_holds_on_a_loop(scorer, runs):
    """Awaited scoring keeps the deadline too."""
    check_partial(await scorer.ascore(PAIRS, deadline=runs.deadline()))


def test_scores_before_the_deadline_are_the_scores(scorer, runs):
    """What is scored before a deadline is what is scored without one."""
    hurried = scorer.score(PAIRS, deadline=runs.deadline())
    check_partial(hurried)
    whole = scorer.score(PAIRS)
    assert hurried.values[hurried.scored].tolist() == whole.values[hurried.scored].tolist()


def test_returned_arrays_never_change(scorer, runs):
    """Runs that were under way at the deadline do not write into the answer."""
    free, late = threading.Event(), threading.Semaphore(0)

    def hold():
        if runs.count >= BUDGET:
            assert free.wait(10)
            late.release()

    runs.before = hold
    scores = scorer.score(PAIRS, deadline=runs.deadline())
    check_partial(scores)
    before = scores.values.tobytes(), scores.scored.tobytes()
    free.set()
    runs.before = lambda: None
    assert scorer.score(PAIRS[:CORES]).scored.all()  # in the slots that held the late runs
    assert (scores.values.tobytes(), scores.scored.tobytes()) == before


def test_no_time_left_scores_nothing(tiny, tmp_path):
    """With no time left nothing is loaded, run or guessed."""
    scorer = CrossEncoder(tiny.save(tmp_path / "m"))
    scores = scorer.score(PAIRS, deadline=Deadline(0))
    assert not scores.scored.any()
    assert (scores.reason, scores.load_ms) == ("timeout", 0.0)


def test_no_time_left_still_says_what_it_would_have_been(tiny, tmp_path):
    """Once loaded, an empty answer has the kind and identity of a full one."""
    config = {"kind": "cross-encoder", "max_length": 64, "score_kind": "probability"}
    scorer = CrossEncoder(tiny.save(tmp_path / "m", config=config))
    whole = scorer.score(PAIRS[:1])
    late = scorer.score(PAIRS, deadline=Deadline(0))
    assert (late.kind, late.model) == (whole.kind, whole.model)


def loading(monkeypatch, meanwhile):
    """Have something done while a model is loaded."""
    sessions.forget()
    load = sessions.load

    def slowly(files, **options):
        meanwhile()
        return load(files, **options)

    monkeypatch.setattr(sessions, "load", slowly)


@pytest.mark.parametrize("awaited", [False, True])
def test_loading_does_not_count(tiny, tmp_path, monkeypatch, awaited):
    """A model that takes longer to load than the budget is still used within it."""
    now = [0.0]

    def meanwhile():
        now[0] += 100
        time.sleep(0.05)

    scorer = CrossEncoder(tiny.save(tmp_path / "m"))
    loading(monkeypatch, meanwhile)
    deadline = Deadline(1, clock=lambda: now[0])
    if awaited:
        scores = asyncio.run(scorer.ascore(PAIRS[:3], deadline=deadline))
    else:
        scores = scorer.score(PAIRS[:3], deadline=deadline)
    assert scores.scored.all()
    assert scores.load_ms >= 50
    assert (deadline.paused_for, deadline.spent()) == (100, 0)


async def test_loading_does_not_block_the_loop(tiny, tmp_path, monkeypatch):
    """While a model loads, the loop goes on."""
    went_on, seen = threading.Event(), []
    scorer = CrossEncoder(tiny.save(tmp_path / "m"))
    loading(monkeypatch, lambda: seen.append(went_on.wait(10)))
    call = asyncio.create_task(scorer.ascore(PAIRS[:3]))
    for _ in range(10):
        await asyncio.sleep(0.001)
    went_on.set()
    assert (await call).scored.all()
    assert seen == [True]


async def test_scoring_does_not_block_the_loop(scorer, runs):
    """While pairs are scored on every core, the loop goes on."""
    went_on, seen = threading.Event(), []
    runs.before = lambda: seen.append(went_on.wait(10))
    call = asyncio.create_task(scorer.ascore(PAIRS[: 4 * CORES]))
    while len(seen) < 1 and not call.done():
        await asyncio.sleep(0.001)
        went_on.set()
    assert (await call).scored.all()
    assert seen == [True] * 4 * CORES


async def test_a_cancelled_call_leaves_the_queue(scorer, runs):
    """After a cancellation none of its pairs is started, and the next call is served."""
    free, begun = threading.Event(), threading.Semaphore(0)

    def hold():
        begun.release()
        assert free.wait(10)

    runs.before = hold
    call = asyncio.create_task(scorer.ascore(PAIRS))
    assert await asyncio.to_thread(begun.acquire, timeout=10)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    free.set()
    scores = await scorer.ascore(PAIRS[:2])
    assert scores.scored.all()
    assert runs.count <= CORES + 2


def test_a_short_call_is_not_stuck_behind_a_long_one(scorer, runs):
    """Two pairs come back while most of the pairs that were asked before still wait."""
    begun, now = threading.Event(), [0.0]

    def slow():
        begun.set()
        time.sleep(0.001)

    runs.before = slow
    deadline = Deadline(1000, clock=lambda: now[0])
    long = threading.Thread(target=lambda: scorer.score(PAIRS * 100, deadline=deadline))
    long.start()
    assert begun.wait(10)
    assert scorer.score(PAIRS[:2]).scored.all()
    served = runs.count
    now[0] = 2000.0  # enough of the long one
    long.join()
    assert served < len(PAIRS) * 50


def test_threads_and_loops_share_an_instance(tiny, tmp_path):
    """64 threads and 4 loops get what one caller gets, from an instance none had used."""
    directory = tiny.save(tmp_path / "m")
    calls = [[(f"alpha {n}", f"beta {n} {m}") for m in range(10)] for n in range(16)]
    expected = [CrossEncoder(directory).score(pairs).values.tolist() for pairs in calls]
    sessions.forget()
    scorer, found, failures = CrossEncoder(directory), [], []

    def thread(number):
        found.append((number, scorer.score(calls[number]).values.tolist()))

    def loop():
        async def main():
            scores = await asyncio.gather(*(scorer.ascore(pairs) for pairs in calls))
            found.extend((number, one.values.tolist()) for number, one in enumerate(scores))

        try:
            asyncio.run(main())
        except Exception as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=thread, args=(number % 16,)) for number in range(64)]
    threads += [threading.Thread(target=loop) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert failures == []
    assert len(found) == 64 + 4 * 16
    assert all(values == expected[number] for number, values in found)


def test_a_process_that_is_scoring_exits_at_once(tiny, tmp_path):
    """Pairs in the queue and runs under way neither keep a process alive nor crash it."""
    directory = tiny.save(tmp_path / "m", work=40)
    code = f"""
        import threading
        from runoff._onnx import cpu, sessions
        from runoff.rerank import CrossEncoder
        scorer = CrossEncoder({str(directory)!r})
        scorer.warmup()
        run, begun = sessions.Loaded.run, threading.Event()
        sessions.Loaded.run = lambda *arguments: (begun.set(), run(*arguments))[1]
        pairs = [("alpha", "beta gamma " * 50)] * 200_000
        threading.Thread(target=scorer.score, args=(pairs,), daemon=True).start()
        assert begun.wait(10)
        print("leaving", flush=True)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,  # the pairs would take minutes
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "leaving\n", "")


def test_a_model_that_never_ends_is_under_the_deadline(tiny, tmp_path):
    """A graph that loops for ever ends with the deadline, also in the first run after loading."""
    endless = CrossEncoder(tiny.save(tmp_path / "endless", endless=True))
    for _ in range(2):
        deadline = Deadline(0.2)
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded, match="took over"):
            endless.score([("alpha", "beta")], deadline=deadline)
        assert time.monotonic() - began < 5  # it never came back, and loading takes a moment
    pipeline = TwoStage({"s": Listed("alpha", "beta")}, reranker=endless)
    response = pipeline.search("alpha", timeout=0.2)
    assert len(response) == 2
    assert [one.reason for one in response.outcome.degraded] == ["timeout"]


def test_without_a_deadline_a_model_that_never_ends_is_damaged(tiny, tmp_path, monkeypatch):
    """Warming up gives such a model a minute, here less, and says what is wrong with it."""
    monkeypatch.setattr(sessions, "_PROBE_MOST", 0.1)
    with pytest.raises(ModelDamaged, match="took over"):
        CrossEncoder(tiny.save(tmp_path / "endless", endless=True)).warmup()


def test_an_embedder_that_never_ends_is_under_the_deadline(tiny, tmp_path):
    """The first run of an embedding model ends with the deadline, too."""
    directory = tiny.save(tmp_path / "endless", endless=True, output="sentence_embedding")
    with pytest.raises(DeadlineExceeded, match="took over"):
        Embedder(directory).embed_query("alpha", deadline=Deadline(0.2))
