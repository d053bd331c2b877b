"""What a judge replied: its text, without what it thought before, and the grade in it.

Chat models reply in many shapes: a text, a list of blocks of which some are thoughts, thoughts in
`<think>` before the answer, a fence of code around it. A grade is only taken where the reply ends
with it: one that is quoted from the document, or taken back in the next sentence, is none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from numbers import Integral
from typing import Any

from runoff.errors import BadReply
from runoff.live._judging.differences import GRADES

_NUMBER = re.compile(r"\s*([0-9]{1,3})\s*\.?\s*")
_LINE = re.compile(r"[\s*_`#>]*grade[\s*_`]*:[\s*_`]*([0-9]{1,3})[\s*_`.]*", re.IGNORECASE)
_FENCE = re.compile(r"\s*```[a-z]*\s*\n(.*?)\n?\s*```\s*", re.IGNORECASE | re.DOTALL)
_THOUGHT = re.compile(r"<(/?)(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
_TEXTS = {"", "text", "output_text"}  # types of blocks; others are thoughts, calls and refusals


def parsed(reply: object) -> int:
    """Return the grade in a reply: a whole number from 0 to 3.

    A text is that number alone, JSON such as `{"grade": 2}`, or ends with a line such as
    `grade: 2`; if it has several such lines, they must agree.

    Raises:
        BadReply: it is something else.
    """
    found = _graded(_answer(reply)) if isinstance(reply, str) else _field(reply)
    grade = -1 if isinstance(found, bool) or not isinstance(found, Integral) else int(found)
    if not 0 <= grade <= GRADES:
        raise BadReply(f"the reply has no grade from 0 to {GRADES}")
    return grade


def _field(reply: object) -> object:
    """Return the grade of structured output, or the reply itself."""
    if isinstance(reply, Mapping):
        return reply.get("grade")
    return getattr(reply, "grade", reply)


def _answer(reply: str) -> str:
    """Return a reply without thoughts and fences; nothing if it ends within a thought."""
    marks = list(_THOUGHT.finditer(reply))
    if marks:
        if not marks[-1][1]:
            return ""
        reply = reply[marks[-1].end() :]
    fenced = _FENCE.fullmatch(reply)
    return (fenced[1] if fenced else reply).strip()


def _graded(text: str) -> object:
    if said := _NUMBER.fullmatch(text):
        return int(said[1])
    if text.startswith("{"):
        try:
            return _field(json.loads(text))
        except (ValueError, RecursionError):
            return None
    lines = [line for line in text.splitlines() if line.strip().strip("`")]
    grades = {int(said[1]) for line in lines if (said := _LINE.fullmatch(line))}
    return grades.pop() if lines and _LINE.fullmatch(lines[-1]) and len(grades) == 1 else None


def said_of(message: Any) -> tuple[object, int | None]:  # noqa: ANN401 - LangChain's
    """Return what a LangChain model replied, and how many tokens it took; None if unknown.

    Args:
        message: a message, a text, or structured output.
    """
    usage = getattr(message, "usage_metadata", None)
    tokens = usage.get("total_tokens") if isinstance(usage, Mapping) else None
    content = getattr(message, "content", message)
    if not isinstance(content, list):
        return content, tokens
    parts = [one if isinstance(one, str) else _text_of(one) for one in content]
    # a provider may cut a text anywhere, or start a block with each paragraph
    whole = "".join(parts)
    return whole if _graded(_answer(whole)) is not None else "\n".join(parts), tokens


def _text_of(block: object) -> str:
    if not isinstance(block, Mapping) or str(block.get("type") or "") not in _TEXTS:
        return ""
    text = block.get("text")
    return text if isinstance(text, str) else ""
