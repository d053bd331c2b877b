"""Vectors as an index stores them: float32, or int8 with a scale for each row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

Stored: TypeAlias = Literal["float32", "int8"]

_AT_ONCE = 4096
_LARGEST = 127


class Packed(NamedTuple):
    """Rows; the vector of each is its numbers times its scale.

    Attributes:
        rows: float32 or int8, shape (n, d).
        scales: float64, shape (n,); all 1 for float32.
    """

    rows: NDArray[np.float32] | NDArray[np.int8]
    scales: NDArray[np.float64]

    @classmethod
    def joined(cls, parts: Sequence[Packed], stored: Stored, dimension: int) -> Packed:
        """Return the rows of all parts; of none, no rows of this dimension."""
        if not parts:
            return cls(np.zeros((0, dimension), stored), np.zeros(0))
        rows, scales = zip(*parts, strict=True)
        return cls(np.concatenate(rows), np.concatenate(scales))

    def each(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Packed:
        """Return the rows and the scales after the same change of both."""
        return Packed(change(self.rows), change(self.scales))

    def wide(self) -> NDArray[np.float64]:
        return self.rows * self.scales[:, None]


def direction(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    """Scale each row to length 1, in float64; a row of zeros stays as it is."""
    wide = rows.astype(np.float64)
    # first by the largest entry: squares of very small or large entries are beyond float64
    largest = np.abs(wide).max(axis=-1)
    wide /= np.where(largest > 0, largest, 1.0)[..., None]
    length = np.sqrt((wide * wide).sum(axis=-1))
    wide /= np.where(length > 0, length, 1.0)[..., None]
    return wide


def packed(vectors: NDArray[np.floating], stored: Stored, *, unit: bool) -> Packed:
    """Pack vectors, shape (n, d), as they are or scaled to length 1.

    In int8 each row is rounded to 127 steps of its largest entry; the scale of a unit row makes
    the rounded vector one of length 1.
    """
    rows, scales = np.empty(vectors.shape, stored), np.ones(len(vectors))
    for start in range(0, len(vectors), _AT_ONCE):
        here = slice(start, start + _AT_ONCE)
        part = direction(vectors[here]) if unit else vectors[here].astype(np.float64)
        if stored == "int8":
            largest = np.abs(part).max(axis=1)
            step = np.where(largest > 0, largest, 1.0) / _LARGEST
            part = np.rint(part / step[:, None])
            length = np.sqrt((part * part).sum(axis=1))
            scales[here] = 1 / np.where(length > 0, length, 1.0) if unit else step
        rows[here] = part
    return Packed(rows, scales)
