"""runoff for LangChain, under the name that LangChain's packages have."""

from runoff.langchain import (
    HybridRetriever,
    RunoffEmbeddings,
    RunoffRerank,
    TwoStageRetriever,
    provenance,
    two_stage,
)

__all__ = [
    "HybridRetriever",
    "RunoffEmbeddings",
    "RunoffRerank",
    "TwoStageRetriever",
    "provenance",
    "two_stage",
]
