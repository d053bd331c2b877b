"""Which words of a query met which words of a document, asked of the scorer when it is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from runoff.rerank._cache.keys import innermost

if TYPE_CHECKING:
    from collections.abc import Callable

    from runoff.protocols import PairScorer
    from runoff.scores import Match
    from runoff.types import Document

__all__ = ["Matcher", "matcher_of"]


@runtime_checkable
class _Matching(Protocol):
    def matches(self, query: str, document: str) -> tuple[Match, ...]: ...


@dataclass(frozen=True, slots=True)
class Matcher:
    """A callable from a document to its matches; a copy or pickle of an answer goes without."""

    query: str
    scorer: _Matching
    text: Callable[[Document], str] | None

    def __call__(self, document: Document) -> tuple[Match, ...]:
        """Return the matches, those that make most of the score first.

        Raises:
            RunoffError: the scorer's error.
        """
        read = document.text if self.text is None else self.text(document)
        return self.scorer.matches(self.query, read)

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        """Return None in its place: the model stays in this process."""
        return _nothing, ()


def _nothing() -> None:
    return None


def matcher_of(
    query: str, scorer: PairScorer, text: Callable[[Document], str] | None
) -> Matcher | None:
    """Return what matches a query with documents; None where the scorer cannot."""
    inner = innermost(scorer)
    return Matcher(query, inner, text) if isinstance(inner, _Matching) else None
