"""The second stage: scorers that read pairs, and the rerankers made of them.

Names are imported when they are first used, so that nobody waits for a part they do not use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runoff._lazy import lazily

if TYPE_CHECKING:
    from runoff.rerank.breaker import Circuit
    from runoff.rerank.cache import Cached
    from runoff.rerank.cache_disk import DiskCache
    from runoff.rerank.cache_stores import MemoryCache
    from runoff.rerank.cascade import Cascade, Step
    from runoff.rerank.cohere import CohereRerank
    from runoff.rerank.cost import Cap, Metered, Price
    from runoff.rerank.cross_encoder import CrossEncoder
    from runoff.rerank.dialects import Dialect
    from runoff.rerank.fallback import Fallback
    from runoff.rerank.http import HTTPRerank
    from runoff.rerank.passages import Passages
    from runoff.rerank.pointwise import Pointwise
    from runoff.rerank.retries import Retries
    from runoff.rerank.structured import AsYAML

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
    "MemoryCache",
    "Metered",
    "Passages",
    "Pointwise",
    "Price",
    "Retries",
    "Step",
]

_HOMES = {
    "AsYAML": "structured",
    "Cached": "cache",
    "Cap": "cost",
    "Cascade": "cascade",
    "Circuit": "breaker",
    "CohereRerank": "cohere",
    "CrossEncoder": "cross_encoder",
    "Dialect": "dialects",
    "DiskCache": "cache_disk",
    "Fallback": "fallback",
    "HTTPRerank": "http",
    "MemoryCache": "cache_stores",
    "Metered": "cost",
    "Passages": "passages",
    "Pointwise": "pointwise",
    "Price": "cost",
    "Retries": "retries",
    "Step": "cascade",
}

__getattr__, __dir__ = lazily(__name__, _HOMES)
