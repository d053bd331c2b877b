"""`record`: search once for every query of a collection, at full width, and keep everything."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import itertools
import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

from runoff._labels.collection import Collection
from runoff._labels.remarks import degraded
from runoff._recording.capture import (
    FusionTap,
    ScoreAll,
    capture,
    describe_part,
    leaves_of,
    stages_of,
)
from runoff._recording.own_reading import own_reading
from runoff._recording.query import Stored
from runoff._recording.recording import Recording
from runoff._recording.setup import GroupSetup, Setup, fusion_to_json, queries_digest
from runoff._recording.together import as_one, reads_together
from runoff._util.arguments import count
from runoff._util.faults import degrades
from runoff._util.messages import error_text, visible
from runoff._util.progress import check_progress, counting
from runoff._util.text import text_key
from runoff._waiting import workers as _workers
from runoff._waiting.cluster import check_executor, each
from runoff.deadline import Deadline
from runoff.errors import InvalidArgument, RecallFailed
from runoff.pipeline._stages import as_grouping
from runoff.pipeline._systems import as_system
from runoff.types import Degradation, Outcome, Query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from os import PathLike

    from runoff._recording.capture import Stage
    from runoff._recording.query import RecordedQuery
    from runoff._util.progress import Wanted
    from runoff._waiting.cluster import Executor
    from runoff.pipeline._systems import System
    from runoff.types import Candidate

_WORKERS = 4
logger = logging.getLogger("runoff")


class Queries(Protocol):
    """The part of a collection that `record` needs."""

    @property
    def queries(self) -> Mapping[str, str]:
        """The questions by id."""
        ...


def record(  # noqa: PLR0913 - all but the first three by name
    system: object,
    collection: Queries | Mapping[str, str] | Iterable[str],
    depth: int = 200,
    *,
    path: str | PathLike[str] | None = None,
    window: int | None = None,
    texts: bool = False,
    workers: int = _WORKERS,
    executor: Executor = "local",
    progress: Wanted = True,
) -> Recording:
    """Search once for every query of a collection and keep everything that happened.

    Every stage of the reranker scores every candidate once. The system's window, threshold,
    grouping and early stops are not applied but stored, so that `replay` can apply them or others.
    With a path, each query is on disk as soon as it is scored, and an interrupted recording
    resumes. Queries whose answer was degraded are searched again then.

    Args:
        system: a `TwoStage`, a LlamaIndex retriever or query engine, or a LangChain retriever.
        collection: has `.queries`, query id to text; or these themselves; or a list of questions,
            whose ids are derived from their texts. Judgments are not needed for recording; those of
            a `Collection` are what the recording's `verdict`, `losses`, `curve` and `report` take
            if they are given none.
        depth: hits asked of each source, at least as many as the system asks.
        path: a directory that is new, empty, or holds an interrupted recording of the same system
            and queries; None keeps the recording in memory.
        window: the most candidates of one query to score, in fused order; None scores all. Those
            that the system itself reads are scored beside them. A smaller window costs less, and no
            replay can read beyond it. With a reranker that reads candidates together, such as a
            `ListwiseLLM`, both the depth and the window must be the system's.
        texts: whether to keep the documents' texts, for replays with another scorer.
        workers: queries searched at the same time. Use 1 to measure latencies without contention.
        executor: `"local"` searches in threads of this process. `"ray"` searches on a Ray cluster
            (`pip install "runoff[ray]"`), with a copy of the system in each of `workers` processes:
            it must be picklable, and every machine needs what it reads. The recording is the same
            but for its latencies, which are those of one core. See `runoff.bulk.rerank` for which
            cluster that is.
        progress: True shows a bar in a terminal (on standard error) or a notebook; a callable gets
            (queries recorded, all queries) instead.

    Raises:
        InvalidArgument: an argument has an invalid value, or another process is recording into the
            path.
        RecordingMismatch: the path holds a recording of another system or of other queries.
        PermanentError: a failure that trying again cannot mend; what was recorded stays.
        MissingExtra: a path is given and pyarrow is not installed, or Ray is not.
        ConnectionFailed: there is no Ray cluster at `RAY_ADDRESS`.
    """
    known = as_system(system)
    check_executor(executor)
    check_progress(progress)
    depth, workers = count("depth", depth), count("workers", workers)
    if depth < known.pipeline.depth:
        remedy = (
            f"must be at least {known.pipeline.depth}, the depth the system asks of each source"
        )
        raise InvalidArgument("depth", depth, remedy)
    queries = _queries(collection)
    judged = collection if isinstance(collection, Collection) else None
    asked = {query_id: _query(query_id, text) for query_id, text in queries.items()}
    widest = depth * len(known.pipeline.sources)
    window = widest if window is None else min(count("window", window), widest)
    if path is not None:  # a missing pyarrow is reported before models are loaded
        from runoff._recording.shards import Folder, alone  # noqa: PLC0415 - pyarrow is an extra
    known.pipeline.warmup()
    stages = stages_of(known.pipeline.reranker)
    begun = None if path is None else Folder.begun(path)
    if reads_together(known, stages, depth, asked, begun):
        stages = [as_one(known.pipeline.reranker)]
    setup = setup_of(known, stages, depth, window, queries, texts=texts)
    if any(stage.setup.listwise for stage in stages):
        _check_exact(setup)
    search = _Search(known, stages, setup)
    parallel = _on_ray if executor == "ray" else _parallel
    if path is None:
        searched = counting(progress, "recording", parallel(search, asked, workers), len(queries))
        memory = {one.query_id: one for one in searched}
        made = Stored([memory[query_id] for query_id in queries])
        return _warned(Recording(setup, made, judged))
    with alone(path):
        folder = Folder.prepare(path, setup)
        done = set(folder.query_ids) - set(folder.degraded)
        left = {query_id: query for query_id, query in asked.items() if query_id not in done}
        found = parallel(search, left, workers)
        for one in counting(progress, "recording", found, len(queries), len(queries) - len(left)):
            folder.append(one)
        folder.merge()
    return _warned(Recording(setup, folder, judged))


def _check_exact(setup: Setup) -> None:
    """Refuse to record a listwise reranker over other candidates than the system has it read.

    Raises:
        InvalidArgument: names the argument and its value.
    """
    name = setup.steps[0].name
    most = min(setup.window, setup.depth * len(setup.sources))
    why = f"{name} orders candidates by each other, so its order is valid only for those it reads"
    if setup.recorded_depth != setup.depth:
        remedy = f"must be {setup.depth}, and window={most}, as the system's: {why}"
        raise InvalidArgument("depth", setup.recorded_depth, remedy)
    if setup.recorded_window != most:
        raise InvalidArgument(
            "window", setup.recorded_window, f"must be {most}, the system's: {why}"
        )
    if setup.group is not None:
        remedy = f"cannot be recorded: without grouping, {name} would read other candidates"
        raise InvalidArgument("group", setup.group, remedy)


def _queries(given: object) -> dict[str, str]:
    found = given if isinstance(given, Mapping) else getattr(given, "queries", given)
    if isinstance(found, str) or not isinstance(found, Iterable):
        remedy = "must be a Collection, a mapping of query ids to texts, or a list of questions"
        raise InvalidArgument("collection", given, remedy)
    if isinstance(found, Mapping):
        queries = dict(found)
    else:
        texts = list(found)
        for text in texts:
            if not isinstance(text, str):
                raise InvalidArgument("collection", text, "must be a question, as a string")
        queries = {text_key(text): text for text in texts}
        if len(queries) < len(texts):
            logger.warning(
                "%d of %d questions repeat another and are recorded once",
                len(texts) - len(queries), len(texts),
            )  # fmt: skip
    if not queries:
        raise InvalidArgument("collection", given, "must have at least one query")
    return queries


def _warned(recording: Recording) -> Recording:
    """Log a warning if answers are degraded, and return the recording."""
    for sentence in degraded(recording):
        logger.warning("%s", visible(sentence))
    return recording


def _query(query_id: str, text: str) -> Query:
    try:
        return Query(text)
    except InvalidArgument as error:
        raise InvalidArgument(f"queries[{query_id!r}]", text, error.remedy) from None


def setup_of(
    known: System,
    stages: Sequence[Stage],
    depth: int,
    window: int,
    queries: Mapping[str, str],
    *,
    texts: bool,
) -> Setup:
    """Return a system's configuration, as a recording keeps it.

    Args:
        known: the system.
        stages: of its reranker.
        depth: hits asked of each source while recording.
        window: the most candidates of one query that are scored.
        queries: query id to text.
        texts: whether the documents' texts are recorded.
    """
    pipeline = known.pipeline
    grouping = as_grouping(pipeline.group)
    group = None
    if grouping is not None:
        by = grouping.by
        name = by if isinstance(by, str) else getattr(by, "__qualname__", type(by).__name__)
        group = GroupSetup("" if by is None else name, grouping.duplicates, grouping.per_group)
    parts = {f"source {name}": describe_part(one) for name, one in pipeline.sources.items()}
    for at, stage in enumerate(stages, 1):
        described = [describe_part(stage.reranker)]
        if stage.setup.listwise:  # it may be made of others
            described += map(describe_part, leaves_of(stage.reranker))
        parts[f"reranker {at}"] = " ".join(dict.fromkeys(described))
    if known.filters is not None:
        parts["filters"] = repr(known.filters)
    if pipeline.id_of is not None:
        parts["id_of"] = getattr(pipeline.id_of, "__qualname__", type(pipeline.id_of).__name__)
    return Setup(
        sources=tuple(pipeline.sources),
        depth=pipeline.depth,
        window=pipeline.window,
        top_k=known.top_k,
        fusion=fusion_to_json(pipeline.fusion),
        steps=tuple(stage.setup for stage in stages),
        group=group,
        recorded_depth=depth,
        recorded_window=window,
        parts=parts,
        queries=queries_digest(queries),
        texts=texts,
    )


class _Search:
    """Searches for one query at full width; one instance serves all threads."""

    def __init__(self, known: System, stages: Sequence[Stage], setup: Setup) -> None:
        self._pipeline = known.pipeline
        self._filters = known.filters
        self._stages = stages
        self._setup = setup

    def warmup(self) -> None:
        """Load the models."""
        self._pipeline.warmup()

    def __call__(self, query_id: str, query: Query) -> RecordedQuery:
        setup = self._setup
        tap = FusionTap(self._pipeline.fusion)
        most = widest = setup.recorded_depth * len(setup.sources)
        reads = None
        if setup.recorded_window < widest:
            if any(step.listwise for step in setup.steps):
                most = setup.recorded_window
            else:
                reads = functools.partial(self._chosen, tap)
        reranker = None
        if self._stages:
            reranker = ScoreAll([stage.reranker for stage in self._stages], reads)
        strict = self._pipeline.on_error == "raise"  # one failed query must not end a recording
        wide = dataclasses.replace(
            self._pipeline,
            fusion=tap,
            reranker=reranker,
            group=None,
            on_error="transient" if strict else self._pipeline.on_error,
            observer=None,
        )
        deadline = Deadline()
        try:
            response = wide.search(
                query,
                filters=self._filters,
                depth=setup.recorded_depth,
                window=most,
                top_k=setup.recorded_depth * len(setup.sources),
            )
        except RecallFailed as failed:
            reasons = [
                Degradation("recall", name, degrades(error, "degrade"), error_text(error))
                for name, error in failed.failures.items()
            ]
            outcome = Outcome(tuple(reasons), spent_ms=deadline.spent() * 1000)
            return capture(query_id, query.text, setup, (), {}, None, outcome=outcome)
        return capture(
            query_id,
            query.text,
            setup,
            response.trace.fates,
            tap.rankings,
            reranker,
            outcome=response.outcome,
            trace=response.trace,
            grouping=as_grouping(self._pipeline.group),
        )

    def _chosen(self, tap: FusionTap, candidates: Sequence[Candidate]) -> set[str]:
        """Return the keys of the candidates within the window, and of those the system reads."""
        window = self._setup.recorded_window
        first = {one.key for one in candidates if one.fusion_rank <= window}
        return first | own_reading(self._pipeline, tap.rankings)


def _parallel(search: _Search, asked: Mapping[str, Query], workers: int) -> Iterator[RecordedQuery]:
    """Yield recorded queries as they finish; searches under way are abandoned on an early end."""
    waiting: set[_workers.Job[RecordedQuery]] = set()
    coming = iter(asked.items())
    try:
        while True:
            for query_id, query in itertools.islice(coming, workers - len(waiting)):
                waiting.add(_workers.submit(functools.partial(search, query_id, query)))
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


def _on_ray(search: _Search, asked: Mapping[str, Query], workers: int) -> Iterator[RecordedQuery]:
    """Yield recorded queries as the processes of a cluster finish them."""
    return each(functools.partial(_served, search), list(asked.items()), workers)


def _served(search: _Search) -> Callable[[tuple[str, Query]], RecordedQuery]:
    """Load the models in a process, and return what searches for a query there."""
    search.warmup()
    return lambda one: search(*one)
