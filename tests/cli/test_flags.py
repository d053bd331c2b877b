"""What Python takes as an argument the commands take as an option, with the same effect."""

import csv
import inspect
import json

import pytest

pytest.importorskip("typer", reason="the cli extra is not installed")
pytest.importorskip("ir_measures", reason="the eval extra is not installed")
pytest.importorskip("pyarrow", reason="the eval extra is not installed")

from commands import runoff

from runoff.evaluation import Recording, curve, health, record, tune, verdict

SYSTEM = """
import numpy as np
from runoff import Document, TwoStage
from runoff.recall import BM25
from runoff.scores import ModelIdentity, PairScores, ScoreKind

TEXTS = {f"d{at}": f"document {at} of thirty about number {at}" for at in range(30)}
class Last:
    def score(self, pairs, *, deadline=None):
        values = np.array([len(text) + int(text.split()[1]) / 100 for _, text in pairs], np.float32)
        there = np.ones(len(values), bool)
        return PairScores(values=values, scored=there, truncated=~there, kind=ScoreKind.LOGIT,
                          model=ModelIdentity("last", "1"))
sources = {"bm25": BM25([Document(*pair) for pair in TEXTS.items()])}
staged = TwoStage(sources, reranker=Last(), depth=20, window=10)
fewer = TwoStage({"bm25": BM25([Document(*one) for one in list(TEXTS.items())[20:]])},
                 reranker=Last(), depth=20, window=10)
"""
NOT_ON_THE_COMMAND_LINE = {
    verdict: {"before", "after", "level", "smallest", "rounds", "seed"},
    record: {"system", "collection", "executor", "progress", "texts"},
    health: {"seen", "analyzer", "texts"},
    curve: {"recording", "collection", "windows", "folds", "rounds", "seed", "price"},
    tune: {"recording", "collection", "grid", "folds", "rounds", "seed", "price"},
    Recording.report: {"self", "collection"},
}
NAMED = {"path": "save", "slices": "slice", "measures": "measure", "repeats": "repeat"}
NAMED |= {"tuning": "tune"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A system with a second stage and twenty-five judged questions."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "shop.py").write_text(SYSTEM)
    asked = [(f"which document is about number {at}", f"d{at}") for at in range(25)]
    rows = ["query,doc_id,grade", *(f"{query},{one},1" for query, one in asked)]
    rows += [f"{query},d29,0" for query, _ in asked]
    (folder / "judged.csv").write_text("\n".join(rows) + "\n")
    (folder / "questions.txt").write_text("\n".join(query for query, _ in asked) + "\n")
    saved = ("--system", "shop:staged", "--depth", 20, "--window", 20, "--save")
    for name in ("saved", "again"):
        done = runoff("evaluate", "judged.csv", *saved, name, "--workers", 1, cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("call", NOT_ON_THE_COMMAND_LINE, ids=lambda one: one.__qualname__)
def test_every_argument_has_an_option(call):
    """`runoff advise` has an option for each argument of what it calls, save those named here."""
    shown = runoff("advise", "--help").stdout
    for name in inspect.signature(call).parameters:
        if name not in NOT_ON_THE_COMMAND_LINE[call]:
            option = f"--{NAMED.get(name, name)} ".replace("_", "-")
            assert option in shown.replace("│", " ")


def test_the_bound_of_no_effect(shop):
    """`--bound` is the bound of the verdict."""
    asked = ("evaluate", "judged.csv", "--system", "saved", "--unjudged", 0, "--json")
    found = json.loads(runoff(*asked, "--bound", 0.9, cwd=shop).stdout)["verdict"]
    assert found["bound"] == 0.9
    assert json.loads(runoff(*asked, cwd=shop).stdout)["verdict"]["bound"] == 0.01
    assert runoff(*asked, "--bound", 0, cwd=shop).returncode == 2


def test_settings_on_the_page_of_advice(shop):
    """`--tune` adds which settings to run, by the first measure asked for."""
    asked = ("advise", "judged.csv", "--system", "saved", "--measure", "RR@10")
    done = runoff(*asked, "--tune", "--report", "tuned.html", cwd=shop)
    assert done.returncode == 0, done.stderr
    assert "SETTINGS" in done.stdout
    assert "RR@10" in done.stdout.partition("SETTINGS")[2]
    assert "Which settings to run" in (shop / "tuned.html").read_text("utf-8")
    plain = runoff(*asked, cwd=shop).stdout
    assert "SETTINGS" not in plain
    assert "nDCG@10 +" not in plain.partition("LOSSES")[0]


def test_drift_since_a_saved_recording(shop):
    """`--reference` and `--repeat` compare a system with what was saved, judged or not."""
    since = ("--reference", "saved", "--repeat", "again")
    for asked in (("judged.csv",), ("questions.txt", "--no-judgments")):
        given = ("advise", *asked, "--depth", 20, "--window", 20, *since)
        same = runoff(*given, "--system", "again", cwd=shop)
        assert same.returncode == 0, same.stderr
        assert "fine  drift first stage" in same.stdout
        lost = runoff(*given, "--system", "shop:fewer", cwd=shop).stdout
        assert "look  drift first stage" in lost
    refused = runoff("advise", "judged.csv", "--system", "saved", "--repeat", "again", cwd=shop)
    assert refused.returncode == 2
    assert runoff("advise", "judged.csv", "--system", "saved", "--reference", "nowhere",
                  cwd=shop).returncode == 2  # fmt: skip


def test_the_table_to_judge_has_the_texts_of_a_live_system(shop):
    """A person cannot judge an id, so the texts are written with or without a report."""
    asked = ("evaluate", "judged.csv", "--system", "shop:staged", "--depth", 20, "--window", 20)
    done = runoff(*asked, "--judge", "judge.csv", cwd=shop)
    assert done.returncode == 0, done.stderr
    with (shop / "judge.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows
    assert all(row["text"].startswith("document ") for row in rows)


@pytest.mark.parametrize("labels", [("judged.csv",), ("questions.txt", "--no-judgments")])
def test_documents_are_the_texts_of_a_saved_recording(shop, labels):
    """A recording on disk has no texts; this is said, and `--documents` adds them."""
    rows = [{"_id": f"d{at}", "text": f"document {at}"} for at in range(30)]
    (shop / "docs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = ("advise", *labels, "--system", "saved", "--judge", "judge.csv")
    without = runoff(*asked, cwd=shop)
    assert without.returncode == 0, without.stderr
    assert "--documents adds them" in without.stderr
    done = runoff(*asked, "--documents", "docs.jsonl", cwd=shop)
    assert "--documents" not in done.stderr
    with (shop / "judge.csv").open(newline="") as stream:
        assert all(row["text"].startswith("document ") for row in csv.DictReader(stream))


def test_an_empty_table_to_judge_says_why(shop):
    """Where the judgments list relevant documents only, nothing is unjudged, and this is said."""
    text = (shop / "judged.csv").read_text().splitlines()
    (shop / "good.csv").write_text("\n".join(one for one in text if ",d29,0" not in one) + "\n")
    asked = ("evaluate", "good.csv", "--system", "saved", "--judge", "judge.csv")
    done = runoff(*asked, cwd=shop)
    assert done.returncode == 0, done.stderr
    assert "--unjudged" in done.stderr
    again = runoff(*asked, "--unjudged", 1, cwd=shop)
    assert "--unjudged" not in again.stderr
    assert len((shop / "judge.csv").read_text().splitlines()) > 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("judged.csv", "--no-judgments", "--system", "saved"), "one question per line"),
        (("absent.txt", "--no-judgments", "--system", "saved"), "there is no such file"),
        (("others.txt", "--no-judgments", "--system", "saved"), "lacks 1 of these questions"),
        (("questions.txt", "--no-judgments", "--system", "saved", "--unjudged", 0), "--unjudged"),
        (("questions.txt", "--no-judgments", "--system", "saved", "--tune"), "--tune"),
        (("questions.txt", "--no-judgments", "--system", "saved", "--parent-of", "#"), "--parent"),
        (("questions.txt", "--no-judgments", "--system", "saved", "--slice", "length"), "--slice"),
    ],
)
def test_questions_alone_take_no_labels(shop, arguments, message):
    """What is of no use without judgments is refused, and so is a table in place of questions."""
    (shop / "others.txt").write_text("which document is about number 1\nwho are you?\n")
    done = runoff("advise", *arguments, cwd=shop)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr


def test_questions_without_the_flag_are_told_of_it(shop):
    """A file of questions is no file of judgments, and the error names the option."""
    done = runoff("advise", "questions.txt", "--system", "saved", cwd=shop)
    assert done.returncode == 1
    assert "--no-judgments" in done.stderr


def test_examples_name_questions_by_their_text(shop):
    """An id derived from a text is shown nowhere on the page."""
    for asked in (("questions.txt", "--no-judgments"), ("judged.csv",)):
        done = runoff("advise", *asked, "--system", "saved", "--report", "page.html", cwd=shop)
        assert done.returncode == 0, done.stderr
        assert "text:" not in done.stdout
        assert ">text:" not in (shop / "page.html").read_text("utf-8")
