"""Freed memory goes back to the system."""

import ctypes
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from runoff.recall import BM25
from runoff.recall._bm25 import snapshot
from runoff.recall._bm25.memory import give_back


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="needs glibc"
)
def test_what_is_free_between_what_is_not_is_given_back():
    """Memory freed between blocks that are in use leaves the process."""

    def held():
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    blocks = [np.zeros(32_000, np.uint8) for _ in range(3000)]
    kept = blocks[::300]
    del blocks
    before = held()
    give_back()
    assert held() < before - 40_000_000
    assert len(kept) == 10


@pytest.mark.parametrize(("large", "times"), [(1, 1), (100, 0)])
def test_a_large_index_gives_memory_back(monkeypatch, large, times):
    """A large index gives memory back once its scores are computed, a small one does not."""
    calls = []
    monkeypatch.setattr(snapshot, "_LARGE", large)
    monkeypatch.setattr(snapshot, "give_back", lambda: calls.append(1))
    index = BM25(["some words", "other words"])
    index.warmup()
    index.warmup()
    assert len(calls) == times
