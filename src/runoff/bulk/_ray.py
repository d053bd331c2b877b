"""Computes parts on a Ray cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runoff._waiting.cluster import each
from runoff.bulk._parts import Reader, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from runoff.bulk._parts import Counts, Part
    from runoff.bulk._tasks import Task


@dataclass(frozen=True, slots=True)
class _Make:
    """Makes what a worker does with a part: read it, compute, write."""

    task: Task
    folder: Path

    def __call__(self) -> Callable[[Part], tuple[Part, Counts]]:
        reader = Reader()

        def work(part: Part) -> tuple[Part, Counts]:
            table = reader.read(part)
            return part, write(self.folder, part, table, self.task(table))

        return work


def compute(
    task: Task, parts: Sequence[Part], folder: Path, workers: int | None
) -> Iterator[tuple[Part, Counts]]:
    """Yield each part when it is written."""
    return each(_Make(task, folder.absolute()), parts, workers)
