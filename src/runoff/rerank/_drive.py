"""Rerankers inside a reranker: each asked in its own time, waited for or awaited.

What asks several rerankers is a generator: it yields an `Ask`, is sent what came of it, and returns
the reranking. `drive` waits for each answer and `adrive` awaits it; neither decides anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from runoff._util.faults import lacks
from runoff._util.messages import error_text
from runoff._waiting import workers
from runoff.deadline import Watch
from runoff.errors import InvalidArgument
from runoff.protocols import AsyncReranker, Reranker
from runoff.rerank._check import check_reranking
from runoff.rerank._coerce import as_reranker
from runoff.scores import Usage
from runoff.trace import StageTrace
from runoff.types import Reranking

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from runoff.deadline import Branch, Deadline
    from runoff.protocols import PairScorer
    from runoff.types import Candidate, Query

__all__ = ["Ask", "Came", "Inner", "Steps", "adrive", "areranked", "drive", "inner", "reranked"]

Inner: TypeAlias = "Reranker | PairScorer | str"


def inner(argument: str, reranker: object) -> Reranker:
    """Return a `Reranker` for whatever `as_reranker` takes, except None.

    Raises:
        InvalidArgument: it is nothing that reranks.
    """
    made = as_reranker(reranker)
    if made is None:
        raise InvalidArgument(argument, reranker, "must be a reranker, a scorer or a model name")
    return made


def name_of(reranker: object) -> str:
    """Return a reranker's name, or that of its class."""
    return str(getattr(reranker, "name", type(reranker).__name__))


def _guard(reranker: Reranker, deadline: Deadline) -> Deadline | None:
    """Return what limits the wait; a part that keeps its deadline comes back by itself."""
    return None if getattr(reranker, "keeps_deadline", False) else deadline


def reranked(
    reranker: Reranker, query: Query, candidates: Sequence[Candidate], deadline: Deadline, what: str
) -> Reranking:
    """Rerank and wait until the deadline.

    Raises:
        DeadlineExceeded: time is up; a call that runs is left behind.
        Exception: whatever the reranker raises.
    """
    deadline.check(what)
    call = partial(reranker.rerank, query, candidates, deadline=deadline)
    if not deadline.finite or _guard(reranker, deadline) is None:
        return call()
    return workers.run(call, deadline, what)


async def areranked(
    reranker: Reranker, query: Query, candidates: Sequence[Candidate], deadline: Deadline, what: str
) -> Reranking:
    """Do what `reranked` does without blocking the event loop."""
    import asyncio  # noqa: PLC0415 - half of this package's import time

    deadline.check(what)
    guard = _guard(reranker, deadline)
    if not isinstance(reranker, AsyncReranker):
        call = partial(reranker.rerank, query, candidates, deadline=deadline)
        return await workers.run_async(call, guard, what)
    coming = reranker.arerank(query, candidates, deadline=deadline)
    return await workers.wait(asyncio.ensure_future(coming), guard, what)


@dataclass(frozen=True, slots=True)
class Came:
    """What came of asking one reranker.

    Attributes:
        name: the reranker's name.
        reranking: its answer, checked; an empty one when it gave none.
        error: what it raised, or what is wrong with its answer.
        trace: how that went.
    """

    name: str
    reranking: Reranking
    error: Exception | None
    trace: StageTrace


@dataclass(frozen=True, slots=True)
class Ask:
    """One reranker asked once; an error is an answer too."""

    reranker: Reranker
    query: Query
    candidates: Sequence[Candidate]
    deadline: Branch

    def __call__(self) -> Came:
        """Ask it and wait."""
        watch = Watch(self.deadline)
        try:
            return self._came(reranked(*self._call()), watch)
        except Exception as error:  # noqa: BLE001 - who asked decides what it means
            return self._failed(error, watch)
        finally:
            self.deadline.leave()

    async def awaited(self) -> Came:
        """Ask it and await it."""
        watch = Watch(self.deadline)
        try:
            return self._came(await areranked(*self._call()), watch)
        except Exception as error:  # noqa: BLE001 - as above
            return self._failed(error, watch)
        finally:
            self.deadline.leave()

    def _call(self) -> tuple[Reranker, Query, Sequence[Candidate], Deadline, str]:
        return self.reranker, self.query, self.candidates, self.deadline, name_of(self.reranker)

    def _came(self, answer: object, watch: Watch) -> Came:
        reranking = check_reranking(answer, self.candidates)
        trace = self._trace(
            watch, len(reranking.ordered), reranking.usage, lacks(reranking)[1], reranking.parts
        )
        return Came(trace.source, reranking, None, trace)

    def _failed(self, error: Exception, watch: Watch) -> Came:
        trace = self._trace(watch, 0, Usage(), error_text(error), ())
        return Came(trace.source, Reranking(()), error, trace)

    def _trace(
        self, watch: Watch, left: int, usage: Usage, error: str, parts: tuple[StageTrace, ...]
    ) -> StageTrace:
        latency_ms, load_ms = watch.read()
        return StageTrace(
            "rerank", name_of(self.reranker), latency_ms, len(self.candidates), left, load_ms,
            usage, error, parts,
        )  # fmt: skip


Steps: TypeAlias = "Generator[Ask, Came, Reranking]"


def drive(steps: Steps) -> Reranking:
    """Wait for each answer in turn."""
    came: Any = None
    while True:
        try:
            ask = steps.send(came)
        except StopIteration as done:
            made: Reranking = done.value
            return made
        came = ask()


async def adrive(steps: Steps) -> Reranking:
    """Await each answer in turn."""
    came: Any = None
    while True:
        try:
            ask = steps.send(came)
        except StopIteration as done:
            made: Reranking = done.value
            return made
        came = await ask.awaited()
