"""The demo's index is opened again, built again where it is damaged, and touches no other files."""

import shutil
import subprocess
import sys

import pytest

from runoff.errors import InvalidArgument, RunoffError
from runoff.pipeline import TwoStage
from runoff.types import Document, Query

pytest.importorskip("runoff_models", reason="runoff-models is not installed")

from runoff.demo._index import open_index, open_words

DOCUMENTS = [Document("bread", "bake the bread", {"n": 1}), Document("sea", "the sea", {"n": 2})]


def quiet(*_):
    pass


def opened(path, key="key"):
    return open_index(open_words(path, key, lambda: DOCUMENTS, quiet), quiet)


def found(index):
    query = Query("bread")
    return [source.retrieve(query, depth=1)[0].doc_id for source in (index.bm25, index.dense)]


@pytest.mark.parametrize("damage", ["bm25/runoff.json", "bm25", "vectors.npy"])
def test_a_damaged_index_is_built_again(tmp_path, damage):
    """A damaged index is built again although its marker says that it is finished."""
    path = tmp_path / "index"
    first = opened(path)
    assert first.built_s > 0
    assert opened(path).built_s == 0
    hit = path / damage
    shutil.rmtree(hit) if hit.is_dir() else hit.write_text("{")
    again = opened(path)
    assert again.built_s > 0
    assert found(again) == ["bread", "bread"]
    assert opened(path).built_s == 0


@pytest.mark.parametrize("step", ["BM25", "embedding"])
def test_an_interrupted_index_is_built_again(tmp_path, step):
    """What a build that was interrupted leaves is the demo's, and is not opened but built again."""
    path = tmp_path / "index"

    def interrupted(name, done, of):
        if name == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_index(open_words(path, "key", lambda: DOCUMENTS, interrupted), interrupted)
    again = opened(path)
    assert again.built_s > 0
    assert found(again) == ["bread", "bread"]


def test_words_can_be_asked_before_there_are_embeddings(tmp_path):
    """BM25 and the second stage answer first; documents are listed once, and only then embedded."""
    listed, path = [], tmp_path / "index"
    words = open_words(path, "key", lambda: listed.append(1) or DOCUMENTS, quiet)
    pipeline = TwoStage({"bm25": words.bm25}, reranker=words.late)
    assert [one.doc_id for one in pipeline.search("bread")] == ["bread"]
    assert not (path / "vectors.npy").exists()
    steps = []
    open_index(words, lambda *step: steps.append(step))
    assert steps[-1] == ("embedding", 2, 2)
    assert listed == [1]


def test_one_pass_makes_all_vectors(tmp_path):
    """Both stages answer from what is stored, after a restart too: only the query is read."""
    opened(tmp_path / "index")
    code = (
        "import sys; from pathlib import Path; from runoff.pipeline import TwoStage\n"
        "from runoff.demo._index import open_index, open_words\n"
        "words = open_words(Path(sys.argv[1]), 'key', exit, print)\n"
        "index = open_index(words, print)\n"
        "pipeline = TwoStage({'bm25': index.bm25, 'dense': index.dense}, reranker=index.late)\n"
        "print(pipeline.search('bread').trace.usage.tokens)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "index")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "3\n"  # "bread" between two special tokens


@pytest.mark.parametrize(
    "name", [".recording.x.partial", ".explorer.html.7.partial", "report.html"]
)
def test_what_an_interrupted_evaluation_left_goes_with_the_index(tmp_path, name):
    """Files of the evaluation, finished or not, do not stop an index from being built again."""
    path = tmp_path / "index"
    opened(path)
    (path / name).write_text("half")
    assert opened(path, "another key").built_s > 0
    assert not (path / name).exists()


def test_what_0_1_0_left_half_built_is_refused_and_kept(tmp_path):
    """It has no marker, and cannot be told from a user's own index: the error names it."""
    path = tmp_path / "index"
    opened(path)
    (path / "index.json").unlink()
    with pytest.raises(InvalidArgument, match=r"contains 'bm25' and no 'index\.json': remove it"):
        opened(path)
    assert sorted(one.name for one in path.iterdir()) == ["bm25", "tokens", "vectors.npy"]


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    """A cache folder with other files is refused and left as it is."""
    mine = tmp_path / "mine" / "thesis.txt"
    mine.parent.mkdir()
    mine.write_text("three years of work")
    with pytest.raises(InvalidArgument, match=r"cache=.*contains 'thesis.txt'"):
        opened(mine.parent)
    assert mine.read_text() == "three years of work"


def test_another_programs_files_are_left_alone(tmp_path):
    """A folder that the demo has not marked is not emptied, whatever its names are."""
    (tmp_path / "chroma").mkdir()
    (tmp_path / "chroma" / "chroma.sqlite3").write_text("precious")
    with pytest.raises(InvalidArgument, match=r"contains 'chroma' and no 'index\.json'"):
        opened(tmp_path)
    assert (tmp_path / "chroma" / "chroma.sqlite3").read_text() == "precious"


def test_an_index_that_cannot_be_written_is_named(tmp_path):
    """The message names the folder and the option that chooses another."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RunoffError, match=r"cannot write the demo's index.*--cache"):
        opened(tmp_path / "file" / "index")
