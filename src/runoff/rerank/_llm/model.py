"""Which language models can be asked: LangChain's, LlamaIndex's and callables."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from runoff._util.messages import name_of
from runoff.errors import InvalidArgument
from runoff.rerank._llm.reply import said_of, tokens_of

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Model:
    """A language model that takes a text.

    Attributes:
        llm: a LangChain chat model, a LlamaIndex LLM, or a callable.
        kind: which of them.
        is_read: whether a text, without thoughts and fences, is an answer.
    """

    llm: Any
    kind: Literal["chat", "complete", "call"]
    is_read: Callable[[str], bool]

    @property
    def is_async(self) -> bool:
        """Whether it can be awaited without blocking: by a method that does not call `say`'s."""
        if self.kind == "call":
            return _is_async(self.llm)
        # by default both frameworks call the synchronous method: in LlamaIndex on the event loop
        # itself, in LangChain in a thread that the loop's end waits for
        own = getattr(type(self.llm), "_agenerate" if self.kind == "chat" else "acomplete", None)
        framework = "langchain_core." if self.kind == "chat" else "llama_index.core."
        return not getattr(own, "__module__", "").startswith(framework)

    def say(self, prompt: str) -> tuple[object, int | None]:
        """Return the reply, and how many tokens it took; None if unknown.

        Raises:
            InvalidArgument: it is a callable that can only be awaited.
            Exception: as the model raises it.
        """
        if self.kind == "chat":
            return said_of(self.llm.invoke(prompt), self.is_read)
        if self.kind == "complete":
            return _completed(self.llm.complete(prompt))
        reply = self.llm(prompt)
        if inspect.isawaitable(reply):
            if inspect.iscoroutine(reply):
                reply.close()
            remedy = (
                "is async: use asearch() or arerank(), which await it"
                if self.is_async
                else 'returned an awaitable: declare it "async def"'
            )
            raise InvalidArgument("llm", self.llm, remedy)
        return reply, None

    async def asay(self, prompt: str) -> tuple[object, int | None]:
        """Do what `say` does without blocking the event loop, where `is_async`."""
        if self.kind == "chat":
            return said_of(await self.llm.ainvoke(prompt), self.is_read)
        if self.kind == "complete":
            return _completed(await self.llm.acomplete(prompt))
        return await self.llm(prompt), None


def model_of(llm: object, is_read: Callable[[str], bool]) -> Model | None:
    """Return what a framework's model or a callable is as a model; None for anything else."""
    if isinstance(llm, type):  # it has the methods, and nothing to call them on
        return None
    if callable(getattr(llm, "invoke", None)) and hasattr(llm, "ainvoke"):
        return Model(llm, "chat", is_read)
    if callable(getattr(llm, "complete", None)) and hasattr(llm, "metadata"):
        return Model(llm, "complete", is_read)
    return Model(llm, "call", is_read) if callable(llm) else None


def llm_name(llm: object) -> str:
    """Return the name that a model or callable has: its model's, its own, or its class's."""
    names = (getattr(llm, name, None) for name in ("model_name", "model", "model_id", "name"))
    name = next((one for one in names if isinstance(one, str) and one), "")
    return name or str(getattr(llm, "__name__", name_of(llm)))


def _completed(response: Any) -> tuple[object, int | None]:  # noqa: ANN401 - LlamaIndex's
    return str(response.text), tokens_of(getattr(response, "additional_kwargs", None))


def _is_async(call: object) -> bool:
    return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(
        getattr(call, "__call__", None)  # noqa: B004 - of an object of a class
    )
