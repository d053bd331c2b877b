"""A kept index of the demo whose files were damaged."""

import json
import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from mutations import mutated_bytes, mutated_json, tally, written

from runoff.types import Document, Query

pytest.importorskip("chromadb", reason="the demo extra is not installed")
pytest.importorskip("runoff_models", reason="runoff-models is not installed")

from runoff.demo._chroma_files import digest
from runoff.demo._index import _client, open_index

DOCUMENTS = [Document(f"d{at}", f"bread word{at}", {"n": at}) for at in range(6)]


def opened(path):
    return open_index(path, "key", lambda: DOCUMENTS, lambda *_: None)


def found(index):
    query = Query("bread word3")
    hits = index.bm25.retrieve(query, depth=1)
    return [one.doc_id for one in hits], sorted(index.collection.get()["ids"])


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A kept index, what it finds, and where to damage copies."""
    folder = tmp_path_factory.mktemp("demo")
    index = opened(folder / "kept")
    index.client.clear_system_cache()
    return folder / "kept", found(index), folder


def attempt(kept):
    """Damage one file of a copy and open it."""
    original, right, folder = kept
    numbers = iter(range(10**6))

    def one(source):
        path = folder / f"copy{next(numbers)}"
        shutil.copytree(original, path)
        files = [path / "index.json", path / "bm25/runoff.json", path / "chroma/chroma.sqlite3"]
        files += sorted(path.glob("chroma/*/*.bin"))
        file = source.choice(files)
        if file.suffix == ".json" and source.random() < 0.5:
            file.write_text(written(mutated_json(json.loads(file.read_text()), source)))
        else:
            file.write_bytes(mutated_bytes(file.read_bytes(), source))
        index = opened(path)
        try:
            assert found(index) == right
        finally:
            index.client.clear_system_cache()
            shutil.rmtree(path)
        return "built again" if index.built_s else "right"

    return one


def test_a_damaged_index_is_built_again(kept):
    """Each of some mutations of the kept index leaves it right or has it built again."""
    outcomes = tally(40, attempt(kept))
    assert outcomes["built again"] > 10


@pytest.mark.slow("600 s: 2,000 mutations of the demo's index find what a few do not")
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("first", range(1000, 3000, 200))
def test_many_damaged_indexes_are_built_again(kept, first):
    """Each of 2,000 mutations of the kept index leaves it right or has it built again."""
    outcomes = tally(200, attempt(kept), first=first)
    assert outcomes["built again"] > 50


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE embeddings SET embedding_id = 'd9' WHERE embedding_id = 'd3'",
        "UPDATE embedding_metadata SET string_value = 'other' WHERE key = 'chroma:document'",
        "DELETE FROM embeddings_queue WHERE id = 'd3'",
        "DROP INDEX embedding_metadata_int_value",
    ],
)
def test_a_changed_database_is_built_again(kept, tmp_path, change):
    """Chroma would open each of these, and find something else."""
    original, right, _ = kept
    path = shutil.copytree(original, tmp_path / "copy")
    with closing(sqlite3.connect(path / "chroma/chroma.sqlite3")) as database, database:
        assert database.execute(change).rowcount != 0
    index = opened(path)
    assert index.built_s > 0
    assert found(index) == right
    index.client.clear_system_cache()


def test_chroma_itself_changes_no_content(tmp_path):
    """Opening and searching a database of any size leaves its digest as it was written."""
    values = np.random.default_rng(0).normal(size=(1300, 4)).astype(np.float32)
    for count in (6, 1300):  # with vectors in the database alone, and in files of their own
        path = tmp_path / str(count)
        made = _client(path).create_collection("made", embedding_function=None)
        made.add(ids=[f"d{at}" for at in range(count)], embeddings=values[:count])
        written = digest(path / "chroma")
        for _ in range(2):
            client = _client(path)
            client.clear_system_cache()
            read = _client(path).get_collection("made", embedding_function=None)
            assert read.query(query_embeddings=values[3:4], n_results=1)["ids"] == [["d3"]]
            assert digest(path / "chroma") == written
        client.clear_system_cache()


@pytest.mark.parametrize("marker", ["[]", "5", "null", "[" * 100_000, '{"key": []}', "\ud800"])
def test_a_marker_that_is_none_has_the_index_built_again(tmp_path, marker):
    """A marker of another kind is not the key of this index."""
    opened(tmp_path / "index").client.clear_system_cache()
    (tmp_path / "index" / "index.json").write_text(marker, errors="surrogatepass")
    assert opened(tmp_path / "index").built_s > 0
