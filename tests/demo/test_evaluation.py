"""The demo's evaluation: one recording kept beside the index, and what it says as a page."""

import json

import pytest

pytest.importorskip("ir_measures", reason="the eval extra is not installed")
pytest.importorskip("pyarrow", reason="the eval extra is not installed")

import recorded

from runoff.demo import _evaluation as evaluation
from runoff.demo._questions import Question
from runoff.errors import InvalidArgument
from runoff.evaluation import Collection
from runoff.pipeline import TwoStage
from runoff.recall import BM25

TEXTS = {
    "a": "tide and moon",
    "b": "moon and sun rise over the tide",
    "c": "bread and salt",
    "d": "dough that rises",
}
QUESTIONS = [
    Question("1", "moon and tide", {"a": 2, "b": 1}),
    Question("2", "bread", {"c": 2, "elsewhere": 1}),
    Question("3", "xylophone", {"d": 2}),
]


class Counting(recorded.Hashed):
    """Counts the questions it reads; at a limit it stops all, as Ctrl-C does."""

    asked = 0
    limit = 99

    def score(self, pairs, *, deadline=None):
        if Counting.asked == Counting.limit:
            raise KeyboardInterrupt
        Counting.asked += 1
        return super().score(pairs, deadline=deadline)


@pytest.fixture
def index(monkeypatch):
    monkeypatch.setattr(Counting, "asked", 0)
    return BM25(TEXTS.items())


@pytest.fixture
def pipeline(index):
    return TwoStage({"bm25": index, "flat": BM25(TEXTS.items(), b=0.0)}, reranker=Counting())


@pytest.fixture
def collection(index):
    return evaluation.judged(QUESTIONS, index, "small")


def test_the_record_is_read_the_second_time(pipeline, collection, tmp_path):
    """Nothing is scored again, the day is shown, and all findings are the same."""
    first = evaluation.evaluate(pipeline, collection, tmp_path)
    assert first.recorded == ""
    assert Counting.asked == 2  # the third question finds nothing
    again = evaluation.evaluate(pipeline, collection, tmp_path)
    assert Counting.asked == 2
    assert again.recorded.startswith("20")
    assert again.advice.to_dict() == first.advice.to_dict()
    assert evaluation.evaluate(pipeline, collection, tmp_path, fresh=True).recorded == ""
    assert Counting.asked == 4


def test_a_stopped_evaluation_goes_on(pipeline, collection, tmp_path, monkeypatch):
    """Pairs scored before Ctrl-C are not scored again, and the result counts as new."""
    monkeypatch.setattr(Counting, "limit", 1)
    with pytest.raises(KeyboardInterrupt):
        evaluation.evaluate(pipeline, collection, tmp_path)
    monkeypatch.setattr(Counting, "limit", 99)
    found = evaluation.evaluate(pipeline, collection, tmp_path)
    assert Counting.asked == 2
    assert found.recorded == ""
    assert len(found.recording) == 3


@pytest.mark.parametrize("damage", ["shard", "manifest", "half", "queries"])
def test_what_cannot_be_read_is_recorded_again(pipeline, collection, tmp_path, damage):
    """A broken recording, or one of other questions, is recorded again without an error."""
    evaluation.evaluate(pipeline, collection, tmp_path)
    kept = tmp_path / evaluation.RECORDING
    if damage == "shard":
        shard = min(kept.glob("*.parquet"))
        shard.write_bytes(shard.read_bytes()[:40])
    elif damage == "manifest":
        (kept / "manifest.json").write_text("{")
    elif damage == "half":
        (kept / "manifest.json").unlink()
    else:
        collection = Collection(
            {"1": "bread and moon", "2": "tide"},
            {"1": {"c": 1}, "2": {"a": 1}},
            collection.documents,
            name="small",
        )
    before = Counting.asked
    found = evaluation.evaluate(pipeline, collection, tmp_path)
    assert Counting.asked > before
    assert found.recording.query_ids == list(collection.queries)


def test_without_a_place_to_write_everything_is_shown(pipeline, collection, tmp_path, capsys):
    """With a file in place of the folder there are three messages and the same advice."""
    (tmp_path / "file").write_text("")
    found = evaluation.evaluate(pipeline, collection, tmp_path / "file")
    assert found.report is None
    assert found.explorer is None
    assert len(found.recording) == 3
    told = capsys.readouterr().err
    assert "cannot save the recording" in told
    assert told.count("cannot write") == 2
    kept = evaluation.evaluate(pipeline, collection, tmp_path)
    assert kept.advice.evaluated.rows() == found.advice.evaluated.rows()


def test_a_question_without_results_counts_as_zero(pipeline, collection, tmp_path):
    """A question without results counts as 0, and missing judged documents are noted."""
    found = evaluation.evaluate(pipeline, collection, tmp_path)
    measured = found.advice.evaluated.measured
    assert list(measured) == ["bm25", "flat", "fused", "best first stage", "reranked"]
    assert measured["fused"].by_query("nDCG@10")["3"] == 0
    assert measured["fused"].mean("R@100") == pytest.approx((1 + 0.5 + 0) / 3)
    assert any("elsewhere" in note for note in found.advice.evaluated.remarks())


def test_the_page_and_the_json_say_what_the_advice_says(pipeline, collection, tmp_path):
    """The page is beside the recording, and the JSON has no NaN, which is not valid JSON."""
    found = evaluation.evaluate(pipeline, collection, tmp_path)
    assert found.report == tmp_path / evaluation.REPORT
    assert found.advice.evaluated.verdict.reason in found.report.read_text("utf-8")
    told = json.loads(json.dumps(found.advice.to_dict(), allow_nan=False))
    assert told["losses"]["achieved"] == found.advice.ledger.achieved
    assert {"verdict", "losses", "window", "health"} <= told.keys()


def test_phantom_hits_are_looked_for(pipeline, collection, tmp_path):
    """The recording has no texts; the index has them."""
    found = evaluation.evaluate(pipeline, collection, tmp_path)
    assert not found.recording.setup.texts
    assert found.advice.health["phantoms"].figure == 0.0


def test_it_is_shown_within_80_columns(pipeline, collection, tmp_path, capsys, monkeypatch):
    """All sections fit into 80 columns, and the unbroken addresses of the pages come last."""
    pytest.importorskip("typer", reason="the cli extra is not installed")
    from runoff.cli._output import TerminalReport

    monkeypatch.setenv("COLUMNS", "80")
    found = evaluation.evaluate(pipeline, collection, tmp_path)
    TerminalReport().evaluated(found)
    *lines, explorer, report = capsys.readouterr().out.rstrip().splitlines()
    assert lines[-1].endswith(" runoff explore")
    assert explorer.endswith((tmp_path / evaluation.EXPLORER).as_uri())
    assert report.endswith((tmp_path / evaluation.REPORT).as_uri())
    assert max(map(len, lines)) <= 80
    heads = [line.partition(",")[0] for line in lines]
    assert [one for one in heads if one.isupper()] == [
        *("ANSWER", "NEXT STEPS", "VERDICT", "LOSSES", "WINDOW", "HEALTH", "NOTES")
    ]


def test_json_has_the_advice_and_the_page(pipeline, collection, tmp_path, capsys):
    """The JSON has what the terminal shows."""
    pytest.importorskip("typer", reason="the cli extra is not installed")
    from runoff.cli._output import JsonReport

    found = evaluation.evaluate(pipeline, collection, tmp_path)
    report = JsonReport()
    report.evaluated(found)
    report.finished()
    told = json.loads(capsys.readouterr().out)["evaluation"]
    assert told["advice"]["verdict"]["decision"] == found.advice.evaluated.verdict.decision
    assert told["advice"]["answer"] == found.advice.answer.sentence
    rivals = [one["name"] for one in told["advice"]["verdict"]["rivals"]]
    assert rivals == ["best first stage", "bm25", "flat", "fused"]
    assert told["latency_ms"]["whole search"]["p95"] >= told["latency_ms"]["whole search"]["p50"]
    assert told["report"] == (tmp_path / evaluation.REPORT).as_uri()
    assert told["explorer"] == (tmp_path / evaluation.EXPLORER).as_uri()


def test_a_recording_with_other_files_is_not_deleted(pipeline, collection, tmp_path):
    """A folder named as the recording is, and one behind a link, keep what is not the demo's."""
    folder = tmp_path / "recording"
    folder.mkdir()
    (folder / "song.wav").write_text("precious")
    with pytest.raises(InvalidArgument, match=r"contains 'song.wav', which is not the demo's"):
        evaluation._recorded(pipeline, collection, folder, fresh=True)
    assert (folder / "song.wav").read_text() == "precious"
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(InvalidArgument, match="is a symbolic link"):
        evaluation._recorded(pipeline, collection, tmp_path / "link", fresh=True)
