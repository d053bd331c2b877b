"""The local embedder as a LlamaIndex embedding model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llama_index.core.bridge.pydantic import Field, PrivateAttr, field_serializer
from llama_index.core.embeddings import BaseEmbedding

from runoff._util.display import html_by
from runoff.llama_index._serialize import from_config, to_config
from runoff.recall._dense.embedder import Embedder

if TYPE_CHECKING:
    from llama_index.core.base.embeddings.base import Embedding

    from runoff.rerank import LateInteraction

_DEFAULT = "all-MiniLM-L6-v2"


class RunoffEmbedding(BaseEmbedding):
    """A local embedding model on ONNX Runtime, without torch: `Embedder` for LlamaIndex.

    Args:
        model_name: an embedded model, a directory, or a Hugging Face name, as for `Embedder`.
        late: a `LateInteraction` with the same model: nodes get their token vectors in the same
            run, into its store, so that `RunoffRerank(reranker=late)` has not to encode them.
        embed_batch_size: texts embedded per call; it changes no value.

    Raises:
        InvalidArgument: the model's name cannot be one, or `late` is something else.
    """

    model_name: str = Field(default=_DEFAULT, description="As for runoff.recall.Embedder.")
    late: Any = Field(default=None, description="A LateInteraction with the same model.")
    _embedder: Embedder = PrivateAttr()

    def __init__(
        self,
        model_name: str = _DEFAULT,
        *,
        late: LateInteraction | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        late = from_config("late", late)
        embedder = Embedder(model_name, late=late)  # refuses what pydantic would in its own words
        super().__init__(model_name=str(model_name), **kwargs | {"late": late})
        self._embedder = embedder

    def __setattr__(self, name: str, value: Any) -> None:  # noqa: ANN401
        """Set a field; another model is checked as in the constructor, and takes effect."""
        if name in {"model_name", "late"}:
            value = from_config(name, value) if name == "late" else value
            parts = {"model_name": self.model_name, "late": self.late, name: value}
            self._embedder = Embedder(parts["model_name"], late=parts["late"])
        super().__setattr__(name, value)

    _repr_html_ = html_by("repr_html", "_notebook")

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        """Show the model, and the second stage that shares it."""
        late = [] if self.late is None else [("late", self.late)]
        return [(None, self.model_name), *late]

    @classmethod
    def class_name(cls) -> str:
        """Return the name this class is serialised under."""
        return "RunoffEmbedding"

    @field_serializer("late")
    def _as_config(self, value: object) -> object:
        return to_config(value)

    def _get_text_embedding(self, text: str) -> Embedding:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        values: list[Embedding] = self._embedder(texts).tolist()
        return values

    def _get_query_embedding(self, query: str) -> Embedding:
        values: list[float] = self._embedder.embed_query(query).tolist()
        return values

    async def _aget_text_embedding(self, text: str) -> Embedding:
        return (await self._aget_text_embeddings([text]))[0]

    async def _aget_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        values: list[Embedding] = (await self._embedder.aembed(texts)).values.tolist()
        return values

    async def _aget_query_embedding(self, query: str) -> Embedding:
        values: list[float] = (await self._embedder.aembed_query(query)).tolist()
        return values
