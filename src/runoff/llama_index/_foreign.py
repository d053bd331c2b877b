"""LlamaIndex's node postprocessors as rerankers of any runoff pipeline."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
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
from runoff.rerank._foreign import REMOVED_BY, order_only, read_by, rewritten, unfilled
from runoff.rerank._pairs import check_queries
from runoff.scores import ModelIdentity, Usage
from runoff.types import Dropped, Ranked, Reranking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runoff._waiting.drive import Asking
    from runoff.deadline import Deadline
    from runoff.protocols import Reranker
    from runoff.types import Candidate, Query


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
        """The postprocessor's class."""
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
        return self._reranking(candidates, given, kept)

    def _raised(self, number: int) -> BaseNodePostprocessor:
        fields = type(self.postprocessor).model_fields
        changes: dict[str, object] = {
            name: number
            for name in ("top_n", "top_k")
            if name in fields and type(getattr(self.postprocessor, name)) is int
        }
        return self.postprocessor.model_copy(update=changes) if changes else self.postprocessor

    def _reranking(
        self,
        candidates: Sequence[Candidate],
        given: dict[str, NodeWithScore],
        kept: Sequence[NodeWithScore],
    ) -> Reranking:
        by_id = dict(zip(given, candidates, strict=True))
        places: dict[str, float | None] = {}
        for node in kept:
            if node.node_id not in by_id:
                remedy = f"returned node {node.node_id!r}, which is not among its candidates"
                raise InvalidArgument("reranker", self.name, remedy)
            places.setdefault(node.node_id, node.score)
        unscored = [
            one for one, score in places.items() if score is not None and _not_finite(score)
        ]
        order = [one for one in places if one not in set(unscored)]
        if unscored:  # NaN among the scores makes the returned order meaningless
            order.sort(key=lambda one: -(places[one] or 0.0))
        own = [score for one in order if (score := places[one]) is not None]
        falling = all(high >= low for high, low in pairwise(own))
        notes: list[str] = []
        if len(own) < len(order) or not falling:
            own = [1 / rank for rank in range(1, len(order) + 1)]
            notes.append(order_only(self.name))
        if left_out := len(given) - len(places):
            notes.append(unfilled(self.name, left_out, len(given)))
        contents = {node.node_id: _content(node) for node in kept}
        before = {one: _content(plain_node(by_id[one].document)) for one in contents}
        if changed := sum(before[one] != contents[one] for one in contents):
            notes.append(f"{self.name} rewrote {changed} nodes: the results have the new content")
        return Reranking(
            ordered=tuple(
                Ranked(rewritten(by_id[one], before[one], contents[one]), float(score))
                for one, score in zip(order, own, strict=True)
            ),
            unscored=tuple(by_id[one] for one in given if one in set(unscored)),
            dropped=tuple(
                Dropped(by_id[one], f"{REMOVED_BY}{self.name}")
                for one in given
                if one not in places
            ),
            model=ModelIdentity(self.model),
            usage=Usage(pairs=len(given)),
            reason="bad_reply" if unscored else "",
            detail=f"{self.name} returned {len(unscored)} scores that are not finite numbers"
            * bool(unscored),
            notes=tuple(notes),
            thresholded=left_out > 0,
        )


def _content(found: NodeWithScore) -> str:
    return found.node.get_content(metadata_mode=MetadataMode.NONE)


def _not_finite(score: float) -> bool:
    return not math.isfinite(score)


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
    return None if _not_finite(score) else float(score)


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
