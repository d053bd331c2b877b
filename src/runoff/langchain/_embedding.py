"""The local embedder as LangChain embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_core.embeddings import Embeddings

from runoff._util.display import html_by
from runoff.recall._dense.embedder import Embedder

if TYPE_CHECKING:
    from runoff.rerank import LateInteraction

_DEFAULT = "all-MiniLM-L6-v2"


class RunoffEmbeddings(Embeddings):
    """A local embedding model on ONNX Runtime, without torch: `Embedder` for LangChain.

    Args:
        model: an embedded model, a directory, or a Hugging Face name, as for `Embedder`.
        late: a `LateInteraction` with the same model: documents get their token vectors in the same
            run, into its store, so that `RunoffRerank(reranker=late)` has not to encode them.

    Raises:
        InvalidArgument: the model's name cannot be one, or `late` is something else.
    """

    def __init__(self, model: str = _DEFAULT, *, late: LateInteraction | None = None) -> None:
        self.model = model
        self._embedder = Embedder(model, late=late)

    _repr_html_ = html_by("repr_html", "_notebook")

    def __repr__(self) -> str:
        late = self._embedder.late
        also = "" if late is None else f", late={late!r}"
        return f"{type(self).__name__}({self.model!r}{also})"

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one vector for each text, in order."""
        values: list[list[float]] = self._embedder(texts).tolist()
        return values

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a query."""
        values: list[float] = self._embedder.embed_query(text).tolist()
        return values

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Do what `embed_documents` does without blocking the event loop."""
        values: list[list[float]] = (await self._embedder.aembed(texts)).values.tolist()
        return values

    async def aembed_query(self, text: str) -> list[float]:
        """Do what `embed_query` does without blocking the event loop."""
        values: list[float] = (await self._embedder.aembed_query(text)).tolist()
        return values
