"""Every notebook runs from top to bottom, and says what its text promises."""

import ast
import re
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="the notebook group is not installed")
nbclient = pytest.importorskip("nbclient", reason="the notebook group is not installed")

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
FRAMEWORKS = ("langchain", "llama_index")

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def run(path):
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", coalesce_streams=True
    )
    return client.execute()


@pytest.fixture(scope="module")
def executed():
    """Return a notebook, run once in this module however many tests ask for it."""
    done = {}

    def get(name):
        if name not in done:
            done[name] = run(FOLDER / f"{name}.ipynb")
        return done[name]

    return get


def said(notebook, cell_id):
    """Return all that one cell put out, as text."""
    (cell,) = (one for one in notebook.cells if one.get("id") == cell_id)
    return "".join(
        one["text"] if one.output_type == "stream" else one.data["text/plain"]
        for one in cell.outputs
    )


def outputs(notebook):
    return [one for cell in notebook.cells for one in cell.get("outputs", ())]


def test_the_index_lists_every_notebook():
    """The README of the folder links each notebook, and nothing that is not there."""
    linked = re.findall(r"\]\((\w+\.ipynb)\)", (FOLDER / "README.md").read_text("utf-8"))
    assert sorted(linked) == [path.name for path in NOTEBOOKS]
    assert {f"{name}.ipynb" for name in FRAMEWORKS} < set(linked)


@every_notebook
def test_committed_outputs_are_of_one_clean_run(path):
    """Code cells were run in order, and put out no warning, path, bar or great bulk."""
    notebook = nbformat.read(path, as_version=4)
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    assert all(one.get("name") != "stderr" for one in outputs(notebook))
    shown = "".join(str(one) for one in outputs(notebook))
    assert not re.search(r"/(home|tmp|work|usr|root|Users|opt)/|Warning|it/s|\d%\|", shown)
    assert len(shown) < 60_000


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:jupyter_client")
@every_notebook
def test_notebook_runs(path, executed):
    """Every cell executes without an error and writes nothing to stderr."""
    assert all(one.get("name") != "stderr" for one in outputs(executed(path.stem)))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:jupyter_client")
@pytest.mark.parametrize("name", FRAMEWORKS)
class TestFrameworkNotebook:
    """What both notebooks show, whatever their framework."""

    def test_the_line_changes_the_answer(self, name, executed):
        """The chain or engine quotes another document once there is a second stage."""
        notebook = executed(name)
        assert said(notebook, "before").splitlines()[0].endswith(" str.count")
        assert said(notebook, "after").splitlines()[0].endswith(" str.index")

    def test_a_question_that_is_not_helped_is_shown(self, name, executed):
        """The table of places has a gain, a loss and a question nobody answers."""
        rows = [line.split()[:2] for line in said(executed(name), "effect").splitlines()[1:]]
        assert ["2", "1"] in rows
        assert ["1", "2"] in rows
        assert ["-", "-"] in rows

    def test_provenance_names_the_stages(self, name, executed):
        """The first result was second in recall and first after reranking."""
        told = ast.literal_eval(said(executed(name), "provenance"))
        assert (told["doc_id"], told["fusion_rank"], told["rerank_rank"]) == ("str.index", 2, 1)
        assert told["complete"]

    def test_explain_tells_of_both_stages(self, name, executed):
        """The explanation counts what recall found and what the reranker read."""
        told = said(executed(name), "explain")
        assert "100 hits" in told
        assert "ordered 50 of 50" in told

    def test_the_deadline_degrades(self, name, executed):
        """The late answer still has results, and says that the reranker timed out."""
        lines = said(executed(name), "deadline").splitlines()
        assert lines[-2] == "complete: False"
        degraded = ast.literal_eval(lines[-1].removeprefix("degraded: "))
        assert degraded == [{"stage": "rerank", "source": "runoff-mini", "reason": "timeout"}]
        if name == "llama_index":
            assert len(lines) == 5 + 2
        else:
            returned, scored = map(int, re.findall(r"\d+", lines[0]))
            assert scored < returned == 100

    def test_the_filter_holds(self, name, executed):
        """Only documents of the module asked for come back."""
        ids = ast.literal_eval(said(executed(name), "filters"))
        assert ids
        assert all(one.startswith("pathlib.") for one in ids)

    def test_hybrid_results_come_from_words_and_vectors(self, name, executed):
        """The first result has a place in BM25 and in the vectors."""
        assert re.match(r" *-?\d.*bm25 \d+, dense \d+", said(executed(name), "hybrid"))

    def test_every_judged_question_is_counted(self, name, executed):
        """Better, same and worse add up to the questions, and the changed ones are listed."""
        notebook = executed(name)
        questions = int(said(notebook, "judged").split()[0])
        head, *changed = said(notebook, "paired").splitlines()
        better, same, worse = map(int, re.findall(r"\d+", head))
        assert better + same + worse == questions
        assert [line[0] for line in changed] == ["-"] * worse + ["+"] * better
        assert len(said(notebook, "evaluate").splitlines()) == 4  # a header and three systems


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:jupyter_client")
def test_langchain_calls(executed):
    """`k` counts per call and by config, and the streamed pieces are several."""
    notebook = executed("langchain")
    assert said(notebook, "k-per-call") == "[1, 3, 10]"
    assert said(notebook, "configure").splitlines() == ["unless told otherwise: 4", "told: 2"]
    assert len(said(notebook, "async").splitlines()) == 3
    assert int(said(notebook, "stream").split()[0]) >= 3
    kept, answer = said(notebook, "compressor").splitlines()
    assert len(ast.literal_eval(kept)) == 3
    assert answer == f"Look at {ast.literal_eval(kept)[0]}"
