"""On a real Ray cluster of this machine: the same results, also where a worker is killed."""

import importlib.util
import os
import sys

import pytest

pa = pytest.importorskip("pyarrow", reason="the eval extra is not installed")
import pyarrow.parquet as pq  # noqa: E402 - see above
from cluster_parts import Down, KillsOnce  # noqa: E402 - see above

from runoff import Document, TwoStage  # noqa: E402 - see above
from runoff.bulk import encode, rerank  # noqa: E402 - see above
from runoff.errors import ConnectionFailed  # noqa: E402 - see above
from runoff.evaluation import record  # noqa: E402 - see above
from runoff.recall import BM25  # noqa: E402 - see above

RAY = importlib.util.find_spec("ray") is not None
pytestmark = [
    pytest.mark.slow("60 s: starts a Ray cluster"),
    pytest.mark.skipif(not RAY, reason="the extra ray is not installed: make test-ray"),
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def cluster():
    """A cluster of two cores, whose processes import what this test does."""
    import ray

    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([*sys.path])
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield ray
    ray.shutdown()
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


@pytest.fixture
def source(tmp_path):
    rows = {
        "query": [f"tides {at % 3}" for at in range(60)],
        "text": [f"text {at}" for at in range(60)],
    }
    pq.write_table(pa.table(rows), tmp_path / "in.parquet", row_group_size=25)
    return tmp_path / "in.parquet"


def test_scores_and_vectors_are_those_of_one_machine(cluster, source, tmp_path):
    """Every bit of the output is the same."""
    for where in ("local", "ray"):
        arguments = {"rows": 10, "executor": where}
        rerank(source, tmp_path / f"{where}-s", reranker="runoff-mini", **arguments)
        encode(source, tmp_path / f"{where}-v", **arguments)
    for what in "sv":
        one, two = (pq.read_table(tmp_path / f"{where}-{what}") for where in ("local", "ray"))
        assert one.equals(two)


def test_a_killed_worker_loses_nothing(cluster, source, tmp_path):
    """Another worker computes the part again."""
    marker = tmp_path / "killed"
    done = rerank(source, tmp_path / "out", reranker=KillsOnce(marker), rows=7, executor="ray")
    assert marker.exists()
    assert (done.rows, done.computed) == (60, 60)
    found = pq.read_table(tmp_path / "out")
    assert found["rerank_score"].to_pylist() == [len(text) for text in found["text"].to_pylist()]


def seen(query):
    """Return all that a recorded query has, but for times."""
    told = {
        name: str(getattr(query, name))
        for name in query.__dataclass_fields__
        if name not in {"stages", "outcome"}
    }
    return told | {"complete": query.outcome.complete, "stages": len(query.stages)}


def test_a_recording_is_that_of_one_machine(cluster, tmp_path):
    """The same orders and scores; only latencies differ."""
    documents = [Document(f"d{at}", f"the moon pulls sea {at % 7}, tide {at}") for at in range(60)]
    system = TwoStage({"bm25": BM25(documents)}, reranker="runoff-mini", window=10)
    queries = [f"moon tide {at}" for at in range(12)]
    one = record(system, queries, path=tmp_path / "one", progress=False)
    two = record(system, queries, path=tmp_path / "two", executor="ray", progress=False)
    assert {query.query_id: seen(query) for query in one} == {
        query.query_id: seen(query) for query in two
    }


def test_an_error_of_a_worker_is_raised_here(cluster, source, tmp_path):
    """It has its own type, as without a cluster."""
    with pytest.raises(ConnectionFailed, match="down"):
        rerank(source, tmp_path / "out", reranker=Down(), rows=10, executor="ray")


def test_a_worker_has_one_core(cluster):
    """Two workers on two cores do not start four threads."""
    import ray

    from runoff._onnx import cpu

    assert ray.get(ray.remote(num_cpus=1)(cpu.cores).remote()) == 1


def test_a_cluster_that_is_not_there_is_named(source, tmp_path, monkeypatch):
    """The address is in the message."""
    import ray

    ray.shutdown()
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(ConnectionFailed, match=r"at 127\.0\.0\.1:1: "):
        rerank(source, tmp_path / "out", reranker="runoff-mini", executor="ray")
