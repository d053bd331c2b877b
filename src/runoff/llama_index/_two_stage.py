"""`two_stage`: a retriever or engine with its recall widened and a second stage added."""

from __future__ import annotations

import copy
import uuid
import warnings
from typing import TYPE_CHECKING, Any, TypeVar, overload

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.chat_engine.types import BaseChatEngine
from llama_index.core.indices.base import BaseIndex
from llama_index.core.memory import Memory
from llama_index.core.postprocessor import (
    AutoPrevNextNodePostprocessor,
    EmbeddingRecencyPostprocessor,
    FixedRecencyPostprocessor,
    KeywordNodePostprocessor,
    LongContextReorder,
    MetadataReplacementPostProcessor,
    NERPIINodePostprocessor,
    PIINodePostprocessor,
    PrevNextNodePostprocessor,
    SentenceEmbeddingOptimizer,
    SimilarityPostprocessor,
    TimeWeightedPostprocessor,
)
from llama_index.core.query_engine import TransformQueryEngine

from runoff.errors import InvalidArgument
from runoff.llama_index._filters import as_filter
from runoff.llama_index._narrow import BundleRetriever, KeepsFilters, WithinFilters
from runoff.llama_index._retriever import TwoStageRetriever
from runoff.llama_index._runoff_rerank import RunoffRerank
from runoff.llama_index._settings import checked
from runoff.llama_index._shown import shown
from runoff.llama_index._widen import own_filter, recall_of, widened
from runoff.pipeline._boundary import joined
from runoff.pipeline._sources import cannot_widen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core.memory import BaseMemory
    from llama_index.core.postprocessor.types import BaseNodePostprocessor

_DEPTH = 100
# they judge first-stage results, so they come before the second stage
_CUTOFFS = (SimilarityPostprocessor, KeywordNodePostprocessor)
# they change or arrange what was chosen, so they come after it
_FINISHERS = (
    AutoPrevNextNodePostprocessor,
    LongContextReorder,
    MetadataReplacementPostProcessor,
    NERPIINodePostprocessor,
    PIINodePostprocessor,
    PrevNextNodePostprocessor,
    SentenceEmbeddingOptimizer,
)
# they add nodes that no retriever was asked for
_ADDERS = (AutoPrevNextNodePostprocessor, PrevNextNodePostprocessor)
_ORDERERS = (
    EmbeddingRecencyPostprocessor,
    FixedRecencyPostprocessor,
    TimeWeightedPostprocessor,
)

_Engine = TypeVar("_Engine", BaseQueryEngine, BaseChatEngine)


@overload
def two_stage(target: _Engine, top_n: int = ..., **options: object) -> _Engine: ...
@overload
def two_stage(
    target: BaseRetriever | BaseIndex[Any], top_n: int = ..., **options: object
) -> TwoStageRetriever: ...
def two_stage(target: Any, top_n: int = 5, **options: Any) -> Any:
    """Return a copy of a retriever or engine with its recall widened and a second stage.

    - A retriever or an index becomes a `TwoStageRetriever`; `.as_query_engine()` makes an engine of
      it.
    - A query engine or chat engine over a retriever becomes a copy whose retriever returns `depth`
      nodes, with a `RunoffRerank` in the right place among the postprocessors: after those that cut
      by first-stage scores (`SimilarityPostprocessor`), before those that change or arrange the
      chosen nodes (`MetadataReplacementPostProcessor`, `LongContextReorder`). Synthesizer, prompts
      and callbacks are kept; the copy shares no state with the original. A chat engine's copy
      starts with the conversation so far. The copy's `repr` and its HTML in a notebook show what it
      does; for that it is of a subclass of the engine's class, which has the same name.

    Args:
        target: a retriever, an index, or an engine over a retriever.
        top_n: nodes to return.
        options: `depth` (100, or what the target retrieves already if that is more), and what
            `RunoffRerank` takes; for a retriever or index what `TwoStageRetriever` takes; `filters`
            are added to those the target has.

    Raises:
        InvalidArgument: the target is something else; the message says what to do instead.
    """
    checked("top_n", top_n)
    if isinstance(target, TwoStageRetriever):
        return _changed(target, top_n, options)
    if isinstance(target, BaseRetriever):
        depth = _depth(target, options)
        return TwoStageRetriever(target, top_n=top_n, depth=depth, **options)
    if isinstance(target, BaseIndex):
        return two_stage(target.as_retriever(), top_n, **options)
    if isinstance(target, TransformQueryEngine):
        clone = copy.copy(target)
        clone._query_engine = two_stage(target._query_engine, top_n, **options)  # noqa: SLF001
        clone._query_transform = KeepsFilters(target._query_transform)  # noqa: SLF001
        return shown(clone)
    retriever = getattr(target, "_retriever", None)
    kept = getattr(target, "_node_postprocessors", None)
    if isinstance(target, BaseQueryEngine | BaseChatEngine) and (
        isinstance(retriever, BaseRetriever) and isinstance(kept, list)
    ):
        return _engine(target, retriever, kept, top_n, options)
    remedy = (
        "must be a retriever, an index, or an engine over one retriever (RetrieverQueryEngine, "
        "CitationQueryEngine, TransformQueryEngine, ContextChatEngine, "
        "CondensePlusContextChatEngine); for a router or sub-question engine, apply two_stage to "
        "the engines inside its tools"
    )
    raise InvalidArgument("target", target, remedy)


def _changed(
    retriever: TwoStageRetriever, top_n: int, options: dict[str, Any]
) -> TwoStageRetriever:
    options["filters"] = joined(retriever.filters, as_filter(options.get("filters")))
    return retriever.replace(top_n=top_n, **options)


def _depth(retriever: BaseRetriever, options: dict[str, Any]) -> int:
    given = options.pop("depth", None)
    if given is not None:
        return int(checked("depth", given))
    return max(_DEPTH, recall_of(retriever) or 0)


def _engine(
    engine: Any,  # noqa: ANN401
    retriever: BaseRetriever,
    kept: Sequence[BaseNodePostprocessor],
    top_n: int,
    options: dict[str, Any],
) -> Any:  # noqa: ANN401
    clone = copy.copy(engine)
    for name, value in _own_lists(engine).items():
        setattr(clone, name, value)
    if hasattr(engine, "_response_synthesizer"):  # prompts are set on it
        clone._response_synthesizer = copy.copy(engine._response_synthesizer)  # noqa: SLF001
    if hasattr(engine, "_memory"):
        clone._memory = _own_memory(engine._memory)  # noqa: SLF001
    if isinstance(retriever, TwoStageRetriever):  # it has a second stage, and one is enough
        clone._retriever = _changed(retriever, top_n, options)  # noqa: SLF001
        clone._node_postprocessors = [copy.copy(one) for one in kept]  # noqa: SLF001
        return shown(clone)
    depth = _depth(retriever, options)
    wide = widened(retriever, depth)
    if wide is None:
        warnings.warn(
            cannot_widen(type(retriever).__name__, retriever, depth),
            UserWarning,
            stacklevel=3,
        )
        wide = copy.copy(retriever)
    before, after = _around(kept)
    rerank = RunoffRerank(top_n=top_n, callback_manager=engine.callback_manager, **options)
    adds = any(isinstance(one, _ADDERS) for one in after)
    added = [WithinFilters(filters=own_filter(retriever))] if adds else []
    clone._retriever = BundleRetriever(wide, depth)  # noqa: SLF001
    clone._node_postprocessors = [*map(copy.copy, before), rerank, *map(copy.copy, after), *added]  # noqa: SLF001
    return shown(clone)


def _around(
    kept: Sequence[BaseNodePostprocessor],
) -> tuple[list[BaseNodePostprocessor], list[BaseNodePostprocessor]]:
    """Split postprocessors into those before the second stage and those after it."""
    before: list[BaseNodePostprocessor] = []
    after: list[BaseNodePostprocessor] = []
    for one in kept:
        name = type(one).__name__
        if isinstance(one, RunoffRerank):
            warnings.warn(
                "the engine already has a RunoffRerank: the new one replaces it",
                UserWarning,
                stacklevel=4,
            )
        elif isinstance(one, _CUTOFFS):
            before.append(one)
        elif isinstance(one, _ORDERERS) or "rerank" in name.lower():
            warnings.warn(
                f"the engine already has {name}, which will reorder what the second stage "
                "chose: pass it as reranker=, or remove it, to keep the second stage's order",
                UserWarning,
                stacklevel=4,
            )
            after.append(one)
        elif isinstance(one, _FINISHERS) or after:
            after.append(one)
        else:
            before.append(one)
    return before, after


def _own_memory(memory: BaseMemory) -> BaseMemory:
    """Return a copy of a memory that holds the conversation so far and shares no state.

    LlamaIndex's `Memory` keeps messages in a database under a session id: the copy gets a new
    session in the same database.
    """
    if isinstance(memory, Memory):
        blocks = [block.model_copy(update=_own_lists(block)) for block in memory.memory_blocks]
        own = memory.model_copy(
            update={
                "memory_blocks": blocks,
                "session_id": f"{memory.session_id}-{uuid.uuid4().hex}",
            }
        )
        messages = memory.get_all()
        if messages:
            own.set(messages)
        return own
    try:
        return copy.deepcopy(memory)
    except Exception as error:
        remedy = "cannot be copied; use a Memory or a ChatMemoryBuffer in the engine"
        raise InvalidArgument("memory", type(memory).__name__, remedy) from error


def _own_lists(component: object) -> dict[str, Any]:
    return {
        name: copy.copy(value)
        for name, value in vars(component).items()
        if isinstance(value, list | dict)
    }
