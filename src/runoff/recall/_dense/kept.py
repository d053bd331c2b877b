"""Vectors as an index keeps them: rows of float32, or tiles of int8."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from runoff.recall._dense import products
from runoff.recall._dense.packed import Packed, packed
from runoff.recall._dense.products import LARGEST, SHIFT, TILE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from runoff.recall._dense.packed import Stored

_FLOAT32_UNIT = 2.0**-24
_FLOAT64_UNIT = 2.0**-52
_UNDERFLOW = 2.0**-125  # a product below float32's normal numbers may count as zero
_UP = 1 + 2.0**-30  # makes up for the rounding of a computed length
_MANY = 4096  # rows; below, a product of all takes less than a millisecond
_AT_ONCE = 4096
_LONGEST = (2**31 - 1) // 127**2  # dimensions whose int8 products fit int32


class Vectors(Protocol):
    """Rows in a buffer; those already written never change."""

    @property
    def dimension(self) -> int: ...

    @property
    def room(self) -> int:
        """How many rows the buffer holds."""
        ...

    def put(self, start: int, new: Packed) -> None:
        """Write rows from one on; they fit the buffer."""
        ...

    def first(self, count: int, room: int) -> Vectors:
        """Return a copy of the first rows, with room for this many."""
        ...

    def chosen(self, rows: NDArray[np.intp]) -> Vectors:
        """Return a copy of some rows, without room for more."""
        ...

    def take(self, rows: NDArray[np.intp]) -> Packed:
        """Return a copy of some rows, one after the other."""
        ...

    def warmup(self) -> None:
        """Load what searches need."""
        ...

    def rough(
        self, query: NDArray[np.float64], lengths: NDArray[np.float64]
    ) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Yield inner products with the first rows and their largest errors, ever more exact.

        Args:
            query: shape (d,), finite, of a largest entry of 1, or all zero.
            lengths: the Euclidean length of each row to multiply.
        """
        ...


def kept(new: Packed, stored: Stored) -> Vectors:
    """Return rows as an index keeps them; the buffer of float32 rows becomes the index's."""
    if stored == "float32":
        return Plain(new.rows, len(new.rows))  # type: ignore[arg-type]
    tiles = Tiles.empty(len(new.rows), new.rows.shape[1])
    tiles.put(0, new)
    return tiles


class Plain:
    """Rows of float32, and from some thousand on a sketch of them, which is read first.

    Args:
        rows: a buffer, shape (room, d).
        count: how many of its rows are written.
    """

    def __init__(self, rows: NDArray[np.float32], count: int) -> None:
        self.rows = rows
        self._sketch: Sketch | None = None
        if count >= _MANY:
            self._sketch = Sketch.of(rows, count)

    @property
    def dimension(self) -> int:
        return int(self.rows.shape[1])

    @property
    def room(self) -> int:
        return len(self.rows)

    def put(self, start: int, new: Packed) -> None:
        end = start + len(new.rows)
        self.rows[start:end] = new.rows
        if self._sketch is not None:
            self._sketch.put(start, self.rows[start:end])
        elif end >= _MANY:
            self._sketch = Sketch.of(self.rows, end)

    def first(self, count: int, room: int) -> Plain:
        rows = np.empty((room, self.dimension), np.float32)
        rows[:count] = self.rows[:count]
        larger = Plain(rows, 0)
        if self._sketch is not None:
            larger._sketch = self._sketch.first(count, room)
        return larger

    def chosen(self, rows: NDArray[np.intp]) -> Plain:
        fewer = Plain(self.rows[rows], 0)
        if self._sketch is not None:
            fewer._sketch = self._sketch.chosen(rows)
        return fewer

    def take(self, rows: NDArray[np.intp]) -> Packed:
        return Packed(self.rows[rows], np.ones(len(rows)))

    def warmup(self) -> None:
        if self._sketch is not None:
            products.warmup()

    def rough(
        self, query: NDArray[np.float64], lengths: NDArray[np.float64]
    ) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """See `Vectors`.

        The error of a float32 product is at most `d * 2**-24 * |row| * |query|` (Higham, Accuracy
        and Stability of Numerical Algorithms, section 3.1).
        """
        if self._sketch is not None and len(lengths) >= _MANY:
            yield self._sketch.rough(query, lengths)
        rows = self.rows[: len(lengths)]
        with np.errstate(over="ignore", invalid="ignore"):
            found = (rows @ query.astype(np.float32)).astype(np.float64)
        if not np.isfinite(found).all():
            found = rows.astype(np.float64) @ query
        count = self.dimension + 4
        yield found, count * (_FLOAT32_UNIT * _length(query) * lengths + _UNDERFLOW)


class Sketch:
    """Rows rounded to int8: a quarter more memory, of which a search reads only that quarter.

    Args:
        tiles: the rounded rows.
        off: how far each is from its row at most, by Euclidean distance.
    """

    def __init__(self, tiles: Tiles, off: NDArray[np.float64]) -> None:
        self._tiles = tiles
        self._off = off

    @classmethod
    def of(cls, rows: NDArray[np.float32], count: int) -> Sketch:
        """Return a sketch of the first rows of a buffer, with the same room."""
        sketch = cls(Tiles.empty(*rows.shape), np.zeros(len(rows)))
        sketch.put(0, rows[:count])
        return sketch

    def put(self, start: int, rows: NDArray[np.float32]) -> None:
        for first in range(0, len(rows), _AT_ONCE):
            some = rows[first : first + _AT_ONCE]
            rounded = packed(some, "int8", unit=False)
            self._tiles.put(start + first, rounded)
            off = some - rounded.wide()
            here = slice(start + first, start + first + len(some))
            self._off[here] = np.sqrt((off * off).sum(axis=1)) * _UP

    def first(self, count: int, room: int) -> Sketch:
        off = np.zeros(room)
        off[:count] = self._off[:count]
        return Sketch(self._tiles.first(count, room), off)

    def chosen(self, rows: NDArray[np.intp]) -> Sketch:
        return Sketch(self._tiles.chosen(rows), self._off[rows])

    def rough(
        self, query: NDArray[np.float64], lengths: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return products with the rounded rows, and their largest errors as for the rows."""
        off = self._off[: len(lengths)]
        found, error = next(self._tiles.rough(query, lengths + off))
        error += off * _length(query)
        return found, error


class Tiles:
    """Rows of int8 with a scale each, 64 to a tile, in which each dimension has its 64 numbers.

    A product reads them in this order, one byte a number, at the rate of memory.

    Args:
        numbers: int8, shape (tiles, d, 64).
        scales: float64; the vector of a row is its numbers times its scale.
        shifts: int32, of each row, its numbers' sum times `SHIFT`.
    """

    def __init__(
        self, numbers: NDArray[np.int8], scales: NDArray[np.float64], shifts: NDArray[np.int32]
    ) -> None:
        self.numbers = numbers
        self.scales = scales
        self.shifts = shifts

    @classmethod
    def empty(cls, room: int, dimension: int) -> Tiles:
        """Return room for rows."""
        if room:
            products.warmup()  # or the first search would, within its deadline
        numbers = np.zeros((-(-room // TILE), dimension, TILE), np.int8)
        return cls(numbers, np.zeros(room), np.zeros(room, np.int32))

    @property
    def dimension(self) -> int:
        return int(self.numbers.shape[1])

    @property
    def room(self) -> int:
        return len(self.scales)

    def put(self, start: int, new: Packed) -> None:
        end = start + len(new.rows)
        self.scales[start:end] = new.scales
        self.shifts[start:end] = SHIFT * new.rows.sum(axis=1, dtype=np.int32)
        for tile in range(start // TILE, -(-end // TILE)):
            before = tile * TILE
            first, last = max(start, before), min(end, before + TILE)
            some = new.rows[first - start : last - start]
            self.numbers[tile, :, first - before : last - before] = some.T

    def first(self, count: int, room: int) -> Tiles:
        larger = Tiles.empty(room, self.dimension)
        tiles = -(-count // TILE)
        larger.numbers[:tiles] = self.numbers[:tiles]
        larger.scales[:count] = self.scales[:count]
        larger.shifts[:count] = self.shifts[:count]
        return larger

    def chosen(self, rows: NDArray[np.intp]) -> Tiles:
        fewer = Tiles.empty(len(rows), self.dimension)
        for start in range(0, len(rows), _AT_ONCE):
            fewer.put(start, self.take(rows[start : start + _AT_ONCE]))
        return fewer

    def take(self, rows: NDArray[np.intp]) -> Packed:
        tile, column = np.divmod(rows, TILE)
        return Packed(self.numbers[tile, :, column], self.scales[rows])

    def warmup(self) -> None:
        products.warmup()

    def rough(
        self, query: NDArray[np.float64], lengths: NDArray[np.float64]
    ) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """See `Vectors`.

        The query is rounded to 127 whole steps, and its remainder to 127 finer ones for the second
        product. What is then left, at most `|left| * |row|` by Cauchy and Schwarz, is the error.
        """
        count = len(lengths)
        if self.dimension > _LONGEST:
            yield np.zeros(count), np.full(count, np.inf)
            return
        scales, shifts = self.scales[:count], self.shifts[:count]
        found, left, step = np.zeros(count), query, 1 / LARGEST
        for _ in range(2):
            whole = np.rint(left / step)
            left = left - whole * step
            part = products.products(whole, self.numbers, shifts) * (scales * step)
            found += part
            loose = (self.dimension + 8) * _FLOAT64_UNIT * _length(query)
            yield found, lengths * (_length(left) + loose)
            step /= 2 * LARGEST


def _length(vector: NDArray[np.float64]) -> float:
    return float(np.sqrt((vector * vector).sum()))
