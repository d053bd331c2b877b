"""`state`: what is known about watched traffic, read from what `judge` keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runoff.live._judging.found import found_in

if TYPE_CHECKING:
    from os import PathLike

    from runoff.live._statement import Statement

__all__ = ["state"]


def state(path: str | PathLike[str]) -> Statement:
    """Return what is known about a directory of observations.

    Args:
        path: the directory that `watch` writes and `judge` graded.

    Raises:
        InvalidArgument: `judge` has not graded anything there.
    """
    return found_in(path).statement
