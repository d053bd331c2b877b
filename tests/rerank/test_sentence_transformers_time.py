"""What a torch cross-encoder does under deadlines, loops, threads and forks."""

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

reason = "the extra sentence-transformers is not installed: make test-torch"
sentence_transformers = pytest.importorskip("sentence_transformers", reason=reason)
import torch_tiny  # noqa: E402 - see above

from runoff._onnx import sessions  # noqa: E402 - see above
from runoff.deadline import Deadline  # noqa: E402 - see above
from runoff.rerank import CrossEncoder  # noqa: E402 - see above
from runoff.rerank._local import torch_model  # noqa: E402 - see above

PAIRS = [("alpha beta", f"gamma delta {number} " * 20) for number in range(600)]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return torch_tiny.bert(tmp_path_factory.mktemp("slow"), hidden=256)


@pytest.fixture(scope="module")
def slow(directory):
    """A loaded model that takes some milliseconds for a pair."""
    scorer = CrossEncoder(directory, backend="torch", device="cpu")
    scorer.warmup()
    return scorer


@pytest.mark.parametrize("batch_size", [1, 16])
@pytest.mark.parametrize("awaited", [False, True])
def test_the_deadline_returns_the_first_pairs(slow, directory, batch_size, awaited):
    """At the deadline a whole number of batches is scored, the first ones, with true scores."""
    scorer = CrossEncoder(directory, backend="torch", device="cpu", batch_size=batch_size)
    scorer.warmup()
    deadline = Deadline(0.3)
    began = time.monotonic()
    if awaited:
        scores = asyncio.run(scorer.ascore(PAIRS, deadline=deadline))
    else:
        scores = scorer.score(PAIRS, deadline=deadline)
    assert time.monotonic() - began < 1.5
    count = int(scores.scored.sum())
    assert 0 < count < len(PAIRS)
    assert count % batch_size == 0
    assert scores.scored[:count].all()
    assert (scores.reason, scores.usage.pairs) == ("timeout", count)
    whole = slow.score(PAIRS[: min(count, 20)]).values
    np.testing.assert_allclose(scores.values[: len(whole)], whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize("awaited", [False, True])
def test_loading_does_not_count(directory, monkeypatch, awaited):
    """A model that takes longer to load than the budget is still used within it."""
    sessions.forget()
    opened = torch_model._open

    def slowly(*arguments):
        time.sleep(0.6)
        return opened(*arguments)

    monkeypatch.setattr(torch_model, "_open", slowly)
    scorer, deadline = CrossEncoder(directory, backend="torch", device="cpu"), Deadline(0.5)
    if awaited:
        scores = asyncio.run(scorer.ascore(PAIRS[:3], deadline=deadline))
    else:
        scores = scorer.score(PAIRS[:3], deadline=deadline)
    assert scores.scored.all()
    assert scores.load_ms >= 600
    assert deadline.spent() < 0.5
    assert scorer.score(PAIRS[:3]).load_ms == 0


async def test_scoring_does_not_block_the_loop(slow):
    """While pairs are scored, a ticker goes on ticking."""
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
    assert (await slow.ascore(PAIRS[:2], deadline=Deadline(2))).scored.all()


@pytest.mark.parametrize("kind", ["bert", "qwen"])
def test_threads_and_loops_share_an_instance(tmp_path, kind):
    """16 threads and 2 loops get what one caller gets, from an instance none had used."""
    if kind == "qwen" and not hasattr(sentence_transformers.CrossEncoder, "preprocess"):
        pytest.skip("causal models need sentence-transformers 5.4")
    made = getattr(torch_tiny, kind)(tmp_path)
    calls = [[(f"alpha {n}", f"beta {n} {m}") for m in range(5)] for n in range(8)]
    every = [pair for pairs in calls for pair in pairs]
    expected = CrossEncoder(made, backend="torch", device="cpu").score(every).values
    sessions.forget()
    scorer = CrossEncoder(made, backend="torch", device="cpu")

    async def together():
        return await asyncio.gather(*(scorer.ascore(pairs) for pairs in calls))

    with ThreadPoolExecutor(18) as pool:
        loops = [pool.submit(asyncio.run, together()) for _ in range(2)]
        threads = [pool.submit(scorer.score, pairs) for pairs in calls * 2]
        rounds = [one.result() for one in loops]
        alone = [one.result() for one in threads]
    for found in (*rounds, alone[:8], alone[8:]):
        values = np.concatenate([one.values for one in found])
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-5)


def test_a_model_is_loaded_once_for_all_threads(directory, monkeypatch):
    """Threads that want the same model at the same time load it once."""
    sessions.forget()
    opened, count = torch_model._open, []

    def counted(*arguments):
        count.append(1)
        return opened(*arguments)

    monkeypatch.setattr(torch_model, "_open", counted)
    scorers = [CrossEncoder(directory, backend="torch", device="cpu") for _ in range(8)]
    threads = [threading.Thread(target=one.warmup) for one in scorers]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(count) == 1
    assert len({id(one._state.current.loaded) for one in scorers}) == 1


def test_a_process_that_is_scoring_exits_at_once(directory):
    """Runs under way neither keep a process alive nor crash it."""
    code = f"""
        import threading, time
        from runoff.rerank import CrossEncoder
        scorer = CrossEncoder({str(directory)!r}, backend="torch", device="cpu")
        scorer.warmup()
        pairs = [("alpha", "beta gamma " * 50)] * 20_000
        threading.Thread(target=scorer.score, args=(pairs,), daemon=True).start()
        time.sleep(0.2)
        print("leaving", flush=True)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "leaving\n")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_a_forked_child_never_hangs(directory, backend):
    """After a fork the child loads a torch model of its own; OpenVINO is refused by name."""
    pytest.importorskip(backend, reason=f"the extra {backend} is not installed")
    code = f"""
        import os, sys
        from runoff.errors import InvalidArgument
        from runoff.rerank import CrossEncoder
        scorer = CrossEncoder({str(directory)!r}, backend={backend!r})
        pairs = [("alpha", "beta gamma")]
        before = scorer.score(pairs).values[0]
        child = os.fork()
        if child == 0:
            try:
                scores = scorer.score(pairs)
                as_told = scores.load_ms > 0 and abs(scores.values[0] - before) < 1e-4
            except InvalidArgument as error:
                as_told = error.argument == "backend" and scorer.backend == "openvino"
            os._exit(0 if as_told else 1)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
