"""Observations as Parquet: one row for each, its candidates in list columns."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from runoff._recording.marked import encoded, mark_of
from runoff._recording.parquet import DEGRADATION, STAGE, USAGE, stage_rows, stages_of
from runoff._util.stored import is_count, is_finite, parse_json
from runoff.errors import MissingExtra, RecordingTooNew
from runoff.live._observation import Observation, Shadow, SourceRanks
from runoff.scores import ModelIdentity, ScoreKind, Usage
from runoff.trace import FateKind, Scoring
from runoff.types import Degradation, Outcome

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ModuleNotFoundError as missing:
    raise MissingExtra("pyarrow", "eval") from missing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from enum import StrEnum

VERSION = 1
_KEY = "runoff-observations"
_AT_ONCE = 64  # observations that are made at a time
_MISSING = "a value is missing"
_MODEL = pa.struct({"name": pa.string(), "revision": pa.string(), "precision": pa.string()})
_RANKS = {"rank": pa.list_(pa.int32()), "score": pa.list_(pa.float64())}
_PAIR = pa.struct({"name": pa.string(), "value": pa.string()})
_CANDIDATES = {
    "doc_ids": pa.string(),
    "text_hashes": pa.string(),
    "fusion_scores": pa.float64(),
    "ranks": pa.int32(),
    "rerank_scores": pa.float64(),
    "pair_scores": pa.float64(),
    "truncated": pa.bool_(),
    "scorings": pa.string(),
    "fates": pa.string(),
}
_ENUMS: dict[str, type[StrEnum]] = {"scorings": Scoring, "fates": FateKind}
_PLAIN = {
    "id": pa.string(),
    "time": pa.float64(),
    "sample": pa.float64(),
    "query_hash": pa.string(),
    "query": pa.string(),
    "pipeline": pa.string(),
    "depth": pa.int32(),
    "window": pa.int32(),
    "top_k": pa.int32(),
}
_OUTCOME = {
    "scored": pa.int32(),
    "total": pa.int32(),
    "budget_ms": pa.float64(),
    "spent_ms": pa.float64(),
}
SCHEMA = pa.schema(
    {
        **_PLAIN,
        **{name: pa.list_(kind) for name, kind in _CANDIDATES.items()},
        "texts": pa.list_(pa.string()),
        "sources": pa.list_(pa.struct({"name": pa.string(), **_RANKS})),
        "stages": pa.list_(STAGE),
        "degraded": pa.list_(DEGRADATION),
        **_OUTCOME,
        "notes": pa.list_(pa.string()),
        "model": _MODEL,
        "kind": pa.string(),
        "slices": pa.list_(_PAIR),
        "shadow": pa.struct(
            {
                "name": pa.string(),
                "model": _MODEL,
                **_RANKS,
                "complete": pa.bool_(),
                "latency_ms": pa.float64(),
                **USAGE,
            }
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Counts:
    """What happened at one writer since its last shard.

    Attributes:
        seen: answers, whether sampled or not.
        kept: observations written.
        dropped: sampled answers that were lost, because the queue was full or a write failed.
        failed: writes that failed, tried again later.
        first: time of the first observation.
        last: time of the last.
    """

    seen: int = 0
    kept: int = 0
    dropped: int = 0
    failed: int = 0
    first: float = 0.0
    last: float = 0.0

    def __add__(self, other: Counts) -> Counts:
        """Sum the counts over both spans."""
        return Counts(
            self.seen + other.seen,
            self.kept + other.kept,
            self.dropped + other.dropped,
            self.failed + other.failed,
            min(self.first or other.first, other.first or self.first),
            max(self.last, other.last),
        )


def shard_bytes(table: pa.Table, counts: Counts) -> bytes:
    """Return a table as a Parquet file with its counts and a checksum."""
    said = {one.name: getattr(counts, one.name) for one in fields(counts)}
    return encoded(table, {_KEY: json.dumps({"version": VERSION, **said})})


def opened(data: bytes, columns: Sequence[str] | None = None) -> tuple[pa.Table, Counts]:
    """Return the table of a shard, its types checked, and its counts.

    Args:
        data: the file.
        columns: which of the table are read; None for all.

    Raises:
        RecordingTooNew: a newer version of runoff wrote it.
        ValueError: it is not what was written.
    """
    mark_of(data)
    with pq.ParquetFile(pa.BufferReader(data)) as file:
        said = parse_json((file.schema_arrow.metadata or {}).get(_KEY.encode(), b"null"))
        if not isinstance(said, dict) or not is_count(said.get("version"), 1):
            msg = "it does not say that it holds observations"
            raise ValueError(msg)
        if said.pop("version") > VERSION:
            msg = f"it was written by a newer runoff: this one reads up to version {VERSION}"
            raise RecordingTooNew(msg)
        if file.schema_arrow.remove_metadata() != SCHEMA:
            msg = "its columns are not those of observations"
            raise ValueError(msg)
        table = file.read(columns, use_threads=False)
    table.validate(full=True)
    names = [one.name for one in fields(Counts)]
    whole = [is_count(said.get(name)) for name in names[:4]]
    if not all(whole) or not all(is_finite(said.get(name)) for name in names[4:]):
        msg = "its counts are missing or wrong"
        raise ValueError(msg)
    return table, Counts(**{name: said[name] for name in names})


def columns_of(observations: Sequence[Observation]) -> Iterator[pa.Array]:
    """Yield the columns of a table of observations, in the order of the schema."""
    rows = [_row(one) for one in observations]
    for field in SCHEMA:
        yield pa.array([row[field.name] for row in rows], field.type)


def _row(one: Observation) -> dict[str, Any]:
    outcome = one.outcome
    return {
        **{name: getattr(one, name) for name in (*_PLAIN, *_CANDIDATES, "texts")},
        **{name: getattr(outcome, name) for name in _OUTCOME},
        "sources": [
            {"name": name, "rank": ranks.rank, "score": ranks.score}
            for name, ranks in one.sources.items()
        ],
        "stages": list(stage_rows(one.stages)),
        "degraded": [
            {"stage": it.stage, "source": it.source, "reason": it.reason, "detail": it.detail}
            for it in outcome.degraded
        ],
        "notes": outcome.notes,
        "model": _model_row(one.model),
        "kind": str(one.kind),
        "slices": [{"name": name, "value": value} for name, value in one.slices.items()],
        "shadow": None if one.shadow is None else _shadow_row(one.shadow),
    }


def _model_row(model: ModelIdentity) -> dict[str, str]:
    return {"name": model.name, "revision": model.revision, "precision": model.precision}


def _shadow_row(shadow: Shadow) -> dict[str, Any]:
    plain = ("name", "rank", "score", "complete", "latency_ms")
    return {
        **{name: getattr(shadow, name) for name in plain},
        **{name: getattr(shadow.usage, name) for name in USAGE},
        "model": _model_row(shadow.model),
    }


def rows_of(table: pa.Table) -> Iterator[Observation]:
    """Yield an observation of each row of a table, made some at a time.

    Raises:
        ValueError: a row holds what no observation can have.
    """
    listed = (*_CANDIDATES, "texts", "sources")
    for batch in table.to_batches(max_chunksize=_AT_ONCE):
        columns: dict[str, Sequence[Any]] = {
            name: _lists(batch.column(name), _ENUMS.get(name)) for name in (*_CANDIDATES, "texts")
        }
        sources = _sources(batch.column("sources"))
        others = batch.select([name for name in batch.schema.names if name not in listed])
        for at, row in enumerate(others.to_pylist()):
            lists = {name: column[at] for name, column in columns.items()}
            yield _observation(row, lists, sources[at])


def _lists(column: pa.ListArray, made: type[StrEnum] | None = None) -> list[tuple[Any, ...]]:
    """Return the values of each row of a list column, through Arrow's own loops.

    Args:
        column: the lists.
        made: what each value is made into; each value is made once.
    """
    flat = column.flatten()
    if column.null_count or flat.null_count:
        raise ValueError(_MISSING)
    values = flat.to_numpy(zero_copy_only=False).tolist()
    if made is not None:
        known = {value: made(value) for value in {*values}}
        values = [known[value] for value in values]
    return _split(column, values)


def _split(column: pa.ListArray, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    ends = column.offsets.to_pylist()
    return [tuple(values[at - ends[0] : end - ends[0]]) for at, end in pairwise(ends)]


def _sources(column: pa.ListArray) -> list[dict[str, SourceRanks]]:
    names, ranks, scores = column.flatten().flatten()
    if column.null_count or names.null_count:
        raise ValueError(_MISSING)
    made = map(SourceRanks, _lists(ranks), _lists(scores))
    rows = _split(column, list(zip(names.to_pylist(), made, strict=True)))
    return [dict(row) for row in rows]


def _observation(
    row: dict[str, Any], lists: dict[str, Any], sources: dict[str, SourceRanks]
) -> Observation:
    if any(row[name] is None for name in row if name not in {"shadow", "budget_ms"}):
        raise ValueError(_MISSING)
    shadow = None if row["shadow"] is None else _shadow(row["shadow"])
    per_candidate: list[Sequence[object]] = [lists[name] for name in _CANDIDATES]
    for ranks in sources.values():
        per_candidate += [ranks.rank, ranks.score]
    if shadow is not None:
        per_candidate += [shadow.rank, shadow.score]
    if lists["texts"]:
        per_candidate.append(lists["texts"])
    many = len(lists["doc_ids"])
    gaps = shadow is not None and (None in shadow.rank or None in shadow.score)
    if gaps or any(len(column) != many for column in per_candidate):
        msg = f"observation {row['id']} has columns of different lengths, or with gaps"
        raise ValueError(msg)
    return Observation(
        **{name: row[name] for name in _PLAIN},
        **lists,
        sources=sources,
        stages=stages_of(row["stages"]),
        outcome=Outcome(
            tuple(Degradation(**one) for one in row["degraded"]),
            **{name: row[name] for name in _OUTCOME},
            notes=tuple(row["notes"]),
        ),
        model=ModelIdentity(**row["model"]),
        kind=ScoreKind(row["kind"]),
        slices={one["name"]: one["value"] for one in row["slices"]},
        shadow=shadow,
    )


def _shadow(row: dict[str, Any]) -> Shadow:
    return Shadow(
        row["name"],
        ModelIdentity(**row["model"]),
        tuple(row["rank"]),
        tuple(row["score"]),
        row["complete"],
        row["latency_ms"],
        Usage(**{name: row[name] for name in USAGE}),
    )
