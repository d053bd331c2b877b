"""What rerankers of a framework have in common: they may leave candidates out or rewrite texts."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from runoff._util.faults import unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from runoff.types import Candidate

REMOVED_BY = "removed by "
"""How the reason of every candidate begins that a framework's reranker left out."""


@contextmanager
def read_by(name: str) -> Iterator[None]:
    """Raise `BadReply` for an error that says that a reranker cannot read its language model."""
    try:
        yield
    except Exception as error:
        bad = unreadable(error, name)
        if bad is None:
            raise
        raise bad from error


@runtime_checkable
class Rewritable(Protocol):
    """A document that carries a framework's own, whose text must change with it."""

    def rewritten(self, text: str) -> Self:
        """Return a copy with another text."""


def rewritten(candidate: Candidate, before: str, after: str) -> Candidate:
    """Return a candidate with the text that a reranker returned, if it is another one."""
    if before == after:
        return candidate
    document = candidate.document
    if isinstance(document, Rewritable):
        return replace(candidate, document=document.rewritten(after))
    return replace(candidate, document=replace(document, text=after))


def order_only(name: str) -> str:
    """Return the note that a reranker gave no scores."""
    return f"{name} returned an order without scores: rerank_score is 1 / rank"


def unfilled(name: str, left_out: int, number: int) -> str:
    """Return the note that candidates below the window do not replace those that were removed."""
    return (
        f"{name} left out {left_out} of {number} candidates; candidates that it has not read do "
        "not take their places, so there may be fewer results"
    )
