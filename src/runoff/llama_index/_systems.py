"""LlamaIndex's retrievers and engines as pipelines, so that they can be recorded unchanged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.chat_engine.types import BaseChatEngine

from runoff._util.messages import name_of
from runoff._waiting.drive import run
from runoff.deadline import Deadline
from runoff.llama_index._convert import Reading
from runoff.llama_index._foreign import PostprocessorReranker
from runoff.llama_index._retriever import TwoStageRetriever
from runoff.llama_index._runoff_rerank import RunoffRerank
from runoff.llama_index._settings import node_grouping
from runoff.llama_index._sources import source_of
from runoff.llama_index._watched import observed
from runoff.llama_index._widen import recall_of
from runoff.pipeline import TwoStage
from runoff.pipeline._systems import System, register_system
from runoff.rerank._inner import as_inner, check_reranking, reranked
from runoff.types import Reranking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core.postprocessor.types import BaseNodePostprocessor

    from runoff.protocols import Reranker
    from runoff.types import Candidate, Dropped, Query, Ranked

_MANY = 100


def register() -> None:
    """Let LlamaIndex's retrievers and engines over one retriever be recorded."""
    register_system("a LlamaIndex retriever or an engine over one", _matches, _system, observed)


def _matches(one: object) -> bool:
    if isinstance(one, BaseRetriever):
        return True
    engine = isinstance(one, BaseQueryEngine | BaseChatEngine)
    return engine and isinstance(getattr(one, "_retriever", None), BaseRetriever)


def _system(given: Any) -> System:  # noqa: ANN401
    if isinstance(given, BaseRetriever):
        return _behind(given, [])
    return _behind(given._retriever, list(getattr(given, "_node_postprocessors", None) or []))  # noqa: SLF001


def _behind(retriever: BaseRetriever, after: Sequence[BaseNodePostprocessor]) -> System:
    """Return a retriever with postprocessors behind it as a system."""
    ours = next((one for one in after if isinstance(one, RunoffRerank)), None)
    if isinstance(retriever, TwoStageRetriever):
        pipeline, most = retriever.pipeline, retriever.top_n
        filters = retriever.filters
        first = [] if pipeline.reranker is None else [as_inner("reranker", pipeline.reranker)]
    else:
        most, filters, first = recall_of(retriever) or _MANY, None, []
        reading = Reading() if ours is None else Reading(ours.metadata_mode, ours.text_template)
        name = type(retriever).__name__
        source = source_of(retriever, reading, name, most)
        pipeline = TwoStage({name: source}, reranker=None, depth=most, window=most)
        if ours is not None and len(after) == 1:
            pipeline = replace(
                pipeline,
                window=ours.window,
                on_error=ours.on_error,  # type: ignore[arg-type] # checked when it was set
                group=node_grouping(ours.group),
            )
    stages = [*first, *map(_stage, after)]
    if stages:
        pipeline = replace(pipeline, reranker=stages[0] if len(stages) == 1 else Chain(stages))
    limits = [getattr(one, "top_n", None) for one in after]
    top_k = min([most, *(limit for limit in limits if isinstance(limit, int))])
    return System(pipeline, top_k, filters)


def _stage(one: BaseNodePostprocessor) -> Reranker:
    return one.stage if isinstance(one, RunoffRerank) else PostprocessorReranker(one)


@dataclass(frozen=True, slots=True)
class Chain:
    """Rerankers in sequence: each gets what the previous one kept, in its order.

    Attributes:
        stages: the rerankers, first to last.
    """

    stages: Sequence[Reranker]

    @property
    def name(self) -> str:
        """The names of the stages, first to last."""
        return " > ".join(map(name_of, self.stages))

    def rerank(
        self, query: Query, candidates: Sequence[Candidate], *, deadline: Deadline | None = None
    ) -> Reranking:
        """Order the candidates as the last stage does.

        Raises:
            Exception: a stage's error.
        """
        whole = deadline or Deadline()
        own = {one.key: one for one in candidates}
        now, made = list(candidates), Reranking(())
        dropped: list[Dropped] = []
        unscored: list[Candidate] = []
        notes: list[str] = []
        for stage in self.stages:
            if not now:
                break
            answer = run(reranked(stage, query, now, whole, name_of(stage)))
            made = check_reranking(answer, now)
            dropped += [replace(one, candidate=own[one.candidate.key]) for one in made.dropped]
            unscored += [own[one.key] for one in made.unscored]
            notes += made.notes
            now = [_onward(one, rank) for rank, one in enumerate(made.ordered, 1)]
        return replace(
            made,
            ordered=tuple(replace(one, candidate=own[one.candidate.key]) for one in made.ordered),
            unscored=tuple(sorted(unscored, key=lambda one: one.fusion_rank)),
            dropped=tuple(dropped),
            notes=tuple(dict.fromkeys(notes)),
        )


def _onward(one: Ranked, rank: int) -> Candidate:
    """Return a candidate as the next stage sees it: with the score this stage gave it."""
    score = one.candidate.fusion_score if one.rerank_score is None else one.rerank_score
    return replace(one.candidate, fusion_score=score, fusion_rank=rank, placements=())
