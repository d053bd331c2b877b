import asyncio
import gc
import warnings

import pytest
from llama_index.core.chat_engine import (
    CondensePlusContextChatEngine,
    ContextChatEngine,
)
from llama_index.core.memory import ChatMemoryBuffer, Memory

from runoff.llama_index import two_stage

QUERY = "sort dictionaries by value"


def ids(nodes):
    return [one.node_id for one in nodes]


def kinds(engine):
    return [type(one).__name__ for one in engine._node_postprocessors]


@pytest.fixture(params=[ContextChatEngine, CondensePlusContextChatEngine])
def chat(request, index, llm):
    """Make a chat engine of each kind."""
    kinds = []

    def make(memory):
        kinds.append(type(memory))
        return request.param.from_defaults(index.as_retriever(), llm=llm, memory=memory)

    loop = asyncio.new_event_loop()  # LlamaIndex would make one and never close it
    asyncio.set_event_loop(loop)
    yield make
    asyncio.set_event_loop(None)
    loop.close()
    if Memory in kinds:
        with warnings.catch_warnings():  # it leaves its database to the collector
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


@pytest.mark.parametrize(
    "memory", [ChatMemoryBuffer.from_defaults, Memory.from_defaults], ids=["buffer", "memory"]
)
class TestChatEngines:
    def test_a_chat_engine_gets_a_second_stage(self, overlap, chat, memory):
        """Kind and options stay; the sources are the reranked nodes."""
        engine = chat(memory())
        better = two_stage(engine, reranker=overlap(), top_n=3)
        assert isinstance(better, type(engine))
        answer = better.chat(QUERY)
        assert ids(answer.source_nodes)[0] == "sort"
        assert len(answer.source_nodes) == 3

    def test_the_conversation_goes_its_own_way(self, overlap, chat, memory):
        """The copy has the conversation so far; afterwards the two are independent."""
        engine = chat(memory())
        engine.chat("first")
        better = two_stage(engine, reranker=overlap())
        assert [one.content for one in better.chat_history] == [
            one.content for one in engine.chat_history
        ]
        better.chat("second")
        assert len(engine.chat_history) == 2
        assert len(better.chat_history) == 4
