"""Two-stage retrieval for LlamaIndex and LangChain.

Recall wide, rerank sharp, and know whether it helped. Sources are in `runoff.recall`, second stages
in `runoff.rerank`, the drop-ins in `runoff.llama_index` and `runoff.langchain`.
"""

from runoff._util.moved import install as _install
from runoff._util.version import __version__
from runoff.deadline import Deadline
from runoff.errors import RunoffError
from runoff.pipeline import TwoStage
from runoff.types import Document, Query, Response, Result

__all__ = [
    "Deadline",
    "Document",
    "Query",
    "Response",
    "Result",
    "RunoffError",
    "TwoStage",
    "__version__",
]

_install()
