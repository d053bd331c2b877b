"""Clients that CohereRerank accepts although Cohere did not make them."""

import asyncio
import time
from types import SimpleNamespace

from servers import good

__all__ = ["AsyncClient", "Client"]


class Client:
    """The `rerank` of Cohere's clients for cloud providers, and nothing else."""

    def __init__(self, error=None, seconds=0.0):
        self.error, self.seconds, self.asked = error, seconds, []

    def rerank(self, *, model, query, documents):
        self.asked.append((model, query, documents))
        time.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return good_objects(documents)


class AsyncClient:
    def __init__(self, error=None):
        self.error = error

    async def rerank(self, *, model, query, documents):
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return good(documents)


def good_objects(documents):
    rows = [SimpleNamespace(**row) for row in good(documents)["results"]]
    units = SimpleNamespace(search_units=1.0)
    return SimpleNamespace(results=rows[::-1], meta=SimpleNamespace(billed_units=units))
