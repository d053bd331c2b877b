"""A directory of observations: shards of several processes, written whole or not at all.

A writer names its shards by its own id and a number, so that processes never touch each other's.
Where shards are merged, deleted or rewritten, the process holds the directory's lock; adding one
needs none. A merge that was interrupted leaves shards whose numbers another one spans: they are
ignored, and deleted later.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import groupby, islice
from typing import TYPE_CHECKING

from runoff._util.lock import lock, unlock
from runoff._util.stored import open_to_append, path_of
from runoff.errors import (
    InvalidArgument,
    MissingExtra,
    RecordingDamaged,
    RecordingNotFound,
    RecordingTooNew,
)
from runoff.live._forgotten import Tombstones
from runoff.live._manifest import MANIFEST, is_stated, manifest
from runoff.live._reader import Reader
from runoff.live._shards import FEW, Shard, level_of, listed, new_writer, shard_at
from runoff.live._table import (
    SCHEMA,
    Counts,
    columns_of,
    shard_bytes,
)

try:
    import pyarrow as pa
except ModuleNotFoundError as missing:
    raise MissingExtra("pyarrow", "eval") from missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from runoff.live._forgotten import Kind
    from runoff.live._observation import Observation

_BEGUN = ".manifest-"
_LOCK = "lock"
_PARTIAL = re.compile(r"\.obs-[0-9a-f]{20}-\d{8}-\d{8}\.partial")
_AT_A_TIME = 2  # observations that become columns in one step
_AT_ONCE = 64  # observations in memory while a shard is written again
_LEFT = 3600.0  # seconds after which a half-written file is nobody's


def _at_once() -> None:
    """Do not pause."""


class Store(Reader):
    """A directory of observations, to be read and written.

    Args:
        path: the directory.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path_of("path", path))
        self._tombstones = Tombstones(self.path / "forgotten.json")

    def check_own(self) -> None:
        """Refuse a directory that holds other files.

        Raises:
            InvalidArgument: it does.
            RecordingDamaged, RecordingTooNew: as for `is_stated`.
        """
        if is_stated(self.path):
            return
        if self.path.exists() and not (self.path.is_dir() and self._is_empty()):
            remedy = "must be a new or empty directory, or one that watch has written"
            raise InvalidArgument("path", str(self.path), remedy)

    def _is_empty(self) -> bool:
        """Whether there is nothing but what a killed process began to write."""
        return all(one.name.startswith(_BEGUN) for one in self.path.iterdir())

    def check_there(self) -> None:
        """Refuse a directory that `watch` never wrote.

        Raises:
            RecordingNotFound: it did not.
            RecordingDamaged, RecordingTooNew: as for `is_stated`.
        """
        if not is_stated(self.path):
            msg = f"{self.path} has no observations: watch(pipeline, {str(self.path)!r}) makes them"
            raise RecordingNotFound(msg)

    def prepare(self) -> None:
        """Make the directory, if it is not there.

        Raises:
            OSError: it cannot be made.
            RecordingDamaged, RecordingTooNew: as for `is_stated`.
        """
        if is_stated(self.path):
            return
        self.path.mkdir(parents=True, exist_ok=True)
        self._publish(self.path / f"{_BEGUN}{os.getpid()}.partial", manifest(), MANIFEST)

    def write(
        self,
        observations: Sequence[Observation],
        counts: Counts | None = None,
        *,
        writer: str | None = None,
        number: int = 1,
        rest: Callable[[], object] = _at_once,
    ) -> Path | None:
        """Write observations as a shard; once this returns, they survive a crash.

        Args:
            observations: one or more, in order of time.
            counts: what happened meanwhile; by default, that these were seen and kept.
            writer: its id; a new one by default.
            number: of the shard, higher than that of the writer's last.
            rest: called between steps of less than half a millisecond.

        Returns:
            The shard; None if all of it was to be forgotten.

        Raises:
            OSError: it cannot be written.
        """
        self.prepare()
        kept = self._tombstones.apply(observations)
        if not kept:
            return None
        times = [one.time for one in kept]
        said = counts or Counts(seen=len(kept))
        said = replace(said, kept=len(kept), first=min(times), last=max(times))
        shard = shard_at(self.path, writer or new_writer(), number, number)
        self._put(shard, _table(kept, rest), said)
        if self._tombstones.look():  # what was forgotten while this was written
            self._rewrite(shard)
        return shard.path

    def merge(self, writer: str | None = None, *, rest: Callable[[], object] = _at_once) -> None:
        """Merge the small shards of a writer, or of each, where there are many of them.

        Args:
            writer: its id; None for every writer.
            rest: called between the shards read.

        Raises:
            OSError: they cannot be read or written.
            RecordingDamaged: a shard cannot be read.
        """
        with self._locked(wait=False) as mine:
            if not mine:
                return
            counting, spanned = listed(self.path)
            for left in spanned:
                self._delete(left)
            mine_only = [one for one in counting if writer in {None, one.writer}]
            # only neighbours: a shard between two others would count as merged with them
            for (_, level), run in groupby(mine_only, key=lambda one: (one.writer, level_of(one))):
                small = list(run)
                if level is not None and len(small) >= FEW:
                    self._merge(small, rest)

    def _merge(self, small: Sequence[Shard], rest: Callable[[], object]) -> None:
        read = []
        for one in small:
            read.append(self.read(one))
            rest()
        whole = shard_at(self.path, small[0].writer, small[0].first, small[-1].last)
        self._put(whole, pa.concat_tables([table for table, _ in read]), _sum(c for _, c in read))
        for one in small:
            one.path.unlink(missing_ok=True)

    def retain(self, days: float | None, megabytes: float | None) -> None:
        """Delete the oldest shards, of whichever process, until the rest fits.

        Args:
            days: how old the youngest observation of a shard may be; None for no limit.
            megabytes: how large all shards together may be; None for no limit.
        """
        with self._locked(wait=False) as mine:
            if not mine:
                return
            self._tidy()
            found = []
            for one in self.shards():
                with suppress(FileNotFoundError):
                    info = one.path.stat()
                    found.append((info.st_mtime, info.st_size, one))
            total = sum(size for _, size, _ in found)
            oldest = 0.0 if days is None else time.time() - days * 86_400
            for written, size, one in sorted(found):
                too_large = megabytes is not None and total > megabytes * 1e6
                if not too_large and written >= oldest:
                    break
                if self._delete(one):
                    total -= size

    def _tidy(self) -> None:
        """Delete half-written files that killed processes left."""
        for left in self.path.glob(".obs-*.partial"):
            with suppress(OSError):
                if _PARTIAL.fullmatch(left.name) and time.time() - left.stat().st_mtime > _LEFT:
                    left.unlink()

    def _delete(self, shard: Shard) -> bool:
        """Delete a shard that is verifiably one of ours."""
        try:
            self.read(shard)
            shard.path.unlink()
        except (OSError, RecordingDamaged, RecordingTooNew):
            return False
        return True

    def forget(self, kind: Kind, key: str) -> int:
        """Forget a query or a document in every shard and in what writers still hold.

        Args:
            kind: `"query"` or `"document"`.
            key: the hash of the query or of the document's id.

        Returns:
            How many stored observations were changed or deleted.

        Raises:
            OSError: a shard cannot be rewritten.
            RecordingDamaged: a shard cannot be read.
        """
        with self._locked(wait=True):
            said = self._tombstones.with_more(kind, key, time.time())
            self._publish(self.path / ".forgotten.partial", said, self._tombstones.path.name)
            counting, spanned = listed(self.path)
            for left in spanned:
                self._delete(left)
            return sum(self._rewrite(shard) for shard in counting)

    def _rewrite(self, shard: Shard) -> int:
        """Write a shard again without what was forgotten; return how many rows changed."""
        try:
            table, counts = self.read(shard)
        except FileNotFoundError:
            return 0
        rows, changed, kept = self.made(shard, table), 0, []
        while some := list(islice(rows, _AT_ONCE)):
            left = self._tombstones.apply(some)
            same = {id(one) for one in left}
            changed += sum(id(one) not in same for one in some)
            kept.append(_table(left, _at_once))
        whole = pa.concat_tables(kept)
        if changed and len(whole):
            self._put(shard, whole, replace(counts, kept=len(whole)))
        elif changed:
            shard.path.unlink(missing_ok=True)
        return changed

    @contextmanager
    def _locked(self, *, wait: bool) -> Iterator[bool]:
        with open_to_append(self.path / _LOCK) as file:
            mine = lock(file, wait=wait)
            try:
                yield mine
            finally:
                if mine:
                    unlock(file)

    def _put(self, shard: Shard, table: pa.Table, counts: Counts) -> None:
        partial = shard.path.with_name(f".{shard.path.stem}.partial")
        self._publish(partial, shard_bytes(table, counts), shard.path.name)
        with suppress(OSError):  # what retention goes by
            os.utime(shard.path, (counts.last, counts.last))

    def _publish(self, partial: Path, data: bytes, name: str) -> None:
        try:
            partial.unlink(missing_ok=True)  # of a process that was killed
            with partial.open("xb") as file:  # which follows no link
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.path / name)
        except OSError:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise


def _table(observations: Sequence[Observation], rest: Callable[[], object]) -> pa.Table:
    """Return observations as one table, made from small ones.

    Arrow makes an array of Python objects without letting other threads run. That of a whole shard
    takes milliseconds, which a thread that answers a query would wait for.
    """
    parts = []
    for at in range(0, len(observations), _AT_A_TIME):
        columns = list(columns_of(observations[at : at + _AT_A_TIME]))
        parts.append(pa.RecordBatch.from_arrays(columns, schema=SCHEMA))
        rest()
    return pa.Table.from_batches(parts, schema=SCHEMA).combine_chunks()


def _sum(counts: Iterable[Counts]) -> Counts:
    return sum(counts, Counts())
