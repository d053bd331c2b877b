"""`record`: every query of a collection asked once, at full width, and all of it kept."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import itertools
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from runoff._util.arguments import count
from runoff._util.faults import degrades
from runoff._util.messages import error_text
from runoff._waiting import workers as _workers
from runoff.deadline import Deadline
from runoff.errors import InvalidArgument, RecallFailed
from runoff.evaluation._parts import stages_of, told_part
from runoff.evaluation._reading import Reader, Tap, read_query
from runoff.evaluation._recording import Recording, Stored
from runoff.evaluation._remarks import degraded
from runoff.evaluation._setup import GroupSetup, Setup, queries_digest, told_fusion
from runoff.pipeline._grouping import as_grouping
from runoff.pipeline._systems import as_system
from runoff.types import Degradation, Outcome, Query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from os import PathLike

    from runoff.evaluation._parts import Stage
    from runoff.evaluation._recording import RecordedQuery
    from runoff.pipeline._systems import System

__all__ = ["Queries", "record"]

_WORKERS = 4
logger = logging.getLogger("runoff")


class Queries(Protocol):
    """What `record` needs of a collection."""

    @property
    def queries(self) -> Mapping[str, str]:
        """The questions by id."""
        ...


def record(
    system: object,
    collection: Queries,
    depth: int = 200,
    *,
    path: str | PathLike[str] | None = None,
    window: int | None = None,
    texts: bool = False,
    workers: int = _WORKERS,
    progress: bool = True,
) -> Recording:
    """Ask a system every query of a collection, as deep as `depth`, and keep all that happened.

    Every candidate is scored, once, by every stage: the system's window, threshold, grouping and
    early stops are set aside and kept as configuration, so that `replay` can apply them or others.
    With a path, a query is on disk as soon as it is scored, and a recording that was stopped goes
    on where it was; queries whose answer was degraded are asked again.

    Args:
        system: a `TwoStage`, a LlamaIndex retriever or query engine, or a LangChain retriever.
        collection: has `.queries`, questions by id.
        depth: hits asked of each source, no fewer than the system asks.
        path: a directory, new or empty or of this very recording; None keeps it in memory.
        window: candidates of each query to score at most, in fused order; None scores all. Less
            costs less, and bounds what can be replayed.
        texts: whether to keep the documents' texts, for replaying with another scorer.
        workers: queries asked at the same time. With 1, latencies are those of a query alone.
        progress: whether to show how far it is, on standard error.

    Raises:
        InvalidArgument: an argument has a value it cannot have, or another process is recording
            into the path.
        RecordingMismatch: the path holds a recording of another system or of other queries.
        PermanentError: trying again cannot help; what was recorded stays.
        MissingExtra: a path is given and pyarrow is not installed.
    """
    known = as_system(system)
    depth, workers = count("depth", depth), count("workers", workers)
    if depth < known.pipeline.depth:
        remedy = f"the system asks each source for {known.pipeline.depth}: record as many or more"
        raise InvalidArgument("depth", depth, remedy)
    if not isinstance(getattr(collection, "queries", None), Mapping):
        remedy = "must have queries by id, as a Collection has"
        raise InvalidArgument("collection", collection, remedy)
    queries = dict(collection.queries)
    if not queries:
        raise InvalidArgument("collection", queries, "has no queries")
    asked = {query_id: _query(query_id, text) for query_id, text in queries.items()}
    widest = depth * len(known.pipeline.sources)
    window = widest if window is None else min(count("window", window), widest)
    if path is not None:  # what is not installed is missed before models are loaded
        from runoff.evaluation._shards import Folder, alone  # noqa: PLC0415 - pyarrow is an extra
    known.pipeline.warmup()
    stages = stages_of(known.pipeline.reranker)
    setup = _setup(known, stages, depth, window, queries, texts=texts)
    ask = _Asking(known, stages, setup)
    if path is None:
        shown = _progress(len(queries), 0, show=progress)
        memory = {one.query_id: one for one in shown(_parallel(ask, asked, workers))}
        return _told(Recording(setup, Stored([memory[query_id] for query_id in queries])))
    with alone(path):
        folder = Folder.prepare(path, setup)
        done = set(folder.query_ids) - set(folder.degraded)
        left = {query_id: query for query_id, query in asked.items() if query_id not in done}
        shown = _progress(len(queries), len(queries) - len(left), show=progress)
        for one in shown(_parallel(ask, left, workers)):
            folder.append(one)
    return _told(Recording(setup, folder))


def _told(recording: Recording) -> Recording:
    for sentence in degraded(recording):
        logger.warning("%s", sentence)
    return recording


def _query(query_id: str, text: str) -> Query:
    try:
        return Query(text)
    except InvalidArgument as error:
        raise InvalidArgument(f"queries[{query_id!r}]", text, error.remedy) from None


def _setup(
    known: System,
    stages: Sequence[Stage],
    depth: int,
    window: int,
    queries: Mapping[str, str],
    *,
    texts: bool,
) -> Setup:
    pipeline = known.pipeline
    grouping = as_grouping(pipeline.group)
    group = None
    if grouping is not None:
        by = grouping.by
        name = by if isinstance(by, str) else getattr(by, "__qualname__", type(by).__name__)
        group = GroupSetup("" if by is None else name, grouping.duplicates, grouping.per_group)
    parts = {f"source {name}": told_part(one) for name, one in pipeline.sources.items()}
    for at, stage in enumerate(stages, 1):
        parts[f"reranker {at}"] = told_part(stage.reranker)
    if known.filters is not None:
        parts["filters"] = repr(known.filters)
    if pipeline.id_of is not None:
        parts["id_of"] = getattr(pipeline.id_of, "__qualname__", type(pipeline.id_of).__name__)
    return Setup(
        sources=tuple(pipeline.sources),
        depth=pipeline.depth,
        window=pipeline.window,
        top_k=known.top_k,
        fusion=told_fusion(pipeline.fusion),
        steps=tuple(stage.setup for stage in stages),
        group=group,
        recorded_depth=depth,
        recorded_window=window,
        parts=parts,
        queries=queries_digest(queries),
        texts=texts,
    )


class _Asking:
    """Asks one query at full width; one instance serves all threads."""

    def __init__(self, known: System, stages: Sequence[Stage], setup: Setup) -> None:
        self._pipeline = known.pipeline
        self._filters = known.filters
        self._stages = stages
        self._setup = setup

    def __call__(self, query_id: str, query: Query) -> RecordedQuery:
        setup = self._setup
        tap = Tap(self._pipeline.fusion)
        reader = Reader([stage.reranker for stage in self._stages]) if self._stages else None
        strict = self._pipeline.on_error == "raise"  # a recording is not given up for one query
        wide = dataclasses.replace(
            self._pipeline,
            fusion=tap,
            reranker=reader,
            group=None,
            on_error="transient" if strict else self._pipeline.on_error,
        )
        deadline = Deadline()
        try:
            response = wide.search(
                query,
                filters=self._filters,
                depth=setup.recorded_depth,
                window=setup.recorded_window,
                top_k=setup.recorded_depth * len(setup.sources),
            )
        except RecallFailed as failed:
            reasons = [
                Degradation("recall", name, degrades(error, "degrade"), error_text(error))
                for name, error in failed.failures.items()
            ]
            outcome = Outcome(tuple(reasons), spent_ms=deadline.spent() * 1000)
            return read_query(query_id, query.text, setup, (), {}, None, outcome=outcome)
        return read_query(
            query_id,
            query.text,
            setup,
            response.trace.fates,
            tap.rankings,
            reader,
            outcome=response.outcome,
            trace=response.trace,
            grouping=as_grouping(self._pipeline.group),
        )


def _parallel(ask: _Asking, asked: Mapping[str, Query], workers: int) -> Iterator[RecordedQuery]:
    """Yield answers as they come; those under way are left behind when nobody wants more."""
    waiting: set[_workers.Job[RecordedQuery]] = set()
    coming = iter(asked.items())
    try:
        while True:
            for query_id, query in itertools.islice(coming, workers - len(waiting)):
                waiting.add(_workers.submit(functools.partial(ask, query_id, query)))
            if not waiting:
                return
            done, _ = concurrent.futures.wait(
                waiting, return_when=concurrent.futures.FIRST_COMPLETED
            )
            waiting -= done
            failed = [one for one in done if one.exception() is not None]
            yield from (one.result() for one in done if one.exception() is None)
            if failed:
                failed[0].result()
    finally:
        for one in waiting:
            _workers.leave(one)


def _progress(total: int, done: int, *, show: bool) -> Callable[..., Iterator[RecordedQuery]]:
    if not show:
        return iter
    from runoff.evaluation._progress import shown  # noqa: PLC0415 - rich, where it is there

    return lambda queries: shown(queries, total, done)
