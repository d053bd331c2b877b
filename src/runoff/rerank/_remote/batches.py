"""Scoring pairs by requests: batches, retries, the circuit breaker and one deadline.

Pairs are grouped by query and split into batches. Every batch is a task of the private loop. At the
deadline the replies that have arrived are used and the other requests are cancelled. A batch that a
server rejects is halved, so that one bad text costs no other text its score.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from runoff._util.messages import number_of
from runoff._waiting import workers
from runoff.errors import (
    BadReply,
    CircuitOpen,
    DeadlineExceeded,
    RequestRejected,
    TransientError,
)
from runoff.rerank._pairs import has_text
from runoff.scores import PairScores, Usage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from runoff.deadline import Deadline
    from runoff.rerank._remote.breaker import Breaker, Permit
    from runoff.rerank._remote.dialects import Dialect, Item
    from runoff.rerank._remote.retries import Retries
    from runoff.scores import ModelIdentity, Passage, ScoreKind

# requests that one call may use to find the texts a server rejects: few while nothing is scored,
# since then something else may be wrong
_SPLITS, _SPLITS_BLIND = 64, 16
_LARGEST = float(np.finfo(np.float32).max)
_SURROGATE = re.compile("[\ud800-\udfff]")  # UTF-8 cannot encode it, and servers reject its escape


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply to one batch: its items, in any order, and its usage."""

    items: Sequence[Item]
    usage: Usage = field(default_factory=Usage)


def read(dialect: Dialect, said: object, who: str) -> Reply:
    """Parse a server's reply.

    Raises:
        BadReply: it does not have the form of the dialect.
    """
    try:
        return Reply(dialect.read(said), dialect.usage(said))
    except BadReply as error:
        raise BadReply(f"{who}: {error}") from None


Ask = Callable[[str, Sequence[str]], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Way:
    """How requests are sent to a server.

    Attributes:
        who: its name, for errors.
        ask: sends one query with one batch of texts.
        retries: when a request is sent again.
        breaker: stops requests to a server that keeps failing; None stops none.
        timeout: seconds for one request, if the deadline allows as many.
        batch: texts in one request.
        gate: limits the concurrent requests of this process to the server.
        limit_in: the batch limit that a rejection names, or None.
        learned: stores that limit for the next call.
    """

    who: str
    ask: Ask
    retries: Retries
    breaker: Breaker | None
    timeout: float
    batch: int
    gate: asyncio.Semaphore
    limit_in: Callable[[str], int | None] = lambda _: None
    learned: Callable[[int], None] = lambda _: None


_gates: weakref.WeakKeyDictionary[
    asyncio.AbstractEventLoop, dict[tuple[str, int], asyncio.Semaphore]
] = weakref.WeakKeyDictionary()


def gate_of(url: str, concurrency: int) -> asyncio.Semaphore:
    """Return the semaphore of all requests to one URL on the running loop."""
    known = _gates.setdefault(asyncio.get_running_loop(), {})
    return known.setdefault((url, concurrency), asyncio.Semaphore(concurrency))


class Batches:
    """The scores of one call as they arrive."""

    def __init__(self, pairs: Sequence[tuple[str, str]], deadline: Deadline | None = None) -> None:
        self.pairs = pairs
        self.deadline = deadline
        self.values = np.full(len(pairs), np.nan)
        self.passages: list[tuple[Passage, ...]] = [()] * len(pairs)
        self.usage = Usage()
        self.errors: list[TransientError] = []
        self.failed: list[TransientError] = []
        self.blank = {index for index, pair in enumerate(pairs) if not has_text(pair)}
        self.splits = 0

    def may_split(self, pieces: int) -> bool:
        """Whether a rejected batch may be sent as so many smaller ones; they are counted."""
        most = _SPLITS if np.isfinite(self.values).any() else _SPLITS_BLIND
        if self.splits + pieces > most:
            return False
        self.splits += pieces
        return True

    def left(self) -> float:
        """Return the seconds left; infinity without a deadline."""
        return math.inf if self.deadline is None else self.deadline.remaining()

    def grouped(self, batch: int) -> list[list[int]]:
        """Return the pairs with text as batches of indices, one query each, in input order."""
        queries: dict[str, list[int]] = {}
        for index, (query, _) in enumerate(self.pairs):
            if index not in self.blank:
                queries.setdefault(query, []).append(index)
        return [
            indices[start : start + batch]
            for indices in queries.values()
            for start in range(0, len(indices), batch)
        ]

    def take(self, indices: Sequence[int], reply: Reply, who: str) -> None:
        """Pair a reply with its batch, by index and never by position.

        Raises:
            BadReply: an index is out of range, duplicated or missing, or a score is not finite.
                The other scores are kept, except where an index is out of range: then none can
                be trusted.
        """
        self.usage += reply.usage
        seen: dict[int, Item] = {}
        twice: set[int] = set()
        for item in reply.items:
            if not 0 <= item.index < len(indices):
                raise BadReply(f"{who} returned index {item.index} for a batch of {len(indices)}")
            if item.index in seen:
                twice.add(item.index)
            seen[item.index] = item
        odd = 0
        for place, item in seen.items():
            if place in twice:
                continue
            if not abs(item.score) <= _LARGEST:  # false for NaN, too
                odd += 1
                continue
            index = indices[place]
            self.values[index] = item.score
            length = len(self.pairs[index][1])
            self.passages[index] = tuple(one for one in item.passages if one.end <= length)
        missing = len(indices) - len(seen)
        problems = [
            f"no score for {missing}" * bool(missing),
            f"two scores for {len(twice)}" * bool(twice),
            f"a score that is not finite for {odd}" * bool(odd),
        ]
        if any(problems):
            found = ", ".join(filter(None, problems))
            raise BadReply(f"{who} was sent {number_of(len(indices), 'text')} and returned {found}")


async def score(way: Way, pairs: Sequence[tuple[str, str]], deadline: Deadline | None) -> Batches:
    """Score pairs as far as the deadline allows.

    Raises:
        PermanentError: the server says that trying again cannot help.
        TransientError: nothing was scored.
    """
    work = Batches(pairs, deadline)
    tasks = [_task(_batch(way, work, one)) for one in work.grouped(way.batch)]
    try:
        await _gathered(tasks, deadline)
    finally:
        late = sum(not task.done() for task in tasks)
        for task in tasks:
            task.cancel()
    if late and work.failed:  # the error that was being retried says more than a timeout
        work.errors.append(work.failed[-1])
    elif late and deadline is not None:
        msg = (
            f"{way.who}: {late} of {number_of(len(tasks), 'request')} "
            f"{'was' if late == 1 else 'were'} not answered within "
            f"{deadline.budget * 1000:.0f} ms"
        )
        work.errors.append(DeadlineExceeded(msg))
    if work.errors and not np.isfinite(work.values).any():
        raise work.errors[0]
    return work


def _task(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task = asyncio.ensure_future(work)
    # several may fail for one reason, and only the first is raised
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task


async def _gathered(tasks: list[asyncio.Task[None]], deadline: Deadline | None) -> None:
    """Await tasks until the deadline; the first permanent error ends them all."""
    waiting = set(tasks)
    while waiting and not (deadline is not None and deadline.expired):
        left = None if deadline is None or not deadline.finite else workers.pause(deadline)
        done, waiting = await asyncio.wait(
            waiting, timeout=left, return_when=asyncio.FIRST_EXCEPTION
        )
        for task in done:
            task.result()


async def _batch(way: Way, work: Batches, indices: list[int]) -> None:
    """Score one batch; transient errors are kept, permanent ones are raised."""
    try:
        await _asked(way, work, indices)
    except RequestRejected as error:
        limit = way.limit_in(str(error))
        if limit is not None and limit < len(indices):
            way.learned(limit)
            size = limit
        else:
            size = (len(indices) + 1) // 2
        split = [indices[start : start + size] for start in range(0, len(indices), size)]
        if len(split) == 1 or (size != limit and not work.may_split(len(split))):
            work.errors.append(error)
            return
        tasks = [_task(_batch(way, work, one)) for one in split]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
    except TransientError as error:
        work.errors.append(error)


async def _asked(way: Way, work: Batches, indices: list[int]) -> None:
    """Send a request, with retries, and report the outcome to the breaker."""
    failures: list[TransientError] = []
    while True:
        async with way.gate:
            try:
                permit = None if way.breaker is None else way.breaker.enter()
            except CircuitOpen:
                if failures:  # this request opened the circuit: its own error says more
                    raise failures[-1] from None
                raise
            try:
                return await _once(way, work, indices)
            except TransientError as error:
                failures.append(error)
                _report(permit, error)
            except BaseException as error:
                _report(permit, error)
                raise
            finally:
                if permit is not None:
                    permit.answered()  # ignored once an error was reported
        pause = way.retries.pause(len(failures), failures[-1], work.left())
        if pause is None:
            raise failures[-1]
        work.failed.append(failures[-1])
        await asyncio.sleep(pause)


async def _once(way: Way, work: Batches, indices: list[int]) -> None:
    work.usage += Usage(requests=1)
    query = work.pairs[indices[0]][0]
    limit = asyncio.timeout(way.timeout)
    reply = None
    try:
        async with limit:
            texts = [_sendable(work.pairs[one][1]) for one in indices]
            reply = await way.ask(_sendable(query), texts)
    except TimeoutError:
        if not limit.expired():
            raise
    if reply is None:  # raised here: the context would have frames with the headers that were sent
        raise DeadlineExceeded(f"{way.who} did not answer within {way.timeout:g} s")
    work.take(indices, reply, way.who)


def _sendable(text: str) -> str:
    return _SURROGATE.sub("\ufffd", text)  # as long as it was, so that passages keep their place


def _report(permit: Permit | None, raised: BaseException) -> None:
    if permit is None:
        return
    if isinstance(raised, asyncio.CancelledError | DeadlineExceeded):
        permit.left()
    elif isinstance(raised, TransientError) and not isinstance(raised, RequestRejected):
        permit.failed(raised)
    else:
        permit.answered()


def pair_scores(
    work: Batches,
    *,
    kind: ScoreKind,
    model: ModelIdentity,
    truncated: NDArray[np.bool_],
    load_ms: float = 0.0,
    notes: Sequence[str] = (),
) -> PairScores:
    """Return the scores that have arrived as `PairScores`."""
    scored = np.isfinite(work.values)
    reason = work.errors[0].reason if work.errors else ""
    if work.blank and not reason:
        reason = RequestRejected.reason
    return PairScores(
        work.values.astype(np.float32),
        scored,
        truncated & scored,
        kind,
        model,
        replace(work.usage, pairs=int(scored.sum())),
        load_ms,
        "" if scored.all() else reason,
        (*notes, *dict.fromkeys(map(str, work.errors))),
        tuple(work.passages) if any(work.passages) else (),
    )


async def load(make: Callable[[], object], deadline: Deadline | None, who: str) -> float:
    """Make a client in a worker thread, the deadline's clock stopped; return milliseconds."""
    began = time.perf_counter()
    with nullcontext() if deadline is None else deadline.paused():
        await workers.run_async(make, None, who)
    return (time.perf_counter() - began) * 1000
