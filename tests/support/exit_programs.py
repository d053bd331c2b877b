"""Programs that end in the middle of a search, and how they end."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

_START = """
    import asyncio, atexit, signal, sys, threading, time
    from pathlib import Path
    from runoff import Document, TwoStage
    from runoff.errors import RecallFailed
    from runoff.recall import BM25, Dense
    from runoff.recall._dense.embedder import Embedder
    from runoff.rerank import CrossEncoder
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells ignore it in the background
    delay, mark = float(sys.argv[1]), Path(sys.argv[2])

    def ending():
        mark.write_text(str(time.monotonic()))

    documents = [Document(f"d{i}", f"document {i} about oil and gas in the sea " * 20)
                 for i in range(60)]
    bm25 = BM25(documents)
    pipeline = TwoStage({"bm25": bm25}, reranker=CrossEncoder(), window=20)
"""
_WARM = """
    pipeline.warmup()
"""
_DENSE = """
    def work():
        Dense(documents, Embedder())
"""
_LOOP = """
    def work():
        while True:
            pipeline.search("oil in the sea")
"""
_THREADS = """
    for _ in range(8):
        threading.Thread(target=work, daemon=True).start()
    time.sleep(delay)
"""
_TASK = """
    async def main():
        try:
            await asyncio.wait_for(pipeline.asearch("oil in the sea"), delay)
        except TimeoutError:
            pass
        ending()

    asyncio.run(main())
"""
_TIMEOUT = """
    deadline = time.monotonic() + delay
    while time.monotonic() < deadline:
        try:
            pipeline.search("oil in the sea", timeout=0.02)
        except RecallFailed:
            pass
    ending()
"""
_AT_EXIT = """
    @atexit.register
    def last():
        assert len(pipeline.search("oil", top_k=3).results) == 3
        ending()
"""
_BEFORE_IMPORT = """
    import atexit

    @atexit.register
    def last():
        response = pipeline.search("oil", top_k=3)
        assert len(response.results) == 3
        (degraded,) = response.outcome.degraded
        assert degraded.reason == "pool_full", degraded
        assert "the interpreter is exiting" in degraded.detail
        ending()
"""
_EXIT = """
    ending()
    sys.exit(3)
"""
_RAISE = """
    ending()
    raise ValueError("on purpose")
"""
_END = """
    ending()
"""
_WAIT = """
    mark.write_text("")
    pipeline.search("oil in the sea")
    time.sleep(60)
"""

_INTERRUPTED = -signal.SIGINT

PROGRAMS: dict[str, tuple[tuple[int, ...], str]] = {
    "a task, cold": ((0,), _START + _TASK),
    "a task, warm": ((0,), _START + _WARM + _TASK),
    "timeouts, cold": ((0,), _START + _TIMEOUT),
    "threads, cold": ((0,), _START + _LOOP + _THREADS + _END),
    "threads, warm": ((0,), _START + _WARM + _LOOP + _THREADS + _END),
    "threads that embed": ((0,), _START + _DENSE + _THREADS + _END),
    "threads and sys.exit": ((3,), _START + _LOOP + _THREADS + _EXIT),
    "threads and an exception": ((1,), _START + _WARM + _LOOP + _THREADS + _RAISE),
    "threads and a search at exit": ((0,), _START + _LOOP + _AT_EXIT + _THREADS),
    "a search in an exit function older than runoff": (
        (0,),
        _BEFORE_IMPORT + _START + _WARM + _LOOP + _THREADS,
    ),
    "threads and Ctrl-C": ((_INTERRUPTED,), _START + _LOOP + _THREADS + _WAIT),
    "Ctrl-C, warm": ((_INTERRUPTED,), _START + _WARM + _WAIT),
}
CONTROL = _START + _WARM + _END


class Ended(NamedTuple):
    """How a program ended: its exit code, the seconds from its last statement, what it printed."""

    code: int
    wait: float
    stderr: str


def run(program: str, delay: float, folder: Path) -> Ended:
    """Run a program, with Ctrl-C after the delay where it waits for that."""
    mark = folder / f"mark-{random.getrandbits(64):x}"
    interrupted = "time.sleep(60)" in program
    path = os.pathsep.join(one for one in sys.path if one)
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), str(delay), str(mark)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    if interrupted:
        while not mark.exists() and process.poll() is None:
            time.sleep(0.005)
        time.sleep(delay)
        since = time.monotonic()
        process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    ended = time.monotonic()
    if not interrupted:
        since = float(mark.read_text()) if mark.exists() else ended
    return Ended(process.returncode, ended - since, stderr)
