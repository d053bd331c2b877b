"""The token vectors that one model made, in a directory: segments, and what is not written yet."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from runoff._tokens.segment import NAME, Segment
from runoff._tokens.shelf import Counts, Shelf
from runoff._util.generations import Kind, current_generation, damaged, publish, read
from runoff._util.stored import is_count, is_text
from runoff.errors import IndexDamaged, IndexNotFound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from runoff._tokens.frequencies import Frequencies
    from runoff._tokens.vectors import TokenVectors
    from runoff._util.generations import StoredGeneration

_KIND = Kind("tokens", 1)
_SHARE = 8  # a segment takes at most this part of the bytes allowed, so that few are dropped
_LARGEST = 256_000_000  # bytes of a segment, which is put together in memory


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """A generation that is open."""

    stored: StoredGeneration | None
    segments: tuple[Segment, ...]
    documents: int
    counts: NDArray[np.int64]

    @property
    def name(self) -> str:
        return "" if self.stored is None else self.stored.name

    @property
    def nbytes(self) -> int:
        return sum(one.nbytes for one in self.segments)

    def row(self, key: bytes) -> TokenVectors | None:
        for segment in reversed(self.segments):
            (row,) = segment.rows([key])
            if row >= 0:
                return segment.at(row)
        return None


_EMPTY = _View(None, (), 0, np.zeros(0, np.int64))


class DiskShelf:
    """Documents of one model in a directory.

    What is added is in memory until `flush` writes it as a new generation: the segments of the
    last, as links, and one more. Where that leaves several small ones, they become one. Other
    processes may write meanwhile: each starts from what the last has written.

    Args:
        path: the directory, which need not exist.
        model: what the vectors depend on besides their text.
        verify: whether checksums are compared when files are opened.

    Raises:
        IndexDamaged, IndexTooNew: what is there cannot be read.
    """

    def __init__(self, path: Path, model: str, *, verify: bool) -> None:
        self._path = path
        self._model = model
        self._verify = verify
        self._writing = threading.Lock()
        self._fresh = Shelf()
        self._gone: set[bytes] = set()
        self._take(self._opened(_EMPTY))

    def get(self, keys: Sequence[bytes]) -> list[TokenVectors | None]:
        """Return what there is under these keys."""
        found = self._fresh.get(keys)
        for segment in reversed(self._view.segments):
            missing = [
                at for at, one in enumerate(found) if one is None and keys[at] not in self._gone
            ]
            if not missing:
                break
            rows = segment.rows([keys[at] for at in missing])
            for at, row in zip(missing, rows, strict=True):
                found[at] = segment.at(row) if row >= 0 else None
        return found

    def put(self, entries: Mapping[bytes, TokenVectors]) -> None:
        """Add documents, in memory; those that are there stay as they are."""
        there = self.get(list(entries))
        new = {key: one for (key, one), old in zip(entries.items(), there, strict=True)
               if old is None}  # fmt: skip
        self._fresh.put(new)
        for one in new.values():
            self._counts.change(one.ids, 1)

    def drop(self, keys: Sequence[bytes]) -> int:
        """Delete documents, and return how many there were; `flush` removes them from the disk."""
        dropped = 0
        for key, one in zip(keys, self.get(keys), strict=True):
            if one is not None:
                dropped += 1
                self._counts.change(one.ids, -1)
                if not self._fresh.drop([key]):
                    self._gone.add(key)
        return dropped

    @property
    def pending(self) -> int:
        """The bytes that are not written yet, 1 or more where something is to be written."""
        return self._fresh.nbytes or len(self._gone)

    @property
    def nbytes(self) -> int:
        """The bytes kept."""
        return self._view.nbytes + self._fresh.nbytes

    def __len__(self) -> int:
        """Return the number of documents."""
        return self._counts.documents

    def frequencies(self) -> Frequencies:
        """Return in how many documents each token occurs."""
        return self._counts.shown()

    def shrink(self, most: int) -> int:
        """Forget what is not written yet beyond so many bytes; return how many documents."""
        before = list(self._fresh.held.values())
        dropped = self._fresh.shrink(most)
        for one in before[:dropped]:
            self._counts.change(one.ids, -1)
        return dropped

    def refresh(self) -> bool:
        """Open what another process has written since; return whether there was anything."""
        try:
            newer = current_generation(self._path, _KIND) != self._view.name
        except IndexNotFound:
            newer = bool(self._view.name)
        if newer:
            self._take(self._opened(self._view))
        return newer

    def flush(self, lock: threading.RLock, most: int) -> int:
        """Write what is new, and return how many documents were dropped for want of room.

        Args:
            lock: guards this object; it is held only to read and to change what is in memory.
            most: the bytes that the directory may take; the oldest documents are dropped.

        Raises:
            OSError: it cannot be written; nothing is lost.
        """
        with self._writing:
            with lock:
                fresh, gone = dict(self._fresh.held), set(self._gone)
            if not fresh and not gone:
                return 0
            with publish(self._path, _KIND) as new:
                last = self._opened(self._view)
                new_ones = {
                    key: one for key, one in fresh.items() if key in gone or last.row(key) is None
                }
                kept, made, left_out = _plan(last, new_ones, gone, most)
                for segment in kept:
                    segment.keep(last.stored, new)  # type: ignore[arg-type] # it has segments, so it is stored
                for segment in made:
                    segment.write(new)
                counts = _counted(last, new_ones, gone, left_out)
                new.write_array("counts.bin", counts.counts.astype("<i8"))
                segments = [*kept, *made]
                new.facts |= {
                    "model": self._model,
                    "dims": int(segments[0].codes.shape[1]) if segments else 0,
                    "segments": [one.name for one in segments],
                    "documents": counts.documents,
                }
            view = self._opened(self._view)
            with lock:
                self._fresh.drop([key for key, one in fresh.items()
                                  if self._fresh.held.get(key) is one])  # fmt: skip
                self._gone -= gone
                self._take(view)
        return sum(map(len, left_out))

    def _take(self, view: _View) -> None:
        """Go on with an open generation, and with what is not written yet."""
        self._view = view
        shown = getattr(self, "_counts", None)
        self._counts = Counts(view.documents, view.counts.copy(), shown)
        for one in self._fresh.held.values():
            self._counts.change(one.ids, 1)
        for key in list(self._gone):
            found = view.row(key)
            if found is None:
                self._gone.discard(key)
            else:
                self._counts.change(found.ids, -1)

    def _opened(self, known: _View) -> _View:
        """Open the current generation, with the segments of `known` that it still has.

        Raises:
            IndexDamaged, IndexTooNew: it cannot be read.
        """

        def use(stored: StoredGeneration) -> _View:
            return self._read(stored, known)

        try:
            return read(self._path, _KIND, use, verify=self._verify, mmap=True)
        except IndexNotFound:
            return _EMPTY
        except IndexDamaged as error:
            msg = f"{error}; or delete {self._path}: its documents are then encoded again"
            raise IndexDamaged(msg) from error

    def _read(self, stored: StoredGeneration, known: _View) -> _View:
        facts = stored.facts
        names, dims, documents = (facts.get(one) for one in ("segments", "dims", "documents"))
        if facts.get("model") != self._model:
            raise damaged(stored.folder, "contains the vectors of another model")
        if not isinstance(names, list) or not is_text(*names) or not is_count(dims):
            raise damaged(stored.folder, "does not name its segments")
        if not all(map(NAME.fullmatch, names)):
            raise damaged(stored.folder, "does not name its segments")
        have = {one.name: one for one in known.segments}
        segments = tuple(
            have[name] if name in have else Segment.read(stored, name, dims) for name in names
        )
        counts = stored.array("counts.bin", np.int64)
        if sum(map(len, segments)) != documents or not bool((counts >= 0).all()):
            raise damaged(stored.folder, "contains a different number of documents than it states")
        return _View(stored, segments, documents, counts)


def _plan(
    last: _View, new: dict[bytes, TokenVectors], gone: set[bytes], most: int
) -> tuple[list[Segment], list[Segment], list[Segment]]:
    """Return the segments that stay, those to write, and those that find no room."""
    kept: list[Segment] = []
    made: list[Segment] = []
    for segment in last.segments:
        if gone and max(segment.rows(list(gone))) >= 0:  # nothing of what is deleted may stay
            left = {key: one for key, one in segment.entries() if key not in gone}
            made += [Segment.of(left)] if left else []
        else:
            kept.append(segment)
    limit = min(most // _SHARE, _LARGEST)
    while new:
        size = sum(one.nbytes for one in new.values())
        if not kept or kept[-1].nbytes > 2 * size or kept[-1].nbytes + size > limit:
            made.append(Segment.of(new))
            break
        new = dict(kept.pop().entries()) | new  # so n flushes leave about log(n) segments
    left_out: list[Segment] = []
    while sum(one.nbytes for one in (*kept, *made)) > most:
        left_out.append((kept or made).pop(0))
    return kept, made, left_out


def _counted(
    last: _View,
    new: Mapping[bytes, TokenVectors],
    gone: set[bytes],
    left_out: Sequence[Segment],
) -> Counts:
    """Return the counts of the last generation, changed by what is added and what is not kept."""
    counts = Counts(last.documents, last.counts.copy())
    for key in gone:
        old = last.row(key)
        if old is not None:
            counts.change(old.ids, -1)
    for one in new.values():
        counts.change(one.ids, 1)
    for segment in left_out:
        for row in range(len(segment)):
            counts.change(segment.at(row).ids, -1)
    return counts
