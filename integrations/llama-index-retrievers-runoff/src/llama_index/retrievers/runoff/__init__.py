"""runoff's retrievers, under the name that LlamaIndex's retrievers have."""

from runoff.llama_index import (
    HybridRetriever,
    TwoStageRetriever,
    provenance,
    two_stage,
)

__all__ = [
    "HybridRetriever",
    "TwoStageRetriever",
    "provenance",
    "two_stage",
]
