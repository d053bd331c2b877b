"""The grade in a judge's reply.

It is only taken where the reply ends with it: one that is quoted from the document, or taken back
in the next sentence, is none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from numbers import Integral

from runoff.errors import BadReply
from runoff.live._judging.differences import GRADES
from runoff.rerank._llm.reply import answer_of

_NUMBER = re.compile(r"\s*([0-9]{1,3})\s*\.?\s*")
_LINE = re.compile(r"[\s*_`#>]*grade[\s*_`]*:[\s*_`]*([0-9]{1,3})[\s*_`.]*", re.IGNORECASE)


def parsed(reply: object) -> int:
    """Return the grade in a reply: a whole number from 0 to 3.

    A text is that number alone, JSON such as `{"grade": 2}`, or ends with a line such as
    `grade: 2`; if it has several such lines, they must agree.

    Raises:
        BadReply: it is something else.
    """
    found = _graded(answer_of(reply)) if isinstance(reply, str) else _field(reply)
    grade = -1 if isinstance(found, bool) or not isinstance(found, Integral) else int(found)
    if not 0 <= grade <= GRADES:
        raise BadReply(f"the reply has no grade from 0 to {GRADES}")
    return grade


def _field(reply: object) -> object:
    """Return the grade of structured output, or the reply itself."""
    if isinstance(reply, Mapping):
        return reply.get("grade")
    return getattr(reply, "grade", reply)


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


def is_grade(text: str) -> bool:
    """Whether a reply, without thoughts and fences, has a grade."""
    return _graded(text) is not None
