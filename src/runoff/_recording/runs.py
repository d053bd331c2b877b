"""Runs: query id to document ids, best first. Those of a recording, and run files of TREC."""

from __future__ import annotations

import gzip
import math
from typing import TYPE_CHECKING

import numpy as np

from runoff._labels.formats import numbered_lines
from runoff._labels.remarks import check_recording
from runoff._recording.replay import plan_replay, traversals
from runoff._util.arguments import check_list, check_mapping
from runoff._util.stored import path_of
from runoff._util.text import utf8
from runoff.errors import InvalidArgument, MalformedData

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from os import PathLike

    from runoff._recording.recording import Recording
    from runoff.evaluation._measures.measures import Run

_COLUMNS = 6
_MOST = 1e38  # single precision ends at 3.4e38

FUSED = "fused"
RERANKED = "reranked"
BEST = "best first stage"
"""The best source or fusion, chosen on other queries."""


def by_stage(recording: Recording) -> dict[str, Run]:
    """Return one run for each stage, as the system is configured.

    The names are those of the sources, then `"fused"` if there are several or candidates are
    grouped, then `"reranked"` if there is a second stage. Runs are not cut to `top_k`, so that
    measures with a larger cutoff are meaningful.

    Args:
        recording: what `record` returned.
    """
    return by_stage_with_pairs(recording)[0]


def by_stage_with_pairs(recording: Recording) -> tuple[dict[str, Run], dict[str, int]]:
    """Return what `by_stage` does, and query id to how many candidates the second stage is given.

    Args:
        recording: what `record` returned.
    """
    check_recording(recording)
    setup = recording.setup
    runs: dict[str, Run] = {}
    for source in setup.sources:
        found = {}
        for query in recording:
            ranks = query.ranks[source]
            rows = np.flatnonzero((ranks > 0) & (ranks <= setup.depth))
            order = rows[np.argsort(ranks[rows], kind="stable")].tolist()
            found[query.query_id] = list(dict.fromkeys(query.doc_ids[row] for row in order))
        runs[source] = found
    fused: dict[str, list[str]] = {}
    reranked: dict[str, list[str]] = {}
    pairs: dict[str, int] = {}
    for one in traversals(recording, plan_replay(recording)):
        query_id = one.query.query_id
        fused[query_id] = one.documents(one.heads)
        reranked[query_id] = one.documents(one.answer)
        pairs[query_id] = len(one.given)
    if len(setup.sources) > 1 or setup.group is not None:
        runs[FUSED] = fused
    if setup.steps:
        runs[RERANKED] = reranked
    return runs, pairs


def read_run(path: str | PathLike[str]) -> dict[str, list[str]]:
    """Return query id to document ids, best first; the file may be compressed.

    The order is that of the scores; equal scores follow the ranks written beside them, where
    trec_eval would sort the ids in reverse.

    Raises:
        MalformedData: a line cannot be read, or a query has a document twice.
    """
    return {one: [doc for doc, _ in hits] for one, hits in read_scored_run(path).items()}


def read_scored_run(path: str | PathLike[str]) -> dict[str, list[tuple[str, float]]]:
    """Return query id to (document id, score), ordered as in `read_run`.

    Raises:
        MalformedData: as `read_run`.
    """
    rows: dict[str, dict[str, tuple[float, int]]] = {}
    for where, line in numbered_lines(path_of("path", path)):
        cells = line.split()
        if len(cells) != _COLUMNS:
            raise MalformedData(
                where, line, "must have 6 columns: query Q0 document rank score tag"
            )
        query_id, _, doc_id, rank, score, _ = cells
        try:
            place, value = int(rank), float(score)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise MalformedData(where, line, "rank and score must be numbers")
        if doc_id in rows.setdefault(query_id, {}):
            raise MalformedData(where, line, f"repeats document {doc_id!r} of query {query_id!r}")
        rows[query_id][doc_id] = (value, place)
    return {
        query_id: [
            (doc_id, value)
            for doc_id, (value, _) in sorted(hits.items(), key=lambda hit: (-hit[1][0], hit[1][1]))
        ]
        for query_id, hits in rows.items()
    }


def write_run(
    path: str | PathLike[str],
    run: Mapping[str, Sequence[str | tuple[str, float]]],
    *,
    tag: str = "runoff",
) -> None:
    """Write a run so that trec_eval, which sorts by score in single precision, keeps the order.

    Scores that do not fall strictly are lowered by as little as single precision allows. Without
    scores, they count down to 1.

    Args:
        path: the file; a name that ends in `.gz` is compressed.
        run: query id to document ids, or to (document id, score), best first.
        tag: names the system in the last column.

    Raises:
        InvalidArgument: an id or the tag is empty or contains white space or a lone surrogate, a
            query repeats a document, or a score is not finite or beyond 1e38.
    """
    file = path_of("path", path)
    _word("tag", tag)
    check_mapping("run", run, "query ids to document ids, best first")
    lines = [line for query_id, hits in run.items() for line in _lines(query_id, hits, tag)]
    content = "".join(lines).encode()
    file.write_bytes(gzip.compress(content) if file.suffix == ".gz" else content)


def _lines(query_id: str, hits: Sequence[str | tuple[str, float]], tag: str) -> Iterator[str]:
    _word("run", query_id)
    check_list("run", hits, f"document ids, best first (query {query_id!r})")
    seen: set[str] = set()
    above = np.float32(np.inf)
    for rank, hit in enumerate(hits, 1):
        doc_id = hit if isinstance(hit, str) else hit[0]
        score = len(hits) - rank + 1.0 if isinstance(hit, str) else hit[1]
        _word("run", doc_id)
        if doc_id in seen:
            raise InvalidArgument("run", doc_id, f"is repeated in query {query_id!r}")
        seen.add(doc_id)
        if not abs(score) <= _MOST:
            raise InvalidArgument(
                "run", score, f"must be finite and within 1e38 (query {query_id!r}, {doc_id!r})"
            )
        value = np.float32(score)
        above = min(value, np.nextafter(above, np.float32(-np.inf)))
        yield f"{query_id} Q0 {doc_id} {rank} {above!s} {tag}\n"


def _word(argument: str, value: object) -> None:
    if not isinstance(value, str) or not value or value.split() != [value]:
        raise InvalidArgument(
            argument, value, "must be one word: spaces separate the columns of a run file"
        )
    if value != utf8(value):
        raise InvalidArgument(argument, value, "has a lone surrogate, which no file can hold")
