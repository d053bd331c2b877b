"""The benchmarks' harness runs on a tiny collection, and says so where it cannot run."""

import gzip
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ir_measures")
pytest.importorskip("rank_bm25")

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
needs_models = pytest.mark.skipif(
    importlib.util.find_spec("runoff_models") is None, reason="runoff-models is not installed"
)
# written from figures.json
PAGES = (
    "benchmarks",
    "bulk",
    "engines",
    "labels",
    "live-ndcg",
    "live-statistics",
    "losses",
    "real-server",
    "sources",
    "speed",
    "statistics",
    "verdict",
)
TOPICS = ("bees", "ships", "bread", "stars", "rivers", "trains", "clocks", "bridges")


@pytest.fixture
def data(tmp_path):
    """Write a collection of eight topics under every name that the tests below ask for."""
    for name in ("scifact", "xquad-de"):
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        documents = [
            {"_id": f"d{at}", "title": topic, "text": f"What people know about {topic} and why."}
            for at, topic in enumerate(TOPICS)
        ]
        queries = [
            {"_id": f"q{at}", "text": f"tell me about {topic}"} for at, topic in enumerate(TOPICS)
        ]
        _write(folder / "corpus.jsonl.gz", documents)
        _write(folder / "queries.jsonl.gz", queries)
        judged = [f"q{at}\td{at}\t1\n" for at in range(len(TOPICS))]
        text = "".join(["query-id\tcorpus-id\tscore\n", *judged])
        (folder / "qrels.tsv").write_text(text)
    return tmp_path / "data"


def _write(path, rows):
    with gzip.open(path, "wt") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in rows)


def _run(tmp_path, data, *arguments):
    out = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "run.py"), *arguments, "--quick", "--json", str(out)],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"RUNOFF_DATA": str(data), "RUNOFF_BENCH_CACHE": str(tmp_path / "cache")},
    )
    return done, json.loads(out.read_text()) if out.exists() else {}


def test_every_benchmark_can_be_imported():
    """No benchmark names a module or a name that has moved."""
    code = "import importlib, run\nfor name in run.BENCHMARKS: importlib.import_module(name).run"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=BENCHMARKS)


@pytest.mark.slow("8 s: seven benchmarks")
def test_benchmarks_without_models_run_on_a_tiny_collection(tmp_path, data):
    """Speed, languages and overhead print tables with machine, date and command, and as JSON."""
    names = ("bm25_speed", "languages", "overhead", "grouping", "score_cache", "verdict", "ledger")
    done, found = _run(tmp_path, data, *names)
    assert done.returncode in {0, 1}, done.stderr
    for name in names:
        assert found[name]["tables"], done.stderr
        assert {"cpu", "date", "python", "packages", "command"} <= found[name]["about"].keys()
    assert "| engine" in done.stdout
    german = found["languages"]["tables"][0]["rows"][0]
    assert german[:4] == ["xquad-de", "german", 5, 1.0]


@pytest.mark.slow("3 s each: a benchmark in a process of its own")
@needs_models
def test_quality_of_a_collection_that_everything_finds_is_perfect(tmp_path, data):
    """Every system finds each topic's only document: nDCG@10 is 1, and nothing is gained."""
    done, found = _run(tmp_path, data, "quality", "--collections", "scifact")
    assert done.returncode == 0, done.stderr
    quality, gains, seconds = found["quality"]["tables"]
    assert {row[1] for row in quality["rows"]} == {1.0}
    assert {tuple(row[2:]) for row in gains["rows"]} == {(0.0, 0.0, 0.0, 0, 5, 0)}
    assert seconds["rows"][-1][0] == "whole search"


@pytest.mark.slow("3 s each: a benchmark in a process of its own")
@needs_models
def test_a_cascade_that_keeps_all_is_the_last_stage_alone(tmp_path, data):
    """On eight documents a cascade that keeps ten reads as many pairs and finds as much."""
    done, found = _run(tmp_path, data, "cascade", "--collections", "scifact")
    assert done.returncode == 0, done.stderr
    (table,) = found["cascade"]["tables"]
    rows = {row[0]: row[1:] for row in table["rows"]}
    assert rows["similarity keeps 10 of 50"] == rows["window 50"]
    assert rows["window 50"][-2:] == [8.0, 0.0]
    assert rows["similarity alone, window 50"][-2:] == [0.0, 1.0]


@pytest.mark.slow("3 s each: a benchmark in a process of its own")
@needs_models
def test_interleaving_is_measured(tmp_path, data):
    """Whoever finds each topic's only document first wins, and nobody wins without a preference."""
    pytest.importorskip("pyarrow")
    done, found = _run(tmp_path, data, "interleaving", "--collections", "scifact")
    assert done.returncode == 0, done.stderr
    signs, _, alike = (table["rows"] for table in found["interleaving"]["tables"])
    assert signs[0][3:5] == [1.0, 1.0]
    assert alike[0][1:] == [0.0, 0.0, 0.0]


@pytest.mark.slow("10 s: directories of observations")
def test_a_glance_at_observations_is_measured(tmp_path, data):
    """The command reads both directories, and the larger one is larger."""
    pytest.importorskip("pyarrow")
    done, found = _run(tmp_path, data, "glance")
    assert done.returncode == 0, done.stderr
    (table,) = found["glance"]["tables"]
    small, large, _ = table["rows"]
    assert 1.9 < large[1] / small[1] < 2.1
    assert small[3] > 0 < large[3]


@pytest.mark.slow("5 s: a benchmark in a process of its own")
@needs_models
def test_a_score_that_is_finished_after_an_exit_is_the_models_own(tmp_path, data):
    """Two graphs of three layers each give the scores of the whole model, to the last bit."""
    pytest.importorskip("onnx")
    (data / "train").mkdir()
    rows = [{"query": f"tell me about {one}", "positive": f"{one} are known"} for one in TOPICS]
    for name in ("docs-us-gov", "nq-dev-oracle"):
        _write(data / "train" / f"{name}.jsonl.gz", rows)
    done, found = _run(tmp_path, data, "exits", "--collections", "scifact")
    assert done.returncode == 0, done.stderr
    quality, seconds = found["exits"]["tables"]
    values = {name: figure for name, _, figure, *_ in quality["rows"]}
    assert values["scores alone: all"] == values["scores alone: window of 88%"] == 1.0
    assert {row[0]: row[1] for row in seconds["rows"]}["exit, 50% finished"] > 0
    (same,) = found["exits"]["requirements"]
    assert same["found"] == 0.0


@pytest.mark.slow("3 s each: a benchmark in a process of its own")
@needs_models
def test_replay_is_measured(tmp_path, data):
    """The benchmark records, replays and tells what recordings of two sizes cost."""
    pytest.importorskip("pyarrow")
    done, found = _run(tmp_path, data, "replay", "--collections", "scifact")
    assert done.returncode == 0, done.stderr
    times, sizes = found["replay"]["tables"]
    assert len(times["rows"]) == 5
    assert [row[0] for row in sizes["rows"]] == [2000, 4000]


@pytest.mark.slow("3 s each: a benchmark in a process of its own")
@needs_models
def test_tuning_is_measured(tmp_path, data):
    """The benchmark records once, draws the curve, and finds a recording where it left it."""
    pytest.importorskip("pyarrow")
    done, found = _run(tmp_path, data, "tuning", "--collections", "scifact")
    assert done.returncode == 0, done.stderr
    window, optimism, decided, regret, _ = found["tuning"]["tables"]
    assert window["rows"][0][0] == 0
    assert len(optimism["rows"]) == 3
    assert sum(decided["rows"][0][1:4]) == pytest.approx(1)
    assert regret["rows"][0][0] == "scifact"
    (kept,) = (tmp_path / "cache").glob("tuning-scifact-8-*")
    before = sorted(one.stat().st_mtime_ns for one in kept.glob("*.parquet"))
    _run(tmp_path, data, "tuning", "--collections", "scifact")
    assert sorted(one.stat().st_mtime_ns for one in kept.glob("*.parquet")) == before


@pytest.mark.slow("3 s each: a benchmark in a process of its own")
@needs_models
def test_defaults_are_measured_and_written(tmp_path, data):
    """Train and test queries get tables of their own, in the page too; recordings are kept."""
    pytest.importorskip("pyarrow")
    judged = (data / "scifact" / "qrels.tsv").read_text()
    (data / "scifact" / "qrels.train.tsv").write_text(judged)
    page = tmp_path / "page.md"
    old = "<!-- defaults -->\nof last year\n<!-- /defaults -->"
    page.write_text(f"# Defaults\n\n{old}\n\nThe end.\n")
    asked = ("defaults", "--collections", "scifact:train,scifact,wikiqa:dev", "--stages")
    given = (*asked, "runoff-mini", "--markdown", str(page), "--cache", str(tmp_path / "kept"))
    done, found = _run(tmp_path, data, *given)
    assert done.returncode == 0, done.stderr
    chosen, afterwards, against = found["defaults"]["tables"]
    assert chosen["columns"] == ["system", "mean", "scifact:train (5)"]
    assert afterwards["columns"] == ["system", "mean", "scifact (5)"]
    assert {row[1] for row in chosen["rows"]} == {1.0}
    names = [row[0] for row in against["rows"]]
    assert names[:4] == ["BM25 alone", "dense alone", "RRF", "z-score"]
    assert "default + runoff-mini, blend 0.5, window 100" in names
    assert against["rows"][0][1] == "best"
    assert found["defaults"]["notes"] == [
        "skipped wikiqa:dev: no collection wikiqa in the data folder"
    ]
    text = page.read_text()
    assert text.startswith("# Defaults\n\n<!-- defaults -->\n\n### Chosen on")
    assert text.endswith(".\n\n<!-- /defaults -->\n\nThe end.\n")
    assert "last year" not in text
    kept = sorted((tmp_path / "kept" / "defaults").glob("*/*.parquet"))
    before = [one.stat().st_mtime_ns for one in kept]
    assert len(before) >= 4
    _run(tmp_path, data, *given)
    assert [one.stat().st_mtime_ns for one in kept] == before


@pytest.fixture
def paraphrased(data):
    """The collection with questions of which words alone find every other one's document."""
    asked = (
        "tell me about bees", "vessels that sail the sea", "tell me about bread",
        "suns in the night sky", "tell me about rivers", "locomotives on rails",
        "tell me about clocks", "how to cross a valley",
    )  # fmt: skip
    queries = [{"_id": f"q{at}", "text": text} for at, text in enumerate(asked)]
    _write(data / "scifact" / "queries.jsonl.gz", queries)
    return data


@pytest.mark.slow("20 s: made-up settings and windows besides")
@needs_models
def test_coverage_is_measured(tmp_path, paraphrased):
    """Every population has a row of shares and one of chance, and the choices have tables."""
    done, found = _run(tmp_path, paraphrased, "coverage", "--collections", "scifact")
    assert done.returncode == 0, done.stderr
    intervals, *others = found["coverage"]["tables"]
    assert [row[1].partition(" ")[0] for row in intervals["rows"]] == [
        "50%,", "50%,", "95%", "97%", "99%",
    ]  # fmt: skip
    before, after = intervals["rows"][0][2].partition(",")[0].split(" -> ")
    assert 0 <= float(before) <= float(after) <= 1
    assert all(table["rows"] for table in others)
    assert len(others) == 5


@pytest.mark.slow("10 s: a system asked over and over")
@needs_models
def test_drift_is_measured(tmp_path, paraphrased):
    """Every change has a row: nothing costs nothing, and lost documents cost quality."""
    done, found = _run(tmp_path, paraphrased, "drift", "--collections", "scifact")
    assert done.returncode == 0, done.stderr
    (table,) = found["drift"]["tables"]
    losses = {row[1]: row[2] for row in table["rows"]}
    assert losses["nothing"] == 0
    assert losses["30% of the documents lost"] < 0
    assert all(0 <= share <= 1 for row in table["rows"] for share in row[3:])


def test_absent_data_is_skipped_plainly(tmp_path):
    """Without collections a benchmark says what to set, and the exit code tells nothing ran."""
    done, found = _run(tmp_path, tmp_path / "nowhere", "languages")
    assert done.returncode == 2
    assert "RUNOFF_DATA" in found["languages"]["skipped"]


def test_without_a_server_nothing_is_said_of_one(tmp_path, monkeypatch):
    """The benchmark of a rerank server says how to name one, and runs nothing."""
    monkeypatch.delenv("RUNOFF_RERANK_SERVER", raising=False)
    done, found = _run(tmp_path, tmp_path / "nowhere", "server")
    assert done.returncode == 2
    assert "RUNOFF_RERANK_SERVER" in found["server"]["skipped"]


def test_an_unknown_benchmark_is_refused(tmp_path):
    """A wrong name is an error that lists the right ones."""
    done, _ = _run(tmp_path, tmp_path, "speed")
    assert done.returncode == 2
    assert "bm25_speed" in done.stderr


def test_the_pages_show_the_kept_figures(tmp_path):
    """The tables of these pages are those of figures.json: the command changes nothing."""
    pages = {name: BENCHMARKS.parent / f"docs/{name}.md" for name in PAGES}
    asked = ["--from", str(BENCHMARKS / "figures.json")]
    for name, page in pages.items():
        shutil.copy(page, tmp_path / f"{name}.md")
        asked += ["--markdown", str(tmp_path / f"{name}.md")]
    subprocess.run([sys.executable, str(BENCHMARKS / "run.py"), *asked], check=True)
    for name, page in pages.items():
        assert (tmp_path / f"{name}.md").read_text("utf-8") == page.read_text("utf-8"), name


def test_a_benchmark_that_ran_again_replaces_its_old_figures():
    """Its older parts go, those of others stay, and the order is that of the benchmarks."""
    code = (
        "import json, run, pages\n"
        "kept = {'soak': 1, 'overhead': 2, 'overhead (adapters)': 3}\n"
        "print(json.dumps(pages.replaced(kept, {'overhead': 4}, run.BENCHMARKS)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=BENCHMARKS, capture_output=True, text=True
    )
    assert list(json.loads(done.stdout).items()) == [("overhead", 4), ("soak", 1)]
