"""`runoff evaluate` as a user and as CI meet it: exit codes, JSON and Markdown."""

import json
import re
import shutil
from pathlib import Path

import pytest

pytest.importorskip("typer", reason="the cli extra is not installed")
pytest.importorskip("ir_measures", reason="the eval extra is not installed")
pytest.importorskip("runoff_models", reason="the embedded models are not installed")

from commands import runoff, runoff_process

TEXTS = {
    "bread": "Knead the dough, let it rise twice, and bake it until the crust is brown.",
    "tides": "The moon's gravity raises the sea twice a day; sun and moon together, more.",
    "clock": "A pendulum clock is wound once a week and loses a second a day.",
    "ship": "The ship sailed at dawn with the tide and a cold wind from the north.",
}
QUERIES = {
    "q1": ("why does the sea rise", "tides"),
    "q2": ("how is bread baked", "bread"),
    "q3": ("how often must a clock be wound", "clock"),
}
SYSTEM = """
from runoff import Document, TwoStage
from runoff.recall import BM25

pipeline = TwoStage({"bm25": BM25([Document(*pair) for pair in TEXTS.items()])}, reranker=None)
wide = TwoStage(pipeline.sources, depth=150, window=120)
def made():
    return pipeline
nothing = 3
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A BEIR folder."""
    folder = tmp_path_factory.mktemp("beir")
    (folder / "corpus.jsonl").write_text(
        "".join(json.dumps({"_id": one, "text": text}) + "\n" for one, text in TEXTS.items())
    )
    (folder / "queries.jsonl").write_text(
        "".join(json.dumps({"_id": one, "text": text}) + "\n" for one, (text, _) in QUERIES.items())
    )
    rows = [f"{one}\t{doc_id}\t1\n" for one, (_, doc_id) in QUERIES.items()]
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(rows))
    (folder / "system.py").write_text(f"TEXTS = {TEXTS!r}\n{SYSTEM}")
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Qrels of 120 queries with three runs: all right, all wrong, and right with one exception."""
    folder = tmp_path_factory.mktemp("runs")
    ids = [f"q{at}" for at in range(120)]
    (folder / "qrels.txt").write_text("".join(f"{one} 0 good 1\n{one} 0 bad 0\n" for one in ids))
    right = "".join(f"{one} Q0 good 1 2 t\n{one} Q0 bad 2 1 t\n" for one in ids)
    wrong = "".join(f"{one} Q0 bad 1 2 t\n{one} Q0 good 2 1 t\n" for one in ids)
    (folder / "right.run").write_text(right)
    (folder / "wrong.run").write_text(wrong)
    (folder / "nearly.run").write_text(wrong[: len(wrong) // 120] + right[len(right) // 120 :])
    return folder


def test_the_built_in_pipeline_stage_by_stage(folder, tmp_path):
    """Every stage has its measures; the second stage is compared with the best first one."""
    pytest.importorskip("pyarrow", reason="the eval extra is not installed")
    asked = ("evaluate", folder, "--cache", tmp_path, "--save", tmp_path / "saved", "--json")
    done = runoff(*asked)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert list(found["systems"]) == ["bm25", "dense", "fused", "best first stage", "reranked"]
    assert found["systems"]["dense"]["means"]["RR@10"] == 1.0
    # the judgments list relevant documents only
    assert found["systems"]["bm25"]["judged"]["nDCG@10"] is None
    assert found["compared"] == ["best first stage", "reranked"]
    assert found["verdict"]["decision"] == "undecided"  # three queries prove nothing
    again = runoff("evaluate", folder, "--system", tmp_path / "saved", "--json")
    assert json.loads(again.stdout) == found


def test_the_built_in_pipeline_reads_no_more_than_asked(folder, tmp_path):
    """`--window 2 --depth 3` scores two candidates of each query, found three deep."""
    pytest.importorskip("pyarrow", reason="the eval extra is not installed")
    saved = tmp_path / "saved"
    asked = ("evaluate", folder, "--cache", tmp_path, "--save", saved, "--window", 2)
    assert runoff(*asked, "--depth", 3).returncode == 0
    setup = json.loads((saved / "manifest.json").read_text("utf-8"))["setup"]
    assert (setup["window"], setup["recorded_window"]) == (2, 2)
    assert (setup["depth"], setup["recorded_depth"]) == (3, 3)


@pytest.mark.parametrize(("after", "code"), [("wrong", 3), ("nearly", 0), ("right", 0)])
def test_a_harm_fails_the_build(runs, after, code):
    """The exit code is 3 if a system is proven worse; one query of 120 proves nothing."""
    asked = ("evaluate", "qrels.txt", "--system", f"{after}.run", "--baseline", "right.run")
    run = runoff_process if code else runoff  # the operating system sees the code of a harm
    done = run(*asked, "--fail-on-harm", "--json", cwd=runs)
    assert done.returncode == code, done.stderr
    assert json.loads(done.stdout)["harmed"] == (code == 3)
    assert runoff(*asked, cwd=runs).returncode == 0  # unless it is asked for


def test_a_run_written_is_the_baseline_of_tomorrow(folder, tmp_path):
    """`--baseline` reads what `--save-run` writes: the same system does not differ from it."""
    run = tmp_path / "old.run"
    asked = ("evaluate", ".", "--system", "system:made")
    assert runoff(*asked, "--save-run", run, cwd=folder).returncode == 0
    done = runoff(*asked, "--baseline", run, "--fail-on-harm", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["compared"] == ["old.run", "bm25"]
    assert found["verdict"]["main"]["difference"] == 0


def test_a_report_has_the_measures_and_slices_that_were_asked_for(folder, tmp_path):
    """`--measure` and `--slice` apply to the report as well as to the output."""
    page = tmp_path / "page.html"
    asked = ("evaluate", ".", "--system", "system:wide", "--measure", "RR@3", "--slice", "length")
    assert runoff(*asked, "--report", page, cwd=folder).returncode == 0
    told = page.read_text("utf-8")
    assert "RR@3" in told
    assert "slices of &#x27;length&#x27; have fewer than 10 queries" in told


def test_an_unknown_slice_is_refused_with_the_known_ones(folder):
    """The message names the option and what it takes."""
    done = runoff("evaluate", ".", "--system", "system:wide", "--slice", "lenght", cwd=folder)
    assert done.returncode == 2
    assert "slice='lenght': must be one of length, script" in done.stderr


def test_a_system_wider_than_the_options_is_recorded_as_it_is(folder):
    """Depth and window are at least the system's own, so its own answer is recorded."""
    done = runoff("evaluate", ".", "--system", "system:wide", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["compared"] == ["bm25", "reranked"]


def test_the_terminal_shows_measures_verdict_and_notes(runs):
    """System, measure, Judged@k, and the decision with its reason, whole within 80 columns."""
    asked = ("evaluate", "qrels.txt", "--system", "right.run", "--baseline", "wrong.run")
    done = runoff(*asked, "--slice", "length", cwd=runs)
    for word in (
        "right.run",
        "nDCG@10",
        "Judged@10",
        "keep",
        "120 better",
        "length=low",
        "is proven",
    ):
        assert word in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "…" not in done.stdout


def test_figures_stay_whole_in_a_narrow_log(runs):
    """In a log of 80 columns no figure of the measures or of the verdict is cut."""
    asked = ("evaluate", "qrels.txt", "--system", "nearly.run", "--baseline", "right.run")
    narrow = runoff(*asked, cwd=runs, COLUMNS="80").stdout
    assert narrow == runoff(*asked, cwd=runs).stdout
    assert max(map(len, narrow.splitlines())) <= 80
    assert re.search(r"RR@10 +1\.0000 +0\.9958 +-0\.0042 +-0\.\d+ to ", narrow)


def test_advice_on_one_page_and_as_a_report(folder, tmp_path):
    """`runoff advise` prints verdict, losses, window and health, and writes the same as HTML."""
    pytest.importorskip("pyarrow", reason="the eval extra is not installed")
    report = tmp_path / "report.html"
    asked = ("advise", folder, "--sources", "bm25", "--save", tmp_path / "saved")
    done = runoff(*asked, "--report", report)
    assert done.returncode == 0, done.stderr
    for word in ("reranked", "VERDICT", "LOSSES", "WINDOW", "HEALTH"):
        assert word in done.stdout
    assert "<svg" in report.read_text("utf-8")
    again = runoff("advise", folder, "--system", tmp_path / "saved")
    assert again.stdout == done.stdout


@pytest.mark.parametrize(
    ("collection", "options", "told"),
    [
        (".", ("--save", "saved"), "For 0.0% of the queries one of the first three"),
        ("asked.jsonl", (), "For 0.0% of the queries one of the first three"),
        ("asked.jsonl", ("--save", "saved"), "needs texts and questions"),
    ],
)
def test_advice_knows_phantom_hits_where_texts_are_at_hand(
    folder, tmp_path, collection, options, told
):
    """Texts come from a BEIR folder or an unsaved recording; a saved recording never has them."""
    pytest.importorskip("pyarrow", reason="the eval extra is not installed")
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    rows = [{"query": text, "relevant": [doc_id]} for text, doc_id in QUERIES.values()]
    (tmp_path / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = runoff("advise", collection, "--system", "system:wide", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert told in " ".join(done.stdout.split())
    for shard in (tmp_path / "saved").glob("*.parquet"):
        assert b"pendulum" not in shard.read_bytes()


def test_advice_needs_more_than_a_run_file(runs):
    """A run file has results only, so the message asks for a recording."""
    done = runoff("advise", "qrels.txt", "--system", "right.run", cwd=runs)
    assert done.returncode == 2
    assert "needs a recording" in done.stderr


def test_what_was_not_judged_is_written_and_read_back(tmp_path):
    """Harm that judgments could turn exits with 0; `--judge` writes them, `--judgments` reads."""
    ids = [f"q{at}" for at in range(30)]
    qrels = "".join(f"{one} 0 old{at} {at % 2}\n" for one in ids for at in range(10))
    (tmp_path / "qrels.txt").write_text(qrels)
    for name in ("old", "new"):
        lines = (f"{one} Q0 {name}{at} {at + 1} {-at} t\n" for one in ids for at in range(10))
        (tmp_path / f"{name}.run").write_text("".join(lines))
    asked = ("evaluate", "qrels.txt", "--system", "new.run", "--baseline", "old.run")
    asked = (*asked, "--fail-on-harm", "--json")
    done = runoff(*asked, "--judge", "judge.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["verdict"]
    assert found["decision"] == "undecided"
    assert found["reason"].startswith("judge these first")
    assert found["unjudged"]["documents"] == 300
    assert runoff(*asked, "--unjudged", 0, cwd=tmp_path).returncode == 3
    path = tmp_path / "judge.csv"
    head, *rows = path.read_text("utf-8").splitlines()
    assert head.startswith("query_id,query,doc_id,grade")
    filled = [row.replace(",,", ",0,", 1) for row in rows]
    path.write_text("\n".join([head, *filled]) + "\n", "utf-8")
    again = runoff(*asked, "--judgments", path, cwd=tmp_path)
    assert again.returncode == 3
    assert json.loads(again.stdout)["verdict"]["unjudged"] is None
    shown = runoff(*asked[:-1], cwd=tmp_path).stdout
    assert "300 counted results of 30 queries were not judged" in " ".join(shown.split())
    listed = runoff(*asked[:-1], "--markdown", cwd=tmp_path).stdout.splitlines()
    assert sum(line.startswith("- judge new") for line in listed) == 5


def test_questions_without_judgments(folder, tmp_path):
    """`advise --no-judgments` says what changes, and writes a report and what to judge."""
    (tmp_path / "questions.txt").write_text("why does the sea rise\n\nhow is bread baked\n")
    asked = ("advise", tmp_path / "questions.txt", "--no-judgments")
    page, judge = tmp_path / "page.html", tmp_path / "judge.csv"
    done = runoff(*asked, "--system", "system:wide", "--report", page, "--judge", judge, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "of 2 questions" in " ".join(done.stdout.split())
    assert "2 questions without judgments" in page.read_text("utf-8")
    assert "why does the sea rise,tides,," in judge.read_text("utf-8")
    assert runoff(*asked).returncode == 2


def test_an_answer_is_explained_stage_by_stage(folder):
    """`runoff explain` shows every stage of an answer and follows a document."""
    asked = ("explain", "why does the sea rise", "--system", "system:made")
    done = runoff(*asked, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "bm25" in done.stdout
    assert "tides" in done.stdout
    assert "clock: no source found it" in runoff(*asked, "--doc", "clock", cwd=folder).stdout
    wrong = runoff(*asked, "--path", ".", cwd=folder)
    assert wrong.returncode == 2
    assert "cannot be combined with --system" in wrong.stderr


@pytest.mark.parametrize("command", ["evaluate", "advise", "explain"])
def test_every_option_is_documented(command):
    """The page names every option that the command has."""
    page = (Path(__file__).parents[2] / "docs" / "evaluation-cli.md").read_text("utf-8")
    shown = runoff(command, "--help")
    assert shown.returncode == 0, shown.stderr
    options = set(re.findall(r"--[a-z][a-z-]*", shown.stdout)) - {"--help", "--no-fail-on-harm"}
    assert len(options) >= 5
    assert options <= set(re.findall(r"--[a-z][a-z-]*", page))


def test_markdown_is_a_table_and_keeps_texts_inert(tmp_path):
    """A pull request's summary has the verdict, and no query's text acts as Markdown or HTML."""
    hostile = "<img src=x onerror=alert(1)> | [a](javascript:alert(1)) @everyone"
    rows = [{"query": hostile, "query_id": "q", "relevant": ["good"]}]
    (tmp_path / "judged.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "old.run").write_text("q Q0 bad 1 2 t\nq Q0 good 2 1 t\n")
    (tmp_path / "new.run").write_text("q Q0 good 1 2 t\nq Q0 bad 2 1 t\n")
    asked = ("evaluate", "judged.jsonl", "--system", "new.run", "--baseline", "old.run")
    shown = runoff(*asked, "--markdown", cwd=tmp_path).stdout
    assert "**undecided** (old.run → new.run)" in shown
    assert "| system | nDCG\\@10 |" in shown
    assert "<img" not in shown
    assert "[a](" not in shown
    assert " @everyone" not in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("absent",), "there is no such file or folder"),
        ((".", "--system", "nothing"), "or module:attribute"),
        ((".", "--system", "absent_module:it"), "there is no module 'absent_module'"),
        ((".", "--system", "system:absent"), "has no attribute 'absent'"),
        ((".", "--system", "system:nothing"), "must be one of: a TwoStage"),
        ((".", "--sources", "bm26"), "must be bm25 or dense"),
        ((".", "--json", "--markdown"), "cannot be combined with --json"),
        ((".", "--system", "system:made", "--fail-on-harm"), "needs a --baseline"),
        (
            (".", "--system", "system:made", "--measure", "nDGC@10"),
            "must be a measure of ir-measures",
        ),
        (("qrels.tsv",), "has no documents to search"),
        (("qrels.tsv", "--system", "system:made"), "name their file with --topics"),
    ],
)
def test_wrong_arguments_exit_with_2(arguments, message, folder):
    """The message names the argument and what would be right; no traceback is shown."""
    done = runoff("evaluate", *arguments, cwd=folder)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr


@pytest.mark.parametrize("option", ["--report", "--save-run"])
def test_a_file_that_cannot_be_written_is_told_before_the_work(runs, option):
    """A folder, or a file in a missing folder, is a wrong argument."""
    for where in (".", "nowhere/file"):
        done = runoff("evaluate", "qrels.txt", "--system", "right.run", option, where, cwd=runs)
        assert done.returncode == 2
        assert "must be a file in an existing folder" in done.stderr
