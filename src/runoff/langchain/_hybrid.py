"""`HybridRetriever`: BM25 beside a vector store, fused and reranked."""

from __future__ import annotations

import uuid
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.documents import Document as LangChainDocument
from langchain_core.indexing import DeleteResponse, DocumentIndex, UpsertResponse
from langchain_core.runnables import Runnable
from langchain_core.runnables.config import run_in_executor
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore, VectorStoreRetriever
from pydantic import Field, field_validator

from runoff._util.adapters.options import refuse_unknown
from runoff._util.isolated import frozen, isolated
from runoff._util.provenance import without
from runoff.errors import InvalidArgument
from runoff.langchain._convert import Carried, carried, plain
from runoff.langchain._filters import PARTS, is_filter_argument
from runoff.langchain._modes import mode_of
from runoff.langchain._staged import StagedRetriever
from runoff.langchain._stores import (
    absent,
    check_deletion,
    check_growth,
    content,
    count,
    deletable,
    numbered,
    replaced,
    stored,
    stored_id,
)
from runoff.pipeline._drift import Drift, Present, Refresh, check_overlap, drift_between
from runoff.pipeline._sources import Current
from runoff.recall._bm25.bm25 import BM25
from runoff.recall._bm25.documents import taken_over

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Self

    from langchain_core.callbacks import (
        AsyncCallbackManagerForRetrieverRun,
        CallbackManagerForRetrieverRun,
    )
    from langchain_core.embeddings import Embeddings

    from runoff.protocols import RecallSource
    from runoff.types import Document

_MAKE = "HybridRetriever.from_vectorstore(store) needs only a vector store"


class HybridRetriever(StagedRetriever, DocumentIndex):
    """BM25 and a vector store over the same documents, fused and reranked.

    It is a `DocumentIndex`: `langchain_core.indexing.index` keeps both up to date. `sync` takes
    over what was changed in the store alone.

    Make one with `from_documents` or `from_vectorstore`. Every document has the same id in both;
    documents without an id get one when they are added. Results and all other arguments are as for
    `TwoStageRetriever`; `reranker=None` only fuses.

    Args:
        bm25: a `runoff.recall.BM25` over the documents.
        vectorstore: the vector store.
        search_kwargs: search arguments for the store; `k` is set by `depth`, and filters are given
            as `filters`.
        search_type: `"similarity"`, `"mmr"` or `"similarity_score_threshold"`.
        refresh: what happens when the store was changed without BM25, where that can be noticed
            at no cost (`InMemoryVectorStore`, FAISS): `"manual"` logs a warning, `"auto"` calls
            `sync` before the search.
        translate_filter: makes the store's search arguments of one of `runoff.filters`, in place of
            what is built in.

    Raises:
        InvalidArgument: names the argument, its value and what would be right.
    """

    _advice: ClassVar[str] = _MAKE

    bm25: Any = Field(default=None, validate_default=True)
    vectorstore: VectorStore
    search_kwargs: dict[str, Any] = Field(default_factory=dict)
    search_type: str = "similarity"
    translate_filter: Any = None
    refresh: Refresh = "manual"

    @property
    def _drift(self) -> Drift:
        return drift_between(self.bm25, self.vectorstore)

    if not TYPE_CHECKING:  # type checkers know the fields

        def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401
            super().__init__(*args, **options)
            self._check_agreement()

    def __setattr__(self, name: str, value: Any) -> None:  # noqa: ANN401
        """Set an option; a wrong value is refused as in the constructor, and changes nothing."""
        super().__setattr__(name, value)
        if name in {"bm25", "vectorstore"}:
            self._check_agreement()

    @field_validator("bm25", mode="before")
    @classmethod
    def _check_bm25(cls, value: object) -> object:
        if not isinstance(value, BM25):
            remedy = f"must be a runoff.recall.BM25 over the same documents; {_MAKE}"
            raise InvalidArgument("bm25", value, remedy)
        return value

    @field_validator("search_type")
    @classmethod
    def _check_search_type(cls, value: str) -> str:
        if value not in (known := VectorStoreRetriever.allowed_search_types):
            raise InvalidArgument("search_type", value, f"must be {' or '.join(map(repr, known))}")
        return value

    @field_validator("search_kwargs")
    @classmethod
    def _check_search_kwargs(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name, given in value.items():
            if is_filter_argument(name):
                remedy = "filters only the vector store and not BM25: pass filters= instead"
                if name in PARTS:
                    remedy = (
                        "chooses a part of the vector store, but BM25 has no parts: pass "
                        "filters= instead, or make a store of that part alone"
                    )
                raise InvalidArgument(f"search_kwargs[{name!r}]", given, remedy)
        return value

    @classmethod
    def from_documents(
        cls,
        documents: Iterable[LangChainDocument],
        embedding: Embeddings,
        *,
        analyzer: Any = "english",  # noqa: ANN401
        **options: Any,  # noqa: ANN401
    ) -> Self:
        """Index documents with BM25 and, in memory, with embeddings.

        Args:
            documents: the documents; they are not changed.
            embedding: LangChain embeddings.
            analyzer: how texts become words; see `runoff.recall.BM25`.
            options: everything else this class takes.
        """
        store = InMemoryVectorStore(embedding)
        made = cls(bm25=BM25(analyzer=analyzer), vectorstore=store, **options)
        made.add_documents(documents)
        return made

    @classmethod
    def from_vectorstore(
        cls,
        vectorstore: VectorStore,
        documents: Iterable[LangChainDocument] | None = None,
        *,
        analyzer: Any = "english",  # noqa: ANN401
        **options: Any,  # noqa: ANN401
    ) -> Self:
        """Add BM25 to a vector store that has its documents already.

        Args:
            vectorstore: the store.
            documents: the store's documents, with the ids they have there; not needed for stores
                that list their content, see docs/integrations/stores.md.
            analyzer: how texts become words; see `runoff.recall.BM25`.
            options: everything else this class takes.

        Raises:
            InvalidArgument: the store cannot list its documents and they are not given, or a given
                one has no id.
        """
        if not isinstance(vectorstore, VectorStore):
            raise InvalidArgument("vectorstore", vectorstore, "must be a LangChain vector store")
        given = content(vectorstore) if documents is None else list(documents)
        missing = next((one for one in given if not one.id), None)
        if missing is not None:
            remedy = "this document needs the id that it has in the store"
            raise InvalidArgument("documents", missing.page_content, remedy)
        made = cls(bm25=BM25(analyzer=analyzer), vectorstore=vectorstore, **options)
        made.bm25.add([_indexed(one, str(one.id)) for one in given])
        made._check_agreement()
        made._agree()
        return made

    def add_documents(self, documents: Iterable[LangChainDocument]) -> list[str]:
        """Add documents to the store and to BM25; return their ids.

        A document whose id exists is replaced in both. The documents passed in are not changed.

        Raises:
            InvalidArgument: one is not a document, or has an id that the store does not accept.
        """
        fresh = self._with_ids(documents)
        ids = [str(one.id) for one in fresh]
        if again := replaced(self.vectorstore, ids):
            self.vectorstore.delete(again)
        given = self.vectorstore.add_documents(fresh, ids=ids) if fresh else []
        return self._indexed(numbered(self.vectorstore, fresh, given))

    async def aadd_documents(self, documents: Iterable[LangChainDocument]) -> list[str]:
        """Do what `add_documents` does without blocking the event loop."""
        fresh = self._with_ids(documents)
        ids = [str(one.id) for one in fresh]
        if again := replaced(self.vectorstore, ids):
            await self.vectorstore.adelete(again)
        given = await self.vectorstore.aadd_documents(fresh, ids=ids) if fresh else []
        fresh = numbered(self.vectorstore, fresh, given)
        return await run_in_executor(None, self._indexed, fresh)

    def upsert(self, items: Sequence[LangChainDocument], /, **kwargs: Any) -> UpsertResponse:  # noqa: ANN401
        """Do what `add_documents` does, as a `DocumentIndex`."""
        refuse_unknown("upsert", kwargs, ())
        return {"succeeded": self.add_documents(items), "failed": []}

    async def aupsert(self, items: Sequence[LangChainDocument], /, **kwargs: Any) -> UpsertResponse:  # noqa: ANN401
        """Do what `upsert` does without blocking the event loop."""
        refuse_unknown("aupsert", kwargs, ())
        return {"succeeded": await self.aadd_documents(items), "failed": []}

    def get(self, ids: Sequence[str], /, **kwargs: Any) -> list[LangChainDocument]:  # noqa: ANN401
        """Return copies of the documents with these ids; unknown ids are left out."""
        refuse_unknown("get", kwargs, ())
        known = [self.bm25.get(one) for one in dict.fromkeys(_ids(ids))]
        return [
            document.model_copy(update={"metadata": isolated(document.metadata)})
            for document in map(plain, filter(None, known))
        ]

    def delete(self, ids: Sequence[str] | None = None, **kwargs: Any) -> DeleteResponse:  # noqa: ANN401
        """Delete documents from both by id; the answer says which of them BM25 had."""
        refuse_unknown("delete", kwargs, ())
        listed = _ids(ids)
        check_deletion(self.vectorstore)
        if there := deletable(self.vectorstore, listed):
            self.vectorstore.delete(there)
        return self._forgotten(listed)

    async def adelete(self, ids: Sequence[str] | None = None, **kwargs: Any) -> DeleteResponse:  # noqa: ANN401
        """Do what `delete` does without blocking the event loop."""
        refuse_unknown("adelete", kwargs, ())
        listed = _ids(ids)
        check_deletion(self.vectorstore)
        if there := deletable(self.vectorstore, listed):
            await self.vectorstore.adelete(there)
        return self._forgotten(listed)

    def sync(self) -> tuple[int, int]:
        """Bring BM25 up to date with the store; return how many documents were (added, removed).

        Documents whose text or metadata has changed are replaced.

        Raises:
            InvalidArgument: the store cannot list its documents.
        """
        given = [_indexed(one, str(one.id)) for one in content(self.vectorstore)]
        changed = taken_over(self.bm25, given)
        self._agree()
        return changed

    def _absent(self, ids: list[str]) -> set[str]:
        return absent(self.vectorstore, ids)

    def _check_agreement(self) -> None:
        if len(self.bm25):
            check_overlap(self.bm25.documents(), self._absent)
        if self._drift.more is None:
            self._agree()

    def _agree(self) -> None:
        self._drift.agree(count(self.vectorstore), len(self.bm25))

    def _drifted(self) -> bool:
        return self._drift.has_come(count(self.vectorstore), len(self.bm25), self.refresh)

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        **kwargs: Any,  # noqa: ANN401
    ) -> list[LangChainDocument]:
        if self._drifted():
            self.sync()
        return super()._get_relevant_documents(query, run_manager=run_manager, **kwargs)

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        **kwargs: Any,  # noqa: ANN401
    ) -> list[LangChainDocument]:
        if self._drifted():
            await run_in_executor(None, self.sync)
        return await super()._aget_relevant_documents(query, run_manager=run_manager, **kwargs)

    def _forgotten(self, ids: list[str]) -> DeleteResponse:
        known = [one for one in dict.fromkeys(ids) if one in self.bm25]
        return {"succeeded": known, "num_deleted": self.bm25.delete(known), "num_failed": 0}

    def _with_ids(self, documents: Iterable[LangChainDocument]) -> list[LangChainDocument]:
        """Return copies that all have an id, and no provenance."""
        fresh = []
        for document in documents:
            if not isinstance(document, LangChainDocument):
                remedy = "must be a list of langchain_core.documents.Document"
                raise InvalidArgument("documents", document, remedy)
            known = carried(document)
            own = known.doc_id if known.own_id else str(uuid.uuid4())
            doc_id = stored_id(self.vectorstore, own)
            update = {"id": doc_id, "metadata": without(document.metadata)}
            fresh.append(document.model_copy(update=update))
        check_growth(self.vectorstore, [str(one.id) for one in fresh if str(one.id) in self.bm25])
        return fresh

    def _indexed(self, fresh: Sequence[LangChainDocument]) -> list[str]:
        self.bm25.update([_indexed(one, str(one.id)) for one in fresh])
        return [str(one.id) for one in fresh]

    def _parts(self) -> Mapping[str, Runnable[str, list[LangChainDocument]] | RecallSource]:
        dense = VectorStoreRetriever(
            vectorstore=self.vectorstore,
            search_type=self.search_type,
            search_kwargs=self.search_kwargs,
        )
        return {"bm25": self.bm25, mode_of(self.vectorstore, self.search_kwargs): dense}

    def _source(self, name: str, part: Any, **how: Any) -> RecallSource:  # noqa: ANN401
        if isinstance(part, Runnable):
            how["translate"] = self.translate_filter
        elif isinstance(part, BM25):
            return Present(Current(part, partial(stored, self.vectorstore)), self._absent)
        return super()._source(name, part, **how)


def _indexed(document: LangChainDocument, doc_id: str) -> Document:
    own = document.model_copy(update={"metadata": frozen(document.metadata)})
    return Carried(doc_id, own.page_content, own.metadata, origin=own)


def _ids(ids: Sequence[str] | None) -> list[str]:
    if ids is None or isinstance(ids, str):
        raise InvalidArgument("ids", ids, "must be a list of ids")
    return list(ids)
