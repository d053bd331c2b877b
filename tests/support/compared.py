"""Two systems that users compare: sources that always return the same documents, or fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runoff import Document, TwoStage
from runoff.types import Hit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from runoff.deadline import Deadline
    from runoff.types import Query

__all__ = ["GOOD", "system"]

GOOD = [f"d{at}" for at in range(10)]
"""Document ids, best first."""


@dataclass(frozen=True)
class _Listed:
    """A source that always returns these documents, or fails."""

    ids: tuple[str, ...]
    error: Exception | None = None

    def retrieve(
        self, query: Query, *, depth: int, deadline: Deadline | None = None
    ) -> Sequence[Hit]:
        """Return them, or raise the error."""
        del query, depth, deadline
        if self.error is not None:
            raise self.error
        return [Hit(Document(one, f"text {one}"), -float(at)) for at, one in enumerate(self.ids)]


def system(ids: Iterable[str], error: Exception | None = None) -> TwoStage:
    """Return a pipeline that always returns these documents, or fails."""
    return TwoStage({"listed": _Listed(tuple(ids), error)}, reranker=None)
