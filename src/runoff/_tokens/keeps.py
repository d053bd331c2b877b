"""What late interaction asks of a store of token vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runoff._tokens.frequencies import Frequencies
    from runoff._tokens.vectors import TokenVectors

__all__ = ["Keeps"]


@runtime_checkable
class Keeps(Protocol):
    """What late interaction asks of a store; an engine that holds token vectors may be one."""

    def get(self, model: str, texts: Sequence[str]) -> Sequence[TokenVectors | None]:
        """Return the vectors that a model made of n texts; None where there are none."""
        ...

    def put(self, model: str, texts: Sequence[str], vectors: Sequence[TokenVectors]) -> None:
        """Keep the vectors that a model made of n texts."""
        ...

    def frequencies(self, model: str) -> Frequencies | None:
        """Return in how many documents each token occurs; None where that is not known."""
        ...
