"""Whom to ask for a grade: a callable, a LangChain chat model or a LlamaIndex LLM."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runoff._util.faults.judge import is_permanent
from runoff._util.messages import error_text, number_of
from runoff._util.text import text_key
from runoff.errors import BadReply, InvalidArgument
from runoff.live._judging.reply import is_grade, parsed
from runoff.rerank._llm.model import llm_name, model_of
from runoff.rerank._llm.prompt import filled, inside
from runoff.rerank._llm.prompt import prompt_of as shared_prompt_of
from runoff.scores import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike

    from runoff.rerank import Cap, Price

_WORKERS = 4
_TOKEN = 4  # characters, where the model does not say how many tokens it read
_HOPELESS = 8  # failures in a row, and no grade before them
# whose models share training, and so tastes: the first names of models by one maker
_FAMILIES = {
    "OpenAI": ("gpt", "o1", "o3", "o4", "chatgpt"),
    "Anthropic": ("claude",),
    "Google": ("gemini", "gemma", "palm"),
    "Cohere": ("cohere", "rerank", "command"),
    "Meta": ("llama", "meta"),
    "Mistral": ("mistral", "mixtral", "ministral", "codestral"),
    "Alibaba": ("qwen", "gte"),
    "Jina": ("jina",),
    "Voyage": ("voyage",),
    "BAAI": ("bge", "baai"),
    "DeepSeek": ("deepseek",),
    "Mixedbread": ("mxbai", "mixedbread"),
}


@dataclass(frozen=True, slots=True)
class Judge:
    """What gives grades.

    Attributes:
        ask: takes the texts of question and document, and returns a reply or a grade and how many
            tokens it took, None if unknown.
        name: the model's, for the record.
        key: under which its grades are kept: the name and a hash of the prompt.
        prompt: with `{query}` and `{document}`; empty for a callable, which makes its own.
    """

    ask: Callable[[str, str], tuple[object, int | None]]
    name: str
    key: str
    prompt: str = ""


@dataclass(slots=True)
class Asked:
    """What one round of questions came to.

    Attributes:
        grades: by the keys of query and text; None where the reply has none.
        usage: what it used.
        cached: how many grades were there before.
        failed: how many replies have no grade.
        errors: how many questions got no reply; they are asked again next time.
        capped: why it ended before everything was asked; empty if it did not.
    """

    grades: dict[tuple[str, str], int | None] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    cached: int = 0
    failed: int = 0
    errors: int = 0
    capped: str = ""


def judge_of(by: object, prompt: str | PathLike[str] | None) -> Judge:
    """Return a callable, a LangChain chat model or a LlamaIndex LLM as a judge.

    Raises:
        InvalidArgument: it is none of these, or the prompt lacks a place.
    """
    model = model_of(by, is_grade)
    if model is not None and model.kind != "call":
        text = prompt_of(prompt)
        return Judge(_filled(text, model.say), *_named(by, text), text)
    if model is None:
        remedy = (
            "must be a callable that takes the texts of a question and of a document, a "
            "LangChain chat model or a LlamaIndex LLM; pass None if only people grade"
        )
        raise InvalidArgument("by", by, remedy)
    if prompt is not None:
        raise InvalidArgument(
            "prompt", prompt, "applies only to models: a callable makes its own prompt"
        )
    call: Any = by
    return Judge(lambda query, text: (call(query, text), None), *_named(by, ""))


def prompt_of(given: str | PathLike[str] | None) -> str:
    """Return a prompt from a file; the one that comes with runoff for None.

    Raises:
        InvalidArgument: it cannot be read, or lacks `{query}` or `{document}`.
    """
    places = ("{query}", "{document}")
    return shared_prompt_of(given, "runoff.live._judging", "grade.txt", places)


def family_of(name: str) -> str:
    """Return whose model this is by its name: the maker where it is known, else its first word."""
    words = re.findall(r"[a-z0-9.]+", name.rpartition("/")[2].casefold().replace("reranker", ""))
    for maker, names in _FAMILIES.items():
        if any(word.startswith(names) for word in words):
            return maker
    return words[0] if words else ""


def questions(
    judge: Judge,
    pairs: Sequence[tuple[tuple[str, str], str, str]],
    *,
    price: Price | None,
    cap: Cap | None,
    before: Usage,
    asked_one: Callable[[], None],
) -> Asked:
    """Ask for grades, four at a time.

    Args:
        judge: whom.
        pairs: the keys of query and text, and both texts, in the order in which they are asked.
        price: of the judge.
        cap: the most that may be used, together with `before`.
        before: what was used before.
        asked_one: called after each pair.

    Raises:
        InvalidArgument: the judge cannot be asked at all.
        PermanentError: as the judge raises it.
    """
    asked, wrong = Asked(), 0
    with ThreadPoolExecutor(_WORKERS) as pool:
        for at in range(0, len(pairs), _WORKERS):
            some = pairs[at : at + _WORKERS]
            if cap is not None:
                guess = sum((_guess(judge, query, text, price) for _, query, text in some), Usage())
                if over := cap.exceeded(before + asked.usage + guess):
                    asked.capped = over
                    return asked
            for (key, query, text), reply in zip(
                some, pool.map(lambda one: _reply(judge, one[1], one[2]), some), strict=True
            ):
                found, tokens = reply
                asked_one()
                used = Usage(pairs=1, tokens=tokens or _tokens(judge, query, text), requests=1)
                asked.usage += _priced(used, price)
                if isinstance(found, Exception):
                    asked.errors += 1
                    wrong += 1
                    if wrong >= _HOPELESS and not asked.grades:
                        remedy = (
                            f"{number_of(wrong, 'question')} failed, the last with "
                            f"{error_text(found)}"
                        )
                        raise InvalidArgument("by", judge.name, remedy) from found
                    continue
                try:
                    asked.grades[key] = parsed(found)
                except BadReply:
                    asked.grades[key] = None
                    asked.failed += 1
    return asked


def _reply(judge: Judge, query: str, text: str) -> tuple[object, int | None]:
    """Return the judge's reply, or an error that may not occur again."""
    try:
        return judge.ask(query, text)
    except Exception as error:
        if is_permanent(error):
            raise
        return error, None


def _filled(
    prompt: str, ask: Callable[[str], tuple[object, int | None]]
) -> Callable[[str, str], tuple[object, int | None]]:
    return lambda query, text: ask(
        filled(prompt, {"{query}": inside(query), "{document}": inside(text)})
    )


def _named(by: object, prompt: str) -> tuple[str, str]:
    name = llm_name(by)
    return name, f"{name} {text_key(prompt)}"


def _tokens(judge: Judge, query: str, text: str) -> int:
    return (len(judge.prompt) + len(query) + len(text)) // _TOKEN + 1


def _guess(judge: Judge, query: str, text: str, price: Price | None) -> Usage:
    return _priced(Usage(pairs=1, tokens=_tokens(judge, query, text), requests=1), price)


def _priced(usage: Usage, price: Price | None) -> Usage:
    if price is None:
        return usage
    return Usage(usage.pairs, usage.tokens, requests=usage.requests, cost=price.of(usage))
