"""What the file of a cache survives, and that no search waits for it or fails with it."""

import json
import multiprocessing
import os
import pickle
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from counting import Counting, value

from runoff.errors import InvalidArgument
from runoff.rerank import Cached, DiskCache
from runoff.rerank._cache import cached as cache
from runoff.rerank._cache import database, disk
from runoff.rerank._cache.database import database_of

KILLED = Path(__file__).with_name("write_until_killed.py")
PAIRS = [("why?", f"text {n}") for n in range(50)]

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "scores.db"


@pytest.fixture(autouse=True)
def nobody_was_warned(monkeypatch):
    monkeypatch.setattr(cache, "_warned", set())


def right(scores, pairs=PAIRS):
    return scores.values.tolist() == [np.float32(value(*pair)) for pair in pairs]


def score(path, pairs=PAIRS):
    return Cached(Counting(), store=path).score(pairs)


def test_it_is_there_for_the_next_process(path):
    """What one process scored another knows."""
    code = (
        "import sys; from counting import Counting; from runoff.rerank import Cached;"
        "pairs = [('why?', f'text {n}') for n in range(50)];"
        "print(Cached(Counting(), store=sys.argv[1]).score(pairs).usage.cached)"
    )
    support = str(Path(__file__).parent.parent / "support")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([support, *sys.path])}
    counts = [
        subprocess.run(
            [sys.executable, "-W", "error", "-c", code, str(path)],
            check=True, capture_output=True, text=True, env=environment,
        )
        for _ in range(2)
    ]  # fmt: skip
    assert [(one.stdout.strip(), one.stderr) for one in counts] == [("0", ""), ("50", "")]


def test_a_read_only_cache_is_read(path, monkeypatch):
    """A filled cache where nothing can be written gives its scores, and is left as it is."""
    score(path)
    DiskCache(path).close()
    copy = path.parent.parent / "mounted" / "scores.db"
    copy.parent.mkdir()
    copy.write_bytes(path.read_bytes())
    before = copy.read_bytes()
    monkeypatch.setattr(database.os, "access", lambda *_: False)  # root may write anything
    scores = score(copy)
    assert right(scores)
    assert scores.usage.cached == len(PAIRS)
    with pytest.raises(OSError, match="readonly"):
        DiskCache(copy).put(DiskCache(path).get(list_keys(path)))
    assert [one.name for one in copy.parent.iterdir()] == ["scores.db"]
    assert copy.read_bytes() == before


def list_keys(path):
    with closing(sqlite3.connect(path)) as connection:
        return [key for (key,) in connection.execute("SELECT key FROM scores LIMIT 3")]


def test_texts_are_not_in_it(path):
    """The file contains hashes and numbers, and no text."""
    score(path, [("a secret question", "a secret document")])
    DiskCache(path).close()
    content = b"".join(one.read_bytes() for one in path.parent.iterdir())
    assert b"counting" in content, "the model is named"
    assert b"secret" not in content


def _work(path, seed, gate, results):
    gate.wait(30)
    scorer = Counting()
    cached = Cached(scorer, store=path)
    chance = np.random.default_rng(seed)
    notes = []
    for _ in range(30):
        pairs = [PAIRS[at] for at in chance.permutation(50)[:20]]
        scores = cached.score(pairs)
        assert right(scores, pairs)
        notes += scores.notes
    results.put((len(scorer.asked), notes))


def test_several_processes_at_once(path):
    """Processes that begin at one moment, with no file yet, share it and read no wrong score."""
    processes = multiprocessing.get_context("spawn")
    gate, results = processes.Barrier(3), processes.Queue()
    workers = [
        processes.Process(target=_work, args=(path, seed, gate, results)) for seed in range(3)
    ]
    for one in workers:
        one.start()
    told = [results.get(timeout=60) for _ in workers]
    for one in workers:
        one.join(30)
    assert [one.exitcode for one in workers] == [0] * 3
    assert all(asked <= 50 for asked, _ in told), "no process scored a pair twice"
    assert score(path).usage.cached == 50


@forks
@pytest.mark.parametrize(
    "kills", [10, pytest.param(60, marks=pytest.mark.slow("3 s: two writers killed 60 times"))]
)
def test_killed_while_writing(path, kills):
    """After each of many kills of two writers the file is whole and every score in it right."""
    path.parent.mkdir()
    done = subprocess.run(
        [sys.executable, KILLED, path, str(kills), "1"],
        capture_output=True, text=True, timeout=200, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["more"] > kills / 12, "writers were killed while they wrote"
    assert told["right"] > 15 * kills


@forks
def test_a_fork_opens_the_file_anew(path):
    """A child process uses no connection of its parent, and both go on."""
    store = DiskCache(path)
    cached = Cached(Counting(), store=store)
    cached.score(PAIRS[:10])
    stop = threading.Event()

    def busy():
        turn = 0
        while not stop.is_set():
            turn += 1
            cached.score([("busy", str(turn))])

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        for _ in range(5):
            child = os.fork()
            if not child:
                inherited = database_of(store.path)
                fresh = inherited.reading._connection is inherited.writing._connection is None
                ok = fresh and right(cached.score(PAIRS))
                os._exit(0 if ok else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        stop.set()
        thread.join()
    assert cached.score(PAIRS).usage.cached == 50


def test_the_file_is_bounded_and_what_was_used_last_stays(path):
    """The file grows to about its bound; what is read again and again survives the rest."""
    store = DiskCache(path, max_bytes=1_000_000)
    cached = Cached(Counting(), store=store)
    kept = PAIRS[:10]
    cached.score(kept)
    largest = 0
    for turn in range(40):
        cached.score([("filler", f"{turn} {n}") for n in range(300)])
        assert cached.score(kept).usage.cached == 10
        largest = max(largest, path.stat().st_size)
    assert 800_000 < largest < 1_200_000
    assert path.with_name("scores.db-wal").stat().st_size < 4_500_000
    assert cached.score([("filler", "0 0")]).usage.cached == 0
    assert cached.score([("filler", "39 0")]).usage.cached == 1
    assert 2_000 < len(store) < 12_000


def test_readers_do_not_wait_for_a_writer(path):
    """While another process holds the file for writing, known scores are read all the same."""
    score(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        scores = score(path)
    assert scores.usage.cached == 50
    assert scores.notes == ()


def test_a_locked_file_costs_only_the_cache(path, caplog, monkeypatch):
    """New scores are given but not kept while the file is locked, a note and one WARNING say so."""
    score(path, PAIRS[:10])
    waited = []

    def transaction(connection):
        waited.append(connection)
        return database.transaction(connection)

    monkeypatch.setattr(disk, "transaction", transaction)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for _ in range(20):
            scores = score(path)
            assert right(scores)
            assert (scores.usage.cached, scores.usage.pairs) == (10, 40)
            assert "could not be written" in scores.notes[0]
            assert "database is locked" in scores.notes[0]
    assert 0 < len(waited) < 10, "they do not wait one after the other"
    assert len(caplog.records) == 1
    time.sleep(0.3)
    assert score(path).usage.pairs == 40
    assert score(path).usage.cached == 50, "and afterwards they are kept again"


def test_a_full_disk_costs_only_the_cache(path):
    """When the file cannot grow, new scores are given but not kept."""
    store = DiskCache(path)
    score(store, PAIRS[:1])
    with database_of(store.path).writing.open(100) as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
    many = [("full", str(n)) for n in range(2000)]
    scores = score(store, many)
    assert right(scores, many)
    assert "is full" in scores.notes[0]
    assert score(store, PAIRS[:1]).usage.cached == 1


@pytest.mark.parametrize("damage", ["cut", "scrambled", "gone"])
def test_a_damaged_file_costs_only_the_cache(path, damage):
    """A file that is cut short, overwritten or deleted gives no wrong score and fails no search."""
    many = [("damaged", f"text {n}") for n in range(1000)]
    store = DiskCache(path)
    score(store, many)
    store.close()
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "scrambled":
        noise = np.random.default_rng(0).integers(0, 256, len(content) - 100, np.uint8).tobytes()
        path.write_bytes(content[:100] + noise)
    else:
        path.unlink()
    for _ in range(2):
        assert right(score(DiskCache(path), many), many)


def test_a_row_that_changed_is_not_read(path):
    """A bit that flips inside a score is found by its mark, and the pair is scored again."""
    store = DiskCache(path)
    score(store)
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        row = "SELECT entry FROM scores ORDER BY used LIMIT 1"
        (entry,) = connection.execute(row).fetchone()
        damaged = entry.replace(b"0", b"1").replace(b"5", b"6")
        assert damaged != entry
        connection.execute("UPDATE scores SET entry = ? WHERE entry = ?", (damaged, entry))
        connection.commit()
    scores = score(store)
    assert right(scores)
    assert (scores.usage.pairs, scores.usage.cached) == (1, 49)
    assert score(store).usage.cached == 50


@pytest.mark.parametrize("content", [b"precious", b"SQLite format 3\0" + b"\0" * 84])
def test_foreign_files_are_refused_and_left_alone(tmp_path, content):
    """A file of something else is named when the cache is made, and not touched."""
    path = tmp_path / "thesis.db"
    path.write_bytes(content)
    with pytest.raises(InvalidArgument, match=r"path=.*is not a cache of scores: name another"):
        DiskCache(path)
    assert path.read_bytes() == content
    with pytest.raises(InvalidArgument, match="path="):
        DiskCache(tmp_path)


def test_a_database_of_someone_else(tmp_path):
    """Another program's SQLite file is refused, also when it takes the place of a cache later."""
    path = tmp_path / "theirs.db"
    store = DiskCache(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE notes (text)")
        connection.commit()
    with pytest.raises(InvalidArgument, match="not a cache of scores"):
        DiskCache(path)
    scores = score(store)
    assert right(scores)
    assert "another file has taken its place" in scores.notes[0]
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
    assert tables == [("notes",)]


def test_a_newer_file(path):
    """A file of a newer version is refused with the remedy."""
    store = DiskCache(path)
    score(store)
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 2")
    with pytest.raises(InvalidArgument, match="newer runoff: update runoff"):
        DiskCache(path)


def test_an_empty_file_is_a_beginning(tmp_path):
    """A file without content, as a first write that was killed leaves it, is made a cache."""
    path = tmp_path / "empty.db"
    path.touch()
    score(path)
    assert score(path).usage.cached == 50


def test_it_is_configuration(path, monkeypatch):
    """It is equal to one of the same file, survives pickling, and does not follow the folder."""
    monkeypatch.chdir(path.parent.parent)
    store = DiskCache("folder/scores.db")
    assert store == DiskCache(path) == pickle.loads(pickle.dumps(store))
    assert not path.parent.exists(), "nothing is made before it is needed"
    for wrong in (0, 999_999, True, 1e9):
        with pytest.raises(InvalidArgument, match="max_bytes"):
            DiskCache(path, max_bytes=wrong)
    for wrong in ("", 7):
        with pytest.raises(InvalidArgument, match="path"):
            DiskCache(wrong)


def test_clear_and_length(path):
    """It counts its scores, and `clear` removes them."""
    store = DiskCache(path)
    score(store)
    assert len(store) == 50
    store.clear()
    assert len(store) == 0
    assert store, "and is still a cache"
