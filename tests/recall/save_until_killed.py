"""Kill a process that saves an index in a loop, again and again, and look at what it leaves.

Run as a script: `save_until_killed.py DIRECTORY KILLS SEED`. A prepared process is forked for each
kill, so that one costs milliseconds. Prints a JSON line: how often the old and the new index was
left, and how often unfinished files beside it.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from runoff import Query
from runoff.recall import BM25

GREEK = [(f"g{n}", f"alpha beta number{n}") for n in range(30)]
LATIN = [(f"l{n}", f"alpha gamma number{n} and more words") for n in range(40)]


def answers(index):
    return [(hit.doc_id, hit.score) for hit in index.retrieve(Query("alpha number7"), depth=100)]


def main(path, kills, seed):
    """Kill at random moments, then at every single time something is forced to the disk."""
    chance = random.Random(seed)
    indexes = {"greek": BM25(GREEK), "latin": BM25(LATIN)}
    expected = {name: answers(index) for name, index in indexes.items()}
    started = time.perf_counter()
    for _ in range(3):
        indexes["greek"].save(path)
    once = (time.perf_counter() - started) / 3
    counts = dict.fromkeys((*indexes, "unfinished", "at_sync"), 0)

    def look():
        left = answers(BM25.load(path, mmap=chance.random() < 0.5))
        (name,) = (name for name, answer in expected.items() if answer == left)
        counts[name] += 1
        counts["unfinished"] += len([*(path / "generations").iterdir()]) > 1
        return name

    for _ in range(kills):
        child = os.fork()
        if not child:
            save_forever(indexes, path)
        time.sleep(chance.uniform(0, 2.5 * once))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        look()

    indexes["greek"].save(path)
    for number in range(1, 100):
        child = os.fork()
        if not child:
            save_until_sync(indexes["latin"], path, number)
        _, status = os.waitpid(child, 0)
        name = look()
        if os.waitstatus_to_exitcode(status) == 0:
            assert name == "latin", "a save that ended is the one that counts"
            break
        counts["at_sync"] += 1
        indexes["greek"].save(path)
        assert look() == "greek", "what a killed process left does not hinder the next save"
        assert len([*(path / "generations").iterdir()]) == 1, "and goes with it"
    sys.stdout.write(json.dumps(counts))


def save_forever(indexes, path):
    while True:
        for index in indexes.values():
            index.save(path)


def save_until_sync(index, path, number):
    """Save, but end at once when something is forced to the disk for the `number`th time."""
    left = number
    force = os.fsync

    def die(file):
        nonlocal left
        left -= 1
        if not left:
            os._exit(9)
        force(file)

    os.fsync = die
    index.save(path)
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
