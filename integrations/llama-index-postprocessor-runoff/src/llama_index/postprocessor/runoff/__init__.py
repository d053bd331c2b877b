"""runoff's reranker, under the name that LlamaIndex's postprocessors have."""

from runoff.llama_index import (
    RunoffRerank,
    provenance,
)

__all__ = [
    "RunoffRerank",
    "provenance",
]
