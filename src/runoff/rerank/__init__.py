"""The second stage: scorers that read pairs, and the rerankers made of them.

Names are imported when they are first used, so that nobody waits for a part they do not use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runoff.rerank.cascade import Cascade, Step
    from runoff.rerank.cross_encoder import CrossEncoder
    from runoff.rerank.fallback import Fallback
    from runoff.rerank.pointwise import Pointwise

__all__ = ["Cascade", "CrossEncoder", "Fallback", "Pointwise", "Step"]

_HOMES = {
    "Cascade": "cascade",
    "CrossEncoder": "cross_encoder",
    "Fallback": "fallback",
    "Pointwise": "pointwise",
    "Step": "cascade",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
