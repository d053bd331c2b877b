"""What a language model replied: its text, without the thinking before it.

Chat models reply in many shapes: a text, a list of blocks of which some are thoughts, thoughts in
`<think>` before the answer, a fence of code around it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runoff._util.stored import is_count

if TYPE_CHECKING:
    from collections.abc import Callable

_FENCE = re.compile(r"```[a-z]*\s*", re.IGNORECASE)  # an opening one
_THOUGHT = re.compile(r"<(/?)(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
_TEXTS = {"", "text", "output_text"}  # types of blocks; others are thoughts, calls and refusals


def answer_of(reply: str) -> str:
    """Return a reply without thoughts and fences; nothing if it ends within a thought."""
    marks = list(_THOUGHT.finditer(reply))
    if marks:
        if not marks[-1][1]:
            return ""
        reply = reply[marks[-1].end() :]
    reply = reply.strip()
    opening, newline, inner = reply.partition("\n")
    if newline and inner.endswith("```") and _FENCE.fullmatch(opening):
        reply = inner.removesuffix("```").strip()
    return reply


def said_of(message: Any, is_read: Callable[[str], bool]) -> tuple[object, int | None]:  # noqa: ANN401 - LangChain's
    """Return what a LangChain model replied, and how many tokens it took; None if unknown.

    Args:
        message: a message, a text, or structured output.
        is_read: whether a text, without thoughts and fences, is an answer.
    """
    tokens = tokens_of(getattr(message, "usage_metadata", None))
    content = getattr(message, "content", message)
    if not isinstance(content, list):
        return content, tokens
    parts = [one if isinstance(one, str) else _text_of(one) for one in content]
    # a provider may cut a text anywhere, or start a block with each paragraph
    whole = "".join(parts)
    return whole if is_read(answer_of(whole)) else "\n".join(parts), tokens


def tokens_of(usage: object) -> int | None:
    """Return the number of tokens that a model's usage states; None if it states none."""
    tokens = usage.get("total_tokens") if isinstance(usage, Mapping) else None
    return tokens if is_count(tokens) else None


def _text_of(block: object) -> str:
    if not isinstance(block, Mapping) or str(block.get("type") or "") not in _TEXTS:
        return ""
    text = block.get("text")
    return text if isinstance(text, str) else ""
