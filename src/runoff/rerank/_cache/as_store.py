"""From the argument `cache` to the store that it names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from runoff.errors import InvalidArgument
from runoff.rerank._cache.memory import MemoryCache

if TYPE_CHECKING:
    from runoff.rerank._cache.disk import DiskCache

    Store: TypeAlias = "MemoryCache | DiskCache"


def as_store(cache: object) -> Store | None:
    """Return the store that an argument `cache` stands for.

    True is a `MemoryCache()` of its own, a path is a `DiskCache`, None and False mean no cache.

    Raises:
        InvalidArgument: it is something else.
    """
    if cache is None or cache is False:
        return None
    if cache is True:
        return MemoryCache()
    if isinstance(cache, MemoryCache):
        return cache
    from runoff.rerank._cache.disk import DiskCache  # noqa: PLC0415 - SQLite, for those who use it

    if isinstance(cache, DiskCache):
        return cache
    if isinstance(cache, str | Path):
        return DiskCache(cache)
    raise InvalidArgument(
        "cache", cache, "must be True, a MemoryCache, a DiskCache, a path or None"
    )
