"""The local embedder as LangChain embeddings."""

from __future__ import annotations

from langchain_core.embeddings import Embeddings

from runoff.recall._dense.embedder import Embedder

__all__ = ["RunoffEmbeddings"]

_DEFAULT = "all-MiniLM-L6-v2"


class RunoffEmbeddings(Embeddings):
    """A local embedding model on ONNX Runtime, without torch: `Embedder` for LangChain.

    Args:
        model: an embedded model, a directory, or a Hugging Face name, as for `Embedder`.

    Raises:
        InvalidArgument: the model's name cannot be one.
    """

    def __init__(self, model: str = _DEFAULT) -> None:
        self.model = model
        self._embedder = Embedder(model)

    def __repr__(self) -> str:
        """Show the model."""
        return f"{type(self).__name__}({self.model!r})"

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one vector for each text, in order."""
        values: list[list[float]] = self._embedder(texts).tolist()
        return values

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a query."""
        return self.embed_documents([text])[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Do what `embed_documents` does without blocking the event loop."""
        values: list[list[float]] = (await self._embedder.aembed(texts)).values.tolist()
        return values

    async def aembed_query(self, text: str) -> list[float]:
        """Do what `embed_query` does without blocking the event loop."""
        return (await self.aembed_documents([text]))[0]
