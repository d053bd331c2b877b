"""Kill processes that flush a token store, again and again, and look at what they leave.

Run as a script: `flush_until_killed.py DIRECTORY KILLS SEED`. Prints a JSON line: how many
documents were read and found right, and how often a generation was left unfinished.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

from test_store import MODEL, holds, opened_anew, put


def write_forever(path, seed, said):
    store = opened_anew(path)
    for number in range(10**9):
        texts = [f"{seed} {number} {one}" for one in range(8)]
        put(store, texts)
        store.flush()
        os.write(said, b".")
        if number % 5 == 4:
            store.delete(texts[:2])


def main(path, kills, seed):
    chance = random.Random(seed)
    right = unfinished = 0
    for kill in range(kills):
        heard, said = os.pipe()
        child = os.fork()
        if not child:
            write_forever(path, kill, said)
        os.read(heard, 1)  # the first flush has ended
        time.sleep(chance.uniform(0, 0.1))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        os.close(heard)
        os.close(said)
        assert os.WTERMSIG(status) == signal.SIGKILL, "it did not end by itself"
        folder = Path(path) / MODEL / "generations"
        unfinished += folder.is_dir() and len([*folder.iterdir()]) > 1
        store = opened_anew(path)
        texts = [f"{kill} {number} {one}" for number in range(100) for one in range(8)]
        there = [one is not None for one in store.get(MODEL, texts)]
        assert holds(store, texts) == there, "what is there is whole"
        right += sum(there)
    print(json.dumps({"right": right, "unfinished": unfinished}))  # noqa: T201 - the answer


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
