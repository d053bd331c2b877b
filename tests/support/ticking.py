"""Whether something that is awaited leaves the event loop to others."""

import asyncio


async def ticks_during(work):
    """Count how often a 5 ms ticker gets its turn while something is awaited."""
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    ticker = asyncio.create_task(tick())
    await asyncio.sleep(0)
    await work
    ticker.cancel()
    return ticks
