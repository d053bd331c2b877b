"""What to do next about lost quality: each move with the most it could bring."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from runoff.evaluation._ledger import Move
from runoff.evaluation._recording import Content

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from runoff.evaluation._ledger import QueryLedger
    from runoff.evaluation._replay import Settings
    from runoff.evaluation._setup import Setup
    from runoff.evaluation._traversal import Traversal

__all__ = ["Bounds", "bounds_of", "moves_of"]

_LEAST = 1e-12


class Valued(Protocol):
    """What values an order of rows."""

    def value(self, rows: NDArray[np.int64]) -> float:
        """Return the value of rows in this order."""

    def best(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return rows in the best order."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most that changes of each kind can bring in one query, 0 where they touch nothing.

    Attributes:
        sources: other sources, or the same ones made better.
        depth: any depth up to the recorded one.
        grouping: none, or a finer one.
        fusion: any order and any window of it.
        dropped: what the reranker drops is kept.
        scored: what the answer had to do without is there.
        reranker: any second stage over this window that drops nothing.
        whole: the same reranker, reading what was cut.
    """

    sources: float
    depth: float
    grouping: float
    fusion: float
    dropped: float
    scored: float
    reranker: float
    whole: float


def bounds_of(walked: Traversal, judged: Valued, ledger: QueryLedger) -> Bounds:
    """Return the bounds of one query."""
    ceilings, read = ledger.ceilings, _second_stage(walked, judged, ledger)
    recall_failed = bool(walked.query.failed_sources)
    made = walked.unthresholded
    unscored = not walked.read.whole or (made is not None and len(made.unscored) > 0)
    best = {
        "sources": ceilings["judged"],
        "depth": ceilings["recorded"] if len(walked.query) > len(walked.found) else None,
        "grouping": ceilings["depth"] if walked.under else None,
        "fusion": ceilings["depth"],
        "dropped": read if len(walked.dropped) else None,
        "scored": ceilings["judged"] if recall_failed else read if unscored else None,
        "reranker": read,
        "whole": read if walked.read.truncated[walked.readable].any() else None,
    }
    return Bounds(
        **{
            name: 0.0 if most is None else max(0.0, most - ledger.achieved)
            for name, most in best.items()
        }
    )


def _second_stage(walked: Traversal, judged: Valued, ledger: QueryLedger) -> float:
    """Return the best value of any second stage over this window that drops nothing.

    Blank texts and images in the window count too, as it may place what it reads around them, and
    so do all images where there is a threshold, since they move up when it takes others out.
    """
    content, heads, window = walked.query.content, walked.heads, walked.window
    if not (content[heads[:window]] == Content.TEXT).any():
        return ledger.achieved
    inside = np.arange(len(heads)) < window
    whole = np.append(judged.best(heads[inside]), heads[~inside])
    kept = judged.best(heads[inside | (content[heads] == Content.IMAGE)])
    return max(judged.value(whole), judged.value(kept))


def moves_of(
    entries: Mapping[str, float],
    bounds: Sequence[Bounds],
    chosen: Settings,
    setup: Setup,
    value: Callable[..., float | None],
    achieved: float,
) -> tuple[Move, ...]:
    """Return what can be done, the largest loss first.

    Args:
        entries: the mean losses.
        bounds: of every query.
        chosen: the settings in use.
        setup: what was recorded.
        value: the mean value of the answers with changed settings; None where they were not
            recorded.
        achieved: the mean value of the answers.
    """
    most = {
        one.name: math.fsum(getattr(bound, one.name) for bound in bounds) / len(bounds)
        for one in fields(Bounds)
    }

    def brings(**changes: Any) -> float | None:  # noqa: ANN401 - of several types
        found = value(**changes)
        return None if found is None else found - achieved

    deep, wide = setup.recorded_depth, setup.recorded_window
    # one source is in the order it came in, whatever fusion there is
    several = len(setup.sources) > 1
    order = "another fusion or other weights" if several else "a better order of the first stage"
    open_to: list[tuple[str, str, str, float | None]] = [
        ("a better first stage", "not_retrieved", "sources", None),
        (order, "fused_low", "fusion", None),
        ("a reranker that drops nothing", "dropped", "dropped", None),
        ("answers that are never degraded", "degraded", "scored", None),
        ("a better reranker", "demoted", "reranker", None),
        ("reading the whole text, by passages or with a longer limit", "truncated", "whole", None),
    ]
    if not chosen.steps:
        open_to.append(("a second stage", "fused_low", "reranker", None))
    if chosen.depth < deep:
        open_to.append((f"a depth of {deep}", "below_depth", "depth", brings(depth=deep)))
    if chosen.group is not None:
        open_to.append(("no grouping", "grouped", "grouping", brings(group=None)))
    if chosen.steps and chosen.window < wide:
        open_to.append((f"a window of {wide}", "fused_low", "fusion", brings(window=wide)))
    moves = [
        Move(action, entry, entries[entry], most[bound], gain)
        for action, entry, bound, gain in open_to
        if entries[entry] > _LEAST and most[bound] > _LEAST
    ]
    exact = {}
    if chosen.steps:
        *earlier, last = chosen.steps
        if last.threshold is not None:
            steps = (*earlier, replace(last, threshold=None))
            exact["no threshold", "filtered"] = brings(steps=steps)
        exact["no second stage", "demoted"] = brings(steps=())
    moves += [
        Move(action, entry, entries[entry], gain, gain)
        for (action, entry), gain in exact.items()
        if gain is not None and gain > _LEAST
    ]
    return tuple(sorted(moves, key=lambda one: (-one.loss, -(one.brings or 0.0))))
