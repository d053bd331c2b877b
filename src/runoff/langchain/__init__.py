"""runoff in LangChain: thin shells over the core that need langchain-core and nothing else of it.

```python
from runoff.langchain import RunoffRerank, TwoStageRetriever, HybridRetriever, two_stage

chain = two_stage(vectorstore.as_retriever(), top_n=5) | format_docs | prompt | llm
```
"""

from runoff.errors import MissingExtra

try:
    import langchain_core as _langchain_core  # noqa: F401 - a plain message where it is missing
except ModuleNotFoundError as missing:
    if missing.name != "langchain_core":
        raise
    raise MissingExtra("langchain-core", "langchain") from missing

from runoff.langchain import foreign as _foreign
from runoff.langchain import recorded as _recorded
from runoff.langchain.compressor import RunoffRerank
from runoff.langchain.convert import provenance
from runoff.langchain.hybrid import HybridRetriever
from runoff.langchain.retriever import TwoStageRetriever, two_stage

__all__ = [
    "HybridRetriever",
    "RunoffRerank",
    "TwoStageRetriever",
    "provenance",
    "two_stage",
]

_foreign.register()
_recorded.register()
