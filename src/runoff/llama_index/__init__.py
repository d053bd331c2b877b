"""Two-stage retrieval for LlamaIndex: a postprocessor, two retrievers and one line for engines.

Needs llama-index-core alone: `pip install "runoff[llama-index]"`.
"""

from runoff.errors import MissingExtra

try:
    import llama_index.core  # noqa: F401 - decides which error to raise
except ModuleNotFoundError as missing:
    if (missing.name or "").partition(".")[0] != "llama_index":
        raise
    raise MissingExtra("llama-index-core", "llama-index") from missing

from runoff.llama_index._convert import FilteredQueryBundle, provenance
from runoff.llama_index._embedding import RunoffEmbedding
from runoff.llama_index._filters import as_filter
from runoff.llama_index._foreign import register as _register
from runoff.llama_index._hybrid import HybridRetriever
from runoff.llama_index._retriever import TwoStageRetriever
from runoff.llama_index._runoff_rerank import RunoffRerank
from runoff.llama_index._systems import register as _register_systems
from runoff.llama_index._two_stage import two_stage

__all__ = [
    "FilteredQueryBundle",
    "HybridRetriever",
    "RunoffEmbedding",
    "RunoffRerank",
    "TwoStageRetriever",
    "as_filter",
    "provenance",
    "two_stage",
]

_register()
_register_systems()
