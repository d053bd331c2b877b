"""Documents in a temporary file, so that memory does not hold their texts."""

from __future__ import annotations

import os
import tempfile
import threading
import weakref
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any, overload

from runoff.recall._bm25.stored import extra_bytes, read_document, text_bytes

if TYPE_CHECKING:
    from runoff.types import Document

_BUFFERED = 1 << 20  # bytes
_AT_PLACES = hasattr(os, "pwrite")  # processes after a fork share the position in a file


class _File:
    """A temporary file that is appended to; the system removes it when nobody has it open."""

    def __init__(self, first: int) -> None:
        self.first = first  # the place of its first document
        self.pid = os.getpid()
        self.file: IO[bytes] = tempfile.TemporaryFile(prefix="runoff-", buffering=0)  # noqa: SIM115 - open as long as the index
        weakref.finalize(self, self.file.close)
        self.written = 0
        self.waiting = bytearray()

    @property
    def end(self) -> int:
        return self.written + len(self.waiting)

    def flush(self) -> None:
        """Write what waits, also after a short write.

        Raises:
            OSError: the disk is full, for instance.
        """
        while self.waiting:
            if _AT_PLACES:
                done = os.pwrite(self.file.fileno(), self.waiting, self.written)
            else:
                self.file.seek(self.written)
                done = self.file.write(self.waiting)
            del self.waiting[:done]
            self.written += done

    def read(self, start: int, end: int) -> bytes:
        if _AT_PLACES:
            return os.pread(self.file.fileno(), end - start, start)
        self.file.seek(start)
        return self.file.read(end - start)


class Spool(Sequence["Document"]):
    """Documents that are written to a temporary file and read from it on access.

    Any number of threads may append and read. A process that was forked reads what there was, and
    appends to a file of its own. The space of documents that nobody needs any more is not reused.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids: list[str] = []
        self._starts = array("q")  # of each text, and of the other fields behind it
        self._ends = array("q")
        self._files: list[_File] = []

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle no document: `Documents` appends its own again."""
        return type(self), ()

    def __deepcopy__(self, memo: object) -> Spool:
        """Return itself: documents are only added."""
        return self

    def append(self, document: Document) -> int:
        """Write a document, and return its place.

        Raises:
            InvalidArgument: its metadata cannot be written as JSON.
            OSError: the file cannot be written.
        """
        text, extra = text_bytes(document), extra_bytes(document)
        with self._lock:
            place = len(self._ids)
            if not self._files or self._files[-1].pid != os.getpid():
                self._files.append(_File(place))
            file = self._files[-1]
            start = file.end
            file.waiting += text
            file.waiting += extra
            if len(file.waiting) >= _BUFFERED:
                file.flush()
            self._ids.append(document.doc_id)
            self._starts.extend((start, start + len(text)))
            self._ends.append(start + len(text) + len(extra))
        return place

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, index: int) -> Document: ...
    @overload
    def __getitem__(self, index: slice) -> list[Document]: ...
    def __getitem__(self, index: int | slice) -> Document | list[Document]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        with self._lock:
            number = bisect_right(self._files, index, key=lambda one: one.first) - 1
            file = self._files[number]
            start, middle, end = *self._starts[2 * index : 2 * index + 2], self._ends[index]
            if end > file.written:
                file.flush()
            stored = file.read(start, end)
        split = middle - start
        return read_document(self._ids[index], stored[:split], stored[split:])
