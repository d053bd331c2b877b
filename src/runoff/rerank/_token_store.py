"""Where the token vectors of documents are kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runoff._tokens.held import Held
from runoff._tokens.shelf import key_of
from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runoff._tokens.frequencies import Frequencies
    from runoff._tokens.vectors import TokenVectors

__all__ = ["TokenStore", "shared"]

_LEAST_BYTES = 1_000_000
_SHARED_BYTES = 256_000_000


@dataclass(frozen=True, slots=True)
class TokenStore:
    """Token vectors of documents, by text and model; those used least recently are dropped.

    Attributes:
        max_bytes: how much is kept, 1 MB or more; a WARNING says once when that is reached.

    Raises:
        InvalidArgument: `max_bytes` is not a whole number of 1,000,000 or more.
    """

    max_bytes: int = 1_000_000_000
    _held: Held = field(default_factory=Held, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the bound."""
        most = self.max_bytes
        if isinstance(most, bool) or not isinstance(most, int) or most < _LEAST_BYTES:
            raise InvalidArgument("max_bytes", most, f"must be {_LEAST_BYTES:,} or more")

    def get(self, model: str, texts: Sequence[str]) -> list[TokenVectors | None]:
        """Return the vectors that a model made of n texts; None where there are none.

        Args:
            model: what the vectors depend on besides the text.
            texts: the texts.
        """
        return self._held.get(model, [key_of(text) for text in texts])

    def put(self, model: str, texts: Sequence[str], vectors: Sequence[TokenVectors]) -> None:
        """Keep the vectors that a model made of n texts; those of known texts stay as they are."""
        entries = {key_of(text): one for text, one in zip(texts, vectors, strict=True)}
        self._held.put(model, entries, self.max_bytes)

    def delete(self, texts: Sequence[str]) -> int:
        """Delete the vectors of texts, and return of how many there were any.

        Raises:
            InvalidArgument: `texts` is one text, not a list of them.
        """
        if isinstance(texts, str | bytes):
            raise InvalidArgument("texts", texts, "must be a list of texts")
        return self._held.delete(list(dict.fromkeys(key_of(text) for text in texts)))

    def frequencies(self, model: str) -> Frequencies:
        """Return in how many documents each token occurs."""
        return self._held.frequencies(model)

    @property
    def nbytes(self) -> int:
        """The bytes kept."""
        return self._held.nbytes

    def __len__(self) -> int:
        """Return the number of documents, each counted once for a model."""
        return len(self._held)

    def __bool__(self) -> bool:
        """Return True: an empty store is a store."""
        return True


_shared = TokenStore(_SHARED_BYTES)


def shared() -> TokenStore:
    """Return this process's own store, in memory."""
    return _shared
