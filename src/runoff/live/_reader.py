"""Reading a directory of observations while processes write, merge and delete its shards."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import numpy as np

from runoff._util.stored import read_stored
from runoff.errors import MissingExtra, RecordingDamaged, RecordingTooNew
from runoff.live._shards import listed
from runoff.live._table import opened, rows_of

try:
    import pyarrow as pa
    import pyarrow.compute as pc
except ModuleNotFoundError as missing:
    raise MissingExtra("pyarrow", "eval") from missing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from runoff.live._observation import Observation
    from runoff.live._shards import Shard
    from runoff.live._table import Counts

_TRIES = 100  # listings in which a shard vanished
_UNREADABLE = (OSError, pa.ArrowException, ValueError, TypeError, LookupError, MemoryError)


class Reader:
    """A directory of observations, to be read.

    Args:
        path: the directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def shards(self) -> list[Shard]:
        """Return the shards that count: by writer, and within a writer in order of time."""
        return listed(self.path)[0]

    def read(self, shard: Shard, columns: Sequence[str] | None = None) -> tuple[pa.Table, Counts]:
        """Return a shard's table, with all columns or with some, and its counts.

        Raises:
            FileNotFoundError: it was merged or deleted meanwhile.
            RecordingDamaged: it cannot be read, or is not what was written.
            RecordingTooNew: a newer version of runoff wrote it.
        """
        with self.intact(shard):
            return opened(read_stored(shard.path), columns)

    @contextmanager
    def intact(self, shard: Shard) -> Iterator[None]:
        """Name the shard in the error if the block finds invalid content in it.

        Raises:
            RecordingDamaged: the block found so.
        """
        try:
            yield
        except (FileNotFoundError, RecordingTooNew):
            raise
        except _UNREADABLE as error:
            raise _damaged(shard, error) from error

    def each(self) -> Iterator[Observation]:
        """Yield every observation once, while writers add and merge shards.

        Raises:
            RecordingDamaged: a shard cannot be read.
            RecordingTooNew: a newer version of runoff wrote it.
        """
        for shard, table in self.tables():
            yield from self.made(shard, table)

    def between(
        self, first: float, last: float, known: Iterable[tuple[Shard, Counts]]
    ) -> Iterator[Observation]:
        """Yield the observations of some time, as `each` does.

        Args:
            first: the time of the first, in seconds since 1970, UTC.
            last: that of the last.
            known: what `counts` returned; of these shards, only those of that time are read.

        Raises:
            RecordingDamaged, RecordingTooNew: as for `each`.
        """
        for shard, table in self.tables_between(first, last, known):
            times = table["time"]
            inside = pc.and_(pc.greater_equal(times, first), pc.less_equal(times, last))
            yield from self.made(shard, table.filter(inside))

    def tables_between(
        self,
        first: float,
        last: float,
        known: Iterable[tuple[Shard, Counts]],
        columns: Sequence[str] | None = None,
    ) -> Iterator[tuple[Shard, pa.Table]]:
        """Yield the tables that have observations of some time, as `tables` does; see `between`."""
        others = {
            shard: counts.kept
            for shard, counts in known
            if counts.last < first or counts.first > last
        }
        return self.tables(columns, skipped=others)

    def youngest(self, most: int) -> Iterator[Observation]:
        """Yield the youngest observations, as `each` does; of others, only the times are read.

        Args:
            most: how many; there are more where several have the time of the last, or were added
                meanwhile.

        Raises:
            RecordingDamaged, RecordingTooNew: as for `each`.
        """
        known, times = self.counts(), np.empty(0)
        for shard, table in self.tables(("time",)):
            with self.intact(shard):
                times = np.sort(np.append(times, table["time"].to_numpy()))[-most:]
        if len(times):
            yield from self.between(times[0], times[-1], known)

    def made(self, shard: Shard, table: pa.Table) -> Iterator[Observation]:
        """Yield the observations of a shard's rows, which are made one by one.

        Raises:
            RecordingDamaged: a row holds what no observation can have.
        """
        rows = rows_of(table)
        while True:
            with self.intact(shard):
                one = next(rows, None)
            if one is None:
                return
            yield one

    def tables(
        self, columns: Sequence[str] | None = None, *, skipped: Mapping[Shard, int] | None = None
    ) -> Iterator[tuple[Shard, pa.Table]]:
        """Yield the rows of each shard, every row once, while writers add and merge shards.

        Args:
            columns: which are read; None for all.
            skipped: shards that are left out, with the numbers of their rows.

        Raises:
            RecordingDamaged, RecordingTooNew: as for `each`.
        """
        done: list[tuple[Shard, int]] = []  # what was read of this writer
        tries, skipped = 0, skipped or {}
        while tries < _TRIES:
            for shard in self.shards():
                if done and (shard.writer, shard.last) <= (done[-1][0].writer, done[-1][0].last):
                    continue
                table = None
                if shard not in skipped:
                    try:
                        table, _ = self.read(shard, columns)
                    except FileNotFoundError:  # merged meanwhile: list the shards again
                        tries += 1
                        break
                if done and done[-1][0].writer != shard.writer:
                    done.clear()
                read = sum(many for one, many in done if one.first >= shard.first)
                many = skipped[shard] if table is None else len(table)
                done.append((shard, many - read))
                if table is not None:
                    yield shard, table.slice(read)
            else:
                return
        raise self._restless()

    def counts(self) -> list[tuple[Shard, Counts]]:
        """Return the counts of every shard.

        Raises:
            RecordingDamaged, RecordingTooNew: as for `each`.
        """
        for _ in range(_TRIES):
            with suppress(FileNotFoundError):
                return [(shard, self.read(shard, ())[1]) for shard in self.shards()]
        raise self._restless()

    def _restless(self) -> RecordingDamaged:
        msg = f"{self.path}: shards keep being deleted while they are read"
        return RecordingDamaged(msg)


def _damaged(shard: Shard, error: BaseException) -> RecordingDamaged:
    return RecordingDamaged(
        f"{shard.path} cannot be read ({error}): move it elsewhere to read the others"
    )
