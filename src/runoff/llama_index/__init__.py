"""Two-stage retrieval for LlamaIndex: a postprocessor, two retrievers and one line for engines.

Needs llama-index-core alone: `pip install "runoff[llama-index]"`.
"""

from runoff.errors import MissingExtra

try:
    import llama_index.core  # noqa: F401 - whether it is there decides which error to raise
except ModuleNotFoundError as missing:
    if (missing.name or "").partition(".")[0] != "llama_index":
        raise
    raise MissingExtra("llama-index-core", "llama-index") from missing

from runoff.llama_index.convert import FilteredQueryBundle, provenance
from runoff.llama_index.foreign import register as _register
from runoff.llama_index.hybrid import HybridRetriever
from runoff.llama_index.postprocessor import RunoffRerank
from runoff.llama_index.recorded import register as _register_systems
from runoff.llama_index.retriever import TwoStageRetriever
from runoff.llama_index.two_stage import two_stage

__all__ = [
    "FilteredQueryBundle",
    "HybridRetriever",
    "RunoffRerank",
    "TwoStageRetriever",
    "provenance",
    "two_stage",
]

_register()
_register_systems()
