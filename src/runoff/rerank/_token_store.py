"""Where the token vectors of documents are kept."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

from runoff._tokens.held import Held, held_in
from runoff._tokens.keeps import Keeps
from runoff._tokens.shelf import key_of
from runoff._util.arguments import is_whole, plain_numbers
from runoff._util.stored import path_of
from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runoff._tokens.frequencies import Frequencies
    from runoff._tokens.vectors import TokenVectors

_LEAST_BYTES = 1_000_000
_SHARED_BYTES = 256_000_000


@dataclass(frozen=True, slots=True)
class TokenStore:
    """Token vectors of documents, by text and model, in memory or in a directory.

    A token takes one byte a dimension and eight more: 392 with 384 dimensions, 136 with 128. In
    memory, documents used least recently are dropped where there is no room; in a directory, those
    added first. A WARNING says so once. They are encoded again when they are needed.

    A directory has the promises of a saved BM25 index: it always contains one complete state, even
    if a process is killed or the disk is full, and vectors are read from mapped files. What is
    added is searched at once; it is written when 32 MB have come together, by `flush`, and when the
    interpreter exits. Several processes may write. Texts are not stored, but their vectors say
    something about them: protect the directory as you do the documents.

    Attributes:
        path: the directory, made on first use, or None for memory. Each model has a folder there.
        max_bytes: how much is kept, 1 MB or more.
        verify: compare checksums when files are opened (about a second for a gigabyte).

    Raises:
        InvalidArgument: an argument has an invalid value.
    """

    path: str | Path | None = None
    _: KW_ONLY
    max_bytes: int = 1_000_000_000
    verify: bool = True
    _held: Held = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the arguments; nothing is opened yet."""
        most = self.max_bytes
        if not is_whole(most, _LEAST_BYTES):
            raise InvalidArgument("max_bytes", most, f"must be {_LEAST_BYTES:,} or more")
        plain_numbers(self, "max_bytes")
        if not isinstance(self.verify, bool):
            raise InvalidArgument("verify", self.verify, "must be True or False")
        held = Held(most)
        if self.path is not None:
            path = path_of("path", self.path).expanduser().absolute()
            object.__setattr__(self, "path", path)
            held = held_in(path, most, self.verify)
        object.__setattr__(self, "_held", held)

    def get(self, model: str, texts: Sequence[str]) -> list[TokenVectors | None]:
        """Return the vectors that a model made of n texts; None where there are none.

        Args:
            model: what the vectors depend on besides the text, as a checksum.
            texts: the texts.

        Raises:
            InvalidArgument: the directory has other content.
            IndexDamaged: what it contains cannot be read.
            IndexTooNew: a newer version of runoff wrote it.
        """
        return self._held.get(model, [key_of(text) for text in texts])

    def put(self, model: str, texts: Sequence[str], vectors: Sequence[TokenVectors]) -> None:
        """Keep the vectors that a model made of n texts; those of known texts stay as they are.

        Raises:
            RunoffError: as for `get`.
        """
        entries = {key_of(text): one for text, one in zip(texts, vectors, strict=True)}
        self._held.put(model, entries)

    def delete(self, texts: Sequence[str]) -> int:
        """Delete the vectors of texts, and return how many of the texts had vectors.

        A directory is written at once, and contains nothing of them then.

        Raises:
            InvalidArgument: `texts` is one text, not a list of them.
            RunoffError: as for `get`.
            OSError: the directory cannot be written.
        """
        if isinstance(texts, str | bytes):
            raise InvalidArgument("texts", texts, "must be a list of texts")
        return self._held.delete(list(dict.fromkeys(key_of(text) for text in texts)))

    def flush(self) -> None:
        """Write what was added since the last time.

        Raises:
            OSError: it cannot be written; nothing is lost.
        """
        self._held.flush()

    def refresh(self) -> bool:
        """Open what other processes have written; return whether there was anything new.

        Raises:
            RunoffError: as for `get`.
        """
        return self._held.refresh()

    def frequencies(self, model: str) -> Frequencies:
        """Return in how many documents each token occurs.

        The counts are renewed when the number of documents has changed by a quarter.
        """
        return self._held.frequencies(model)

    @property
    def nbytes(self) -> int:
        """The bytes of the vectors kept by the models in use."""
        return self._held.nbytes

    def __len__(self) -> int:
        """Return the number of documents, each counted once for a model."""
        return len(self._held)

    def __bool__(self) -> bool:
        """Return True: an empty store is a store."""
        return True


_shared = TokenStore(max_bytes=_SHARED_BYTES)


def shared() -> TokenStore:
    """Return this process's own store, in memory."""
    return _shared


def as_token_store(store: object) -> Keeps | None:
    """Return the store that an argument `store` stands for; a path is a `TokenStore` there.

    Raises:
        InvalidArgument: it is something else.
    """
    if isinstance(store, str | Path):
        return TokenStore(store)
    if store is None or _keeps(store):
        return store
    remedy = "must be a TokenStore, a path, an object with get, put and frequencies, or None"
    raise InvalidArgument("store", store, remedy)


def _keeps(store: object) -> TypeGuard[Keeps]:
    return not isinstance(store, type) and isinstance(store, Keeps)
