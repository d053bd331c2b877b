"""Whatever a user wants evaluated, seen as a two-stage pipeline.

Adapters register converters for their framework's retrievers and engines, so that this room knows
no framework.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runoff.errors import InvalidArgument
from runoff.evaluation.setup import StepSetup, told_threshold
from runoff.pipeline import TwoStage
from runoff.protocols import Cacheable
from runoff.rerank._inner import name_of
from runoff.rerank.cache_keys import innermost
from runoff.rerank.cascade import Cascade
from runoff.rerank.coerce import as_reranker
from runoff.rerank.pointwise import Pointwise

if TYPE_CHECKING:
    from collections.abc import Callable

    from runoff.protocols import Reranker

__all__ = ["Stage", "System", "as_system", "register_system", "stages_of", "told_part"]

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


@dataclass(frozen=True, slots=True)
class System:
    """A system to record.

    Attributes:
        pipeline: what it does.
        top_k: how many results it returns.
    """

    pipeline: TwoStage
    top_k: int = 10


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a second stage, ready to read everything.

    Attributes:
        reranker: what reads, without a threshold.
        setup: how it is configured.
    """

    reranker: Reranker
    setup: StepSetup


@dataclass(frozen=True, slots=True)
class _Converter:
    matches: Callable[[object], bool]
    convert: Callable[[object], System]


_converters: dict[str, _Converter] = {}
# an object of a framework stands for its adapter, which may not have been imported yet
_ADAPTERS = {
    "langchain_core": "runoff.langchain.recorded",
    "llama_index": "runoff.llama_index.recorded",
}


def register_system(
    name: str, matches: Callable[[object], bool], convert: Callable[[object], System]
) -> None:
    """Teach `record` a foreign kind of system; a name registered again is replaced.

    Args:
        name: what the error message calls it, such as `"a LangChain retriever"`.
        matches: whether an object is of that kind.
        convert: makes a `System` of it.
    """
    _converters[name] = _Converter(matches, convert)


def as_system(given: object) -> System:
    """Return the system a user handed over.

    Raises:
        InvalidArgument: it is nothing that can be recorded; the message lists what can.
    """
    if isinstance(given, TwoStage):
        return System(given)
    if isinstance(given, System):
        return given
    if not isinstance(given, type):
        packages = {base.__module__.partition(".")[0] for base in type(given).__mro__}
        for package in _ADAPTERS.keys() & packages:
            importlib.import_module(_ADAPTERS[package])
        for converter in _converters.values():
            if converter.matches(given):
                return converter.convert(given)
    accepted = ", ".join(["a TwoStage", *sorted(_converters)])
    raise InvalidArgument("system", given, f"must be one of: {accepted}")


def stages_of(given: object) -> list[Stage]:
    """Return the stages of a pipeline's reranker, cheapest first; none for None.

    A scorer is read without its threshold, which is kept in the setup.
    """
    reranker = as_reranker(given)
    if reranker is None:
        return []
    if isinstance(reranker, Cascade):
        steps = [(one.second, one.keep, one.margin) for one in reranker.steps]  # type: ignore[union-attr] # it made them so
    else:
        steps = [(reranker, None, None)]
    return [_stage(*step) for step in steps]


def _stage(reranker: Reranker, keep: int | None, margin: float | None) -> Stage:
    name = name_of(reranker)
    if not isinstance(reranker, Pointwise):
        return Stage(reranker, StepSetup(name, pointwise=False, keep=keep, margin=margin))
    setup = StepSetup(
        name,
        blend=reranker.weight,
        threshold=told_threshold(reranker.threshold),
        keep=keep,
        margin=margin,
    )
    return Stage(replace(reranker, threshold=None), setup)


def told_part(part: object) -> str:
    """Return what a source or reranker is, for comparing: never anything secret.

    Of runoff's own parts the configuration is told, of a scorer what its scores depend on, and of a
    foreign part the class.
    """
    kind = f"{type(part).__module__}.{type(part).__qualname__}"
    if isinstance(part, Pointwise):
        scorer = innermost(part.scorer)
        key = scorer.cache_key if isinstance(scorer, Cacheable) else told_part(scorer)
        read = "" if part.text is None else getattr(part.text, "__qualname__", "text")
        return f"{part.name} ({key}) passages={part.passages!r} text={read}"
    inner = getattr(part, "retriever", None)
    if inner is not None:  # an adapter's source
        return f"{kind} of {type(inner).__module__}.{type(inner).__qualname__}"
    if kind.startswith("runoff.recall."):
        return _ADDRESS.sub("", repr(part))
    return kind
