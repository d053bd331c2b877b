"""Kill processes that write to one cache file, again and again, and look at what they leave.

Run as a script: `write_until_killed.py FILE KILLS SEED`. Two processes are forked for each kill.
Prints a JSON line: how often there were more scores than before, how many there are in the end, and
how many were read and found right.
"""

import json
import os
import random
import signal
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

import numpy as np
from counting import Counting, value

from runoff.rerank import Cached, DiskCache
from runoff.rerank._cache.keys import pair_keys


def pairs(numbers):
    return [("killed?", f"text {number} " + "word " * (number % 40)) for number in numbers]


def write_forever(store, seed, started):
    chance = random.Random(seed)
    cached = Cached(Counting(), store=store)
    while True:
        scores = cached.score(pairs(chance.sample(range(3000), chance.randint(1, 60))))
        assert scores.scored.all()
        os.write(started, b".")


def main(path, kills, seed):
    chance = random.Random(seed)
    store = DiskCache(path, max_bytes=1_000_000)
    more = right = count = 0
    for kill in range(kills):
        children = []
        started, wrote = os.pipe()
        for number in range(2):
            child = os.fork()
            if not child:
                write_forever(store, kill * 2 + number, wrote)
            children.append(child)
        os.read(started, 1)  # one of them has written, however busy the machine is
        time.sleep(chance.uniform(0, 0.05))
        for child in children:
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            assert os.WTERMSIG(status) == signal.SIGKILL, "it did not end by itself"
        os.close(started)
        os.close(wrote)
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        asked = pairs(chance.sample(range(3000), 200))
        found = store.get(keys := pair_keys(Counting().cache_key, asked), 5.0)
        for key, pair in zip(keys, asked, strict=True):
            if key in found:
                assert found[key].value == np.float32(value(*pair))
                right += 1
        more += len(store) > count
        count = len(store)
    sys.stdout.write(json.dumps({"more": more, "count": count, "right": right}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
