"""`TwoStageRetriever`: any LangChain retrievers with a second stage behind them."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable
from langchain_core.vectorstores import VectorStore, VectorStoreRetriever
from pydantic import model_validator

from runoff._util.adapters.options import brief_repr
from runoff.errors import InvalidArgument
from runoff.langchain._modes import mode_of
from runoff.langchain._sources import as_retriever
from runoff.langchain._staged import StagedRetriever
from runoff.langchain._widen import widened
from runoff.pipeline._sources import by_name, cannot_widen
from runoff.protocols import RecallSource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.documents import Document as LangChainDocument

    from runoff.langchain._sources import Retrievers
else:  # the validators look at the values; pydantic need not
    Retrievers = Any

# what sources of these classes are called if nobody names them
_FAMILIAR = {"BM25": "bm25", "BM25Retriever": "bm25", "VectorStoreRetriever": "dense"}


class TwoStageRetriever(StagedRetriever):
    """Recall wide with one or several retrievers, rerank, and return the best.

    Each retriever is asked for `depth` documents, through a copy whose own limits (`k`, MMR's
    `fetch_k`) are raised; a retriever that cannot be widened is named in a warning. The results of
    several retrievers are fused. Results are copies; `metadata["relevance_score"]` and provenance
    are as described for `RunoffRerank`. A retriever that fails or is late is left out if another
    answered.

    Args:
        retriever: a LangChain retriever, a runnable that answers like one, a vector store, or one
            of runoff's sources; several of them in a list, or several by name.
        retrievers: the same under another name, which reads better for several.
        reranker: as for `RunoffRerank`; None for recall and fusion alone.
        fusion: makes one order out of several retrievers' documents; None is
            `Convex()`, or `RRF()` where a retriever gives no scores.
        top_n: documents to return; `k` is another name for it.
        depth: documents asked of each retriever.
        window: candidates the reranker reads.
        timeout: seconds for the whole call; the answer is the best that fits. None for no limit.
        on_error, threshold, blend, text_template, group, provenance, observer: as for
            `RunoffRerank`.
        filters: which documents may be returned by any call: one of `runoff.filters`, or a dict of
            fields and the values they must equal; `filter` is another name for it. A call
            can add more.
        id_of: what identifies a document across retrievers if its id does not.
        on_blank: what a blank query gets: `"empty"`, an empty list and a warning in the log, or
            `"raise"`, an `InvalidArgument`.
        id_key: the metadata field that holds a document's id; without it ids identify documents
            across retrievers if every retriever supplies them, else the texts do.
        translate_filter: makes a vector store's search arguments of one of `runoff.filters`, for
            stores other than Chroma, FAISS, Qdrant and `InMemoryVectorStore`.

    Raises:
        InvalidArgument: names the argument, its value and what would be right.
    """

    retriever: Retrievers | None = None
    retrievers: Retrievers | None = None
    id_key: str | None = None
    translate_filter: Any = None

    if not TYPE_CHECKING:  # type checkers know the fields

        def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401
            if len(args) == 1:
                options = {"retriever": args[0], **options}
                args = ()
            super().__init__(*args, **options)
            self._warn_of_fixed()

    def __setattr__(self, name: str, value: Any) -> None:  # noqa: ANN401
        """Set an option; a wrong value is refused as in the constructor, and changes nothing."""
        super().__setattr__(name, value)
        if name in {"retriever", "retrievers", "depth"}:
            self._warn_of_fixed()

    def _warn_of_fixed(self) -> None:
        for name, part in self._parts().items():
            if _is_fixed(part, self.depth):
                warnings.warn(cannot_widen(name, part, self.depth), stacklevel=3)

    @model_validator(mode="after")
    def _check_retrievers(self) -> TwoStageRetriever:
        if (self.retriever is None) == (self.retrievers is None):
            remedy = "give either retriever= or retrievers="
            raise InvalidArgument("retriever", self.retriever, remedy)
        argument = "retriever" if self.retrievers is None else "retrievers"
        self.__dict__[argument] = _checked(argument, getattr(self, argument))
        return self

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        """Show the retrievers by name and class, then what `SecondStage` shows."""
        (_, parts), *options = super().__repr_args__()
        return [(None, parts), *options]

    def _settings(self) -> dict[str, tuple[str, bool]]:
        """Return the retrievers by name and class, then what `SecondStage` does."""
        parts = {"retrievers": (brief_repr(dict(self._parts())), False)}
        found = super()._settings()
        return parts | {name: one for name, one in found.items() if "retriever" not in name}

    def _parts(self) -> Mapping[str, Runnable[str, list[LangChainDocument]] | RecallSource]:
        given: Any = self.retriever if self.retrievers is None else self.retrievers
        return given if isinstance(given, dict) else {_name(given): given}  # `_checked` made it so

    def _source(self, name: str, part: Any, **how: Any) -> RecallSource:  # noqa: ANN401
        if isinstance(part, Runnable):
            how |= {"id_key": self.id_key, "translate": self.translate_filter}
        return super()._source(name, part, **how)


def _checked(argument: str, given: object) -> object:
    if not isinstance(given, dict | list | tuple):
        return _as_part(argument, given)
    named = by_name(argument, given, _name)
    return {name: _as_part(f"{argument}[{name!r}]", part) for name, part in named.items()}


def _as_part(argument: str, part: object) -> object:
    if isinstance(part, RecallSource) and not isinstance(part, type | Runnable):
        return part
    return as_retriever(argument, part)


def _name(part: object) -> str:
    if isinstance(part, VectorStore):
        return mode_of(part, {})
    if type(part) is VectorStoreRetriever:
        return mode_of(part.vectorstore, part.search_kwargs)
    name = part.get_name() if isinstance(part, BaseRetriever) else type(part).__name__
    return _FAMILIAR.get(name, name)


def _is_fixed(part: object, depth: int) -> bool:
    return (
        isinstance(part, Runnable)
        and not getattr(part, "takes_depth", False)
        and widened(part, depth) is None
    )
