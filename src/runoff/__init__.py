"""Two-stage retrieval for LlamaIndex and LangChain.

Recall wide, rerank sharp, and know whether it helped. Sources are in `runoff.recall`, second stages
in `runoff.rerank`, the drop-ins in `runoff.llama_index` and `runoff.langchain`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runoff._util.lazy import lazily as _lazily
from runoff._util.moved import install as _install
from runoff._util.version import __version__

if TYPE_CHECKING:
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

# importing the package loads none of these, and a program only those that it uses
_HOMES = {
    "Deadline": "deadline",
    "Document": "types",
    "Query": "types",
    "Response": "types",
    "Result": "types",
    "RunoffError": "errors",
    "TwoStage": "pipeline",
}
_FILES = (
    "deadline",
    "errors",
    "fusion",
    "pipeline",
    "protocols",
    "rerank",
    "scores",
    "trace",
    "types",
)

if not TYPE_CHECKING:  # a type checker then knows the names above, and no others
    __getattr__, __dir__ = _lazily(__name__, _HOMES, _FILES)

_install()
