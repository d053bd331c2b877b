"""Sums over observations, from the columns of their tables: no object is made of an answer."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import numpy as np

from runoff.errors import MissingExtra
from runoff.trace import FateKind

try:
    import pyarrow as pa
    import pyarrow.compute as pc
except ModuleNotFoundError as missing:
    raise MissingExtra("pyarrow", "eval") from missing

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TICKS = 4096  # latencies of a stage that are kept, the youngest
_NOWHERE = np.iinfo(np.int64).max


class Youngest:
    """The values of the youngest observations, whichever process wrote them.

    Args:
        most: how many are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.times = self.values = np.empty(0)

    def add(self, times: NDArray[np.float64], values: NDArray[np.float64] | None = None) -> None:
        """Add values with their times; by default, the times themselves."""
        self.times = np.concatenate([self.times, times])
        self.values = np.concatenate([self.values, times if values is None else values])
        if len(self.times) > self._most:
            kept = np.argpartition(self.times, -self._most)[-self._most :]
            self.times, self.values = self.times[kept], self.values[kept]


class Tally:
    """Sums over observations, in memory that does not grow with their number."""

    COLUMNS = (
        "time", "pipeline", "top_k", "ranks", "truncated", "fates", "stages", "degraded", "scored",
        "spent_ms", "model", "shadow",
    )  # fmt: skip
    """What `add` reads."""

    def __init__(self) -> None:
        self.many = self.complete = self.truncated = self.shadows = self.shadow_changed = 0
        self.reranked = self.changed = self.results = self.replaced = 0
        self.first = self.last = 0.0
        self.pipelines: Counter[str] = Counter()
        self.models: Counter[str] = Counter()
        self.degraded: Counter[str] = Counter()
        self.usage: dict[str, float] = dict.fromkeys(
            ("pairs", "tokens", "billed_units", "requests", "cached", "cost"), 0
        )
        self.latencies: defaultdict[str, Youngest] = defaultdict(lambda: Youngest(_TICKS))

    def add(self, table: pa.Table) -> None:
        """Count the observations of a table.

        Raises:
            ValueError: a row holds what no observation can have.
        """
        if not len(table):
            return
        batch = table.select(self.COLUMNS).combine_chunks().to_batches()[0]
        column = dict(zip(self.COLUMNS, batch.columns, strict=True))
        for name in self.COLUMNS[:-1]:
            whole(column[name])
        times = column["time"].to_numpy()
        self.many += len(times)
        self.first = min(self.first or float(times.min()), float(times.min()))
        self.last = max(self.last, float(times.max()))
        for counter, values in (
            (self.pipelines, column["pipeline"]),
            (self.models, whole(column["model"].field("name"))),
        ):
            counter.update({it["values"]: it["counts"] for it in values.value_counts().to_pylist()})
        self._add_degraded(column["degraded"])
        self._add_stages(column["stages"], times)
        self.latencies["search"].add(times, column["spent_ms"].to_numpy())
        self._add_orders(column)

    def _add_degraded(self, column: pa.ListArray) -> None:
        some = column.filter(pc.greater(column.value_lengths(), 0))
        self.complete += len(column) - len(some)
        for row in some.to_pylist():
            for reason in {f"{it['stage']} {it['source']} {it['reason']}" for it in row}:
                self.degraded[reason] += 1

    def _add_stages(self, column: pa.ListArray, times: NDArray[np.float64]) -> None:
        times = np.repeat(times, column.value_lengths().to_numpy())
        stages = column.flatten()
        own = pc.equal(stages.field("parent"), -1)  # those that are not part of another
        stages, times = stages.filter(own), times[own.to_numpy(zero_copy_only=False)]
        named = pc.binary_join_element_wise(stages.field("stage"), stages.field("source"), " ")
        names = whole(named).dictionary_encode()
        spent = whole(stages.field("latency_ms")).to_numpy()
        places = names.indices.to_numpy()
        for at, name in enumerate(names.dictionary.to_pylist()):
            self.latencies[name].add(times[places == at], spent[places == at])
        for name in self.usage:
            self.usage[name] += pc.sum(stages.field(name)).as_py() or 0

    def _add_orders(self, column: dict[str, pa.Array]) -> None:
        """Count what the second stage and the shadow changed among the first results."""
        ranks, fates, truncated = (Lists(column[name]) for name in ("ranks", "fates", "truncated"))
        fates.check_alike(ranks)
        truncated.check_alike(ranks)
        self.truncated += int(np.sum(truncated.values))
        top_k = column["top_k"].to_numpy()
        grouped = fates.values == FateKind.GROUPED
        before = ranks.first(np.zeros(len(grouped)), ~grouped, top_k)
        after = ranks.first(ranks.values, ranks.values > 0, top_k)
        scored = column["scored"].to_numpy() != 0
        self.reranked += int(scored.sum())
        self.changed += int((ranks.each(before != after) > 0)[scored].sum())
        self.results += int(ranks.each(after != _NOWHERE)[scored].sum())
        new = (after != _NOWHERE) & (before == _NOWHERE)
        self.replaced += int(ranks.each(new)[scored].sum())
        has = pc.is_valid(column["shadow"]).to_numpy(zero_copy_only=False)
        if has.any():
            shadow = Lists(whole(column["shadow"].filter(has).field("rank")))
            mine = np.repeat(has, ranks.lengths)
            found = Lists(column["ranks"].filter(has))
            shadow.check_alike(found)
            shown = found.first(shadow.values, shadow.values > 0, top_k[has])
            self.shadows += int(has.sum())
            self.shadow_changed += int((found.each(shown != after[mine]) > 0).sum())


class Lists:
    """A list column as one array of values, with the row of each."""

    def __init__(self, column: pa.ListArray) -> None:
        self.lengths = column.value_lengths().to_numpy()
        self.rows = np.repeat(np.arange(len(column)), self.lengths)
        self.values = whole(column.flatten()).to_numpy(zero_copy_only=False)

    def check_alike(self, other: Lists) -> None:
        """Refuse a list whose rows have other lengths than another's.

        Raises:
            ValueError: they have.
        """
        if not np.array_equal(self.lengths, other.lengths):
            msg = "an observation has columns of different lengths"
            raise ValueError(msg)

    def each(self, values: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return how many of the values are true in each row."""
        return np.asarray(np.bincount(self.rows[values], minlength=len(self.lengths)), np.int64)

    def first(
        self, keys: NDArray[np.float64], kept: NDArray[np.bool_], most: NDArray[np.int32]
    ) -> NDArray[np.int64]:
        """Return the place of each value among the first of its row, from 0; else `_NOWHERE`.

        Args:
            keys: what the values of a row are ordered by; equal ones stay in their order.
            kept: which values count.
            most: of each row, how many are the first.
        """
        at = np.flatnonzero(kept)
        at = at[np.lexsort((keys[at], self.rows[at]))]
        rows = self.rows[at]
        place = np.arange(len(at)) - np.searchsorted(rows, rows)
        found = np.full(len(kept), _NOWHERE)
        found[at] = np.where(place < most[rows], place, _NOWHERE)
        return found


def whole(column: pa.Array) -> pa.Array:
    """Return a column that lacks no value.

    Raises:
        ValueError: it does.
    """
    if column.null_count:
        msg = "a value is missing"
        raise ValueError(msg)
    return column
