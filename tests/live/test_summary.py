"""A directory at a glance: figures, drift, JSON, Prometheus, and `runoff watch`."""

import json
import re
import time
import tracemalloc
from collections import Counter

import pytest

pytest.importorskip("pyarrow")

from commands import runoff
from observed import observation
from traffic import stream

from runoff.errors import InvalidArgument
from runoff.evaluation import health
from runoff.live import Observations, watch
from runoff.live import _writer as writer
from runoff.live._observation import Shadow
from runoff.live._store import Store
from runoff.live._table import Counts
from runoff.scores import ModelIdentity, Usage
from runoff.trace import FateKind, Scoring, StageTrace
from runoff.types import Degradation, Outcome

DAY = 86_400.0


def _shadow(rank):
    return Shadow("s", ModelIdentity("m"), rank, (0.5, 1.5), complete=True)


@pytest.fixture
def seen(tmp_path):
    """Two days of observations: on the second, other scores, and answers degrade."""
    now, store = time.time(), Store(tmp_path / "kept")
    before = [observation(f"q{at}", time=now - 2 * DAY + at) for at in range(40)]
    late = Outcome((Degradation("rerank", "mini", "timeout"),), 2, 2, 250.0, 40.0)
    after = [
        observation(f"q{at}", time=now + at, pair_scores=(0.9, 0.95), outcome=late)
        for at in range(40)
    ]
    store.write(before, Counts(seen=1000, dropped=2), writer="a" * 20)
    store.write(after, Counts(seen=500, failed=1), writer="b" * 20)
    return Observations(tmp_path / "kept")


def test_the_figures(seen):
    """Counts, drops, shares and latencies are those of the observations."""
    found = seen.summary()
    assert (found.observations, found.seen, found.dropped, found.failed) == (80, 1500, 2, 1)
    assert (found.complete, found.degraded) == (40, {"rerank mini timeout": 40})
    assert (found.changed, found.replaced) == (1.0, 1.0)
    assert found.models == {"mini": 80}
    assert found.latencies["rerank mini"].p95_ms == 9.0
    assert found.latencies["search"].count == 80
    assert found.usage["tokens"] == 2400
    assert found.truncated == 80


def test_drift_is_found(seen):
    """What changed between the last day and the time before is odd."""
    odd = {one.check for one in seen.summary().odd}
    assert {"drift scores", "drift degraded", "degraded"} <= odd
    assert "drift scores" not in {one.check for one in seen.summary(recent=9 * DAY).odd}


def test_the_last_days_only(seen):
    """`days` leaves out what is older."""
    found = seen.summary(days=1)
    assert (found.observations, found.seen) == (40, 500)
    with pytest.raises(InvalidArgument):
        seen.summary(days=0)


def test_the_youngest_are_those_of_all_processes(tmp_path, monkeypatch):
    """Latencies and drift look at the youngest, also if a later process ended long ago."""
    from runoff.live import _summary as summaries
    from runoff.live import _tally as tallies

    now, store = time.time(), Store(tmp_path / "kept")
    slow = Outcome((), 2, 2, 250.0, 90.0)
    for name, begun in ("a", now - 40), ("b", now - 90):
        store.write([observation(f"q{at}", time=begun + at) for at in range(40)], writer=name * 20)
    ended = [
        observation(f"q{at}", time=now - 2 * DAY + at, pair_scores=(0.9, 0.95), outcome=slow)
        for at in range(40)
    ]
    store.write(ended, writer="c" * 20)
    recent = [observation(f"q{at}", time=now - DAY - 40 + at) for at in range(40)]
    store.write(recent, writer="0" * 20)
    monkeypatch.setattr(tallies, "_TICKS", 40)
    monkeypatch.setattr(summaries, "_MOST", 40)
    found = Observations(tmp_path / "kept").summary(recent=DAY / 2)
    assert found.observations == 160
    assert (found.latencies["search"].count, found.latencies["search"].p99_ms) == (40, 12.0)
    (scores,) = (one for one in found.findings if one.check == "drift scores")
    assert scores.odd is False


def test_the_figures_are_those_of_the_objects(tmp_path):
    """What the columns are counted to is what counting the observations one by one gives."""
    parts = StageTrace("rerank", "inner", 3.0, 2, 2, usage=Usage(tokens=5))
    late = (Degradation("rerank", "mini", "timeout"), Degradation("recall", "bm25", "refused"))
    changes = [
        {},
        {"ranks": (1, 2), "shadow": _shadow((2, 1))},
        {"ranks": (2, 0), "top_k": 2, "shadow": _shadow((2, 1))},
        {"fates": (FateKind.GROUPED, FateKind.RETURNED), "ranks": (0, 1)},
        {"outcome": Outcome(late, 0, 2, 250.0, 40.0), "shadow": _shadow((0, 1))},
        {"outcome": Outcome((late[0], late[0]), 1, 2, 250.0, 40.0), "top_k": 9},
        {"stages": (StageTrace("rerank", "mini", 9.0, 2, 2, parts=(parts,)),)},
    ]
    given = [observation(f"q{at}", **changes[at % 7]) for at in range(40)]
    store = Store(tmp_path / "kept")
    store.write(given[:25], writer="a" * 20)
    store.write(given[25:], writer="b" * 20)
    found = Observations(tmp_path / "kept").summary()
    firsts = [(one.fused[: one.top_k], one.reranked[: one.top_k], one) for one in given]
    read = [(before, after) for before, after, one in firsts if one.outcome.scored]
    moved = sum(before != after for before, after in read)
    assert found.changed == moved / len(read)
    new = sum(len({*after} - {*before}) for before, after in read)
    assert found.replaced == new / sum(len(after) for _, after in read)
    shown = [(after, one.shadowed[: one.top_k]) for _, after, one in firsts if one.shadow]
    assert found.shadows == len(shown)
    assert found.shadow_changed == sum(one != other for one, other in shown) / len(shown)
    assert found.complete == sum(one.outcome.complete for one in given)
    assert found.truncated == sum(sum(one.truncated) for one in given)
    reasons = Counter(
        reason
        for one in given
        for reason in {f"{it.stage} {it.source} {it.reason}" for it in one.outcome.degraded}
    )
    assert found.degraded == reasons
    stages = [stage for one in given for stage in one.stages]
    assert found.usage["tokens"] == sum(one.usage.tokens or 0 for one in stages)
    counts = Counter(f"{one.stage} {one.source}" for one in stages)
    assert {name: one.count for name, one in found.latencies.items()} == counts | {"search": 40}


def test_the_memory_of_a_summary_does_not_grow_with_what_it_reads(tmp_path, monkeypatch):
    """Neither Python's nor Arrow's is more for four times the observations."""
    from runoff.live import _summary as summaries
    from runoff.live import _tally as tallies

    monkeypatch.setattr(summaries, "_MOST", 40)
    monkeypatch.setattr(tallies, "_TICKS", 40)
    peaks = []
    for shards in (1, 4, 16):  # the first loads modules
        store, many = Store(tmp_path / str(shards)), stream(100, better=0, documents=100)
        for number in range(shards):
            store.write(many, number=number + 1, writer="a" * 20)
        tracemalloc.start()
        assert Observations(tmp_path / str(shards)).summary().observations == 100 * shards
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < 1.2 * peaks[1]


def test_health_reads_observations(seen):
    """`health` takes the observations as they are, without texts, and skips what needs them."""
    found = health(seen)
    assert found.queries == 80
    assert found["degraded"].figure == 0.5
    assert found["phantoms"].odd is None


def test_an_observations_trace_is_that_of_its_response(tmp_path):
    """The trace of an observation has the ranks, scores and fates of the response's own."""
    from parts import Backwards, Listed

    from runoff import TwoStage

    pipeline = TwoStage({"one": Listed("a", "b", "c", "d")}, reranker=Backwards(), window=3)
    response = watch(pipeline, tmp_path / "kept", 1.0, texts=True).search("tea", top_k=2)
    assert writer.flush((tmp_path / "kept").absolute(), 20)
    (one,) = Observations(tmp_path / "kept")

    def shown(trace):
        return sorted(
            (it.candidate.document.doc_id, it.kind, it.rank, it.scoring, it.rerank_rank,
             it.rerank_score, it.pair_score, it.candidate.placements)
            for it in trace.fates
        )  # fmt: skip

    assert shown(one.trace) == shown(response.trace)
    assert one.trace.stages == response.trace.stages
    assert health([one]).findings == health([response]).findings


def test_a_summary_without_a_second_stage(tmp_path):
    """A pipeline without a reranker has no changes, and few observations have no findings."""
    plain = observation(
        "q", model=ModelIdentity(""), outcome=Outcome(), ranks=(1, 2), scorings=(Scoring.OFF,) * 2
    )
    Store(tmp_path / "kept").write([plain])
    found = Observations(tmp_path / "kept").summary()
    assert (found.changed, found.findings) == (0.0, ())
    assert "models: none 1" in str(found)


def test_prometheus_reads_every_line(seen):
    """Each line is a comment or a sample, and each name has one type."""
    text = seen.summary().to_prometheus()
    sample = re.compile(r'runoff_\w+(\{(\w+="([^"\\\n]|\\.)*",?)+\})? -?[0-9.e+-]+')
    lines = text.splitlines()
    assert all(line.startswith(("# HELP ", "# TYPE ")) or sample.fullmatch(line) for line in lines)
    types = [line for line in lines if line.startswith("# TYPE")]
    assert len(types) == len(set(types))
    assert 'runoff_latency_seconds{stage="rerank mini",quantile="0.95"} 0.009' in lines
    assert "runoff_observations_dropped 2" in lines


class TestCommand:
    def test_text_and_json(self, seen):
        """`runoff watch` prints the figures, or the same as JSON with a version."""
        shown = runoff("watch", seen.path)
        assert shown.returncode == 0
        assert "80 observations of 1,500 answers" in shown.stdout
        assert "dropped 2, failed writes 1" in shown.stdout
        found = json.loads(runoff("watch", seen.path, "--json").stdout)
        assert (found["version"], found["observations"]) == (1, 80)
        assert runoff("watch", seen.path, "--prometheus").stdout.startswith("# HELP runoff_answers")

    def test_an_alarm_has_an_exit_code(self, seen, tmp_path):
        """With --fail-on-alarm what is odd exits with 3; no directory with 1."""
        assert runoff("watch", seen.path, "--fail-on-alarm").returncode == 3
        assert runoff("watch", tmp_path).returncode == 1
        assert runoff("watch", seen.path, "--json", "--prometheus").returncode == 2

    def test_json_says_what_the_exit_code_says(self, seen, tmp_path):
        """`alarm` is true where --fail-on-alarm exits with 3."""
        Store(tmp_path / "calm").write([observation("q")])
        for path, alarm in ((seen.path, True), (tmp_path / "calm", False)):
            done = runoff("watch", path, "--json", "--fail-on-alarm")
            assert (done.returncode, json.loads(done.stdout)["alarm"]) == (3 * alarm, alarm)
