"""`HybridRetriever`: BM25 beside a vector index over the same nodes."""

from __future__ import annotations

from functools import partial
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from llama_index.core import Settings, StorageContext, VectorStoreIndex, load_index_from_storage
from llama_index.core.vector_stores.simple import SimpleVectorStore

from runoff._util.adapters.options import refuse_unknown, strict_options
from runoff._util.arguments import is_one_of
from runoff._util.stored import path_of
from runoff._waiting import workers
from runoff.errors import IndexDamaged, InvalidArgument
from runoff.llama_index._bm25 import WordSource, nodes_of, to_documents
from runoff.llama_index._pickling import without_callbacks
from runoff.llama_index._retriever import TwoStageRetriever
from runoff.llama_index._saved_embedder import check_embedder, save_embedder
from runoff.llama_index._sources import index_source
from runoff.llama_index._stores import absent, content, count, delete, stored, unknown
from runoff.pipeline._drift import Refresh, check_overlap, drift_between
from runoff.recall._bm25.bm25 import BM25
from runoff.recall._bm25.documents import taken_over

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence
    from typing import Self

    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.schema import BaseNode, NodeWithScore, QueryBundle
    from llama_index.core.storage.docstore import BaseDocumentStore
    from llama_index.core.vector_stores.types import BasePydanticVectorStore

    from runoff.protocols import RecallSource
    from runoff.recall._analyzers import Analyze

# what LlamaIndex raises for files that are not as it wrote them
_UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)
_WORDS = "bm25"
_VECTORS = "index"
_MAKE = "HybridRetriever.from_defaults(index=index) needs only an index"


_OPTIONS = signature(TwoStageRetriever.__init__).parameters.keys() - {
    "self", "retriever", "retrievers"
} | {"refresh"}  # fmt: skip


class HybridRetriever(TwoStageRetriever):
    """BM25 and a vector index over the same nodes, fused and reranked.

    ```python
    hybrid = HybridRetriever.from_defaults(index=index, top_n=5)
    ```

    Make one with `from_defaults` or `from_persist_dir`. No LLM is needed. Results and all other
    options are as for `TwoStageRetriever`; `reranker=None` only fuses. Copies made by `replace` or
    `two_stage` search the same index.

    Args:
        index: the vector index.
        bm25: a BM25 index over the same nodes.
        refresh: what happens when the index was changed without BM25, where that can be noticed at
            no cost (nodes in LlamaIndex's own stores): `"manual"` logs a warning, `"auto"` calls
            `sync` before the search.
        options: as for `TwoStageRetriever`.

    Raises:
        InvalidArgument: an argument has a value it cannot have.
    """

    def __init__(
        self,
        index: VectorStoreIndex | None = None,
        bm25: BM25 | None = None,
        *,
        refresh: Refresh = "manual",
        **options: Any,  # noqa: ANN401
    ) -> None:
        if not isinstance(index, VectorStoreIndex):
            raise InvalidArgument("index", index, f"must be a VectorStoreIndex; {_MAKE}")
        if not isinstance(bm25, BM25):
            remedy = f"must be a runoff.recall.BM25 over the same nodes; {_MAKE}"
            raise InvalidArgument("bm25", bm25, remedy)
        self._index = index
        if not is_one_of(refresh, ("manual", "auto")):
            raise InvalidArgument("refresh", refresh, 'must be "manual" or "auto"')
        self._bm25 = bm25
        self._refresh = refresh
        self._drift = drift_between(bm25, index)
        refuse_unknown(type(self).__name__, options, _OPTIONS)
        super().__init__({}, **options)
        self._check_agreement()

    @classmethod
    @strict_options("HybridRetriever.from_defaults(index=index)")
    def from_defaults(
        cls,
        *,
        index: VectorStoreIndex | None = None,
        nodes: Sequence[BaseNode] | None = None,
        docstore: BaseDocumentStore | None = None,
        vector_store: BasePydanticVectorStore | None = None,
        embed_model: BaseEmbedding | None = None,
        analyzer: str | Analyze = "english",
        **options: Any,  # noqa: ANN401
    ) -> Self:
        """Make one from an index, nodes, a docstore or a vector store.

        Args:
            index: a vector index; its nodes are read from its docstore or, if that is empty, as
                with Chroma, from its vector store.
            nodes: nodes to index; with an index or a vector store, the nodes it holds.
            docstore: the nodes, as a docstore.
            vector_store: a vector store that holds its nodes' text, in place of an index.
            embed_model: embeds nodes and queries if no index is given; by default the one in
                LlamaIndex's `Settings` if it is set, else the embedded local model.
            analyzer: how texts become words; see `runoff.recall.BM25`.
            options: as for `TwoStageRetriever`.

        Raises:
            InvalidArgument: nothing is given, or two that exclude each other, or a store cannot
                list its nodes and they are not given.
        """
        refuse_unknown(cls.__name__, options, _OPTIONS)  # before anything is embedded
        _one_at_most(index=index, vector_store=vector_store)
        _one_at_most(nodes=nodes, docstore=docstore)
        _check_text(vector_store)
        held = None if nodes is None else list(nodes)
        if docstore is not None:
            held = list(docstore.docs.values())
        if index is None and vector_store is not None:
            index = VectorStoreIndex.from_vector_store(
                vector_store, embed_model=_embedding(embed_model)
            )
        elif index is None:
            if held is None:
                remedy = "pass index=, nodes=, docstore= or vector_store="
                raise InvalidArgument("index", None, remedy)
            index = VectorStoreIndex(
                [one.model_copy() for one in held], embed_model=_embedding(embed_model)
            )
        made = cls(index, BM25(analyzer=analyzer), **options)
        made._bm25.add(to_documents(content(index) if held is None else held, made._reading))
        made._check_agreement()
        made._agree()
        return made

    @classmethod
    def from_persist_dir(
        cls,
        path: str | os.PathLike[str],
        *,
        index: VectorStoreIndex | None = None,
        vector_store: BasePydanticVectorStore | None = None,
        embed_model: BaseEmbedding | None = None,
        analyzer: Analyze | None = None,
        **options: Any,  # noqa: ANN401
    ) -> Self:
        """Open what `persist` wrote.

        Args:
            path: the directory.
            index: the vector index; needed, unless `vector_store` is given, if the vectors are kept
                elsewhere.
            vector_store: the vector store, in place of an index.
            embed_model: embeds queries, as for `from_defaults`; it must be the model that embedded
                the saved nodes.
            analyzer: the callable it was made with, if it was a callable: code is not saved.
            options: as for `TwoStageRetriever`; they are not saved.

        Raises:
            IndexNotFound: there is no index in the directory.
            IndexDamaged: the directory is foreign, incomplete or altered.
            InvalidArgument: the vectors are kept elsewhere, and neither index nor store is given;
                or the nodes were embedded by another model than the default one.
        """
        _one_at_most(index=index, vector_store=vector_store)
        _check_text(vector_store)
        bm25 = BM25.load(path_of("path", path) / _WORDS, analyzer=analyzer)
        if index is not None:
            check_embedder(Path(path), _model_of(index), chosen=True)
            return cls(index, bm25, **options)
        folder = Path(path) / _VECTORS
        if vector_store is None and not folder.is_dir():
            remedy = "the vectors are not in this directory: pass index= or vector_store="
            raise InvalidArgument("index", None, remedy)
        model = _embedding(embed_model)
        check_embedder(Path(path), model, chosen=embed_model is not None)
        if vector_store is not None:
            index = VectorStoreIndex.from_vector_store(vector_store, embed_model=model)
            return cls(index, bm25, **options)
        try:
            stored = StorageContext.from_defaults(persist_dir=str(folder))
            loaded = load_index_from_storage(stored, embed_model=model)
            _check_vectors(stored)
        except _UNREADABLE as error:
            msg = f"{folder} cannot be read ({error}): build the index and persist it again"
            raise IndexDamaged(msg) from error
        return cls(loaded, bm25, **options)  # type: ignore[arg-type] # the constructor checks

    @property
    def index(self) -> VectorStoreIndex:
        """The vector index."""
        return self._index

    @property
    def bm25(self) -> BM25:
        """The BM25 index."""
        return self._bm25

    def persist(self, path: str | os.PathLike[str]) -> None:
        """Save the BM25 index and the nodes to a directory, and vectors that are in memory only.

        The name of the embedding model is saved, too: `from_persist_dir` refuses another one.

        The BM25 index is replaced atomically, with its analyzer and parameters; LlamaIndex writes
        the vectors. A vector store that saves itself, such as Chroma, is not touched.

        Raises:
            InvalidArgument: a node cannot be saved; the message names it.
        """
        self._bm25.save(path_of("path", path) / _WORDS)
        save_embedder(Path(path), _model_of(self._index))
        if isinstance(self._index.vector_store, SimpleVectorStore):
            self._index.storage_context.persist(persist_dir=str(Path(path) / _VECTORS))

    def insert_nodes(self, nodes: Iterable[BaseNode]) -> None:
        """Add nodes to both indexes; a node whose id exists is replaced in both."""
        fresh = list(nodes)
        documents = to_documents(fresh, self._reading)
        known = [one.doc_id for one in documents if one.doc_id in self._bm25]
        self._remove(known)
        if fresh:
            self._index.insert_nodes([one.model_copy() for one in fresh])
            self._bm25.update(documents)

    async def ainsert_nodes(self, nodes: Iterable[BaseNode]) -> None:
        """Do what `insert_nodes` does without blocking the event loop."""
        await workers.run_async(lambda: self.insert_nodes(nodes), None, "insert_nodes")

    def delete_nodes(self, node_ids: Sequence[str]) -> int:
        """Delete nodes from both indexes by id; return how many BM25 had."""
        if isinstance(node_ids, str):
            raise InvalidArgument("node_ids", node_ids, "must be a list of ids")
        listed_ids = list(node_ids)
        self._remove(listed_ids)
        return self._bm25.delete(listed_ids)

    def _remove(self, node_ids: list[str]) -> None:
        """Delete nodes from the vector index; LlamaIndex's own store fails on unknown ids."""
        if not self._index.vector_store.stores_text:
            there = set(self._index.index_struct.nodes_dict.values())
            node_ids = [one for one in node_ids if one in there]
        if node_ids:
            delete(self._index, node_ids)

    async def adelete_nodes(self, node_ids: Sequence[str]) -> int:
        """Do what `delete_nodes` does without blocking the event loop."""
        return await workers.run_async(lambda: self.delete_nodes(node_ids), None, "delete_nodes")

    def delete_ref_doc(self, ref_doc_id: str) -> int:
        """Delete all nodes of one source document; return how many BM25 had."""
        return self.delete_nodes(nodes_of(self._bm25, ref_doc_id))

    def refresh(self) -> tuple[int, int]:
        """Bring BM25 up to date with the vector store; return how many nodes were (added, removed).

        Nodes whose content has changed are replaced.

        Raises:
            InvalidArgument: the store cannot list its nodes.
        """
        documents = to_documents(content(self._index), self._reading)
        changed = taken_over(self._bm25, documents)
        self._agree()
        return changed

    def sync(self) -> tuple[int, int]:
        """Do what `refresh` does; LangChain's hybrid retriever has the same name for it."""
        return self.refresh()

    def _check_agreement(self) -> None:
        if len(self._bm25):
            check_overlap(self._bm25.documents(), partial(unknown, self._index))
        if self._drift.more is None:
            self._agree()

    def _agree(self) -> None:
        self._drift.agree(count(self._index), len(self._bm25))

    def _drifted(self) -> bool:
        return self._drift.has_come(count(self._index), len(self._bm25), self._refresh)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        if self._drifted():
            self.sync()
        return super()._retrieve(query_bundle)

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        if self._drifted():
            await workers.run_async(self.sync, None, "sync")
        found: list[NodeWithScore] = await super()._aretrieve(query_bundle)
        return found

    def _parts(self) -> dict[str, object]:
        return {"index": self._index, "bm25": self._bm25, "refresh": self._refresh}

    def _pickled_parts(self) -> dict[str, object]:
        return {**self._parts(), "index": without_callbacks(self._index)}

    def _sources(self, depth: int) -> dict[str, RecallSource]:
        del depth  # every search makes a new retriever of the depth it needs
        words = WordSource(
            self._bm25,
            self._reading,
            lambda: self._index.as_retriever().object_map,
            partial(stored, self._index),
            partial(absent, self._index),
        )
        return {
            "bm25": words,
            "dense": index_source(self._index, self._reading),
        }

    def _remade(self, options: dict[str, Any]) -> Self:
        kept = self._parts()
        return type(self)(**{**kept, **options})


def _check_vectors(stored: StorageContext) -> None:
    """Check what LlamaIndex loaded: every node can be read, and vectors are of one length.

    Raises:
        Exception: whatever LlamaIndex raises for a node that it cannot read.
        ValueError: a vector is not one, or has another length.
    """
    _ = stored.docstore.docs  # parses every node; a search would otherwise meet the damage
    data = getattr(stored.vector_store, "data", None)
    vectors = [*data.embedding_dict.values()] if data is not None else []
    values = np.asarray(vectors, dtype=np.float64)  # raises where lengths differ
    if vectors and (values.ndim != 2 or not np.isfinite(values).all()):  # noqa: PLR2004 - rows
        raise ValueError("a vector is not a list of finite numbers")


def _one_at_most(**given: object) -> None:
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise InvalidArgument(names[1], given[names[1]], f"give either {names[0]}= or {names[1]}=")


def _check_text(store: BasePydanticVectorStore | None) -> None:
    if store is not None and not store.stores_text:
        remedy = "stores vectors without text: pass the index made over it as index="
        raise InvalidArgument("vector_store", type(store).__name__, remedy)


def _model_of(index: VectorStoreIndex) -> BaseEmbedding:
    return index._embed_model  # noqa: SLF001


def _embedding(given: BaseEmbedding | None) -> BaseEmbedding:
    if given is not None:
        return given
    if Settings._embed_model is not None:  # noqa: SLF001
        return Settings.embed_model
    # loads onnxruntime, which is not needed with a model of one's own
    from runoff.llama_index._embedding import RunoffEmbedding  # noqa: PLC0415

    return RunoffEmbedding()
