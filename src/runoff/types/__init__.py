"""The data that flows through a search: frozen, slotted, never mutated.

A source answers with hits, fusion turns hits into candidates, the reranker orders candidates, and
the pipeline returns results. Each stage adds to its input and overwrites nothing, so a result keeps
every rank and score it was given. Ranks start at 1.
"""

from runoff.types._documents import Candidate, Document, Hit, Placement, Query
from runoff.types._reranking import Dropped, Ranked, Reranking
from runoff.types._response import Degradation, Outcome, Response, Result, Stage

__all__ = [
    "Candidate",
    "Degradation",
    "Document",
    "Dropped",
    "Hit",
    "Outcome",
    "Placement",
    "Query",
    "Ranked",
    "Reranking",
    "Response",
    "Result",
    "Stage",
]
