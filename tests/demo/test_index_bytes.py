"""A kept index of the demo whose files were damaged."""

import json
import shutil

import pytest
from mutations import mutated_bytes, mutated_json, tally, written

from runoff.types import Document, Query

pytest.importorskip("runoff_models", reason="runoff-models is not installed")

from runoff.demo._index import open_index, open_words

DOCUMENTS = [Document(f"d{at}", f"bread word{at}", {"n": at}) for at in range(6)]


def quiet(*_):
    pass


def opened(path):
    return open_index(open_words(path, "key", lambda: DOCUMENTS, quiet), quiet)


def found(index):
    query = Query("bread word3")
    pairs = [(query.text, one.text) for one in DOCUMENTS]
    return (
        [one.doc_id for one in index.bm25.retrieve(query, depth=1)],
        [one.doc_id for one in index.dense.retrieve(query, depth=6)],
        index.late.score(pairs).values.tolist(),
    )


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A kept index, what it finds, and where to damage copies."""
    folder = tmp_path_factory.mktemp("demo")
    index = opened(folder / "kept")
    return folder / "kept", found(index), folder


def attempt(kept):
    """Damage one file of a copy and open it."""
    original, right, folder = kept
    numbers = iter(range(10**6))

    def one(source):
        path = folder / f"copy{next(numbers)}"
        shutil.copytree(original, path)
        files = [path / "index.json", path / "bm25/runoff.json", path / "vectors.npy"]
        files += sorted(one for one in path.glob("tokens/**/*") if one.is_file())
        file = source.choice(files)
        if file.suffix == ".json" and source.random() < 0.5:
            file.write_text(written(mutated_json(json.loads(file.read_text()), source)))
        else:
            file.write_bytes(mutated_bytes(file.read_bytes(), source))
        index = opened(path)
        try:
            assert found(index) == right
        finally:
            shutil.rmtree(path)
        return "built again" if index.built_s else "right"

    return one


def test_a_damaged_index_is_built_again(kept):
    """Each of some mutations of the kept index leaves it right or has it built again."""
    outcomes = tally(15, attempt(kept))
    assert outcomes["built again"] > 10


@pytest.mark.slow("600 s: 2,000 mutations of the demo's index find what a few do not")
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("first", range(1000, 3000, 200))
def test_many_damaged_indexes_are_built_again(kept, first):
    """Each of 2,000 mutations of the kept index leaves it right or has it built again."""
    outcomes = tally(200, attempt(kept), first=first)
    assert outcomes["built again"] > 50


@pytest.mark.parametrize("marker", ["[]", "5", "null", "[" * 100_000, '{"key": []}', "\ud800"])
def test_a_marker_that_is_none_has_the_index_built_again(tmp_path, marker):
    """A marker of another kind is not the key of this index."""
    opened(tmp_path / "index")
    (tmp_path / "index" / "index.json").write_text(marker, errors="surrogatepass")
    assert opened(tmp_path / "index").built_s > 0
