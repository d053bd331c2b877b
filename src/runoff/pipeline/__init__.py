"""The pipeline: sources nominate candidates, a reranker decides."""

from runoff.pipeline._systems import System, as_system, register_system
from runoff.pipeline._two_stage import TwoStage

__all__ = ["System", "TwoStage", "as_system", "register_system"]
