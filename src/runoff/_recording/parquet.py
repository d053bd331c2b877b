"""Recorded queries as Parquet: one row per query, its candidates in typed list columns.

Parquet keeps document ids as a dictionary and constant columns in a few bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from runoff._recording.columns import check_row
from runoff._recording.query import Origin, RecordedQuery
from runoff._util.text import utf8
from runoff.errors import InvalidArgument, MissingExtra
from runoff.scores import ModelIdentity, ScoreKind, Usage
from runoff.trace import StageTrace
from runoff.types import Degradation, Outcome

try:
    import pyarrow as pa
except ModuleNotFoundError as missing:
    raise MissingExtra("pyarrow", "eval") from missing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from runoff._recording.setup import Setup

_ORIGIN = {"rank": pa.int32(), "score": pa.float64(), "low": pa.float64(), "high": pa.float64()}
_COLUMNS = {
    "fusion_score": pa.float64(),
    "pair_score": pa.float64(),
    "rerank_score": pa.float64(),
    "rerank_rank": pa.int32(),
    "truncated": pa.bool_(),
    "fate": pa.uint8(),
    "content": pa.uint8(),
    "text_length": pa.int32(),
    "group": pa.int32(),
    "twin": pa.int32(),
    "grouped_under": pa.int32(),
}
USAGE = {
    "pairs": pa.int64(),
    "tokens": pa.int64(),
    "billed_units": pa.float64(),
    "requests": pa.int64(),
    "cached": pa.int64(),
    "cost": pa.float64(),
}
STAGE = pa.struct(
    {
        "parent": pa.int32(),  # the index of the stage this one is a part of; -1 for none
        "stage": pa.string(),
        "source": pa.string(),
        "latency_ms": pa.float64(),
        "entered": pa.int32(),
        "left": pa.int32(),
        "load_ms": pa.float64(),
        "error": pa.string(),
        **USAGE,
    }
)
DEGRADATION = pa.struct(
    {"stage": pa.string(), "source": pa.string(), "reason": pa.string(), "detail": pa.string()}
)
_USAGE = ("pairs", "tokens", "billed_units", "requests", "cached", "cost")
_PLAIN = ("stage", "source", "latency_ms", "entered", "left", "load_ms", "error")


def schema(setup: Setup) -> pa.Schema:
    """Return the columns of a recording."""
    columns: dict[str, pa.DataType] = {
        "query_id": pa.string(),
        "text": pa.string(),
        "candidates": pa.int32(),
        "doc_ids": pa.list_(pa.string()),
        "keys": pa.list_(pa.string()),  # null if they equal the ids
    }
    for source in setup.sources:
        columns |= {f"{name}:{source}": pa.list_(kind) for name, kind in _ORIGIN.items()}
    columns |= {name: pa.list_(kind) for name, kind in _COLUMNS.items()}
    for at in range(len(setup.steps)):
        columns[f"step:{at}"] = pa.list_(pa.float64())
        columns[f"step_truncated:{at}"] = pa.list_(pa.bool_())
    return pa.schema(
        columns
        | {
            "why": pa.list_(pa.string()),
            "near": pa.list_(pa.int32()),
            "stages": pa.list_(STAGE),
            "degraded": pa.list_(DEGRADATION),
            "scored": pa.int32(),
            "total": pa.int32(),
            "spent_ms": pa.float64(),
            "notes": pa.list_(pa.string()),
            "model": pa.string(),
            "revision": pa.string(),
            "precision": pa.string(),
            "kind": pa.string(),
            "texts": pa.list_(pa.string()),
        }
    )


def table_of(queries: Sequence[RecordedQuery], setup: Setup) -> pa.Table:
    """Return a table with one row for each query.

    Raises:
        InvalidArgument: an id has a lone surrogate, which Parquet cannot hold; in texts it becomes
            a question mark.
    """
    rows = [_row(one) for one in queries]
    made = schema(setup)
    arrays = [pa.array([row[name] for row in rows], made.field(name).type) for name in made.names]
    return pa.Table.from_arrays(arrays, schema=made)


def _row(one: RecordedQuery) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(one, name) for name in _COLUMNS}
    for source, origin in one.origins.items():
        row |= {f"{name}:{source}": getattr(origin, name) for name in _ORIGIN}
    for at, (score, cut) in enumerate(zip(one.steps, one.step_truncated, strict=True)):
        row |= {f"step:{at}": score, f"step_truncated:{at}": cut}
    for name, ids in (("query_id", (one.query_id,)), ("doc_id", (*one.doc_ids, *one.keys))):
        if (joined := "".join(ids)) != utf8(joined):
            wrong = next(each for each in ids if each != utf8(each))
            remedy = "has a lone surrogate, which no file can hold: change it, or leave out path="
            raise InvalidArgument(name, wrong, remedy)
    outcome, model = one.outcome, one.model
    same = one.keys == one.doc_ids
    return row | {
        "query_id": one.query_id,
        "text": utf8(one.text),
        "candidates": len(one),
        "doc_ids": list(one.doc_ids),
        "keys": None if same else list(one.keys),
        "why": list(one.why),
        "near": one.near.reshape(-1),
        "stages": list(stage_rows(one.stages)),
        "degraded": [
            {"stage": it.stage, "source": it.source, "reason": it.reason, "detail": it.detail}
            for it in outcome.degraded
        ],
        "scored": outcome.scored,
        "total": outcome.total,
        "spent_ms": outcome.spent_ms,
        "notes": list(outcome.notes),
        "model": model.name,
        "revision": model.revision,
        "precision": model.precision,
        "kind": str(one.kind),
        "texts": list(map(utf8, one.texts)),
    }


def stage_rows(stages: Sequence[StageTrace]) -> Iterator[dict[str, Any]]:
    """Yield every stage; parts follow after the stages that are not parts."""
    going = [(one, -1) for one in stages]
    for at, (one, parent) in enumerate(going):
        going += [(part, at) for part in one.parts]
        plain = {name: getattr(one, name) for name in _PLAIN}
        yield plain | {name: getattr(one.usage, name) for name in _USAGE} | {"parent": parent}


def stages_of(stored: Sequence[dict[str, Any]], parent: int = -1) -> tuple[StageTrace, ...]:
    """Return the stages that `stage_rows` made these rows of."""
    return tuple(
        StageTrace(
            **{name: one[name] for name in _PLAIN},
            usage=Usage(**{name: one[name] for name in _USAGE}),
            parts=stages_of(stored, at),
        )
        for at, one in enumerate(stored)
        if one["parent"] == parent
    )


class _Lists:
    """A list column as slices of one array."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        joined = column.combine_chunks()
        if isinstance(joined, pa.ChunkedArray):  # before pyarrow 22, one chunk stays chunked
            joined = joined.chunk(0) if joined.num_chunks else pa.array([], column.type)
        self._values = joined.values.to_numpy(zero_copy_only=False)
        self._offsets = joined.offsets.to_numpy()

    def __getitem__(self, row: int) -> NDArray[Any]:
        found: NDArray[Any] = self._values[self._offsets[row] : self._offsets[row + 1]]
        return found


def queries_of(table: pa.Table, setup: Setup) -> Iterator[RecordedQuery]:
    """Yield the recorded query of each row; its arrays are read-only views of the table.

    Raises:
        ValueError: a row holds what no query can have.
    """
    listed = [
        *_COLUMNS,
        *(f"{name}:{source}" for source in setup.sources for name in _ORIGIN),
        *(f"step:{at}" for at in range(len(setup.steps))),
        *(f"step_truncated:{at}" for at in range(len(setup.steps))),
        "near",
    ]
    arrays = {name: _Lists(table[name]) for name in listed}
    others = [name for name in table.column_names if name not in arrays]
    for row, stored in enumerate(table.select(others).to_pylist()):
        check_row(stored)
        doc_ids = tuple(stored["doc_ids"])
        columns = {name: arrays[name][row] for name in _COLUMNS}
        yield RecordedQuery(
            query_id=stored["query_id"],
            text=stored["text"],
            doc_ids=doc_ids,
            keys=doc_ids if stored["keys"] is None else tuple(stored["keys"]),
            origins={
                source: Origin(*(arrays[f"{name}:{source}"][row] for name in _ORIGIN))
                for source in setup.sources
            },
            why=tuple(stored["why"]),
            near=np.asarray(arrays["near"][row], np.int32).reshape(-1, 2),
            steps=tuple(arrays[f"step:{at}"][row] for at in range(len(setup.steps))),
            step_truncated=tuple(
                arrays[f"step_truncated:{at}"][row] for at in range(len(setup.steps))
            ),
            stages=stages_of(stored["stages"]),
            outcome=Outcome(
                tuple(Degradation(**one) for one in stored["degraded"]),
                stored["scored"],
                stored["total"],
                None,
                stored["spent_ms"],
                tuple(stored["notes"]),
            ),
            model=ModelIdentity(stored["model"], stored["revision"], stored["precision"]),
            kind=ScoreKind(stored["kind"]),
            texts=tuple(stored["texts"]),
            **columns,
        )
