"""Options given by name: an unknown one is refused, and the right name is suggested.

A framework that ignores an option it does not know also ignores a misspelled filter, and returns
documents that nobody asked for.
"""

from __future__ import annotations

import inspect
from difflib import get_close_matches
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

_P = ParamSpec("_P")
_R = TypeVar("_R")

# what other libraries call an option, and what it is called here
_SYNONYMS = {
    "top_n": ("k", "top_k", "similarity_top_k", "n", "n_results", "num_results", "limit"),
    "reranker": (
        "model", "model_name", "cross_encoder", "scorer", "compressor", "base_compressor",
        "postprocessor", "rerank",
    ),
    "depth": ("fetch_k", "num_candidates", "candidates"),
    "window": ("rank_window_size", "rerank_count", "rerank_depth", "top_n_candidates"),
    "timeout": ("timeout_s", "timeout_ms", "timeout_seconds", "deadline", "max_time"),
    "filters": ("filter", "where", "metadata_filters", "metadata_filter", "search_filter"),
    "fusion": ("weights", "fuser", "mode", "rrf_k", "c"),
    "threshold": ("score_threshold", "similarity_cutoff", "cutoff", "min_score"),
    "retriever": ("base_retriever", "retrievers", "source", "sources"),
    "text_template": ("template", "document_prompt"),
    "group": ("group_by", "grouping", "dedupe"),
    "analyzer": ("language", "tokenizer", "preprocess_func"),
    "embed_model": ("embedding", "embeddings", "embedding_model"),
}  # fmt: skip
_MEANT = {wrong: right for right, several in _SYNONYMS.items() for wrong in several}
# an option that belongs to another part
_ELSEWHERE = {
    "search_kwargs": "give them to the retriever, as in store.as_retriever(search_kwargs={...}); "
    "for a filter pass filters=",
    "vector_store_kwargs": "give them to the retriever, as in index.as_retriever(...)",
}
_CANDIDATES = "a reranker reads what the retriever found: set it there, or use two_stage(...)"
_OF_RETRIEVERS = {"depth", "fusion", "filters", "id_of"}
_UNITS = {"timeout": " (in seconds)"}
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_PLACED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_LENGTH = 40  # of a string in a short repr


class Plain(str):
    """A string whose `repr` is the string itself, for pydantic's `__repr_args__`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def refuse_unknown(owner: str, given: Mapping[str, object], known: Collection[str]) -> None:
    """Refuse the first option that is not among the known ones.

    Raises:
        InvalidArgument: names the unknown option and, where one is close, the right one.
    """
    for name, value in given.items():
        if name not in known:
            raise InvalidArgument(name, value, f"{owner} has no such option{_advice(name, known)}")


def _advice(name: str, known: Collection[str]) -> str:
    if name in _ELSEWHERE:
        return f"; {_ELSEWHERE[name]}"
    meant = _MEANT.get(name, name)
    if meant == "fusion" and meant in known:
        return '; did you mean fusion, as in fusion=RRF({"bm25": 1, "dense": 2})?'
    close = [meant] if meant in known else get_close_matches(name, known, 1)
    if close:
        return f"; did you mean {close[0]}{_UNITS.get(close[0], '')}?"
    if meant in _OF_RETRIEVERS:
        return f"; {_CANDIDATES}"
    return f"; it takes {', '.join(sorted(known))}"


def refuse_positional(owner: str, given: tuple[object, ...], advice: str) -> None:
    """Refuse arguments without a name.

    Raises:
        InvalidArgument: there are some; the advice says how to write them.
    """
    if given:
        raise InvalidArgument("argument 1", given[0], f"{owner} takes options by name: {advice}")


def strict_options(advice: str = "") -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Return a decorator that refuses unknown options before the function is called.

    Python would raise a TypeError, which does not name the right option.

    Args:
        advice: how to write what was given without a name, for functions that take names only.
    """

    def decorated(function: Callable[_P, _R]) -> Callable[_P, _R]:
        parameters = inspect.signature(function).parameters.values()
        owner = function.__qualname__.removesuffix(".__init__")
        known = {one.name for one in parameters if one.kind in _NAMED} - {"self", "cls"}
        positions = sum(one.kind in _PLACED for one in parameters)
        is_open = any(one.kind is one.VAR_KEYWORD for one in parameters)

        @wraps(function)
        def checked(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            if advice:
                refuse_positional(owner, args[positions:], advice)
            if not is_open:
                refuse_unknown(owner, kwargs, known)
            return function(*args, **kwargs)

        return checked

    return decorated


def brief_repr(value: object) -> str:
    """Return a value in a few words: a plain value as it is, of an object the class alone.

    An object's own `repr` may be a page long, or hold a key.
    """
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    if isinstance(value, Plain):
        return str(value)
    if isinstance(value, str):
        return repr(value if len(value) <= _LENGTH else f"{value[:_LENGTH]}…")
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {brief_repr(one)}' for name, one in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(brief_repr, value))}]"
    return getattr(value, "__name__", type(value).__name__)
