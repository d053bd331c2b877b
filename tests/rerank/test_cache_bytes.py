"""A cache file that was damaged, or altered with its checksums computed again."""

import json
import shutil
import sqlite3
import zlib
from contextlib import closing

import numpy as np
import pytest
from counting import Counting, value
from mutations import mutated_bytes, mutated_json, tally, written

from runoff.errors import InvalidArgument
from runoff.rerank import Cached, DiskCache
from runoff.rerank._cache import cached as cache
from runoff.rerank._cache.database import database_of

PAIRS = [("why?", f"text {n}") for n in range(40)]
RIGHT = [float(np.float32(value(*pair))) for pair in PAIRS]


@pytest.fixture(autouse=True)
def nobody_was_warned(monkeypatch):
    monkeypatch.setattr(cache, "_warned", set())


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A cache file with the scores of all pairs."""
    path = tmp_path_factory.mktemp("cache") / "scores.db"
    Cached(Counting(), store=path).score(PAIRS)
    DiskCache(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    return path


def rewritten(path, change):
    """Replace rows by what `change` makes of key and entry, their checksums computed again."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for used, key, entry in connection.execute(
            "SELECT used, key, entry FROM scores"
        ).fetchall():
            made = change(entry)
            mark = zlib.crc32(made, zlib.crc32(key)) if isinstance(made, bytes) else 0
            sentence = "UPDATE scores SET entry = ?, mark = ? WHERE used = ?"
            connection.execute(sentence, (made, mark, used))


def mutate_bytes(path, source):
    path.write_bytes(mutated_bytes(path.read_bytes(), source))


def mutate_entries(path, source):
    def change(entry):
        if source.random() < 0.5:
            return entry
        if source.random() < 0.1:
            return source.choice([5, "text", 0.5, b"", b"\xff", b"[" * 100_000])
        said = json.loads(entry)
        made = mutated_json(said, source)
        # another value that a score can have is no damage to see
        same = isinstance(made, list) and len(made) >= 6 and made[1:2] + made[6:] == said[1:2]
        return entry if same else written(made).encode()

    rewritten(path, change)


def attempt(filled, tmp_path, mutate):
    """Damage a copy in one way, score with it, and say what became of it."""
    numbers = iter(range(10**6))

    def one(source):
        path = tmp_path / f"{next(numbers)}.db"
        shutil.copyfile(filled, path)
        mutate(path, source)
        try:
            cached = Cached(Counting(), store=path)
            found = cached.score(PAIRS)
            assert found.values.tolist() == RIGHT
            assert found.scored.all()
            again = cached.score(PAIRS)
            assert again.values.tolist() == RIGHT
        finally:
            database_of(path).close()
        if found.usage.cached == len(PAIRS):
            assert not found.notes
            return "right"
        return "miss with a note" if found.notes else "miss"

    return one


@pytest.mark.parametrize("mutate", [mutate_bytes, mutate_entries])
def test_a_damaged_cache_is_a_miss(filled, tmp_path, mutate):
    """Each of some mutations costs scores or a named error, and never a wrong score."""
    outcomes = tally(25, attempt(filled, tmp_path, mutate))
    assert outcomes["miss with a note"] > 10


@pytest.mark.slow("180 s: 2,000 mutations of a cache find what a few do not")
@pytest.mark.parametrize("mutate", [mutate_bytes, mutate_entries])
def test_many_damaged_caches_are_a_miss(filled, tmp_path, mutate):
    """Each of 2,000 mutations costs scores or a named error, and never a wrong score."""
    outcomes = tally(1000, attempt(filled, tmp_path, mutate), first=1000)
    assert outcomes["miss with a note"] > 100


def test_a_byte_of_the_schema_costs_the_cache_alone(filled, tmp_path):
    """Any one byte of the schema that is not UTF-8 is a note, and every score is right."""
    content = filled.read_bytes()
    start = content.index(b"CREATE TABLE scores")
    end = content.index(b"mark INTEGER NOT NULL)", start)
    unread = 0
    for at in range(start, end):
        path = tmp_path / f"{at}.db"
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x80]) + content[at + 1 :])
        found = Cached(Counting(), store=path).score(PAIRS)
        database_of(path).close()
        assert found.values.tolist() == RIGHT
        assert found.notes or found.usage.cached == len(PAIRS)
        unread += bool(found.notes)
    assert unread > 20


@pytest.mark.parametrize(
    "entry",
    [
        b'[0.5,false,"nothing","m","","",[]]',
        b'[0.5,false,"logit","m",""]',
        b'[0.5,false,"logit","m","","",[1,2]]',
        b'[NaN,false,"logit","m","",""]',
        b'[null,false,"logit","m","",""]',
        b'[0.5,1,"logit","m","",""]',
        b'[0.5,false,[],"m","",""]',
        b'[0.5,false,"logit",{},"",""]',
        b'[0.5,false,"logit","m","","",[5,2,0.5]]',
        b"not JSON",
        b"[" * 100_000,
        b"{}",
        b"5",
    ],
)
def test_an_entry_that_is_no_score_is_a_miss_with_a_note(filled, tmp_path, entry):
    """An entry whose checksum fits and whose content does not is scored again, and counted."""
    path = shutil.copyfile(filled, tmp_path / "scores.db")
    rewritten(path, lambda _: entry)
    scorer = Counting()
    found = Cached(scorer, store=path).score(PAIRS)
    assert found.values.tolist() == RIGHT
    assert found.usage.cached == 0
    assert f"{len(PAIRS)} entries" in found.notes[0]
    again = Cached(scorer, store=path).score(PAIRS)
    assert again.usage.cached == len(PAIRS), "what was scored again is kept"


@pytest.mark.parametrize("path", ["a\0b", "", 5])
def test_what_is_no_path_is_an_invalid_argument(path):
    """A path with a NUL character, and what is no path, is named as the argument."""
    with pytest.raises(InvalidArgument, match="path"):
        DiskCache(path)
