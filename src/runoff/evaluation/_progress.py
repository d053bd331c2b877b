"""How far a recording is, on standard error: a bar where rich is installed, else a line."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["shown"]

_T = TypeVar("_T")
_EVERY = 5.0  # seconds between two lines


def shown(items: Iterable[_T], total: int, done: int = 0) -> Iterator[_T]:
    """Yield items and show how many of how many there were.

    Args:
        items: what is yielded.
        total: how many there are in all.
        done: how many there were before the first.
    """
    try:
        from rich.console import Console  # noqa: PLC0415 - of an extra
        from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn  # noqa: PLC0415
    except ModuleNotFoundError:
        yield from _lines(items, total, done)
        return
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("recording", total=total, completed=done)
        for item in items:
            yield item
            progress.advance(task)


def _lines(items: Iterable[_T], total: int, done: int) -> Iterator[_T]:
    said = time.monotonic()
    for item in items:
        yield item
        done += 1
        if done == total or time.monotonic() - said >= _EVERY:
            said = time.monotonic()
            sys.stderr.write(f"recording: {done} of {total} queries\n")
