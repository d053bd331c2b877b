"""Recall: every source is asked at once, and late ones are left out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runoff._util.messages import error_text, short_repr
from runoff._waiting import exits, workers
from runoff._waiting.drive import ask, first_done, run, run_async
from runoff._waiting.uncancelled import auncancelled, uncancelled
from runoff._waiting.watch import Watch
from runoff.errors import BadReply, InvalidArgument, PoolFull
from runoff.protocols import AsyncRecallSource
from runoff.types import Hit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from runoff._waiting.drive import Asking, Future
    from runoff.deadline import Branch, Deadline
    from runoff.protocols import RecallSource
    from runoff.types import Query

# how sqlite3, asyncio, signal, greenlet and others say that they are used in the wrong thread
_BOUND_TO_THREAD = (
    r"same thread|created in a thread|no current event loop in thread|(different|wrong|main) thread"
)


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What one source returned: its hits or its error, and how long that took in milliseconds."""

    hits: Sequence[Hit] | None
    error: BaseException | None
    latency_ms: float
    load_ms: float = 0.0


class Recall:
    """The sources of one search; leaving the context abandons those that have not answered.

    Args:
        sources: by name.
        query: the question.
        depth: hits asked of each source.
        deadline: recall may take half of the budget once a source has answered, and all of it
            until then.
    """

    def __init__(
        self, sources: Mapping[str, RecallSource], query: Query, depth: int, deadline: Deadline
    ) -> None:
        self._deadline = deadline
        self._calls = {
            name: _Call(name, source, query, depth, deadline.branch())
            for name, source in sources.items()
        }
        self._futures: dict[str, Future[Answer]] = {}
        self._jobs: list[workers.Job[Answer]] = []
        self._answers: dict[str, Answer] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Stop waiting for sources."""
        self._resume_clock()
        for future in self._futures.values():
            if not isinstance(future, workers.Job):
                future.cancel()
        for job in self._jobs:
            workers.leave(job)

    def ask_all(self) -> Asking[dict[str, Answer]]:
        """Ask every source, and return the answers that arrive within recall's share."""
        yield from ask(self._start, self._start_async)
        waiting = set(self._futures.values())
        while waiting:
            done = yield from first_done(waiting, self._longest_wait())
            self._answers |= {
                name: future.result() for name, future in self._futures.items() if future in done
            }
            waiting -= done
            if not done and self._deadline.finite and self._seconds_left() <= 0:
                break
        self._resume_clock()
        return self._answers

    def late_answers(self) -> dict[str, Answer]:
        """Return all answers if a late source has found hits by now, else an empty mapping."""
        late = {
            name: future.result()
            for name, future in self._futures.items()
            if name not in self._answers and future.done() and not future.cancelled()
        }
        found = {name: answer for name, answer in late.items() if answer.hits is not None}
        return self._answers | found if found else {}

    def _start(self) -> None:
        """Start a call to every source in worker threads.

        Sources that ask for the caller's thread run there, when the others have started. Without a
        deadline no call is ever abandoned, so the last one runs there, too.
        """
        here = self._of_caller()
        names = [name for name in self._calls if name not in here]
        if not self._deadline.finite and not here:
            here = [names.pop()]
        for name in names:
            job = self._submit(name)
            if job is not None:
                self._futures[name] = job
            elif not self._deadline.finite:
                self._answers[name] = self._calls[name].wait()
        for name in here:
            self._answers[name] = self._calls[name].wait()

    async def _start_async(self) -> None:
        """Start a call to every source, in worker threads where it cannot be awaited."""
        import asyncio  # noqa: PLC0415 - half of this package's import time

        here = self._of_caller()
        for name, call in self._calls.items():
            if name in here:
                continue
            if isinstance(call.source, AsyncRecallSource):
                self._futures[name] = asyncio.ensure_future(call.wait_async())
            elif (job := self._submit(name)) is not None:
                self._futures[name] = asyncio.wrap_future(job)
        for name in here:
            self._answers[name] = self._calls[name].wait()

    def _of_caller(self) -> list[str]:
        """Return the sources that must be called in the searching thread."""
        return [
            name
            for name, call in self._calls.items()
            if getattr(call.source, "thread", "any") == "caller"
        ]

    def _submit(self, name: str) -> workers.Job[Answer] | None:
        """Call a source in a worker thread; if no thread is free, its answer is that error."""
        try:
            job = workers.submit(self._calls[name].wait)
        except PoolFull as error:
            self._answers[name] = Answer(None, error, 0.0)
            return None
        self._jobs.append(job)
        return job

    def _longest_wait(self) -> float | None:
        """Return how many seconds to wait for the next answer; None for no limit."""
        if not self._deadline.finite:
            return None
        return min(workers.pause(self._deadline), max(0.001, self._seconds_left()))

    def _seconds_left(self) -> float:
        """Return what is left of recall's share of the budget."""
        answered = any(answer.hits is not None for answer in self._answers.values())
        return self._deadline.remaining() - (self._deadline.budget / 2 if answered else 0.0)

    def _resume_clock(self) -> None:
        """Let the search's clock run on, even while a late source loads a model."""
        for call in self._calls.values():
            call.deadline.leave()


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    """One call to one source; an error counts as an answer."""

    name: str
    source: RecallSource
    query: Query
    depth: int
    deadline: Branch

    def wait(self) -> Answer:
        return run(self._steps())

    async def wait_async(self) -> Answer:
        return await run_async(self._steps())

    def _steps(self) -> Asking[Answer]:
        watch = Watch(self.deadline)
        try:
            found = yield from ask(self._retrieve, self._aretrieve)
            hits = _checked(found, self.depth)
        except Exception as error:  # noqa: BLE001 - `collect` decides what it means
            return Answer(None, self._explained(error), *watch.read())
        return Answer(hits, None, *watch.read())

    def _explained(self, error: Exception) -> Exception:
        """Return an error that says what to do about a source that is bound to a thread."""
        if not (workers.is_worker() and re.search(_BOUND_TO_THREAD, str(error))):
            return error
        remedy = (
            f"cannot be called in a worker thread ({error_text(error)}): set its attribute "
            'thread to "caller", or wrap it in Function(..., thread="caller")'
        )
        explained = InvalidArgument(f"sources[{self.name!r}]", type(self.source).__name__, remedy)
        explained.__cause__ = error
        return explained

    def _retrieve(self) -> object:
        with exits.Native():  # the source may be of anyone's making
            retrieve = self.source.retrieve
            return uncancelled(
                lambda: retrieve(self.query, depth=self.depth, deadline=self.deadline)
            )

    async def _aretrieve(self) -> object:
        source = self.source
        assert isinstance(source, AsyncRecallSource)  # noqa: S101 - for mypy: only those are awaited
        return await auncancelled(
            lambda: source.aretrieve(self.query, depth=self.depth, deadline=self.deadline)
        )


def _checked(found: object, depth: int) -> Sequence[Hit]:
    """Return what a source found, cut to the depth asked for.

    Raises:
        BadReply: it is not a list of hits.
    """
    if not isinstance(found, Sequence) or isinstance(found, str | bytes):
        raise BadReply(f"retrieve() must return a list of hits, and returned {short_repr(found)}")
    hits = found[:depth] if len(found) > depth else found
    for hit in hits:
        if not isinstance(hit, Hit):
            msg = f"retrieve() must return a list of hits, and returned {short_repr(hit)} in it"
            raise BadReply(msg)
    return hits
