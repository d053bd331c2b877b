"""What a recording contains, and that it survives when its process is killed."""

import dataclasses
import errno
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from parts import Listed
from recorded import Hashed, Noise, Questions, documents, pipeline, questions

from runoff import TwoStage
from runoff.errors import (
    AuthenticationFailed,
    BadReply,
    InvalidArgument,
    RecallFailed,
    RecordingDamaged,
    RecordingMismatch,
    RecordingNotFound,
    RecordingTooNew,
    ServerFailed,
)
from runoff.evaluation import Content, FateCode, Recording, record, replay
from runoff.fusion import RRF, Convex
from runoff.grouping import Grouping
from runoff.rerank import Cascade, Pointwise, Step
from runoff.scores import ScoreKind, Threshold

parquet = pytest.importorskip("pyarrow.parquet")

QUESTIONS = questions()
SUPPORT = Path(__file__).parents[1] / "support"


def same(one, other):
    """Whether two recorded queries are equal, times left out."""
    for field in dataclasses.fields(one):
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        if field.name == "origins":
            assert mine.keys() == theirs.keys()
            for name, origin in mine.items():
                for column in dataclasses.fields(origin):
                    left, right = (getattr(at, column.name) for at in (origin, theirs[name]))
                    np.testing.assert_array_equal(left, right)
                    assert left.dtype == right.dtype
        elif isinstance(mine, np.ndarray):
            np.testing.assert_array_equal(mine, theirs)
            assert (mine.dtype, mine.shape) == (theirs.dtype, theirs.shape)
        elif field.name in ("steps", "step_truncated"):
            for left, right in zip(mine, theirs, strict=True):
                np.testing.assert_array_equal(left, right)
        elif field.name == "stages":
            assert [_timeless(at) for at in mine] == [_timeless(at) for at in theirs]
        elif field.name == "outcome":
            assert dataclasses.replace(mine, spent_ms=0) == dataclasses.replace(theirs, spent_ms=0)
        else:
            assert mine == theirs


def _timeless(stage):
    parts = tuple(_timeless(at) for at in stage.parts)
    return dataclasses.replace(stage, latency_ms=0.0, load_ms=0.0, parts=parts)


def test_what_is_recorded():
    """Every candidate is recorded as the live trace of a search at full width shows it."""
    live = pipeline(
        Pointwise(Hashed(), threshold=Threshold(0.5, ScoreKind.LOGIT)), group="parent", depth=10
    )
    made = record(live, QUESTIONS, 40, progress=False)
    wide = dataclasses.replace(live, reranker=Hashed(), group=None)
    for query_id, text in QUESTIONS.queries.items():
        one = made[query_id]
        trace = wide.search(text, depth=40, window=80, top_k=80).trace
        fates = sorted(trace.fates, key=lambda fate: fate.candidate.fusion_rank)
        assert list(one.doc_ids) == [fate.candidate.document.doc_id for fate in fates]
        for row, fate in enumerate(fates):
            document = fate.candidate.document
            placed = {place.source: place for place in fate.candidate.placements}
            for name, origin in one.origins.items():
                assert origin.rank[row] == (placed[name].rank if name in placed else 0)
                if name in placed:
                    assert origin.score[row] == placed[name].score
                    assert origin.low[row] == 0.0
            assert one.fusion_score[row] == fate.candidate.fusion_score
            assert one.rerank_rank[row] == (fate.rerank_rank or 0)
            if fate.pair_score is not None:
                assert one.pair_score[row] == one.rerank_score[row] == fate.pair_score
                assert one.fate[row] == FateCode.RERANKED
            assert one.truncated[row] == fate.truncated
            assert one.text_length[row] == len(document.text)
            if document.image:
                assert (one.content[row], one.fate[row]) == (Content.IMAGE, FateCode.IMAGE)
            elif not document.text.strip():
                assert (one.content[row], one.fate[row]) == (Content.EMPTY, FateCode.EMPTY)
        heads = {fate.candidate.key: fate for fate in live.search(text, depth=40).trace.fates}
        for row, key in enumerate(one.keys):
            under = one.grouped_under[row]
            assert heads[key].grouped_under == (one.keys[under] if under >= 0 else "")
        assert [stage.source for stage in one.stages] == ["bm25", "noise", "Convex", "hashed"]
        assert one.stages[-1].usage.pairs == (one.content == Content.TEXT).sum()
        assert one.outcome.complete
        assert (one.model.name, one.kind) == ("hashed", ScoreKind.LOGIT)


@pytest.mark.parametrize("texts", [False, True])
def test_disk_holds_what_memory_holds(tmp_path, texts):
    """A recording on disk, opened again, is the one in memory, with its types."""
    group = Grouping("parent", duplicates=0.4)
    live = pipeline(Cascade([Step(Hashed(30, "cheap"), 10, 0.5), Hashed()]), group=group)
    options = {"progress": False, "texts": texts}
    memory = record(live, QUESTIONS, 40, **options)
    record(live, QUESTIONS, 40, path=tmp_path / "kept", **options)
    disk = Recording.open(tmp_path / "kept")
    assert disk.setup == memory.setup
    assert sorted(disk.query_ids) == memory.query_ids
    assert (len(disk), disk.pairs, disk.degraded) == (len(memory), memory.pairs, [])
    for one in disk:
        same(one, memory[one.query_id])
        same(disk[one.query_id], one)
        assert len(one.texts) == (len(one) if texts else 0)
    assert {name: list(run) for name, run in replay(disk).items()} == {
        name: list(run) for name, run in replay(memory).items()
    }


def test_small_shards_are_merged(tmp_path, monkeypatch):
    """Small shards are merged now and at the end; a kill before the clean-up loses nothing."""
    from runoff._recording import shards

    monkeypatch.setattr(shards, "_MERGED", 4)
    many = questions(11)
    record(pipeline(), many, 30, path=tmp_path / "kept", progress=False)
    names = [one.name for one in (tmp_path / "kept").glob("*.parquet")]
    assert len(names) == 3  # of four, four and three questions
    kept = shards.Folder(tmp_path / "kept")
    twin = kept.path / "part-00000002-00000002.parquet"
    (merged, *_) = kept.path.glob("part-00000001-*.parquet")
    one = parquet.read_table(merged).slice(1, 1)
    twin.write_bytes(shards.encoded(one))
    (kept.path / "part-00000099-00000099.partial").write_bytes(b"half")
    again = record(pipeline(), many, 30, path=kept.path, progress=False)
    assert not twin.exists()
    assert not list(kept.path.glob("*.partial"))
    assert sorted(again.query_ids) == sorted(many.queries)
    assert sorted(one.query_id for one in again) == sorted(many.queries)


def _resumed(tmp_path, many, wait, kills, pairs):
    """Record in a process that is killed again and again; return what each process scored."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from recorded import Hashed, pipeline, questions\n"
        "from runoff.evaluation import record\n"
        f"scorer = Hashed(log=sys.argv[3], wait={wait})\n"
        f"live = pipeline(scorer, many={pairs}, depth={pairs})\n"
        f"record(live, questions({many}), {pairs}, path=sys.argv[2], progress=False, workers=2)\n"
    )
    kept, logs, before = tmp_path / "kept", [], []
    for at in range(kills + 1):
        log = tmp_path / f"log-{at}"
        logs.append(log)
        before.append(set(Recording.open(kept).query_ids) if kept.exists() else set())
        command = [sys.executable, "-c", script, str(SUPPORT), str(kept), str(log)]
        process = subprocess.Popen(command)
        wanted = many * (at + 1) // (kills + 2)
        while at < kills and process.poll() is None:
            if list(kept.glob("*.parquet")) and len(Recording.open(kept)) >= wanted:
                process.kill()
                break
            time.sleep(0.02)
        process.wait()
        assert process.returncode == (-9 if at < kills else 0)
    return kept, [log.read_text().splitlines() for log in logs], before


@pytest.mark.parametrize(
    ("many", "wait", "kills", "pairs"),
    [
        (24, 0.05, 2, 40),
        pytest.param(323, 0.02, 5, 200, marks=pytest.mark.slow("16 s: 323 queries, five kills")),
    ],
)
def test_a_killed_recording_goes_on(tmp_path, many, wait, kills, pairs):
    """After kills, nothing recorded is scored again, and nothing is missing."""
    kept, scored, before = _resumed(tmp_path, many, wait, kills, pairs)
    asked = questions(many)
    for log, had in zip(scored, before, strict=True):
        assert not set(log) & {asked.queries[query_id] for query_id in had}
    made = Recording.open(kept)
    assert sorted(made.query_ids) == sorted(asked.queries)
    assert before[-1]
    whole = record(pipeline(many=pairs, depth=pairs), asked, pairs, progress=False)
    for one in made:
        same(one, whole[one.query_id])


def test_going_on_deletes_only_what_a_recorder_left(tmp_path, monkeypatch):
    """Half-written files of others stay, and a small shard that no merged one covers."""
    from runoff._recording import shards

    monkeypatch.setattr(shards, "_MERGED", 4)
    many = questions(11)
    record(pipeline(), many, 30, path=tmp_path / "kept", progress=False)
    kept = shards.Folder(tmp_path / "kept")
    alone = kept.path / "part-00000002-00000002.parquet"
    last = parquet.read_table(max(kept.path.glob("part-*.parquet")), partitioning=None)
    alone.write_bytes(shards.encoded(last.slice(len(last) - 1)))
    (kept.path / "movie.partial").touch()
    record(pipeline(), many, 30, path=kept.path, progress=False)
    assert alone.exists()
    assert (kept.path / "movie.partial").exists()


class Faulty(Hashed):
    """A scorer that fails for one query until it is mended."""

    broken = True

    def score(self, pairs, *, deadline=None):
        if self.broken and pairs[0][0] == QUESTIONS.queries["q2"]:
            raise ServerFailed("overloaded")
        return super().score(pairs, deadline=deadline)


def test_degraded_queries_are_recorded_again(tmp_path, caplog):
    """A degraded query is kept and marked; resuming searches only for it again."""
    scorer = Faulty()
    made = record(pipeline(scorer), QUESTIONS, 30, path=tmp_path / "kept", progress=False)
    assert made.degraded == ["q2"]
    assert made["q2"].outcome.degraded[0].reason == "server_error"
    assert set(made["q2"].fate.tolist()) <= {FateCode.UNSCORED, FateCode.IMAGE, FateCode.EMPTY}
    log = tmp_path / "log"
    log.touch()
    mended = Faulty(log=str(log))
    mended.__dict__["broken"] = False
    again = record(pipeline(mended), QUESTIONS, 30, path=tmp_path / "kept", progress=False)
    assert again.degraded == []
    assert set(log.read_text().splitlines()) == {QUESTIONS.queries["q2"]}
    assert len(again) == len(list(again)) == len(QUESTIONS.queries)
    assert np.isfinite(again["q2"].pair_score).any()


def test_a_query_without_any_source():
    """If no source answers, the query is recorded without candidates, as degraded."""
    system = TwoStage({"down": Listed(error=BadReply("nothing arrived"))}, reranker=Hashed())
    made = record(system, QUESTIONS, 100, progress=False)
    assert made.degraded == list(QUESTIONS.queries)
    assert len(made["q0"]) == 0
    assert list(replay(made)["q0"]) == []
    with pytest.raises(RecallFailed):
        system.search("tide")


@pytest.mark.parametrize(
    ("live", "asked", "depth", "told"),
    [
        (pipeline(), questions(7), 30, "the queries differ"),
        (pipeline(), QUESTIONS, 35, "recorded_depth differs"),
        (pipeline(fusion=RRF()), QUESTIONS, 30, "fusion.kind differs"),
        (pipeline(fusion=Convex(normalizer="minmax")), QUESTIONS, 30, "fusion.normalizer differs"),
        (pipeline(many=61), QUESTIONS, 30, "source bm25 differs"),
        (pipeline(Pointwise(Hashed(), blend=0.5)), QUESTIONS, 30, "blend differs"),
        (pipeline(window=3), QUESTIONS, 30, "window differs"),
        (pipeline(group="parent"), QUESTIONS, 30, "group"),
    ],
)
def test_another_system_or_other_queries_are_refused(tmp_path, live, asked, depth, told):
    """A recording is never mixed with that of another system or of other queries."""
    record(pipeline(), QUESTIONS, 30, path=tmp_path / "kept", progress=False)
    with pytest.raises(RecordingMismatch, match=told):
        record(live, asked, depth, path=tmp_path / "kept", progress=False)


def test_files_that_are_no_recording(tmp_path):
    """Missing, newer, foreign and damaged recordings are refused with their own errors."""
    with pytest.raises(RecordingNotFound):
        Recording.open(tmp_path)
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(InvalidArgument, match="empty directory"):
        record(pipeline(), QUESTIONS, 30, path=tmp_path, progress=False)
    kept = tmp_path / "kept"
    record(pipeline(), QUESTIONS, 30, path=kept, progress=False)
    shard = next(kept.glob("*.parquet"))
    whole = shard.read_bytes()
    shard.write_bytes(whole[:100])
    with pytest.raises(RecordingDamaged, match=shard.name):
        Recording.open(kept)
    shard.write_bytes(whole)
    manifest = kept / "manifest.json"
    told = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**told, "version": 2, "runoff": "9.0"}))
    with pytest.raises(RecordingTooNew, match=r"format 2, written by runoff 9\.0"):
        Recording.open(kept)
    manifest.write_text(json.dumps({**told, "setup": {}}))
    with pytest.raises(RecordingDamaged):
        Recording.open(kept)


@pytest.mark.parametrize(
    ("system", "asked", "options", "told"),
    [
        ("not a system", QUESTIONS, {}, "a TwoStage"),
        (pipeline(), Questions({}), {}, "at least one query"),
        (pipeline(), Questions({"q9": " "}), {}, r"queries\['q9'\]"),
        (pipeline(), QUESTIONS, {"depth": 29}, "at least 30"),
        (pipeline(), QUESTIONS, {"workers": 0}, "workers"),
    ],
)
def test_arguments_that_cannot_be(system, asked, options, told):
    """An invalid argument is refused by name before anything is searched."""
    with pytest.raises(InvalidArgument, match=told):
        record(system, asked, **{"depth": 30, "progress": False, **options})


def test_lasting_errors_are_raised(tmp_path):
    """A permanent error stops the recording; what was recorded stays."""
    given = documents()

    class Broken(Hashed):
        def score(self, pairs, *, deadline=None):
            if pairs[0][0] == QUESTIONS.queries["q5"]:
                raise ZeroDivisionError("a defect")
            return super().score(pairs, deadline=deadline)

    live = TwoStage({"noise": Noise(given)}, reranker=Broken(), depth=30)
    with pytest.raises(ZeroDivisionError):
        record(live, QUESTIONS, 30, path=tmp_path / "kept", progress=False, workers=1)
    assert len(Recording.open(tmp_path / "kept")) == 5


def test_without_pyarrow(tmp_path):
    """In memory no pyarrow is needed; a path without it fails before any model is loaded."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); sys.modules['pyarrow'] = None\n"
        "import runoff.evaluation\n"
        "assert not {'rich', 'onnxruntime', 'bm25s'} & set(sys.modules)\n"
        "from recorded import pipeline, questions\n"
        "from runoff.errors import MissingExtra\n"
        "from runoff.evaluation import record, replay\n"
        "print(len(replay(record(pipeline(), questions(), 30, progress=False))))\n"
        "try: record(pipeline('no/such/model'), questions(), 30, path=sys.argv[2])\n"
        "except MissingExtra as missing: print(missing)\n"
    )
    command = [sys.executable, "-c", code, str(SUPPORT), str(tmp_path / "kept")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "6",
        'pyarrow is not installed: pip install "runoff[eval]"',
    ]
    assert not (tmp_path / "kept").exists()


def test_a_resumed_recording_counts_what_was_there(tmp_path):
    """Progress goes on from the queries that were recorded before."""
    from runoff._recording import shards

    heard = []
    options = {"path": tmp_path / "kept", "progress": lambda *told: heard.append(told)}
    record(pipeline(), questions(6), 30, **options)
    [whole] = options["path"].glob("part-*.parquet")
    whole.write_bytes(shards.encoded(parquet.read_table(whole, partitioning=None).slice(1)))
    heard.clear()
    record(pipeline(), questions(6), 30, **options)
    assert heard == [(6, 6)]


def test_a_second_recorder_of_a_directory_is_refused(tmp_path):
    """While one process records into a directory another is refused; afterwards it may resume."""
    folder, started, go = tmp_path / "kept", threading.Event(), threading.Event()

    class Waiting(Noise):
        def retrieve(self, query, *, depth, deadline=None):
            started.set()
            go.wait(30)
            return super().retrieve(query, depth=depth)

    def system(source):
        return TwoStage({"noise": source(documents(9))}, reranker=None, depth=9)

    def run():
        record(system(Waiting), questions(3), 9, path=folder, progress=False)

    first = threading.Thread(target=run)
    first.start()
    assert started.wait(30)
    with pytest.raises(InvalidArgument, match="in use by another recorder"):
        record(system(Waiting), questions(3), 9, path=folder, progress=False)
    go.set()
    first.join()
    again = record(system(Waiting), questions(3), 9, path=folder, progress=False)
    assert len(again) == 3


def test_an_interrupted_recording_waits_for_no_source(tmp_path):
    """An error ends a recording at once, even while a source hangs."""
    never = threading.Event()

    class Hung(Noise):
        def retrieve(self, query, *, depth, deadline=None):
            if query.text.endswith(" 1"):
                raise AuthenticationFailed("no key")
            never.wait(60)
            return super().retrieve(query, depth=depth)

    begun = time.monotonic()
    with pytest.raises(AuthenticationFailed):
        record(
            TwoStage({"hung": Hung(documents(9))}, reranker=None, depth=9),
            questions(4), 9, path=tmp_path / "kept", progress=False,
        )  # fmt: skip
    assert time.monotonic() - begun < 30
    never.set()


def test_a_full_disk_is_told_with_the_file(tmp_path, monkeypatch):
    """If a shard cannot be written the error names it, and what was recorded stays."""
    write, written = parquet.write_table, []

    def full(table, where, **options):
        if len(written) == 2:
            raise OSError(errno.ENOSPC, "Error writing bytes to file")
        written.append(where)
        write(table, where, **options)

    monkeypatch.setattr(parquet, "write_table", full)
    with pytest.raises(OSError, match=r"No space left.*part-00000003"):
        record(pipeline(), questions(4), 30, path=tmp_path / "kept", progress=False, workers=1)
    assert len(Recording.open(tmp_path / "kept")) == 2
