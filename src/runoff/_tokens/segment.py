"""Token vectors of many documents as arrays that never change, in files or in memory.

```
NAME.keys.bin      16 bytes a document, ascending
NAME.starts.bin    where each document's tokens begin, and the end: int64
NAME.flags.bin     a byte a document: 1 where it is truncated
NAME.ids.bin       a token's id: int32
NAME.scales.bin    its scale: float32
NAME.codes.bin     its vector: `dims` bytes
```
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from runoff._tokens.vectors import TokenVectors
from runoff._util.generations import damaged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from runoff._util.generations import NewGeneration, StoredGeneration

KEY_BYTES = 16
NAME = re.compile("[0-9a-f]{16}")
"""The name of a segment, which names files: another one would lead out of the folder."""
_PARTS = ("keys", "starts", "flags", "ids", "scales", "codes")
_LOST = 1


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """n documents with t tokens.

    Attributes:
        name: in the names of its files.
        keys: uint8, shape (n, 16), in ascending order.
        starts: int64, shape (n + 1,).
        flags: uint8, shape (n,).
        ids: int32, shape (t,).
        scales: float32, shape (t,).
        codes: int8, shape (t, dims).
        prefixes: the first 8 bytes of each key as a number, shape (n,).
    """

    name: str
    keys: NDArray[np.uint8]
    starts: NDArray[np.int64]
    flags: NDArray[np.uint8]
    ids: NDArray[np.int32]
    scales: NDArray[np.float32]
    codes: NDArray[np.int8]
    prefixes: NDArray[np.uint64]

    @classmethod
    def of(cls, entries: Mapping[bytes, TokenVectors]) -> Segment:
        """Return documents as a segment in memory; there is one or more."""
        keys = sorted(entries)
        ordered = [entries[key] for key in keys]
        raw = np.frombuffer(b"".join(keys), np.uint8).reshape(-1, KEY_BYTES)
        return cls(
            secrets.token_hex(8),
            raw,
            np.cumsum([0, *(len(one.scales) for one in ordered)], dtype=np.int64),
            np.array([_LOST * one.truncated for one in ordered], np.uint8),
            np.concatenate([one.ids for one in ordered]),
            np.concatenate([one.scales for one in ordered]),
            np.concatenate([one.codes for one in ordered]),
            _prefixes(raw),
        )

    @classmethod
    def read(cls, stored: StoredGeneration, name: str, dims: int) -> Segment:
        """Open a segment's files.

        Raises:
            IndexDamaged: they are incomplete or altered, or do not fit together.
        """
        keys, flags, codes = (
            stored.content(f"{name}.{part}.bin") for part in ("keys", "flags", "codes")
        )
        starts = stored.array(f"{name}.starts.bin", np.int64)
        ids = stored.array(f"{name}.ids.bin", np.int32)
        scales = stored.array(f"{name}.scales.bin", np.float32)
        count, tokens = len(flags), len(ids)
        fits = (
            count > 0
            and keys.size == count * KEY_BYTES
            and len(starts) == count + 1
            and int(starts[0]) == 0
            and int(starts[-1]) == tokens == len(scales)
            and codes.size == tokens * dims
            and bool((np.diff(starts) > 0).all())
            and bool(np.isfinite(scales).all() and (scales >= 0).all() and (ids >= 0).all())
        )
        raw = keys.reshape(-1, KEY_BYTES) if fits else keys
        prefixes = _prefixes(raw) if fits else np.zeros(0, np.uint64)
        if not fits or not bool((prefixes[:-1] <= prefixes[1:]).all()):
            raise damaged(stored.folder, f"contains files of {name} that do not belong together")
        return cls(
            name, raw, starts, flags, ids, scales, codes.view(np.int8).reshape(-1, dims), prefixes
        )

    def write(self, new: NewGeneration) -> None:
        """Write the files into a new generation."""
        for part in ("keys", "flags", "codes"):
            new.write(f"{self.name}.{part}.bin", _bytes_of(getattr(self, part)))
        for part in ("starts", "ids", "scales"):
            new.write_array(f"{self.name}.{part}.bin", getattr(self, part))

    def keep(self, old: StoredGeneration, new: NewGeneration) -> None:
        """Take the files over from an older generation, without copying where links can be made."""
        for part in _PARTS:
            file = f"{self.name}.{part}.bin"
            source, target = old.folder / file, new.folder / file
            try:
                os.link(source, target)
            except OSError:  # a disk without hard links
                shutil.copyfile(source, target)
            new.files[file] = dict(old.files[file])

    def __len__(self) -> int:
        """Return the number of documents."""
        return len(self.flags)

    @property
    def nbytes(self) -> int:
        """The bytes of the files."""
        return sum(int(getattr(self, part).nbytes) for part in _PARTS)

    def rows(self, keys: Sequence[bytes]) -> list[int]:
        """Return the row of each key, or -1."""
        raw = np.frombuffer(b"".join(keys), np.uint8).reshape(-1, KEY_BYTES)
        wanted = _prefixes(raw)
        found = []
        for key, prefix, row in zip(
            keys, wanted, np.searchsorted(self.prefixes, wanted).tolist(), strict=True
        ):
            at = row
            while at < len(self) and self.prefixes[at] == prefix:
                if self.keys[at].tobytes() == key:
                    break
                at += 1
            found.append(at if at < len(self) and self.prefixes[at] == prefix else -1)
        return found

    def at(self, row: int) -> TokenVectors:
        """Return the document of a row."""
        start, end = int(self.starts[row]), int(self.starts[row + 1])
        return TokenVectors(
            self.codes[start:end],
            self.scales[start:end],
            self.ids[start:end],
            bool(self.flags[row] & _LOST),
        )

    def entries(self) -> Iterator[tuple[bytes, TokenVectors]]:
        """Yield every key and its document."""
        for row in range(len(self)):
            yield self.keys[row].tobytes(), self.at(row)


def _prefixes(keys: NDArray[np.uint8]) -> NDArray[np.uint64]:
    first = np.ascontiguousarray(keys[:, :8])
    made: NDArray[np.uint64] = first.view(">u8").reshape(-1).astype(np.uint64)
    return made


def _bytes_of(array: NDArray[Any]) -> tuple[memoryview | bytes]:
    return (np.ascontiguousarray(array).data.cast("B") if array.size else b"",)
