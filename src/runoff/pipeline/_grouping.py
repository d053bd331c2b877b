"""The pipeline's `group=`: what it accepts, and the fates of the candidates it puts aside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runoff.grouping import Grouping
from runoff.trace import Fate, FateKind, Scoring

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runoff.types import Candidate

__all__ = ["as_grouping", "grouped_fates"]


def as_grouping(given: object) -> Grouping | None:
    """Return a `Grouping` as it was given, or one with this `by`; None means no grouping.

    Raises:
        InvalidArgument: it is neither a `Grouping`, a metadata field, a callable nor None.
    """
    if given is None or isinstance(given, Grouping):
        return given
    return Grouping(given)  # type: ignore[arg-type] # it checks


def grouped_fates(candidates: Sequence[Candidate]) -> tuple[Fate, ...]:
    """Return the fates of the candidates that these stand for."""
    return tuple(
        Fate(one, FateKind.GROUPED, None, Scoring.GROUPED, grouped_under=head.key)
        for head in candidates
        for one in head.grouped
    )
