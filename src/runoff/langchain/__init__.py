"""Two-stage retrieval for LangChain: a document compressor, two retrievers and one line for chains.

Needs langchain-core alone: `pip install "runoff[langchain]"`.

```python
from runoff.langchain import RunoffRerank, TwoStageRetriever, HybridRetriever, two_stage

chain = two_stage(vectorstore.as_retriever(), top_n=5) | format_docs | prompt | llm
```
"""

from runoff.errors import MissingExtra

try:
    import langchain_core as _langchain_core  # noqa: F401 - decides which error to raise
except ModuleNotFoundError as missing:
    if missing.name != "langchain_core":
        raise
    raise MissingExtra("langchain-core", "langchain") from missing

from runoff.langchain import _foreign
from runoff.langchain import _systems as _recorded
from runoff.langchain._convert import provenance
from runoff.langchain._embedding import RunoffEmbeddings
from runoff.langchain._filters import as_filter
from runoff.langchain._hybrid import HybridRetriever
from runoff.langchain._retriever import TwoStageRetriever
from runoff.langchain._runoff_rerank import RunoffRerank
from runoff.langchain._two_stage import two_stage

__all__ = [
    "HybridRetriever",
    "RunoffEmbeddings",
    "RunoffRerank",
    "TwoStageRetriever",
    "as_filter",
    "provenance",
    "two_stage",
]

_foreign.register()
_recorded.register()
