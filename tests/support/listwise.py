"""Language models that reply with a known order, each as a framework or a user would have it."""

import re

from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from llama_index.core.llms import CompletionResponse, CustomLLM, LLMMetadata
from pydantic import Field

from runoff.types import Candidate, Document

DOCUMENT = re.compile(r'<document number="(\d+)">\n(.*?)\n</document>', re.DOTALL)


def shown(prompt):
    """The documents of a prompt, by number."""
    return {int(number): text for number, text in DOCUMENT.findall(prompt)}


def by_number(prompt):
    """Order documents by the first number in their text, the highest first."""
    found = {at: int((re.findall(r"\d+", text) or [0])[0]) for at, text in shown(prompt).items()}
    return " > ".join(f"[{at}]" for at in sorted(found, key=lambda at: -found[at]))


def numbered(*values):
    """Candidates whose texts have these numbers, in fused order; the number is the key too."""
    return [
        Candidate(Document(str(value), f"document {value}"), str(value), 1 / rank, rank)
        for rank, value in enumerate(values, 1)
    ]


class Asked:
    """A callable that keeps what it is asked, and replies by a function of the prompt."""

    def __init__(self, reply=by_number):
        self.reply, self.prompts = reply, []

    def __call__(self, prompt):
        self.prompts.append(prompt)
        made = self.reply(prompt) if callable(self.reply) else self.reply
        if isinstance(made, Exception):
            raise made
        return made


def in_turn(*replies):
    """A callable that gives one reply after another; None is the right order."""
    left = list(replies)

    def reply(prompt):
        one = left.pop(0)
        return by_number(prompt) if one is None else one

    return Asked(reply)


class OwnAsync(FakeListChatModel):
    """A chat model of LangChain that orders by number, with an asynchronous method of its own."""

    responses: list[str] = Field(default_factory=list)

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        text = by_number(messages[0].content)
        used = {"input_tokens": 90, "output_tokens": 10, "total_tokens": 100}
        message = AIMessage(content=text, usage_metadata=used)
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        return self._generate(messages)


class OfLlamaIndex(CustomLLM):
    """An LLM of LlamaIndex that orders by number, whose `acomplete` is the framework's own."""

    @property
    def metadata(self):
        return LLMMetadata(model_name="by-number")

    def complete(self, prompt, *, formatted=False, **kwargs):
        return CompletionResponse(text=by_number(prompt), additional_kwargs={"total_tokens": 100})

    def stream_complete(self, prompt, *, formatted=False, **kwargs):
        raise NotImplementedError


class AwaitedOfLlamaIndex(OfLlamaIndex):
    """The same with an asynchronous method of its own."""

    async def acomplete(self, prompt, *, formatted=False, **kwargs):
        return self.complete(prompt)
