"""One generator is the body of a method and of its asynchronous twin."""

import asyncio
import concurrent.futures
import gc
import threading
import weakref

import pytest

from runoff._waiting.drive import ask, awaitable, first_done, run, run_async


def drive(make, *, awaited):
    return asyncio.run(run_async(make())) if awaited else run(make())


both = pytest.mark.parametrize("awaited", [False, True])


def given(value):
    """Ask for a value that says which way it was waited for."""

    async def later():
        await asyncio.sleep(0)
        return value, "awaited"

    return ask(lambda: (value, "waited"), later)


def failing(error):
    def fail():
        raise error

    async def fail_later():
        raise error

    return ask(fail, fail_later)


@both
def test_answers_are_sent_into_the_body(awaited):
    """Each `ask` gets its own answer, waited for or awaited, and the result comes back."""

    def body():
        first = yield from given(1)
        second = yield from given(2)
        return first, second

    way = "awaited" if awaited else "waited"
    assert drive(body, awaited=awaited) == ((1, way), (2, way))


@both
def test_a_body_that_asks_nothing_returns(awaited):
    """A body may have its result at once."""

    def body():
        return 3
        yield

    assert drive(body, awaited=awaited) == 3


@both
def test_an_error_is_raised_where_it_was_asked(awaited):
    """The body may catch what waiting raised, and go on asking."""

    def body():
        try:
            yield from failing(KeyError("lost"))
        except KeyError:
            return (yield from given("recovered"))[0]

    assert drive(body, awaited=awaited) == "recovered"


@both
@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_error_that_is_not_caught_comes_out_as_it_is(awaited, kind):
    """The same object is raised, after the body has cleaned up, with no context added."""
    error, cleaned = kind("stop"), []

    def body():
        try:
            yield from failing(error)
        finally:
            cleaned.append(True)

    with pytest.raises(kind) as caught:
        drive(body, awaited=awaited)
    assert caught.value is error
    assert caught.value.__context__ is None
    assert cleaned == [True]


@both
def test_a_stop_iteration_ends_nothing_silently(awaited):
    """A call that raises StopIteration is an error and not a result."""
    with pytest.raises(RuntimeError):
        drive(lambda: failing(StopIteration("not a result")), awaited=awaited)


def test_a_cancelled_task_cleans_up():
    """Cancelling the awaiting task raises CancelledError inside the body."""
    seen = []

    def body():
        try:
            yield from ask(lambda: None, lambda: asyncio.sleep(60))
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def main():
        task = asyncio.ensure_future(run_async(body()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert seen == ["cancelled"]


@both
def test_an_error_keeps_nothing_alive(awaited):
    """Once the error is gone, so is what the body held: no cycle waits for the collector."""

    class Held:
        pass

    watched = []

    def body():
        held = Held()
        watched.append(weakref.ref(held))
        yield from ask(lambda: int("gone"), broken)

    async def broken():
        int("gone")

    gc.disable()
    try:
        try:
            if awaited:  # stepped by hand: a task of asyncio refers to its own error
                run_async(body()).send(None)
            else:
                run(body())
        except ValueError:
            pass
        alive = watched[0]() is not None
    finally:
        gc.enable()
    assert not alive


@both
def test_the_first_of_several_futures(awaited):
    """What is done comes back; the others are still waited for; a limit returns an empty set."""
    quick, never = concurrent.futures.Future(), concurrent.futures.Future()

    def body():
        one = yield from awaitable(quick)
        other = yield from awaitable(never)
        none = yield from first_done({one, other}, 0.001)
        threading.Timer(0.01, quick.set_result, ["there"]).start()
        done = yield from first_done({one, other}, 60)
        other.cancel()
        return none, done == {one}, [found.result() for found in done]

    assert drive(body, awaited=awaited) == (set(), True, ["there"])
