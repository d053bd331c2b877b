"""The key of a pair's score: a hash of everything that the score depends on."""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING, cast

from runoff.errors import InvalidArgument
from runoff.rerank._wrapping import innermost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runoff.deadline import Deadline
    from runoff.protocols import Cacheable, PairScorer

_SECRET = ("key", "token", "secret", "password", "authorization", "headers")  # how names end
_REMEDY = "give it a property cache_key, a string that says what its scores depend on"


def check_keyed(scorer: PairScorer, *, persistent: bool) -> None:
    """Refuse a scorer that does not say what its scores depend on.

    In memory, a frozen dataclass with plain values is identified by its class and arguments. A
    file needs `cache_key`, since another process may have another class of that name.

    Raises:
        InvalidArgument: says what is missing.
    """
    scorer = innermost(scorer)
    if hasattr(type(scorer), "cache_key"):
        return
    if persistent:
        raise InvalidArgument("cache", scorer, f"a cache on disk cannot identify it: {_REMEDY}")
    _by_arguments(scorer)


def scorer_key(scorer: PairScorer, deadline: Deadline | None = None) -> str:
    """Return what a scorer's scores depend on, as a text.

    Finding a model for the first time is part of loading it, and stops the deadline's clock.

    Raises:
        InvalidArgument: the scorer's `cache_key` is not a text.
        RunoffError: as `cache_key` of the scorer.
    """
    scorer = innermost(scorer)
    if not hasattr(type(scorer), "cache_key"):
        return _by_arguments(scorer)
    config = repr(scorer) if is_dataclass(scorer) else ""
    first = bool(config) and config not in _found
    with deadline.paused() if first and deadline is not None else nullcontext():
        key: object = cast("Cacheable", scorer).cache_key
    if not isinstance(key, str) or not key:
        raise InvalidArgument("cache_key", key, "must be a non-empty text")
    if config:
        _found.add(config)
    return key


def pair_keys(key: str, pairs: Sequence[tuple[str, str]]) -> list[bytes]:
    """Return the key of each pair's score, 32 bytes.

    It is a SHA-256 over three others: of the scorer's key, the query and the document.

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


def _by_arguments(scorer: object) -> str:
    """Return a scorer's class and arguments as a text.

    Raises:
        InvalidArgument: it is not a frozen dataclass, or an argument is secret or not plain.
    """
    kind = type(scorer)
    if not is_dataclass(scorer) or not kind.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise InvalidArgument("cache", scorer, f"is not a frozen dataclass: {_REMEDY}")
    arguments = []
    for one in fields(scorer):
        if not one.compare:
            continue
        value = getattr(scorer, one.name)
        if not one.repr or one.name.lower().endswith(_SECRET) or not _plain(value):
            remedy = f"its {one.name} is secret or not a plain value: {_REMEDY}"
            raise InvalidArgument("cache", scorer, remedy)
        arguments.append(f"{one.name}={value!r}")
    return f"{kind.__module__}.{kind.__qualname__}({id(kind)}, {', '.join(arguments)})"


def _plain(value: object) -> bool:
    if isinstance(value, tuple):
        return all(map(_plain, value))
    return value is None or isinstance(value, str | int | float | Enum | PurePath)
