"""The stages of a second stage made ready to read everything, and what parts are, in words."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runoff._util.names import name_of
from runoff.evaluation._setup import StepSetup, told_threshold
from runoff.protocols import Cacheable
from runoff.rerank._as_reranker import as_reranker
from runoff.rerank._cache.keys import innermost
from runoff.rerank._cascade import Cascade
from runoff.rerank._pointwise import Pointwise

if TYPE_CHECKING:
    from runoff.protocols import Reranker

__all__ = ["Stage", "stages_of", "told_part"]

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a second stage, ready to read everything.

    Attributes:
        reranker: what reads, without a threshold.
        setup: how it is configured.
    """

    reranker: Reranker
    setup: StepSetup


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
        read = getattr(part.text, "__qualname__", "") or _ADDRESS.sub("", repr(part.text))
        return f"{part.name} ({key}) passages={part.passages!r} text={read}"
    inner = getattr(part, "retriever", None)
    if inner is not None:  # an adapter's source
        reading = getattr(part, "reading", "")
        return f"{kind} of {type(inner).__module__}.{type(inner).__qualname__} {reading}".strip()
    if kind.startswith("runoff.recall."):
        return _ADDRESS.sub("", repr(part))
    return kind
