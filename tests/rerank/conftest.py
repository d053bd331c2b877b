"""What several tests of rerankers are given."""

import pytest

from runoff.rerank import DiskCache, MemoryCache


@pytest.fixture(params=["memory", "disk"])
def store(request, tmp_path):
    """A cache of scores of each kind."""
    if request.param == "memory":
        return MemoryCache()
    return DiskCache(tmp_path / "scores.db")
