"""What late interaction asks of a store of token vectors, and how others share its encoding."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runoff._tokens.encoder import TokenEncoder
    from runoff._tokens.frequencies import Frequencies
    from runoff._tokens.vectors import TokenVectors


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


class Encoding(NamedTuple):
    """What makes token vectors, and where they are kept."""

    encoder: TokenEncoder
    store: Keeps


@runtime_checkable
class Shares(Protocol):
    """A scorer whose document vectors an embedding model can make in the same pass."""

    @property
    def encoding(self) -> Encoding:
        """What makes its vectors, and where they are kept; loads the model."""
        ...
