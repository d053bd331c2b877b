"""On real collections with one stage broken, the ledger names that stage and its bounds hold."""

import sys
from collections import Counter
from pathlib import Path

import pytest
from beir import DATA, folder

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def ledger(monkeypatch):
    """The benchmark that breaks every stage, as a module."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("RUNOFF_DATA", str(DATA))
    kept = set(sys.modules)
    import ledger

    yield ledger
    for name in set(sys.modules) - kept:
        if getattr(sys.modules[name], "__file__", None) and (
            Path(sys.modules[name].__file__).parent == BENCHMARKS
        ):
            del sys.modules[name]


@pytest.mark.slow("60 s each: ten faults, planted and found")
@pytest.mark.parametrize("name", ["cranfield", "scifact", "nfcorpus"])
def test_the_broken_stage_grows_most(ledger, name):
    """Ten faults on two samples of 30 queries: at least 95% are named, and no bound is exceeded."""
    folder(name)
    collection = ledger.Collection.load(name, 60)
    _, found = ledger.trials(collection, ledger.Overlap(collection.documents), 30)
    assert Counter(one.fault for one in found) == dict.fromkeys(ledger.FAULTS, 2)
    assert sum(one.right for one in found) >= 0.95 * len(found)
    assert max(one.excess for one in found) <= 1e-9
