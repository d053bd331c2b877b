"""Many searches under faults lose and leak nothing; hanging requests keep no process alive."""

import gc
import json
import logging
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("httpx")

from runoff.deadline import Deadline
from runoff.errors import TransientError
from runoff.rerank import HTTPRerank
from runoff.testing.chaos import FAULTS, ChaosServer

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow("10 s: 600 searches from 32 threads")
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_searches_in_faults_lose_and_leak_nothing(tmp_path):
    """600 searches from 32 threads: none raises, loses or mispairs; threads and sockets go back."""
    pytest.importorskip("cohere")
    out = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, "benchmarks/run.py", "soak", "--quick", "--json", str(out)],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line for line in done.stderr.splitlines() if not line.startswith("soak: ")] == []
    found = json.loads(out.read_text())["soak"]
    assert len(found["requirements"]) == 6
    answers = {name: number for name, number, _ in found["tables"][1]["rows"]}
    assert answers["complete"] + answers["degraded"] == 600
    assert answers["degraded"] > 0


async def test_an_awaited_failure_is_not_logged_as_forgotten(caplog):
    """The caller gets the error; asyncio does not report it a second time as never retrieved."""
    with ChaosServer() as server, caplog.at_level(logging.ERROR, "asyncio"):
        reranker = HTTPRerank(server.url, dialect="tei", circuit=None)
        for fault in ("html", "hang"):
            server.fault = FAULTS[fault]
            with pytest.raises(TransientError):
                await reranker.ascore([("q", "text")], deadline=Deadline(0.2))
        gc.collect()
    assert caplog.records == []


SHARED = """
import asyncio, sys, threading, warnings
from runoff import Document, TwoStage
from runoff.deadline import Deadline
from runoff.recall import BM25
from runoff.rerank import CohereRerank, HTTPRerank

url = sys.argv[1]
http = HTTPRerank(url, dialect="tei", circuit=None)
pairs = [("q", f"text {n}") for n in range(3)]
documents = [Document(f"d{n}", f"q text {n}") for n in range(3)]
pipeline = TwoStage({"bm25": BM25(documents)}, reranker=http)

def aside(call):
    threading.Thread(target=call, daemon=True).start()
"""

# what hangs when the main thread ends, and how many requests that are
HANGING = {
    "called in threads": (
        4,
        "for _ in range(4): aside(lambda: http.score(pairs))",
    ),
    "awaited in a thread": (
        1,
        "aside(lambda: asyncio.run(http.ascore(pairs)))",
    ),
    "awaited and given up": (
        1,
        """
async def main():
    given_up = asyncio.ensure_future(http.ascore(pairs))
    await asyncio.to_thread(sys.stdin.readline)

asyncio.run(main())
""",
    ),
    "the second stage of a pipeline": (
        3,
        """
response = pipeline.search("q text", timeout=1.5)
assert len(response) == 3 and response.outcome.degraded[0].reason == "timeout"
aside(lambda: pipeline.search("q text"))
aside(lambda: asyncio.run(pipeline.asearch("q text")))
""",
    ),
    "through the SDK": (
        1,
        """
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what the SDK and its own imports warn of
    import cohere
sdk = CohereRerank(base_url=url, api_key="k", circuit=None)
aside(lambda: sdk.score(pairs))
""",
    ),
    "a client of the user's that only blocks": (
        1,
        """
class Blocks:
    def rerank(self, model, query, documents):
        http.score(pairs)

blocks = CohereRerank(client=Blocks(), circuit=None)
aside(lambda: blocks.score(pairs))
""",
    ),
}


PLAIN, STRICT = (), ("-X", "dev", "-W", "error")
SOME = [("called in threads", PLAIN), ("awaited and given up", STRICT)]
OTHERS = [(one, flags) for one in HANGING for flags in (PLAIN, STRICT) if (one, flags) not in SOME]
slow = pytest.mark.slow("12 s: ten processes that end with requests hanging")


@pytest.mark.parametrize(
    ("hanging", "flags"),
    [*SOME, *(pytest.param(*one, marks=slow) for one in OTHERS)],
    ids=lambda one: one if isinstance(one, str) else "strict" if one else "plain",
)
def test_a_process_ends_at_once_with_requests_hanging(hanging, flags):
    """It does not wait for requests, which have 30 s: it ends in silence, with its exit code."""
    count, work = HANGING[hanging]
    if "SDK" in hanging:
        pytest.importorskip("cohere")
    quiet = "import logging\nlogging.disable()"  # a degraded answer warns
    code = f"{quiet}\n{SHARED}\n{work}\nsys.stdin.readline()\nsys.exit(3)"
    with ChaosServer() as server:
        server.fault = FAULTS["hang"]
        with subprocess.Popen(
            [sys.executable, *flags, "-c", code, server.url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            began = time.monotonic()
            while _asked(server) < count and process.poll() is None:
                assert time.monotonic() - began < 60
                time.sleep(0.02)
            process.stdin.write("end\nend\n")
            process.stdin.flush()
            code = process.wait(15)
            told = process.stdout.read() + process.stderr.read()
    assert (code, told) == (3, "")
    assert _asked(server) == count


def _asked(server):
    return sum(one.method == "POST" for one in server.requests)
