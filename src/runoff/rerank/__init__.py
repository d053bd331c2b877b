"""The second stage: scorers of pairs, and the rerankers made of them.

Names are imported when they are first used, so that importing one part does not load the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runoff._util.lazy import lazily

if TYPE_CHECKING:
    from runoff.rerank._as_yaml import AsYAML
    from runoff.rerank._cache.cached import Cached
    from runoff.rerank._cache.disk import DiskCache
    from runoff.rerank._cache.memory import MemoryCache
    from runoff.rerank._cascade import Cascade, Step
    from runoff.rerank._cost import Cap, Metered, Price
    from runoff.rerank._fallback import Fallback
    from runoff.rerank._llm.listwise import ListwiseLLM
    from runoff.rerank._local.cross_encoder import CrossEncoder
    from runoff.rerank._local.late_interaction import LateInteraction
    from runoff.rerank._passages import Passages
    from runoff.rerank._pointwise import Pointwise
    from runoff.rerank._remote.breaker import Circuit
    from runoff.rerank._remote.cohere import CohereRerank
    from runoff.rerank._remote.dialects import Dialect
    from runoff.rerank._remote.http import HTTPRerank
    from runoff.rerank._remote.retries import Retries
    from runoff.rerank._token_store import TokenStore

__all__ = [
    "AsYAML",
    "Cached",
    "Cap",
    "Cascade",
    "Circuit",
    "CohereRerank",
    "CrossEncoder",
    "Dialect",
    "DiskCache",
    "Fallback",
    "HTTPRerank",
    "LateInteraction",
    "ListwiseLLM",
    "MemoryCache",
    "Metered",
    "Passages",
    "Pointwise",
    "Price",
    "Retries",
    "Step",
    "TokenStore",
]

_HOMES = {
    "AsYAML": "_as_yaml",
    "Cached": "_cache.cached",
    "Cap": "_cost",
    "Cascade": "_cascade",
    "Circuit": "_remote.breaker",
    "CohereRerank": "_remote.cohere",
    "CrossEncoder": "_local.cross_encoder",
    "Dialect": "_remote.dialects",
    "DiskCache": "_cache.disk",
    "Fallback": "_fallback",
    "HTTPRerank": "_remote.http",
    "LateInteraction": "_local.late_interaction",
    "ListwiseLLM": "_llm.listwise",
    "MemoryCache": "_cache.memory",
    "Metered": "_cost",
    "Passages": "_passages",
    "Pointwise": "_pointwise",
    "Price": "_cost",
    "Retries": "_remote.retries",
    "Step": "_cascade",
    "TokenStore": "_token_store",
}

if not TYPE_CHECKING:  # a type checker then knows the names above, and no others
    __getattr__, __dir__ = lazily(__name__, _HOMES)
