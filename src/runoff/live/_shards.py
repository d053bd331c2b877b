"""The files of a directory of observations: each is one writer's, and spans some of its numbers."""

from __future__ import annotations

import math
import os
import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

_NAME = re.compile(r"obs-([0-9a-f]{20})-(\d{8})-(\d{8})\.parquet")
_LARGEST = 1_000_000  # bytes from which a shard is not merged again

FEW = 32
"""How many shards of one size are merged."""


class Shard(NamedTuple):
    """A file of one writer that spans the numbers `first` to `last`."""

    writer: str
    first: int
    last: int
    path: Path


def listed(folder: Path) -> tuple[list[Shard], list[Shard]]:
    """Return the shards that count, and those that another one spans."""
    every = []
    for path in folder.glob("obs-*.parquet"):
        found = _NAME.fullmatch(path.name)
        if found is not None:
            every.append(Shard(found[1], int(found[2]), int(found[3]), path))
    every.sort(key=lambda one: (one.writer, one.first, -one.last))
    counting: list[Shard] = []
    spanned: list[Shard] = []
    for one in every:
        before = counting[-1] if counting else None
        inside = before and before.writer == one.writer and one.last <= before.last
        (spanned if inside else counting).append(one)
    return counting, spanned


def level_of(shard: Shard) -> int | None:
    """Return how often a shard was merged; None where it is large enough."""
    with suppress(FileNotFoundError):
        if shard.path.stat().st_size < _LARGEST:
            return int(math.log(shard.last - shard.first + 1, FEW / 2))
    return None


def new_writer() -> str:
    """Return the id of a new writer; ids sort by the time they were made."""
    return f"{int(time.time() * 1000):012x}{os.urandom(4).hex()}"


def shard_at(folder: Path, writer: str, first: int, last: int) -> Shard:
    """Return the shard of a writer that spans these numbers."""
    return Shard(writer, first, last, folder / f"obs-{writer}-{first:08d}-{last:08d}.parquet")
