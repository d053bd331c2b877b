"""What a cross-encoder does under deadlines, loops and many threads."""

import asyncio
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from runoff._onnx import sessions
from runoff.deadline import Deadline
from runoff.rerank import CrossEncoder

PAIRS = [("alpha beta", f"gamma delta {number} " * 20) for number in range(400)]


@pytest.fixture(scope="module")
def slow(tiny, tmp_path_factory):
    """A loaded model that takes some milliseconds for a pair."""
    scorer = CrossEncoder(tiny.save(tmp_path_factory.mktemp("slow"), work=40))
    scorer.warmup()
    return scorer


def check_partial(scores):
    count = int(scores.scored.sum())
    assert 0 < count < len(PAIRS)
    assert scores.reason == "timeout"
    assert scores.usage.pairs == count
    return count


def test_the_deadline_returns_what_is_there(slow):
    """At the deadline the first pairs are scored, the rest is not, and the caller is back."""
    began = time.monotonic()
    scores = slow.score(PAIRS, deadline=Deadline(0.2))
    assert time.monotonic() - began < 1.5
    count = check_partial(scores)
    assert scores.scored[: count // 2].all()
    assert not scores.scored[count + 8 :].any()


async def test_the_deadline_holds_on_a_loop(slow):
    """Awaited scoring keeps the deadline too."""
    began = time.monotonic()
    check_partial(await slow.ascore(PAIRS, deadline=Deadline(0.2)))
    assert time.monotonic() - began < 1.5


def test_scores_before_the_deadline_are_the_scores(slow):
    """What is scored in a hurry is what is scored at leisure."""
    hurried = slow.score(PAIRS, deadline=Deadline(0.1))
    whole = slow.score(PAIRS[: int(hurried.scored.sum()) + 8])
    kept = hurried.scored[: len(whole)]
    assert hurried.values[: len(whole)][kept].tolist() == whole.values[kept].tolist()


def test_returned_arrays_never_change(slow):
    """Runs that were under way at the deadline do not write into the answer."""
    scores = slow.score(PAIRS, deadline=Deadline(0.05))
    before = scores.values.tobytes(), scores.scored.tobytes()
    time.sleep(0.2)
    assert (scores.values.tobytes(), scores.scored.tobytes()) == before


def test_no_time_left_scores_nothing(tiny, tmp_path):
    """With the budget spent nothing is loaded, started or guessed."""
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


@pytest.mark.parametrize("awaited", [False, True])
def test_loading_does_not_count(tiny, tmp_path, monkeypatch, awaited):
    """A model that takes longer to load than the budget is still used within it."""
    sessions.forget()
    scorer = CrossEncoder(tiny.save(tmp_path / "m"))
    load = sessions.load

    def slowly(files):
        time.sleep(0.5)
        return load(files)

    monkeypatch.setattr(sessions, "load", slowly)
    deadline = Deadline(0.4)
    if awaited:
        scores = asyncio.run(scorer.ascore(PAIRS[:3], deadline=deadline))
    else:
        scores = scorer.score(PAIRS[:3], deadline=deadline)
    assert scores.scored.all()
    assert scores.load_ms >= 500
    assert deadline.spent() < 0.4


async def test_loading_does_not_block_the_loop(tiny, tmp_path, monkeypatch):
    """While a model loads, the loop goes on."""
    sessions.forget()
    scorer = CrossEncoder(tiny.save(tmp_path / "m"))
    load = sessions.load

    def slowly(files):
        time.sleep(0.3)
        return load(files)

    monkeypatch.setattr(sessions, "load", slowly)
    call = asyncio.create_task(scorer.ascore(PAIRS[:3]))
    ticks = 0
    while not call.done():
        await asyncio.sleep(0.01)
        ticks += 1
    assert ticks > 10
    assert call.result().scored.all()


async def test_scoring_does_not_block_the_loop(slow):
    """While pairs are scored on every core, a ticker goes on ticking."""
    call = asyncio.create_task(slow.ascore(PAIRS, deadline=Deadline(0.5)))
    ticks = 0
    while not call.done():
        await asyncio.sleep(0.005)
        ticks += 1
    assert ticks > 20


async def test_a_cancelled_call_leaves_the_queue(slow):
    """After a cancellation the next call is served at once."""
    call = asyncio.create_task(slow.ascore(PAIRS * 10))
    await asyncio.sleep(0.05)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    scores = await slow.ascore(PAIRS[:2], deadline=Deadline(2))
    assert scores.scored.all()


def test_a_short_call_is_not_stuck_behind_a_long_one(slow):
    """Two pairs come back long before the four thousand that were asked first."""
    long = threading.Thread(
        target=lambda: slow.score(PAIRS * 10, deadline=Deadline(2)), daemon=True
    )
    long.start()
    time.sleep(0.05)
    began = time.monotonic()
    assert slow.score(PAIRS[:2]).scored.all()
    assert time.monotonic() - began < 1
    assert long.is_alive()
    long.join()


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
        import threading, time
        from runoff.rerank import CrossEncoder
        scorer = CrossEncoder({str(directory)!r})
        scorer.warmup()
        pairs = [("alpha", "beta gamma " * 50)] * 20_000
        threading.Thread(target=scorer.score, args=(pairs,), daemon=True).start()
        time.sleep(0.2)
        print("leaving", flush=True)
    """
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "leaving\n", "")
    assert time.monotonic() - began < 20
