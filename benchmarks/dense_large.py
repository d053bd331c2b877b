"""Dense beside faiss: what `dense_speed` measures, over a million vectors (6 GB of memory)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dense_speed import measured

if TYPE_CHECKING:
    from harness import Options, Report

__all__ = ["run"]


def run(options: Options) -> Report:
    """Measure a search of each."""
    return measured(2000 if options.quick else 1_000_000, 3)
