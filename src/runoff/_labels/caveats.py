"""A verdict on judgments that cannot prove anything says so, and decides nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runoff.evaluation._tune import Tuning
    from runoff.evaluation._verdict.result import Verdict


def caveats_of(*measured: object) -> str:
    """Return why nothing can be proven by these values; empty if it can."""
    return "; ".join(
        dict.fromkeys(caveat for one in measured if (caveat := getattr(one, "caveat", "")))
    )


def doubted(found: Verdict, caveat: str) -> Verdict:
    """Return a verdict that decides nothing if there is a caveat, with its figures as they are."""
    if not caveat:
        return found
    main = found.main
    low, high = main.interval
    return replace(
        found,
        decision="undecided",
        reason=(
            f"{main.measure} {main.difference:+.4f} [{low:+.4f}, {high:+.4f}] on {main.queries} "
            f"queries proves nothing: the judgments are {caveat}."
        ),
        keep_for=(),
        remove_for=(),
        more_queries=None,
        caveat=caveat,
    )


def unsettled(found: Tuning, caveat: str) -> Tuning:
    """Return a tuning that recommends nothing new if there is a caveat."""
    if not caveat:
        return found
    return replace(
        found,
        decision="keep what you have",
        reason=f"no setting can be proven better: the judgments are {caveat}.",
        recommended=found.configured,
    )
