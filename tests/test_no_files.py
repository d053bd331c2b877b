"""What lies in the place of a stored file, and is none: links that lead nowhere, and pipes."""

import os
import sys

import pytest

from runoff import Document, TwoStage
from runoff.errors import IndexDamaged, RecordingDamaged
from runoff.evaluation import Collection, Recording, record
from runoff.recall import BM25

pytest.importorskip("pyarrow")

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
