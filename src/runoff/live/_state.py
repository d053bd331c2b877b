"""`state`: what is known about watched traffic, read from what `judge` keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runoff.live._judging.found import found_in
from runoff.live._judging.store import store_of

if TYPE_CHECKING:
    from pathlib import Path

    from runoff.live._judging.found import Judging


def state(path: Path) -> Judging | None:
    """Return what is known about a directory of observations; None if nothing was graded there.

    Args:
        path: the directory that `watch` writes.

    Raises:
        InvalidArgument: the file of grades cannot be read.
    """
    store = store_of(path)
    now = None if store is None else store.get("now")
    return None if store is None or now is None else found_in(store, now)
