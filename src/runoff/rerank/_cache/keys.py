"""What identifies the score of a pair: all that it depends on, and no id."""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING, cast

from runoff.errors import InvalidArgument
from runoff.rerank._wrapping import Wrapping

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runoff.deadline import Deadline
    from runoff.protocols import Cacheable, PairScorer

__all__ = ["check_keyed", "innermost", "pair_keys", "stated"]

_SECRET = ("key", "token", "secret", "password", "authorization", "headers")  # how names end
_REMEDY = "give it a property cache_key, a text that says what its scores depend on"


def innermost(scorer: PairScorer) -> PairScorer:
    """Return the scorer inside all wrappings."""
    while isinstance(scorer, Wrapping):
        scorer = scorer.scorer
    return scorer


def check_keyed(scorer: PairScorer, *, persistent: bool) -> None:
    """Refuse a scorer of which nobody knows what its scores depend on.

    One without `cache_key` is known by its class and arguments, where those are frozen and plain;
    another process may give that name to another class, so it is not enough for a file.

    Raises:
        InvalidArgument: says what it lacks.
    """
    scorer = innermost(scorer)
    if hasattr(type(scorer), "cache_key"):
        return
    if persistent:
        raise InvalidArgument("cache", scorer, f"a file outlives the scorer: {_REMEDY}")
    _stated(scorer)


def stated(scorer: PairScorer, deadline: Deadline | None = None) -> str:
    """Return what a scorer's scores depend on, as a text.

    Finding a model for the first time is part of loading it, and stops the deadline's clock.

    Raises:
        InvalidArgument: the scorer's `cache_key` is no text.
        RunoffError: as `cache_key` of the scorer.
    """
    scorer = innermost(scorer)
    if not hasattr(type(scorer), "cache_key"):
        return _stated(scorer)
    config = repr(scorer) if is_dataclass(scorer) else ""
    first = bool(config) and config not in _found
    with deadline.paused() if first and deadline is not None else nullcontext():
        key: object = cast("Cacheable", scorer).cache_key
    if not isinstance(key, str) or not key:
        raise InvalidArgument("cache_key", key, "must be a text that is not empty")
    if config:
        _found.add(config)
    return key


def pair_keys(key: str, pairs: Sequence[tuple[str, str]]) -> list[bytes]:
    """Return what identifies each pair's score, 32 bytes.

    It is the SHA-256 of three: those of what the scores depend on, the query and the document.

    Raises:
        InvalidArgument: a pair is not two strings.
    """
    start = _hash(key)
    queries: dict[str, bytes] = {}
    keys = []
    for index, pair in enumerate(pairs):
        match pair:
            case (str(query), str(document)):
                pass
            case _:
                remedy = "must be (query text, document text)"
                raise InvalidArgument(f"pairs[{index}]", pair, remedy)
        asked = queries.get(query)
        if asked is None:
            asked = queries[query] = start + _hash(query)
        keys.append(hashlib.sha256(asked + _hash(document)).digest())
    return keys


_found: set[str] = set()  # configurations whose model was found in this process


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _stated(scorer: object) -> str:
    """Return a scorer's class and arguments as a text.

    Raises:
        InvalidArgument: it is no frozen dataclass, or an argument is secret or no plain value.
    """
    kind = type(scorer)
    if not is_dataclass(scorer) or not kind.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise InvalidArgument("cache", scorer, f"it is no frozen dataclass: {_REMEDY}")
    told = []
    for one in fields(scorer):
        if not one.compare:
            continue
        value = getattr(scorer, one.name)
        if not one.repr or one.name.lower().endswith(_SECRET) or not _plain(value):
            remedy = f"its {one.name} is secret or no plain value: {_REMEDY}"
            raise InvalidArgument("cache", scorer, remedy)
        told.append(f"{one.name}={value!r}")
    return f"{kind.__module__}.{kind.__qualname__}({id(kind)}, {', '.join(told)})"


def _plain(value: object) -> bool:
    if isinstance(value, tuple):
        return all(map(_plain, value))
    return value is None or isinstance(value, str | int | float | Enum | PurePath)
