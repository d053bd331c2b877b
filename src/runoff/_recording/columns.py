"""Checks the columns of a recording: types, lengths, ranges and references.

A recording is analysed by code that trusts its columns, so what would mislead it is refused here,
once a shard, with a pass of NumPy or Arrow over each column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from runoff._recording.query import Content, FateCode
from runoff.errors import MissingExtra
from runoff.scores import ScoreKind

try:
    import pyarrow as pa
    import pyarrow.compute as pc
except ModuleNotFoundError as missing:
    raise MissingExtra("pyarrow", "eval") from missing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from runoff._recording.setup import Setup

_MAY_LACK = {"keys", "tokens", "billed_units", "cost"}  # null means something there
_KINDS = {*ScoreKind}
_STAGES = {"recall", "fusion", "rerank"}
# per candidate: the least value, and the most (None: below the number of candidates)
_RANGES: dict[str, tuple[int, int | None]] = {
    "rerank_rank": (0, 2**31 - 1),
    "fate": (0, max(FateCode)),
    "content": (0, max(Content)),
    "text_length": (0, 2**31 - 1),
    "group": (-1, None),
    "twin": (-1, None),
    "grouped_under": (-1, None),
}


def check_schema(found: pa.Schema, expected: pa.Schema) -> None:
    """Check the names and the types of the columns.

    Raises:
        ValueError: says what is wrong.
    """
    _require(sorted(found.names) == sorted(expected.names), "the set of columns")
    for name in expected.names:
        _require(found.field(name).type == expected.field(name).type, f"the type of {name}")


def check_heads(table: pa.Table) -> None:
    """Check the columns that there are: that nothing is null, and how many candidates.

    Raises:
        ValueError: says what is wrong.
    """
    for name in table.column_names:
        _check_nulls(table[name].combine_chunks(), name)
    table.validate(full=True)  # texts are UTF-8, lists lie within their values
    candidates = table["candidates"].to_numpy()
    _require(not candidates.size or candidates.min() >= 0, "candidates")
    _require(all(table["query_id"].to_pylist()), "query_id")


def check_columns(table: pa.Table, expected: pa.Schema, setup: Setup) -> None:
    """Check a whole table.

    Args:
        table: one row for each query.
        expected: its columns.
        setup: what was recorded.

    Raises:
        ValueError: says which column is wrong.
    """
    check_heads(table)
    many = table["candidates"].to_numpy().astype(np.int64)
    listed = [name for name in expected.names if pa.types.is_list(expected.field(name).type)]
    aside = {"keys", "why", "near", "stages", "degraded", "notes", "texts"}
    for name in listed:
        if name not in aside:
            _require((_lengths(table, name) == many).all(), name)
    for name in ("keys", "why"):
        lengths = _lengths(table, name)
        _require(((lengths == many) | (lengths == 0)).all(), name)
    _require((_lengths(table, "texts") == (many if setup.texts else 0)).all(), "texts")
    limits = np.repeat(many, many)
    for name, (least, most) in _RANGES.items():
        _check_range(_values(table, name), least, limits - 1 if most is None else most, name)
    for source in setup.sources:
        _check_source(table, source, setup.recorded_depth)
    fused = _values(table, "fusion_score")
    _require(np.isfinite(fused).all(), "fusion_score")
    query = np.repeat(np.arange(len(many)), many)
    _require(((np.diff(fused) <= 0) | (np.diff(query) > 0)).all(), "fusion_score")
    for name in ("pair_score", "rerank_score", *(f"step:{at}" for at in range(len(setup.steps)))):
        _require(not np.isinf(_values(table, name)).any(), name)
    _check_near(_values(table, "near"), _lengths(table, "near"), many)
    for name in ("scored", "total"):
        _check_range(table[name].to_numpy(), 0, 2**31 - 1, name)


def check_row(row: Mapping[str, Any]) -> None:
    """Check what is stored of one query beside its columns of numbers.

    Raises:
        ValueError: says which column is wrong.
    """
    keys = row["doc_ids"] if row["keys"] is None else row["keys"]
    _require(all(row["doc_ids"]), "doc_ids")
    _require(len(set(keys)) == len(row["doc_ids"]), "keys")
    _require(row["text"].strip(), "text")
    _require(row["kind"] in _KINDS, "kind")
    for at, one in enumerate(row["stages"]):
        counted = ("pairs", "requests", "cached", "entered", "left")
        _require(-1 <= one["parent"] < at and one["stage"] in _STAGES, "stages")
        _require(all(one[name] >= 0 for name in counted), "stages")
    _require(all(one["stage"] in _STAGES and one["reason"] for one in row["degraded"]), "degraded")


def _check_source(table: pa.Table, source: str, depth: int) -> None:
    """Check one source: each rank once in a query. Its scores may be infinite or NaN."""
    rank = _values(table, f"rank:{source}")
    _check_range(rank, 0, depth, f"rank:{source}")
    query = np.repeat(np.arange(len(table)), table["candidates"].to_numpy())
    found = rank > 0
    seen = query[found] * (depth + 1) + rank[found]
    _require(np.unique(seen).size == seen.size, f"rank:{source}")


def _check_near(
    near: NDArray[np.int32], lengths: NDArray[np.int64], many: NDArray[np.int64]
) -> None:
    """Check the pairs of duplicates: rows of the query, the lower first."""
    _require((lengths % 2 == 0).all(), "near")
    lower, higher = near.reshape(-1, 2).T
    inside = (lower >= 0) & (lower < higher) & (higher < np.repeat(many, lengths // 2))
    _require(inside.all(), "near")


def _check_range(
    values: NDArray[Any], least: int, most: int | NDArray[np.int64], name: str
) -> None:
    _require(((values >= least) & (values <= most)).all(), name)


def _values(table: pa.Table, name: str) -> NDArray[Any]:
    """Return all lists of a column, one after the other."""
    flat = pc.list_flatten(table[name].combine_chunks())
    if isinstance(flat, pa.ChunkedArray):  # before pyarrow 22, one chunk stays chunked
        flat = flat.combine_chunks()
    found: NDArray[Any] = flat.to_numpy(zero_copy_only=False)
    return found


def _lengths(table: pa.Table, name: str) -> NDArray[np.int64]:
    """Return how long each list of a column is; 0 for none."""
    lengths = pc.fill_null(pc.list_value_length(table[name]), 0)
    found: NDArray[np.int64] = lengths.to_numpy().astype(np.int64)
    return found


def _check_nulls(column: pa.Array | pa.ChunkedArray, name: str) -> None:
    """Refuse nulls at every level."""
    _require(name in _MAY_LACK or not column.null_count, name)
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    for chunk in chunks:
        if pa.types.is_list(chunk.type):
            flat = chunk.flatten()
            _require(not flat.null_count, name)
            if pa.types.is_struct(flat.type):
                for field, values in zip(flat.type, flat.flatten(), strict=True):
                    _require(field.name in _MAY_LACK or not values.null_count, name)


def _require(holds: object, what: str) -> None:
    if not holds:
        raise ValueError(f"wrong or missing values in {what}")
