"""What to do next, in sentences: drawn from the verdict, the losses, the window and the health."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runoff.evaluation._curve import Curve
    from runoff.evaluation._ledger import Ledger
    from runoff.evaluation._measures import Measured
    from runoff.evaluation._observations import Health
    from runoff.evaluation._verdict import Verdict
    from runoff.report._evaluated import Evaluated

__all__ = ["next_steps"]

_MOVES = 3
_MANY = 1000  # queries that nobody is told to judge
_GAIN = 0.0005  # below, a figure would be shown as nothing
_HINTS = {
    "a better first stage": "beside words (BM25) also meaning (embeddings), another model for "
    "these, or smaller chunks",
    "another fusion or other weights": "`tune` tries them on this recording",
    "a better reranker": "`replay(reranker=...)` compares one on this recording",
}


def next_steps(
    found: Evaluated, ledger: Ledger, curve: Curve | None, health: Health | None
) -> tuple[str, ...]:
    """Return what to do next as sentences, the most urgent first.

    Where no result was judged there is but one step, since no figure means anything.
    """
    if not any(map(_judged, found.measured.values())):
        step = (
            "Look at the ids first: none of the results is among the judged documents, so that no "
            "figure below says anything. The notes have an id of each kind."
        )
        return (step,)
    odd = () if health is None else health.odd
    broken = {"degraded", "kind", "constant"}  # without these put right, the rest is of little use
    told = {one.check: f"{one.sentence} Try {one.advice}." for one in odd}
    return (
        *(sentence for check, sentence in told.items() if check in broken),
        *(() if found.verdict is None else _verdict(found.verdict)),
        *(() if curve is None else _window(curve)),
        *_moves(ledger),
        *(sentence for check, sentence in told.items() if check not in broken),
    )


def _judged(one: Measured) -> bool:
    return any(np.nansum(shares) > 0 for shares in one.judged.values())


def _verdict(found: Verdict) -> Iterator[str]:
    main = found.main
    figure = f"{main.measure} {main.difference:+.3f} on {main.queries} queries"
    kept, removed = (
        " and ".join(map("=".join, slices)) for slices in (found.keep_for, found.remove_for)
    )
    if found.decision == "keep":
        yield f"Keep the second stage: it is proven to help ({figure})."
    elif found.decision == "remove":
        yield f"Take the second stage out, or try another: it is proven to do harm ({figure})."
    elif found.decision == "keep for these slices":
        harm = f", and leave it out for {removed}, where it does harm" if removed else ""
        yield f"Use the second stage for {kept or 'the other queries'}{harm}."
    elif found.decision == "no effect":
        yield (
            f"Take the second stage out, or try another: what it changes is shown to be within "
            f"{found.bound:g} ({figure})."
        )
    elif found.more_queries is not None and found.more_queries > _MANY:
        yield (
            f"Let time and cost decide about the second stage: its effect ({figure}) is too small "
            f"to be told from none without some {found.more_queries:,} more judged queries."
        )
    else:
        yield (
            f"Judge about {found.more_queries} more queries: on these it is not proven that the "
            f"second stage helps, nor that it does harm ({figure})."
        )
    if found.decision == "undecided" and removed:
        yield f"Leave the second stage out for {removed}: it is proven to do harm there."


def _window(found: Curve) -> Iterator[str]:
    first = found.measures[0]
    # whether a second stage is wanted at all is the verdict's to say
    points = {one.window: one for one in found.points if one.window}
    old, new = points.get(found.configured), points.get(found.recommended)
    if old is not None and new is not None and old is not new:
        change = new.values[first] - old.values[first]
        yield (
            f"Set the window to {new.window} in place of {old.window}: {first} {change:+.3f}, and "
            f"95 of 100 searches take up to {new.p95_ms:.0f} ms in place of {old.p95_ms:.0f}."
        )
    if found.shape == "still rises":
        yield (f"Record a wider window than {found.points[-1].window}: {first} still rises there.")


def _moves(ledger: Ledger) -> Iterator[str]:
    worth = [
        move
        for move in ledger.moves
        if (move.at_most if move.brings is None else move.brings) >= _GAIN
        # the verdict speaks of the second stage, and the curve of the window
        and not move.action.startswith(("no second stage", "a window"))
    ]
    for move in worth[:_MOVES]:
        hint = f" ({_HINTS[move.action]})" if move.action in _HINTS else ""
        gain = (
            f"could bring up to {move.at_most:.3f} of {ledger.measure}"
            if move.brings is None
            else f"brings {move.brings:.3f} of {ledger.measure} on these queries"
        )
        yield f"Try {move.action}{hint}: it {gain}; {move.loss:.3f} is lost there now."
