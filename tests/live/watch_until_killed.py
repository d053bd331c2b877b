"""Kill processes that search a watched pipeline, again and again, and look at what they leave.

Run as a script: `watch_until_killed.py DIRECTORY QUERIES SEED`. Two processes at a time search
until they are killed; every third of them finds the disk full: no file may grow beyond a few bytes.
The last one is not killed, and its memory is measured, with a disk that has room and with a full
one. Prints a JSON line.
"""

import json
import mmap
import os
import random
import resource
import signal
import struct
import sys
import time
from itertools import count
from pathlib import Path

from parts import Backwards, Listed

from runoff import TwoStage
from runoff._util.text import text_key
from runoff.live import Observations, watch
from runoff.live import _writer as writer
from runoff.live._store import Store
from runoff.types import Document

QUESTIONS = [f"question {n}" for n in range(40)]
FOUND, REVERSED = Listed(*(Document(f"d{n}", f"text {n}") for n in range(12))), Backwards()
PIPELINE = TwoStage({"one": FOUND}, reranker=REVERSED, window=8)


def answer(response):
    return [(one.rank, one.doc_id, one.fusion_score, one.rerank_score) for one in response]


EXPECTED = {query: answer(PIPELINE.search(query)) for query in QUESTIONS}
ORDER = [doc_id for _, doc_id, *_ in EXPECTED[QUESTIONS[0]]]


def search_forever(watched, answered, seed, most):
    """Search, compare each answer with the unwatched one, and count it."""
    chance = random.Random(seed)
    for done in count(1):
        query = chance.choice(QUESTIONS)
        if answer(watched.search(query)) != EXPECTED[query]:
            os._exit(3)
        FOUND.asked.clear()  # these remember every call
        REVERSED.read.clear()
        struct.pack_into("q", answered, 0, done)
        if done == most:
            return


def memory():
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE


def main(path, queries, seed):
    chance, total, kills, full = random.Random(seed), 0, 0, 0
    watched = watch(PIPELINE, path, 0.2)
    writer._EVERY = 0.02  # seconds: shards are small, so that kills meet many of them
    longest = max(0.2, queries / 40_000)
    while total < queries:
        running = {}
        for _ in range(2):
            answered, fails = mmap.mmap(-1, 8), chance.random() < 1 / 3
            full += fails
            child = os.fork()
            if not child:
                if fails:
                    resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))
                search_forever(watched, answered, chance.random(), None)
            running[child] = answered
        time.sleep(chance.uniform(0.02, longest))
        for child, answered in running.items():
            os.kill(child, signal.SIGKILL)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            assert status == -signal.SIGKILL, f"an answer differed: {status}"
            total += struct.unpack_from("q", answered)[0]
            kills += 1
    answered = mmap.mmap(-1, 8)
    search_forever(watched, answered, seed, queries // 20)
    before = memory()
    search_forever(watched, answered, seed, queries // 5)
    assert writer.flush(path.absolute(), 60)
    grown, before = memory() - before, memory()
    _, hard = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    search_forever(watched, answered, seed, queries // 10)
    grown_full = memory() - before
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert writer.flush(path.absolute(), 60)
    seen = list(Observations(path))
    assert len({one.id for one in seen}) == len(seen)
    hashes = {text_key(query) for query in QUESTIONS}
    for one in seen:
        assert one.query_hash in hashes
        assert [one.doc_ids[at] for at in one.reranked[: one.top_k]] == ORDER
    sys.stdout.write(
        json.dumps(
            {
                "queries": total + queries // 20 + queries // 5 + queries // 10,
                "kills": kills,
                "full": full,
                "observations": len(seen),
                "dropped": sum(one.dropped for _, one in Store(path).counts()),
                "shards": len(Store(path).shards()),
                "partial": len(list(path.glob(".*.partial"))),
                "grown_mb": round(grown / 1e6, 1),
                "grown_full_mb": round(grown_full / 1e6, 1),
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
