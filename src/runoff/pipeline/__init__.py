"""The pipeline: sources nominate candidates, a reranker decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runoff._util.lazy import lazily

if TYPE_CHECKING:
    from runoff.pipeline._systems import System, as_system, register_system
    from runoff.pipeline._two_stage import TwoStage

__all__ = ["System", "TwoStage", "as_system", "register_system"]

# adapters and recordings alone need the systems, and `import runoff` must be quick
_MODULES = {
    "System": "_systems",
    "TwoStage": "_two_stage",
    "as_system": "_systems",
    "register_system": "_systems",
}

if not TYPE_CHECKING:  # a type checker then knows the names above, and no others
    __getattr__, __dir__ = lazily(__name__, _MODULES)
