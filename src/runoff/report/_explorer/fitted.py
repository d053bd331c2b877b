"""A recording as the explorer shows it: with settings for which it has all scores."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from runoff._recording.query import Content, FateCode, Stored
from runoff._recording.recording import Recording
from runoff._recording.replay import plan_replay, traversals
from runoff._recording.setup import fusion_from_json
from runoff._util.messages import number_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from numpy.typing import NDArray

    from runoff._recording.query import RecordedQuery

REMEDY = "record(...) without a window scores all candidates"


def fitted(recording: Recording) -> tuple[Recording, list[str]]:
    """Return a recording, in memory, whose own settings can be replayed, and what was changed.

    A recording may hold fewer scores than its system reads, since `record` takes a window, and not
    those of the first candidates at the system's depth, since `record` takes a depth.

    Args:
        recording: what `record` returned.

    Returns:
        The recording, and how its settings differ from the system's, as sentences.
    """
    given, kept = recording.setup, Stored(list(recording))
    widest = max(map(len, kept), default=0) or given.window  # candidates of one query
    whole, deeper = not narrow(kept), given.depth < given.recorded_depth
    rebuilt = fusion_from_json(given.fusion) is not None
    if not given.steps or any(step.listwise for step in given.steps):
        most = given.recorded_window  # nothing is read, or exactly what was recorded
    elif whole:
        most = widest
    elif deeper and not rebuilt:
        most = 0
    else:
        most = min(widest, reach(Recording(given, kept)))
    setup, notes, wanted = given, [], min(given.window, widest)
    if deeper and (most < wanted or not rebuilt):
        deep = replace(given, depth=given.recorded_depth)
        further = most if whole else min(widest, reach(Recording(deep, kept)))
        if further > most or not rebuilt:
            setup, most = deep, further
            why = "only this depth has all scores" if rebuilt else "its fusion cannot be rebuilt"
            notes.append(
                f"Shown at depth {setup.depth}, as it was recorded, since {why}: the system asks "
                f"each source for {number_of(given.depth, 'hit')}."
            )
    if most < wanted:
        notes.append(
            f"Shown with a window of {most}, since the recording has no scores beyond: the system "
            f"reads {number_of(given.window, 'candidate')}."
        )
    if setup.steps:
        most = max(1, most)
        setup = replace(setup, window=min(given.window, most), recorded_window=most)
    return Recording(setup, kept), notes


def narrow(queries: Iterable[RecordedQuery]) -> bool:
    """Return whether candidates with a text were left unread, below the recorded window."""
    return any(bool(_unread(one).any()) for one in queries)


def reach(recording: Recording, **settings: Any) -> int:  # noqa: ANN401 - as `replay` takes them
    """Return the widest window of which every query has all scores; 0 if it lacks the first.

    Args:
        recording: with the sources in use.
        **settings: `depth` and `fusion`, as `replay` takes them.
    """
    least = sys.maxsize
    for one in traversals(recording, plan_replay(recording, **settings, reranker=None)):
        lacking = np.flatnonzero(_unread(one.query)[one.heads])
        if len(lacking):
            least = min(least, int(lacking[0]))
    return least


def _unread(query: RecordedQuery) -> NDArray[np.bool_]:
    unread: NDArray[np.bool_] = (query.fate == int(FateCode.TAIL)) & (
        query.content == int(Content.TEXT)
    )
    return unread
