"""The state of one search: what `TwoStage.search` and `asearch` share between their waits."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runoff._util.faults import OnError, degrades, lacks
from runoff._util.messages import error_text, short_repr
from runoff._util.names import name_of
from runoff._waiting import workers
from runoff.deadline import Branch, Deadline, Watch
from runoff.errors import BadReply, CapExceeded, DeadlineExceeded
from runoff.pipeline import _stages as stages
from runoff.pipeline._grouping import grouped_fates
from runoff.pipeline._identity import identify
from runoff.pipeline._stages import Answer
from runoff.rerank._check import check_reranking
from runoff.scores import Usage
from runoff.trace import Scoring, StageTrace, Trace
from runoff.types import Degradation, Hit, Outcome, Query, Reranking, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runoff.filters import Filter
    from runoff.grouping import Grouping
    from runoff.protocols import AsyncRecallSource, Fusion, RecallSource, Reranker
    from runoff.types import Candidate, Document

__all__ = ["Call", "Search"]

logger = logging.getLogger("runoff")

# about five milliseconds of fusion, or of hashing the texts of documents without ids
_MANY_HITS = 500
_MUCH_TEXT = 4_000_000


@dataclass(frozen=True, slots=True)
class Call:
    """One source asked once; an error is an answer too."""

    source: RecallSource
    query: Query
    depth: int
    deadline: Branch

    def __call__(self) -> Answer:
        """Ask it and wait."""
        watch = Watch(self.deadline)
        try:
            found = self.source.retrieve(self.query, depth=self.depth, deadline=self.deadline)
            hits = _checked(found, self.depth)
        except Exception as error:  # noqa: BLE001 - `stages.judge` decides what it means
            return self._answer(None, error, watch)
        return self._answer(hits, None, watch)

    async def awaited(self, source: AsyncRecallSource) -> Answer:
        """Ask it and await it."""
        import asyncio  # noqa: PLC0415 - half of this package's import time

        watch = Watch(self.deadline)
        try:
            found = await source.aretrieve(self.query, depth=self.depth, deadline=self.deadline)
            hits = _checked(found, self.depth)
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            return self._answer(None, BadReply("the call cancelled itself"), watch)
        except Exception as error:  # noqa: BLE001 - as above
            return self._answer(None, error, watch)
        return self._answer(hits, None, watch)

    @staticmethod
    def _answer(hits: Sequence[Hit] | None, error: Exception | None, watch: Watch) -> Answer:
        latency_ms, load_ms = watch.read()
        return Answer(hits, error, latency_ms, load_ms)


def _checked(found: object, depth: int) -> Sequence[Hit]:
    """Return what a source found, cut to the depth asked for.

    Raises:
        BadReply: it is no list of hits.
    """
    if not isinstance(found, Sequence) or isinstance(found, str | bytes):
        msg = f"retrieve() returned {short_repr(found)} and not a list of hits"
        raise BadReply(msg)
    hits = found[:depth] if len(found) > depth else found
    for hit in hits:
        if not isinstance(hit, Hit):
            msg = f"retrieve() returned {short_repr(hit)} among its hits"
            raise BadReply(msg)
    return hits


class Search:
    """One search from its arguments to its answer."""

    def __init__(  # noqa: PLR0913 - the pipeline's configuration and the call's arguments
        self,
        query: str | Query,
        filters: Filter | None,
        *,
        sources: tuple[str, ...],
        fusion: Fusion,
        second: Reranker | None,
        depth: int,
        window: int,
        top_k: int,
        timeout: float | None,
        on_error: OnError,
        id_of: Callable[[Document], str] | None,
        grouping: Grouping | None,
    ) -> None:
        asked = query if isinstance(query, Query) else Query(query)
        if filters is not None:
            from runoff.filters import And  # noqa: PLC0415 - keeps `import runoff` quick

            both = filters if asked.filters is None else And(asked.filters, filters)
            asked = replace(asked, filters=both)
        self.query = asked
        self.second = second
        self.depth = depth
        self.deadline = Deadline(timeout)
        self._sources = sources
        self._fusion = fusion
        self._window = window
        self._top_k = top_k
        self._on_error: OnError = on_error
        self._id_of = id_of
        self._grouping = grouping

    def call(self, source: RecallSource) -> Call:
        """Return what is to be done to ask a source."""
        return Call(source, self.query, self.depth, self.deadline.branch())

    def patience(self, answers: Mapping[str, Answer]) -> float | None:
        """Return how many seconds to wait for the next source; None for as long as it takes."""
        if not self.deadline.finite:
            return None
        return min(workers.pause(self.deadline), max(0.001, self._left(answers)))

    def out_of_patience(self, answers: Mapping[str, Answer]) -> bool:
        """Whether recall has had its share of the budget."""
        return self.deadline.finite and self._left(answers) <= 0

    def _left(self, answers: Mapping[str, Answer]) -> float:
        """Return recall's seconds left: half the budget once a source has answered, else all."""
        answered = any(answer.hits is not None for answer in answers.values())
        return self.deadline.remaining() - (self.deadline.budget / 2 if answered else 0.0)

    def takes_long(self, answers: Mapping[str, Answer]) -> bool:
        """Whether fusing these answers takes more than a moment of an event loop's time."""
        if self._grouping is not None and self._grouping.duplicates is not None:
            return True
        lists = [answer.hits for answer in answers.values() if answer.hits is not None]
        if sum(map(len, lists)) > _MANY_HITS:
            return True
        return sum(len(hit.document.text) for hits in lists for hit in hits) > _MUCH_TEXT

    def recalled(self, answers: Mapping[str, Answer]) -> None:
        """Judge the sources' answers, fuse and group what they gave, part it for the second stage.

        A source that has no answer here is late.
        """
        spent_ms = self.deadline.spent() * 1000
        late = Answer(None, DeadlineExceeded(f"no answer after {spent_ms:.0f} ms"), spent_ms)
        complete = {name: answers.get(name, late) for name in self._sources}
        self._recall = stages.judge(complete, self.depth, self._on_error)
        watch = Watch(self.deadline)
        rankings, self._notes = identify(self._recall.rankings, self._id_of)
        every = {name: rankings.get(name, []) for name in self._sources}
        candidates = stages.fuse(every, self._fusion)
        heads = candidates if self._grouping is None else self._grouping.group(candidates)
        self._aside = grouped_fates(heads)
        self.parts = stages.split(heads, self._window)
        entered = sum(map(len, rankings.values()))
        self._fused = StageTrace("fusion", "", watch.read()[0], entered, len(candidates))
        self._watch = Watch(self.deadline)

    def unscored(self, came: Reranking | Exception) -> bool:
        """Whether the second stage failed in a way that may pass, or came back with no score."""
        if isinstance(came, Exception):
            return bool(degrades(came, self._on_error))
        if not isinstance(came, Reranking) or came.ordered or came.dropped:
            return False
        return len(came.unscored) == len(self.parts.readable)  # else it is a bad reply

    def recalled_again(
        self, answers: Mapping[str, Answer], came: Reranking | Exception
    ) -> Reranking | Exception:
        """Take late answers in as well, and return what the second stage did as if it knew them.

        Args:
            answers: of all sources.
            came: what `unscored` found without a score.
        """
        watch = self._watch
        self.recalled(answers)
        self._watch = watch
        if isinstance(came, Exception):
            return came
        return replace(came, unscored=tuple(self.parts.readable))

    def asked(self) -> tuple[Query, list[Candidate], Deadline, str]:
        """Return what the second stage is asked with."""
        return self.query, self.parts.readable, self.deadline, "rerank"

    def finished(self, came: object = None, *, asked: bool = True) -> Response:
        """Put the answer together.

        Args:
            came: what the second stage gave: a reranking, its error, or something it should not.
            asked: whether there was a second stage and something for it to read.

        Raises:
            Exception: the second stage's error, when it must not be hidden.
        """
        latency_ms, load_ms = self._watch.read()
        reranking, reason, detail = self._examined(came) if asked else (None, "", "")
        degraded = list(self._recall.degraded)
        traced = [*self._recall.stages, self._fused]
        if asked:
            name = name_of(self.second)
            if reason:
                degraded.append(Degradation("rerank", name, reason, detail))
            ordered = len(reranking.ordered) if reranking else 0
            usage = reranking.usage if reranking else Usage()
            entered = len(self.parts.readable)
            parts = reranking.parts if reranking else ()
            traced.append(
                StageTrace(
                    "rerank", name, latency_ms, entered, ordered, load_ms, usage, detail, parts
                )
            )
        for one in degraded:
            logger.warning("degraded answer: %s %s: %s", one.stage, one.source, one.reason)
        why = "off" if self.second is None else reason
        placed = stages.order(self.parts, reranking, why, self._top_k)
        model, kind = stages.model_of(reranking)
        trace = Trace(
            tuple(traced),
            (*placed.fates, *self._aside),
            model,
            kind,
            self.depth,
            self._window,
            self._top_k,
        )
        outcome = Outcome(
            tuple(degraded),
            sum(fate.scoring is Scoring.RERANKED for fate in placed.fates),
            len(self.parts.readable),
            self.deadline.budget * 1000 if self.deadline.finite else None,
            self.deadline.spent() * 1000,
            (*self._notes, *(reranking.notes if reranking else ())),
        )
        return Response(self.query, placed.results, outcome, trace)

    def _examined(self, came: object) -> tuple[Reranking | None, str, str]:
        """Return a reranking that can be trusted, and the reason and detail of what is missing."""
        if isinstance(came, Exception):
            error = came
        else:
            try:
                trusted = check_reranking(came, self.parts.readable)
            except BadReply as bad:
                error = bad
            else:
                reranking, lacking, detail = self._partial(trusted)
                if reranking.thresholded and (lacking or self._recall.degraded):
                    reranking = stages.unthresholded(reranking)
                return reranking, lacking, detail
        reason = degrades(error, self._on_error)
        if not reason:
            raise error
        return None, reason, error_text(error)

    def _partial(self, reranking: Reranking) -> tuple[Reranking, str, str]:
        reason, detail = lacks(reranking)
        if not reason:
            return reranking, "", ""
        if self._on_error == "raise":
            kinds = {"timeout": DeadlineExceeded, "cap": CapExceeded}
            raise kinds.get(reason, BadReply)(detail)
        return reranking, reason, detail
