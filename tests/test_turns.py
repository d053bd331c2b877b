"""Steps of many searches never run back to back on one event loop."""

import asyncio
import time

from runoff._waiting import turns


def test_a_timer_comes_between_steps_that_are_ready_together():
    """Forty steps of 2 ms released at once hold no timer up for longer than a few of them."""

    async def main():
        loop, start, late = asyncio.get_running_loop(), asyncio.Event(), []

        async def step():
            await start.wait()
            async with turns.turn():
                time.sleep(0.002)  # noqa: ASYNC251 - a step that computes

        async def tick():
            while True:
                due = loop.time() + 0.001
                await asyncio.sleep(0.001)
                late.append(loop.time() - due)

        steps = [asyncio.ensure_future(step()) for _ in range(40)]
        ticking = asyncio.ensure_future(tick())
        await asyncio.sleep(0)
        start.set()
        await asyncio.gather(*steps)
        ticking.cancel()
        return late

    late = asyncio.run(main())
    assert len(late) >= 20
    assert sorted(late)[len(late) // 2] < 0.02


def test_a_step_that_fails_or_is_cancelled_gives_its_turn_back():
    """After an error and after a cancellation the next step still runs."""

    async def main():
        async def failing():
            async with turns.turn():
                raise KeyError

        async def holding():
            async with turns.turn():
                await asyncio.sleep(10)

        task = asyncio.ensure_future(holding())
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(failing(), task, return_exceptions=True)
        async with asyncio.timeout(1), turns.turn():
            return True

    assert asyncio.run(main())


def test_a_closed_loop_is_forgotten():
    """Loops that come and go leave nothing behind."""

    async def main():
        async def step():
            async with turns.turn():
                pass

        await asyncio.gather(step(), step(), step())

    for _ in range(3):
        asyncio.run(main())
    assert len(turns._turns) == 0
