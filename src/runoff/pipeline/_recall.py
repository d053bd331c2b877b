"""All sources asked together: one wait for them, and a last look at those that were late."""

from __future__ import annotations

import concurrent.futures
from typing import TYPE_CHECKING

from runoff._waiting import workers
from runoff.errors import PoolFull
from runoff.pipeline._stages import Answer
from runoff.protocols import AsyncRecallSource

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from runoff.pipeline._search import Call, Search
    from runoff.protocols import RecallSource

__all__ = ["Recalling"]


class Recalling:
    """The sources of one search; leaving the context leaves behind those that did not answer.

    Args:
        sources: by name.
        search: has their calls and knows how long to wait.
    """

    def __init__(self, sources: Mapping[str, RecallSource], search: Search) -> None:
        self._sources = sources
        self._search = search
        self._calls: dict[str, Call] = {
            name: search.call(source) for name, source in sources.items()
        }
        self._futures: dict[str, concurrent.futures.Future[Answer] | asyncio.Future[Answer]] = {}
        self._jobs: list[workers.Job[Answer]] = []
        self._answers: dict[str, Answer] = {}

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Wait for nothing any more."""
        self._go_on()
        for future in self._futures.values():
            if not isinstance(future, workers.Job):
                future.cancel()
        for job in self._jobs:
            workers.leave(job)

    def wait(self) -> dict[str, Answer]:
        """Ask every source, and return what came within recall's share of the budget."""
        finite = self._search.deadline.finite
        names = list(self._sources)
        # without a deadline nothing is ever left behind, so the caller's thread does its share
        inline = "" if finite else names[-1]
        for name in names:
            if name == inline:
                continue
            job = self._submitted(name)
            if job is not None:
                self._futures[name] = job
            elif not finite:
                self._answers[name] = self._calls[name]()
        if inline:
            self._answers[inline] = self._calls[inline]()
        waiting: set[concurrent.futures.Future[Answer]] = set(self._jobs)
        while waiting:
            done, waiting = concurrent.futures.wait(
                waiting,
                self._search.patience(self._answers),
                concurrent.futures.FIRST_COMPLETED,
            )
            self._take(done)
            if not done and self._search.out_of_patience(self._answers):
                break
        self._go_on()
        return self._answers

    async def await_all(self) -> dict[str, Answer]:
        """Do what `wait` does without blocking the event loop."""
        import asyncio  # noqa: PLC0415 - half of this package's import time

        waiting: set[asyncio.Future[Answer]] = set()
        for name, source in self._sources.items():
            future: asyncio.Future[Answer]
            if isinstance(source, AsyncRecallSource):
                future = asyncio.ensure_future(self._calls[name].awaited(source))
            elif (job := self._submitted(name)) is not None:
                future = asyncio.wrap_future(job)
            else:
                continue
            self._futures[name] = future
            waiting.add(future)
        while waiting:
            done, waiting = await asyncio.wait(
                waiting,
                timeout=self._search.patience(self._answers),
                return_when=asyncio.FIRST_COMPLETED,
            )
            self._take(done)
            if not done and self._search.out_of_patience(self._answers):
                break
        self._go_on()
        return self._answers

    def late(self) -> dict[str, Answer]:
        """Return all answers, with the hits that came since recall's share was over; or nothing."""
        came = {
            name: future.result()
            for name, future in self._futures.items()
            if name not in self._answers and future.done() and not future.cancelled()
        }
        hits = {name: answer for name, answer in came.items() if answer.hits is not None}
        return self._answers | hits if hits else {}

    def _submitted(self, name: str) -> workers.Job[Answer] | None:
        """Ask a source in a worker thread; None where there is none free, which is its answer."""
        try:
            job = workers.submit(self._calls[name])
        except PoolFull as error:
            self._answers[name] = Answer(None, error, 0.0)
            return None
        self._jobs.append(job)
        return job

    def _take(
        self, done: set[concurrent.futures.Future[Answer]] | set[asyncio.Future[Answer]]
    ) -> None:
        self._answers |= {
            name: future.result() for name, future in self._futures.items() if future in done
        }

    def _go_on(self) -> None:
        """Let the clock go on whatever a late source loads."""
        for call in self._calls.values():
            call.deadline.leave()
