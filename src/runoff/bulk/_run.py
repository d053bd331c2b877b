"""`rerank` and `encode`: a Parquet file in, a directory of Parquet files out."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runoff._util.arguments import count
from runoff._util.lock import lock
from runoff._util.progress import counted
from runoff._util.stored import open_to_append, parse_json, path_of, read_stored
from runoff._waiting.cluster import check_executor
from runoff.bulk._parts import Reader, finished, plan, sweep, write
from runoff.bulk._tasks import Encoding, Scoring, scorer_of
from runoff.errors import InvalidArgument
from runoff.recall._dense.embedder import Embedder

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from runoff._util.progress import Wanted
    from runoff._waiting.cluster import Executor
    from runoff.bulk._parts import Counts, Part, Plan
    from runoff.bulk._tasks import Task

_ROWS = 1000
_MANIFEST = "_runoff.json"  # readers of Parquet directories skip names that begin with _ or .
_LOCK = "_runoff.lock"
_FORMAT = "runoff bulk 1"
_MOST_NOTES = 10


@dataclass(frozen=True, slots=True)
class BulkSummary:
    """What became of all rows, those of earlier, interrupted runs included.

    Attributes:
        rows: rows of the input.
        computed: rows with a score or a vector.
        blank: rows whose query or text is null or blank; their result is null.
        missing: other rows without a result, such as those that a server did not score. Running
            again computes their parts again.
        truncated: rows that lost text to the model's token limit.
        resumed: rows that an earlier run had computed.
        seconds: wall clock of this run, without loading the model.
        reasons: why rows are missing, each once.
        notes: sentences for the user, each once, at most 10.
    """

    rows: int
    computed: int
    blank: int
    missing: int
    truncated: int
    resumed: int
    seconds: float
    reasons: tuple[str, ...]
    notes: tuple[str, ...]


def rerank(  # noqa: PLR0913 - all but the first two by name
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    reranker: object = "default",
    query: str = "query",
    text: str = "text",
    rows: int = _ROWS,
    executor: Executor = "local",
    workers: int | None = None,
    progress: Wanted = False,
) -> BulkSummary:
    """Score the pair of query and document in each row of Parquet files.

    The output is a directory of Parquet files in the order of the input. They have the input's
    columns and two more: `rerank_score` (float32; null where a row has none) and `truncated`. Each
    part of the input is on disk as soon as it is scored. An interrupted run resumes, and scores
    again only what is missing. A score does not depend on other rows, so every executor and every
    number of workers gives the same ones.

    Args:
        source: a Parquet file, or a directory of files with equal columns.
        output: a directory that is new, empty, or has an interrupted run of the same task.
        reranker: `"default"`, a model name, or a scorer such as `CrossEncoder()`.
        query: the column with the queries.
        text: the column with the documents' texts.
        rows: the most rows of a part: what is lost when a worker is killed.
        executor: `"local"` uses the cores of this machine. `"ray"` uses Ray Data, with
            `pip install "runoff[ray]"`: on the cluster that this process is connected to, else on
            that of the environment variable `RAY_ADDRESS`, else on one that is started on this
            machine for the time of the call. All machines need runoff, `source` and `output`.
        workers: for Ray: processes, each with a model of its own on one core; None is as many as
            the cluster has cores.
        progress: True shows a bar in a terminal or a notebook; a callable gets (rows done, all
            rows) instead.

    Raises:
        InvalidArgument: an argument has an invalid value, or another process writes to `output`.
        MissingExtra: pyarrow or Ray is not installed.
        TransientError: no pair could be scored; what was written stays.
        PermanentError: the same, and trying again cannot help.
    """
    task = Scoring(scorer_of(reranker), query, text)
    where = _Where(executor, workers)
    with counted(progress, "scoring") as step:
        return _run(task, source, output, rows, where, step)


def encode(  # noqa: PLR0913 - as above
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    embedder: Embedder | str = "all-MiniLM-L6-v2",
    text: str = "text",
    vector: str = "vector",
    rows: int = _ROWS,
    executor: Executor = "local",
    workers: int | None = None,
    progress: Wanted = False,
) -> BulkSummary:
    """Embed the text in each row of Parquet files.

    It works as `rerank` does, whose other arguments and errors it shares. An embedder with `late=`
    puts the token vectors into that store in the same pass; on several machines the store's
    directory must be shared.

    Args:
        source: a Parquet file, or a directory of files with equal columns.
        output: a directory that is new, empty, or has an interrupted run of the same task.
        embedder: an `Embedder`, or the name of its model.
        text: the column with the texts.
        vector: the column to add: a list of float32, of the model's dimensions; null where the text
            is null or blank. `truncated` is added too.
        rows: as in `rerank`, like all that follow.
        executor: where it runs.
        workers: processes on Ray.
        progress: as above.

    Raises:
        EmbeddingError: an embedding is not finite; what was written stays.
    """
    made = Embedder(embedder) if isinstance(embedder, str) else embedder
    if not isinstance(made, Embedder):
        raise InvalidArgument("embedder", embedder, "must be an Embedder or the name of a model")
    if not isinstance(vector, str) or not vector:
        raise InvalidArgument("vector", vector, "must be the name of the column to add")
    task = Encoding(made, text, vector)
    where = _Where(executor, workers)
    with counted(progress, "encoding") as step:
        return _run(task, source, output, rows, where, step)


@dataclass(frozen=True, slots=True)
class _Where:
    """Where the parts are computed."""

    executor: Executor
    workers: int | None

    def __post_init__(self) -> None:
        check_executor(self.executor)
        if self.workers is not None:
            count("workers", self.workers)
            if self.executor == "local":
                raise InvalidArgument("workers", self.workers, "needs executor='ray'")

    def compute(
        self, task: Task, parts: Sequence[Part], folder: Path
    ) -> Iterator[tuple[Part, Counts]]:
        if self.executor == "ray":
            from runoff.bulk._ray import compute  # noqa: PLC0415 - Ray is an extra

            yield from compute(task, parts, folder, self.workers)
            return
        reader = Reader()
        for part in parts:
            table = reader.read(part)
            yield part, write(folder, part, table, task(table))


def _run(
    task: Task,
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    rows: int,
    where: _Where,
    progress: Callable[[int, int], None] | None,
) -> BulkSummary:
    folder = path_of("output", output)
    planned = plan(path_of("source", source), count("rows", rows), task.columns, task.added)
    with _claimed(folder, task, planned):
        started = time.monotonic()
        counts = {part: finished(folder, part) for part in planned.parts}
        found = {part: one for part, one in counts.items() if one is not None}
        resumed = done = sum(part.rows for part in found)
        total = sum(part.rows for part in planned.parts)
        if progress is not None:
            progress(done, total)
        left = [part for part in planned.parts if part not in found]
        for part, one in where.compute(task, left, folder) if left else ():
            found[part] = one
            done += part.rows
            if progress is not None:
                progress(done, total)
        return _summary(found.values(), resumed, time.monotonic() - started)


@contextmanager
def _claimed(folder: Path, task: Task, planned: Plan) -> Iterator[None]:
    """Hold the output's lock; record what the output is made from, or compare it with that."""
    if folder.exists() and not folder.is_dir():
        raise InvalidArgument("output", str(folder), "is a file: name a directory")
    ours = (folder / _MANIFEST).is_file()
    if folder.is_dir() and not ours and {one.name for one in folder.iterdir()} - {_LOCK}:
        raise InvalidArgument("output", str(folder), "has other files: name an empty directory")
    wanted = {"format": _FORMAT, "task": task.identity(), "input": planned.checksum}
    folder.mkdir(parents=True, exist_ok=True)
    with open_to_append(folder / _LOCK) as held:
        if not lock(held, wait=False):
            raise InvalidArgument("output", str(folder), "is being written by another process")
        if not ours:
            partial = folder / f".{_MANIFEST}.partial"
            partial.write_text(json.dumps(wanted, indent=1), "utf-8")
            partial.replace(folder / _MANIFEST)
        else:
            _compare(folder, wanted)
        sweep(folder)
        yield


def _compare(folder: Path, wanted: dict[str, str]) -> None:
    """Refuse a directory that is the output of something else."""
    try:
        found = parse_json(read_stored(folder / _MANIFEST))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise InvalidArgument("output", str(folder), f"has a damaged {_MANIFEST}: name another")
    other = [name for name in wanted if found.get(name) != wanted[name]]
    if other:
        remedy = f"is the output of another {' and '.join(other)}: name an empty directory"
        raise InvalidArgument("output", str(folder), remedy)


def _summary(counts: Iterable[Counts], resumed: int, seconds: float) -> BulkSummary:
    every = list(counts)
    reasons = dict.fromkeys(one.reason for one in every if one.missing and one.reason)
    notes = dict.fromkeys(note for one in every for note in one.notes)
    return BulkSummary(
        rows=sum(one.rows for one in every),
        computed=sum(one.computed for one in every),
        blank=sum(one.blank for one in every),
        missing=sum(one.missing for one in every),
        truncated=sum(one.truncated for one in every),
        resumed=resumed,
        seconds=seconds,
        reasons=tuple(reasons),
        notes=tuple(notes)[:_MOST_NOTES],
    )
