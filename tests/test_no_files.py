"""What lies in the place of a stored file, and is none: links that lead nowhere, and pipes."""

import json
import os
import sys

import pytest

from runoff import Document, TwoStage
from runoff.errors import IndexDamaged, InvalidArgument, RecordingDamaged
from runoff.evaluation import Collection, Recording, record
from runoff.recall import BM25
from runoff.rerank import DiskCache, ListwiseLLM

pytest.importorskip("pyarrow")

from runoff.live._feedback import Events
from runoff.live._forgotten import Tombstones
from runoff.live._store import Store

DOCUMENTS = [Document("a", "oil"), Document("b", "gold")]


@pytest.fixture
def recorded(tmp_path):
    judged = Collection({"q": "oil"}, {"q": {"a": 1}})
    record(TwoStage({"a": BM25(DOCUMENTS)}, reranker=None), judged, depth=100, path=tmp_path / "r")
    return tmp_path / "r"


@pytest.mark.parametrize("target", ["elsewhere", "part-00000001-00000001.parquet"])
def test_a_part_that_is_a_link_to_nothing_is_damage(recorded, target):
    """A link whose file was not fetched, or that leads to itself, is named."""
    [part] = recorded.glob("part-*.parquet")
    part.unlink()
    part.symlink_to(target)
    with pytest.raises(RecordingDamaged, match=part.name):
        Recording.open(recorded)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
@pytest.mark.timeout(60)
def test_a_pipe_in_the_place_of_a_file_is_damage(recorded, tmp_path):
    """Nothing waits for a pipe that says nothing."""
    for file in [*recorded.glob("*.json"), *recorded.glob("*.parquet")]:
        kept = file.rename(tmp_path / "kept")
        os.mkfifo(file)
        with pytest.raises(RecordingDamaged, match=file.name):
            Recording.open(recorded)
        file.unlink()
        kept.rename(file)
    assert len(Recording.open(recorded)) == 1
    index = tmp_path / "index"
    BM25(DOCUMENTS).save(index)
    for file in [one for one in index.rglob("*") if one.is_file() and "lock" not in one.name]:
        kept = file.rename(tmp_path / "kept")
        os.mkfifo(file)
        with pytest.raises(IndexDamaged):
            BM25.load(index)
        file.unlink()
        kept.rename(file)
    assert len(BM25.load(index)) == 2


def pipe(file):
    """Put a pipe in a file's place."""
    file.unlink(missing_ok=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(file)
    return file


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
@pytest.mark.timeout(60)
def test_a_pipe_in_the_place_of_a_lock_is_an_error(recorded, tmp_path):
    """A lock is opened to be written to, and nobody may ever read such a pipe."""
    judged = Collection({"q": "oil"}, {"q": {"a": 1}})
    pipe(next(recorded.glob("*lock*")))
    with pytest.raises(OSError, match="lock"):
        record(TwoStage({"a": BM25(DOCUMENTS)}, reranker=None), judged, depth=100, path=recorded)
    index = tmp_path / "index"
    BM25(DOCUMENTS).save(index)
    pipe(next(index.rglob("*lock*")))
    with pytest.raises(OSError, match="not saved, and the previous save is unchanged"):
        BM25(DOCUMENTS).save(index)
    store = Store(tmp_path / "observations")
    store.prepare()
    pipe(store.path / "lock")
    with pytest.raises(OSError, match="lock"):
        store.forget("query", "oil")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
@pytest.mark.timeout(60)
def test_a_pipe_in_the_place_of_what_is_read_is_an_error(tmp_path):
    """Caches, prompts, experiments and what was forgotten are refused by name."""
    with pytest.raises(InvalidArgument, match="path"):
        DiskCache(pipe(tmp_path / "scores.db"))
    with pytest.raises(InvalidArgument, match="prompt"):
        ListwiseLLM(lambda asked: asked, prompt=pipe(tmp_path / "prompt.txt"))
    pipe(tmp_path / "experiment" / "experiment.json")
    with pytest.raises(InvalidArgument, match="path"):
        Events(tmp_path / "experiment", {})
    with pytest.raises(RecordingDamaged, match="forgotten"):
        Tombstones(pipe(tmp_path / "forgotten.json")).look()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[" * 100_000, b'["query", "\\ud800"]', b'[["query", "k", NaN]]', b"\xff",
     b'[["query", "k", 1e999]]', b'[[["query"], "k", 1]]', b'{"query": 1}', b"7" * 5000],
)  # fmt: skip
def test_damage_of_what_was_forgotten_is_named(content, tmp_path):
    """Whatever the file holds, the error says which file and what to do."""
    file = tmp_path / "forgotten.json"
    file.write_bytes(content)
    with pytest.raises(RecordingDamaged, match=r"forgotten\.json cannot be read .* delete it"):
        Tombstones(file).look()


def test_events_of_others_are_counted_and_nothing_waits(tmp_path):
    """A pipe, a folder, a line without an end, half a line and damage cost themselves alone."""
    events = Events(tmp_path / "experiment", {"design": "split"})
    shown = {
        "event": "shown", "id": "r1", "time": 1.0, "user": "u", "query": "q", "arm": "a",
        "teams": [["a", "a"]],
    }  # fmt: skip
    events.add(shown)
    folder = events.path
    if sys.platform != "win32":
        pipe(folder / "events-0.jsonl")
    (folder / "events-1.jsonl").mkdir()
    (folder / "events-2.jsonl").symlink_to("nowhere")
    long = b'{"id": "' + b"x" * 3_000_000 + b'"}\n'
    half = json.dumps(shown).encode()[:-9]
    lines = [long, b"[" * 5000 + b"\n", b'{"event": "shown", "time": NaN}\n', b"\xff\n", half]
    (folder / "events-3.jsonl").write_bytes(b"".join(lines))
    found = events.read(60)
    assert [one.id for one in found.shown] == ["r1"]
    assert found.unreadable == len(lines) + 2 + (sys.platform != "win32")


def test_an_experiment_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    """A process that ends while it makes one leaves no half of its description behind."""

    def fails(_):
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="full"):
        Events(tmp_path, {"design": "split"})
    monkeypatch.undo()
    assert not list(tmp_path.iterdir())
    first = Events(tmp_path, {"design": "split"})
    assert Events(tmp_path, {"design": "split"}).hashed("u") == first.hashed("u")
