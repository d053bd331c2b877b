"""LlamaIndex's node postprocessors as rerankers of any runoff pipeline."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore

from runoff._waiting import workers
from runoff._waiting.drive import ask, run, run_async
from runoff.errors import InvalidArgument
from runoff.llama_index._convert import plain_node, to_bundle
from runoff.llama_index._runoff_rerank import RunoffRerank
from runoff.pipeline._second_stage import model_name
from runoff.rerank._as_reranker import register_converter
from runoff.rerank._foreign import read_as, read_by
from runoff.rerank._pairs import check_queries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runoff._waiting.drive import Asking
    from runoff.deadline import Deadline
    from runoff.protocols import Reranker
    from runoff.types import Candidate, Query, Reranking


@dataclass(frozen=True, slots=True)
class PostprocessorReranker:
    """A LlamaIndex node postprocessor as a reranker.

    It gets copies of the nodes. If it has a `top_n` or a `top_k`, that is raised on a copy to all
    nodes, since the pipeline cuts. Nodes it leaves out all the same are dropped, with its name as
    the reason, and nothing that it has not read takes their place. A result has the content that
    it returned. If its scores
    do not fall with its order, because it keeps first-stage scores for example, its order alone
    counts and rerank_score is 1 / rank.

    Attributes:
        postprocessor: the postprocessor.
    """

    postprocessor: BaseNodePostprocessor

    @property
    def name(self) -> str:
        return type(self.postprocessor).__name__

    @property
    def model(self) -> str:
        """The model it names, else its class."""
        return model_name(self.postprocessor)

    def rerank(
        self, query: Query, candidates: Sequence[Candidate], *, deadline: Deadline | None = None
    ) -> Reranking:
        """Order the candidates as the postprocessor does.

        Raises:
            RequestRejected: the query is blank.
            InvalidArgument: it returned a node that was not among the candidates.
            BadReply: it cannot use what its language model returned.
        """
        del deadline  # LlamaIndex's postprocessors take none; the pipeline leaves a late one behind
        return run(self._asking(query, candidates))

    async def arerank(
        self, query: Query, candidates: Sequence[Candidate], *, deadline: Deadline | None = None
    ) -> Reranking:
        """Do what `rerank` does without blocking the event loop."""
        default = BaseNodePostprocessor._apostprocess_nodes  # noqa: SLF001
        if type(self.postprocessor)._apostprocess_nodes is default:  # noqa: SLF001
            # the default's thread is the loop's own, which waits for it when it closes
            return await workers.run_async(
                lambda: self.rerank(query, candidates), deadline, self.name
            )
        return await run_async(self._asking(query, candidates))

    def _asking(self, query: Query, candidates: Sequence[Candidate]) -> Asking[Reranking]:
        check_queries(self.name, (query.text,))
        given = _copies(candidates)
        asked = (list(given.values()), to_bundle(query))
        raised = self._raised(len(given))
        with read_by(self.name):
            kept = yield from ask(
                lambda: raised.postprocess_nodes(*asked), lambda: raised.apostprocess_nodes(*asked)
            )
        place = {node_id: at for at, node_id in enumerate(given)}
        scores: dict[str, float | None] = {}
        for node in kept:
            if node.node_id not in place:
                remedy = f"returned node {node.node_id!r}, which is not among its candidates"
                raise InvalidArgument("reranker", self.name, remedy)
            scores.setdefault(node.node_id, node.score)
        texts = {node.node_id: _content(node) for node in kept}
        back = {place[one]: (texts[one], score) for one, score in scores.items()}
        before = [_content(plain_node(one.document)) for one in candidates]
        return read_as(self.name, self.model, candidates, before, back)

    def _raised(self, number: int) -> BaseNodePostprocessor:
        fields = type(self.postprocessor).model_fields
        changes: dict[str, object] = {
            name: number
            for name in ("top_n", "top_k")
            if name in fields and type(getattr(self.postprocessor, name)) is int
        }
        return self.postprocessor.model_copy(update=changes) if changes else self.postprocessor


def _content(found: NodeWithScore) -> str:
    return found.node.get_content(metadata_mode=MetadataMode.NONE)


def _copies(candidates: Sequence[Candidate]) -> dict[str, NodeWithScore]:
    """Return a copy of every candidate's node under a unique id, in fused order."""
    found = [plain_node(candidate.document) for candidate in candidates]
    seen = Counter(one.node_id for one in found)
    copies: dict[str, NodeWithScore] = {}
    for one, candidate in zip(found, candidates, strict=True):
        node_id = one.node_id if seen[one.node_id] == 1 else candidate.key
        copy = one.node.model_copy(update={"id_": node_id, "metadata": dict(one.node.metadata)})
        copies[node_id] = NodeWithScore(node=copy, score=_incoming(candidate))
    return copies


def _incoming(candidate: Candidate) -> float | None:
    placements = candidate.placements
    score = placements[0].score if len(placements) == 1 else candidate.fusion_score
    return float(score) if math.isfinite(score) else None


def register() -> None:
    """Let every pipeline take LlamaIndex postprocessors as rerankers."""
    register_converter(
        "a LlamaIndex node postprocessor",
        lambda one: isinstance(one, BaseNodePostprocessor),
        _converted,
    )


def _converted(one: object) -> Reranker:
    if isinstance(one, RunoffRerank):
        return one.stage
    if isinstance(one, BaseNodePostprocessor):
        return PostprocessorReranker(one)
    raise InvalidArgument("reranker", one, "must be a LlamaIndex node postprocessor")
