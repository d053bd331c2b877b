"""Steps of many searches never run back to back on one event loop."""

import asyncio

from runoff._waiting import turns


def test_other_callbacks_run_between_steps_that_are_ready_together():
    """Forty steps released at once take turns with a callback; without turns they run in a row."""

    async def order(take_turns):
        start, ran = asyncio.Event(), []

        async def step():
            await start.wait()
            if not take_turns:
                ran.append("step")
                return
            async with turns.turn():
                ran.append("step")

        async def tick():
            while True:
                ran.append("tick")
                await asyncio.sleep(0)

        steps = [asyncio.ensure_future(step()) for _ in range(40)]
        ticking = asyncio.ensure_future(tick())
        await asyncio.sleep(0)
        start.set()
        await asyncio.gather(*steps)
        ticking.cancel()
        return " ".join(ran)

    assert "step step" not in asyncio.run(order(take_turns=True))
    assert " ".join(["step"] * 40) in asyncio.run(order(take_turns=False))


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
    """A closed loop leaves no lock behind."""

    async def main():
        async def step():
            async with turns.turn():
                pass

        await asyncio.gather(step(), step(), step())

    for _ in range(3):
        asyncio.run(main())
    assert len(turns._turns) == 0
