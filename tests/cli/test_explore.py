"""`runoff explore` on the command line."""

import pytest
from commands import runoff
from explored import collection
from recorded import pipeline
from traffic import keep, stream

from runoff.evaluation import record


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("explore")
    record(pipeline(), collection(4), 30, path=found / "made", progress=False)
    rows = [
        f"{query_id},{collection(4).queries[query_id]},{doc_id},{grade}"
        for query_id, grades in collection(4).qrels.items()
        for doc_id, grade in grades.items()
    ]
    (found / "judged.csv").write_text("\n".join(["query_id,query,doc_id,grade", *rows]))
    keep(found / "obs", stream(5, better=0))
    return found


@pytest.mark.parametrize(
    "arguments",
    [
        ["made"],
        ["made", "--collection", "judged.csv", "--compare", "made"],
        ["obs"],
    ],
)
def test_what_is_named_is_written_to_one_file(folder, tmp_path, arguments):
    """A recording, two of them, or observations."""
    file = tmp_path / "page.html"
    done = runoff("explore", *arguments, "--offline", file, cwd=folder)
    assert (done.returncode, done.stdout) == (0, f"wrote {file}\n"), done.stderr
    assert 'id="runoff-data"' in file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none"], "must be a folder of a recording or observations"),
        (["."], "neither a recording nor observations"),
        (["made", "--collection", "none.csv"], "no such file"),
        (["made", "--judgments", "judged.csv"], "needs --collection"),
        (["made", "--labels", "none/labels.csv"], "labels="),
        (["made", "--labels", "judged.csv", "--port", "70000", "--no-open"], "port=70000"),
        (["made", "--timeout", "-1"], "must be seconds"),
        (["made", "--system", "nowhere:system"], "no module"),
        (["made", "--system", "made"], "cannot answer a question"),
        (["obs", "--compare", "made"], "needs a recording to compare with"),
        (["--system", "a:b", "--path", "."], "cannot be combined with --system"),
    ],
)
def test_wrong_arguments_exit_with_2_and_name_the_option(folder, arguments, said):
    """Nothing is served."""
    done = runoff("explore", *arguments, cwd=folder)
    assert done.returncode == 2
    assert said in done.stderr.replace("\n", " ")
