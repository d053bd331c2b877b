"""The base of all contracts: their common tests, and the rule that no test may be dropped."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import dataclasses
import math
import pickle
import selectors
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

from runoff.deadline import Deadline
from runoff.errors import RunoffError, TransientError
from runoff.protocols import Warmable

try:
    import pytest
except ImportError:
    msg = "runoff.testing.contracts needs pytest, which is not installed: pip install pytest"
    raise ImportError(msg) from None

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

_A = TypeVar("_A")
_R = TypeVar("_R")

_THREADS = 8
_TURN = 0.025
_ATTEMPTS = 3


def require(ok: object, fact: str) -> None:
    """Fail the test, naming what the contract requires, unless `ok` is true.

    Raises:
        AssertionError: `ok` is false.
    """
    if not ok:
        raise AssertionError(f"the contract requires: {fact}")


def skip(reason: str) -> NoReturn:
    """Skip a test that does not apply to the part."""
    pytest.skip(reason)


class Contract:
    """Base of the contracts.

    A subclass can neither delete nor replace a standard test, except by a method marked
    `@pytest.mark.xfail(reason="...")` that says why the part fails it.

    Attributes:
        secrets: strings the part is made with, such as an API key, that must not appear in its
            `repr` or pickle.
        patience: seconds after the deadline within which a part with `keeps_deadline` must return.
    """

    secrets: ClassVar[tuple[str, ...]] = ()
    patience: ClassVar[float] = 1.0

    def __init_subclass__(cls, **kwargs: object) -> None:
        """Refuse a subclass that deletes or replaces a standard test without a reason.

        Raises:
            TypeError: names the tests.
        """
        super().__init_subclass__(**kwargs)
        if cls.__module__.startswith("runoff.testing."):
            return
        weakened = {
            name
            for base in cls.__mro__
            if base.__module__.startswith("runoff.testing.")
            for name, standard in vars(base).items()
            if name.startswith("test_")
            and getattr(cls, name, None) is not standard
            and not _excused(getattr(cls, name, None))
        }
        if weakened:
            raise TypeError(
                f"{cls.__name__} replaces standard tests: {', '.join(sorted(weakened))}. If the "
                'part fails one, mark it @pytest.mark.xfail(reason="...")'
            )

    def part(self) -> Any:  # noqa: ANN401 - each contract has its own type
        """Return the part under test; each contract implements it."""
        raise NotImplementedError

    def use(self, part: Any) -> object:  # noqa: ANN401 - as above
        """Use the part once and return what must be the same every time."""
        raise NotImplementedError

    def same(self, left: Any, right: Any) -> bool:  # noqa: ANN401 - as above
        """Whether two results of `use` are the same."""
        return bool(left == right)

    def test_configuration_is_frozen(self) -> None:
        """A part that is a dataclass is frozen, and `dataclasses.replace` makes an equal one."""
        part = self.part()
        if not dataclasses.is_dataclass(part) or isinstance(part, type):
            skip("the part is not a dataclass")
        for field in dataclasses.fields(part):
            if not field.init:
                continue
            try:
                setattr(part, field.name, None)
            except AttributeError:
                continue
            require(ok=False, fact=f"a frozen configuration, but {field.name} can be set")
        again = dataclasses.replace(part)
        require(
            self.same(self.use(again), self.use(part)),
            "dataclasses.replace(part) answers as the part does",
        )

    def test_pickle(self) -> None:
        """A pickled part answers as the original does, or raises an error that says it cannot."""
        part = self.part()
        try:
            pickled = pickle.dumps(part)
        except (RunoffError, TypeError, pickle.PicklingError, AttributeError) as error:
            skip(f"the part cannot be pickled and says so: {error}")
        try:
            again = pickle.loads(pickled)  # noqa: S301 - our own bytes, just made
        except RunoffError as error:
            skip(f"the part cannot be unpickled here and says so: {error}")
        require(
            self.same(self.use(again), self.use(part)),
            "a pickled part answers as the original does",
        )

    def test_secrets_stay_secret(self) -> None:
        """No secret appears in the part's `repr`, `str` or pickle."""
        part = self.part()
        for secret in self.secrets:
            require(secret not in repr(part), "repr(part) shows no secret")
            require(secret not in str(part), "str(part) shows no secret")
            try:
                pickled = pickle.dumps(part)
            except Exception:  # noqa: BLE001, S112 - what cannot be pickled reveals nothing
                continue
            require(secret.encode() not in pickled, "a pickle contains no secret")

    def test_same_answer_again(self) -> None:
        """The part gives the same answer to the same question."""
        part = self.part()
        require(self.same(self.use(part), self.use(part)), "the same answer to the same question")

    def test_threads(self) -> None:
        """Eight threads that use one instance at once get the answer that one thread gets."""
        part = self.part()
        alone = self.use(part)
        together = in_threads(lambda _: self.use(part), [None] * _THREADS)
        require(
            all(self.same(answer, alone) for answer in together),
            f"{_THREADS} threads on one instance get the answer that one thread gets",
        )

    def test_warmup(self) -> None:
        """A part with `warmup` can be warmed up twice and answers as before."""
        part = self.part()
        if not isinstance(part, Warmable):
            skip("the part has no warmup")
        before = self.use(part)
        part.warmup()
        part.warmup()
        require(self.same(self.use(part), before), "warmup() changes no answer")


class AwaitedContract(Contract):
    """Base of the contracts of parts that may be awaited, too."""

    def awaited(self, part: Any) -> Callable[[], Coroutine[Any, Any, object]] | None:  # noqa: ANN401 - as above
        """Return what `use` asks of the part, to be awaited; None if the part cannot be."""
        raise NotImplementedError

    def test_async_agrees(self) -> None:
        """Awaited, the part gives the same answer, also to concurrent calls and in a new loop."""
        part = self.part()
        call = self.awaited(part)
        if call is None:
            skip("the part cannot be awaited")

        async def ask() -> list[object]:
            return await asyncio.gather(*(call() for _ in range(3)))

        expected = self.use(part)
        for _ in range(2):
            require(
                all(self.same(one, expected) for one in asyncio.run(ask())),
                "the part gives the same answer when it is awaited",
            )

    def test_async_does_not_block(self) -> None:
        """Awaiting the part does not block the event loop."""
        part = self.part()
        call = self.awaited(part)
        if call is None:
            skip("the part cannot be awaited")
        self.use(part)
        require_free_loop(call)


def _excused(method: object) -> bool:
    return any(
        mark.name == "xfail" and mark.kwargs.get("reason")
        for mark in getattr(method, "pytestmark", ())
    )


def in_threads(work: Callable[[_A], _R], items: Sequence[_A]) -> list[_R]:
    """Run `work` on every item at once, one thread for each, and return the results in order."""
    barrier = threading.Barrier(len(items))

    def one(item: _A) -> _R:
        barrier.wait(timeout=60)
        return work(item)

    with ThreadPoolExecutor(len(items)) as pool:
        return list(pool.map(one, items))


def require_free_loop(call: Callable[[], Awaitable[object]]) -> None:
    """Fail if eight calls awaited together block the event loop for 25 ms at a time.

    This measures the turns of the loop, from one poll of its sockets to the next, less the time
    that threads waited for a processor, so that a busy machine does not fail the part. Only Linux
    tells that time. One good attempt of three counts.
    """
    longest = math.inf
    for _ in range(_ATTEMPTS):
        longest = min(longest, _longest_turn(call))
        if longest <= _TURN:
            return
    require(
        ok=False,
        fact="awaiting the part does not block the event loop; eight calls blocked it for "
        f"{longest * 1000:.0f} ms at a time",
    )


def _longest_turn(call: Callable[[], Awaitable[object]]) -> float:
    selector = _TimedSelector()

    async def calls() -> None:
        await asyncio.sleep(0)
        selector.turns.clear()
        await asyncio.gather(*(call() for _ in range(_THREADS)))
        await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        runner.run(calls())
    return max(selector.turns)


class _TimedSelector(selectors.DefaultSelector):
    """A selector that records how long the event loop was busy between two polls."""

    def __init__(self) -> None:
        super().__init__()
        self.turns: list[float] = []
        self._left, self._before = time.perf_counter(), _waits()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Record the turn that ends here."""
        took = time.perf_counter() - self._left
        if took > _TURN:
            waits = _waits().items()
            took -= sum(waited - self._before.get(thread, 0.0) for thread, waited in waits)
        self.turns.append(took)
        ready = super().select(timeout)
        self._before, self._left = _waits(), time.perf_counter()
        return ready


def _waits() -> dict[str, float]:
    """Return how long each thread has been ready to run without a processor, in seconds.

    All threads count: one that holds the interpreter's lock holds up the loop's.
    """
    found = {}
    for thread in Path("/proc/self/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):  # it has ended
            found[thread.parent.name] = int(thread.read_text().split()[1]) / 1e9
    return found


def within(
    seconds: float, call: Callable[[Deadline], _R], part: object, patience: float
) -> _R | None:
    """Use a part under a deadline; return its answer, or None if it raises `TransientError`.

    A part with `keeps_deadline` fails if it returns more than `patience` seconds late in all of
    three attempts.
    """
    for _ in range(_ATTEMPTS):
        deadline = Deadline(seconds)
        started = time.perf_counter()
        try:
            answer = call(deadline)
        except TransientError:
            answer = None
        took = time.perf_counter() - started - deadline.paused_for
        if took <= seconds + patience or not getattr(part, "keeps_deadline", False):
            return answer
    require(
        ok=False,
        fact=f"a part with keeps_deadline returns by its deadline of {seconds * 1000:.0f} ms; "
        f"this one took {took * 1000:.0f} ms",
    )
    return answer


def require_unchanged(call: Callable[[_A], object], given: _A, what: str) -> None:
    """Fail if a call changes its argument."""
    before = copy.deepcopy(given)
    call(given)
    require(given == before, f"the call leaves {what} unchanged")
