"""What a token store holds in this process: a shelf for each model, under one lock."""

from __future__ import annotations

import logging
import re
import threading
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING

from runoff._tokens.disk_shelf import DiskShelf
from runoff._tokens.shelf import OVERHEAD, Shelf
from runoff._util.fork import in_child
from runoff._waiting import exits, workers
from runoff.errors import InvalidArgument, PoolFull, RunoffError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from runoff._tokens.frequencies import Frequencies
    from runoff._tokens.vectors import TokenVectors

_logger = logging.getLogger("runoff.rerank")
_MODEL = re.compile("[0-9a-f]{64}")  # a checksum, which is the name of a model's folder
_PENDING = 32_000_000  # bytes in memory from which on they are written
_MOST_PENDING = 4 * _PENDING  # where they cannot be written


class Held:
    """Shelves by model, in memory or in a directory.

    A copy or pickle of one in memory starts empty.

    Args:
        most: how many bytes are kept.
        path: the directory; None for memory.
        verify: whether checksums are compared when files are opened.
    """

    def __init__(self, most: int, path: Path | None = None, *, verify: bool = True) -> None:
        self.most = most
        self.path = path
        self._verify = verify
        self._lock = threading.RLock()
        self._shelves: dict[str, Shelf | DiskShelf] = {}
        self._warned: set[str] = set()
        self._flushing = False
        _all.add(self)

    def get(self, model: str, keys: Sequence[bytes]) -> list[TokenVectors | None]:
        """Return what there is under these keys."""
        with self._lock:
            return self._shelf(model).get(keys)

    def put(self, model: str, entries: Mapping[bytes, TokenVectors]) -> None:
        """Add documents, and drop others where there is no room.

        Of a call that brings more than may wait in memory, each part is written before the next.
        """
        first, *others = _parts(entries)
        self._put(model, first)
        for part in others:
            self.flush_quietly()
            self._put(model, part)

    def _put(self, model: str, entries: Mapping[bytes, TokenVectors]) -> None:
        with self._lock:
            shelf = self._shelf(model)
            shelf.put(entries)
            if isinstance(shelf, DiskShelf):
                due = shelf.pending > _PENDING and not self._flushing
                if shelf.pending > _MOST_PENDING:
                    self._full(shelf.shrink(_MOST_PENDING // 2), "in memory, not written")
            else:
                others = self.nbytes - shelf.nbytes
                self._full(shelf.shrink(max(self.most - others, 0)), self._bound)
                due = False
            self._flushing |= due
        if due:
            with suppress(PoolFull):  # the next call tries again
                workers.submit(self.flush_quietly)

    def delete(self, keys: Sequence[bytes]) -> int:
        """Delete documents of every model, and return how many keys there were."""
        with self._lock:
            self._open_all()
            shelves = self._shelves.values()
            found = sum(sum(shelf.drop([key]) for shelf in shelves) > 0 for key in keys)
        self.flush()
        return found

    def frequencies(self, model: str) -> Frequencies:
        """Return in how many documents each token occurs."""
        with self._lock:
            return self._shelf(model).frequencies()

    def flush(self) -> None:
        """Write what is not written yet.

        Raises:
            OSError: it cannot be written; it stays in memory.
        """
        with self._lock:
            shelves = [one for one in self._shelves.values() if isinstance(one, DiskShelf)]
        for shelf in shelves:
            others = self.nbytes - shelf.nbytes
            dropped = shelf.flush(self._lock, max(self.most - others, 0))
            with self._lock:
                self._full(dropped, self._bound)

    def flush_quietly(self) -> None:
        """Do what `flush` does; where it fails, a WARNING says so once."""
        try:
            self.flush()
        except (OSError, RunoffError) as error:
            self._say("the token store cannot be written: new vectors stay in memory", error)
        finally:
            self._flushing = False

    def refresh(self) -> bool:
        """Open what other processes have written since; return whether there was anything."""
        with self._lock:
            self._open_all()
            shelves = [one for one in self._shelves.values() if isinstance(one, DiskShelf)]
            return sum(one.refresh() for one in shelves) > 0

    @property
    def _bound(self) -> str:
        return f"max_bytes={self.most:,}"

    @property
    def nbytes(self) -> int:
        """The bytes kept."""
        with self._lock:
            return sum(one.nbytes for one in self._shelves.values())

    def __len__(self) -> int:
        """Return the number of documents, each counted once for a model."""
        with self._lock:
            self._open_all()
            return sum(len(one) for one in self._shelves.values())

    def __reduce__(self) -> tuple[object, ...]:
        """Keep nothing in a copy of one in memory."""
        if self.path is None:
            return Held, (self.most,)
        return held_in, (self.path, self.most, self._verify)

    def forked(self) -> None:
        """Start anew in a forked process: a thread that is not there may have been writing."""
        self._lock = threading.RLock()
        self._shelves = {}
        self._flushing = False

    def _shelf(self, model: str) -> Shelf | DiskShelf:
        found = self._shelves.get(model)
        if found is None:
            if self.path is None:
                found = Shelf()
            else:
                _check_folder(self.path)
                found = DiskShelf(self.path / model, model, verify=self._verify)
            self._shelves[model] = found
        return found

    def _open_all(self) -> None:
        if self.path is not None and self.path.is_dir():
            _check_folder(self.path)
            for folder in self.path.iterdir():
                self._shelf(folder.name)

    def _full(self, dropped: int, why: str) -> None:
        if dropped:
            self._say(
                f"the token store is full ({why}): documents are dropped, and encoded again when "
                "they are needed"
            )

    def _say(self, sentence: str, error: object = None) -> None:
        if sentence not in self._warned:
            self._warned.add(sentence)
            _logger.warning("%s%s", sentence, f": {error}" if error else "")


def _parts(entries: Mapping[bytes, TokenVectors]) -> list[dict[bytes, TokenVectors]]:
    """Divide documents into parts of about `_PENDING` bytes, one at least."""
    parts: list[dict[bytes, TokenVectors]] = [{}]
    size = 0
    for key, one in entries.items():
        if size > _PENDING:
            parts.append({})
            size = 0
        parts[-1][key] = one
        size += one.nbytes + OVERHEAD
    return parts


def _check_folder(path: Path) -> None:
    """Refuse a directory with other content.

    Raises:
        InvalidArgument: always names the path.
    """
    try:
        foreign = [one.name for one in path.iterdir() if not _MODEL.fullmatch(one.name)]
    except FileNotFoundError:
        return
    except NotADirectoryError:
        raise InvalidArgument("path", str(path), "is a file: pass a directory") from None
    if foreign:
        remedy = f"contains other files ({foreign[0]}): pass an empty directory"
        raise InvalidArgument("path", str(path), remedy)


_all: weakref.WeakSet[Held] = weakref.WeakSet()
_paths: dict[Path, Held] = {}  # for as long as the process lives: what is not written yet is theirs
_opening = threading.Lock()
_hooked = False


def held_in(path: Path, most: int, verify: bool) -> Held:  # noqa: FBT001 - pickles call it
    """Return what this process holds of a directory, the same object for all who name it.

    The bound is that of the last who did.
    """
    global _hooked  # noqa: PLW0603 - once in a process
    with _opening:
        held = _paths.get(path)
        if held is None:
            held = _paths[path] = Held(most, path, verify=verify)
        held.most = most
        if not _hooked:
            _hooked = True
            exits.at_exit(_at_exit)
        return held


def _at_exit() -> None:
    for held in list(_paths.values()):
        held.flush_quietly()


@in_child
def _after_fork() -> None:
    global _opening  # noqa: PLW0603 - a held lock does not survive a fork
    _opening = threading.Lock()
    for held in list(_all):
        held.forked()
