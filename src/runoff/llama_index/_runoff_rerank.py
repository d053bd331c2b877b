"""`RunoffRerank`: the second stage as a LlamaIndex node postprocessor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llama_index.core.bridge.pydantic import ConfigDict, Field, PrivateAttr, field_serializer
from llama_index.core.callbacks import CallbackManager
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle

from runoff._util.adapters.options import Plain, brief_repr, strict_options
from runoff._util.display import html_by
from runoff._waiting.drive import run, run_async
from runoff.errors import InvalidArgument
from runoff.llama_index._convert import Reading, to_hits, to_nodes, to_query
from runoff.llama_index._serialize import from_config, to_config, to_state
from runoff.llama_index._settings import checked, node_grouping
from runoff.llama_index._tracing import dispatcher, reranking
from runoff.pipeline import TwoStage
from runoff.pipeline._second_stage import model_name, second_stage
from runoff.pipeline._sources import Given
from runoff.pipeline._two_stage import searching
from runoff.rerank._as_reranker import DEFAULT_RERANKER

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from runoff._util.faults import OnError
    from runoff._waiting.drive import Asking
    from runoff.pipeline._observers import Observer
    from runoff.pipeline._second_stage import Blend, Group
    from runoff.protocols import Reranker
    from runoff.scores import Threshold


class RunoffRerank(BaseNodePostprocessor):
    """Rerank nodes and keep the best: a node postprocessor.

    ```python
    index.as_query_engine(similarity_top_k=100, node_postprocessors=[RunoffRerank(top_n=5)])
    ```

    LlamaIndex retrieves 2 nodes by default: widen the recall too, or use `two_stage`.

    Results are copies with provenance (`runoff.llama_index.provenance`) in one metadata key, which
    is kept out of prompts, embeddings and the hash of text nodes; the nodes passed in are not
    changed.

    If the answer is complete, scores are the reranker's, and nodes that it did not read (below the
    window, images, empty nodes) follow with None. If the reranker could not answer, nodes keep
    their order and their scores, a warning is logged and their provenance says why.

    Args:
        top_n: nodes to return.
        reranker: a model name, a reranker or scorer of `runoff.rerank`, or any other LlamaIndex
            node postprocessor; None is the embedded model.
        window: nodes the reranker reads; those below follow in their incoming order.
        timeout: seconds for one call; the answer is the best that fits. None for no limit. Loading
            a model does not count.
        on_error: `"transient"` degrades the answer for faults that may pass and raises the others;
            `"degrade"` degrades it for every fault; `"raise"` raises every fault.
        threshold: a `runoff.scores.Threshold`: nodes whose rerank score is below it are left out of
            a complete answer.
        blend: the weight of the rerank score, within 0 and 1, against the incoming one; None or 1
            leaves the incoming one out, and `"auto"` does what suits the model, as in
            `runoff.rerank.Pointwise`. The incoming scores of the nodes count if every node has one
            and they fall along the order, or rise, as distances do; otherwise the ranks.
        metadata_mode: which metadata the reranker reads before the content; by default the metadata
            that was embedded.
        text_template: replaces the layout of metadata and content, such as `"{title}: {text}"`.
        group: which nodes are put under one of them before reranking: `"ref_doc_id"` for the nodes
            of one source document, a metadata field, a callable from document to group, or a
            `runoff.grouping.Grouping`, which finds duplicates too. None groups nothing.
        provenance: whether results carry provenance.
        observer: called with every answer, as `runoff.live.watch` needs it.

    Raises:
        InvalidArgument: an argument has a value it cannot have.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    top_n: int = Field(default=5, description="Nodes to return.")
    reranker: Any = Field(default=DEFAULT_RERANKER, description="Model name, reranker or scorer.")
    window: int = Field(default=50, description="Nodes the reranker reads.")
    timeout: float | None = Field(default=None, description="Seconds for one call.")
    on_error: str = Field(default="transient", description="transient, degrade or raise.")
    threshold: Any = Field(default=None, description="The lowest rerank score kept.")
    blend: Any = Field(
        default="auto", description="Weight of the rerank score against the incoming order."
    )
    metadata_mode: MetadataMode = Field(
        default=MetadataMode.EMBED, description="Which metadata the reranker reads."
    )
    text_template: str | None = Field(
        default=None, description='Layout of metadata and content, such as "{title}: {text}".'
    )
    group: Any = Field(default=None, description="Which nodes are grouped under the best of them.")
    provenance: bool = Field(default=True, description="Whether results carry provenance.")
    observer: Any = Field(default=None, exclude=True, description="Called with every answer.")

    _second: tuple[tuple[object, ...], Reranker] | None = PrivateAttr(default=None)

    @strict_options('RunoffRerank(reranker="runoff-mini", top_n=5)')
    def __init__(  # noqa: PLR0913 - the fields, so that editors know them
        self,
        *,
        top_n: int = 5,
        reranker: object = DEFAULT_RERANKER,
        window: int = 50,
        timeout: float | None = None,
        on_error: OnError = "transient",
        threshold: Threshold | None = None,
        blend: Blend = "auto",
        metadata_mode: MetadataMode | str = MetadataMode.EMBED,
        text_template: str | None = None,
        group: Group = None,
        provenance: bool = True,
        observer: Observer | None = None,
        callback_manager: CallbackManager | None = None,
    ) -> None:
        options = {
            "top_n": top_n,
            "reranker": reranker,
            "window": window,
            "timeout": timeout,
            "on_error": on_error,
            "threshold": threshold,
            "blend": blend,
            "metadata_mode": metadata_mode,
            "text_template": text_template,
            "group": group,
            "provenance": provenance,
            "observer": observer,
        }
        options = {name: _checked(name, value) for name, value in options.items()}
        manager = CallbackManager() if callback_manager is None else callback_manager
        super().__init__(callback_manager=manager, **options)
        _check_stage(self)

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        """Show the reranker, and what differs from the defaults; objects by their class alone."""
        found = self._settings().items()
        return [(name, Plain(text)) for name, (text, usual) in found if not usual]

    _repr_html_ = html_by("configured_html", "_notebook")

    def _settings(self) -> dict[str, tuple[str, bool]]:
        """Return each option as a text, and whether it is the default and of little interest."""
        made = {}
        for name, field in type(self).model_fields.items():
            if name == "callback_manager":
                continue
            value = getattr(self, name)
            usual = name != "reranker" and value == field.default
            if name == "reranker":
                value = Plain(model_name(value))
            made[name] = brief_repr(value), usual
        return made

    def __setattr__(self, name: str, value: object) -> None:
        """Set a field; a wrong value is refused as in the constructor, and changes nothing."""
        value = _checked(name, value)
        if name in {"reranker", "threshold", "blend"}:
            _check_stage(self.model_copy(update={name: value}))
        super().__setattr__(name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the configuration alone: no model, no key, no callbacks."""
        names = [name for name in type(self).model_fields if name != "callback_manager"]
        return _revived, (type(self), {name: to_state(getattr(self, name)) for name in names})

    @classmethod
    def class_name(cls) -> str:
        """Return the name that serialised components carry."""
        return "RunoffRerank"

    @field_serializer("reranker", "threshold", "blend", "group")
    def _as_config(self, value: object) -> object:
        return to_config(value)

    def warmup(self) -> None:
        """Load the model and run it once, so that the first query is as fast as the second."""
        self._pipeline([]).warmup()

    @property
    def stage(self) -> Reranker:
        """The second stage: the reranker with its threshold and blend."""
        made_of = (self.reranker, self.threshold, self.blend)
        kept = self._second
        if kept is not None and all(old is new for old, new in zip(kept[0], made_of, strict=True)):
            return kept[1]
        stage = second_stage(*made_of)
        if stage is None:
            raise InvalidArgument("reranker", self.reranker, "must be a reranker")
        self._second = (made_of, stage)
        return stage

    def _pipeline(self, nodes: Sequence[NodeWithScore]) -> TwoStage:
        hits = to_hits(nodes, Reading(self.metadata_mode, self.text_template))
        return TwoStage(
            sources={"input": Given(hits)},
            reranker=self.stage,
            depth=max(1, len(hits)),
            window=self.window,
            on_error=self.on_error,  # type: ignore[arg-type] # checked when it was set
            group=node_grouping(self.group),
            observer=self.observer,
        )

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        """Rerank nodes; see the class."""
        return run(self._asking(nodes, query_bundle))

    @dispatcher.span
    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        """Rerank nodes without blocking the event loop; see the class."""
        return await run_async(self._asking(nodes, query_bundle))

    def _asking(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None
    ) -> Asking[list[NodeWithScore]]:
        bundle = _required(query_bundle)
        if not nodes:
            return []
        with self._traced(bundle, nodes) as found:
            response = yield from searching(
                self._pipeline(nodes), to_query(bundle), top_k=self.top_n, timeout=self.timeout
            )
            found.extend(to_nodes(response, 1, marked=self.provenance))
        return found

    def _traced(
        self, bundle: QueryBundle, nodes: Sequence[NodeWithScore]
    ) -> AbstractContextManager[list[NodeWithScore]]:
        name = model_name(self.reranker)
        return reranking(self.callback_manager, bundle, nodes, self.top_n, name)


def _checked(name: str, value: Any) -> Any:  # noqa: ANN401
    if name in {"reranker", "threshold", "blend", "group"}:
        value = from_config(name, value)
    if name == "reranker":
        return DEFAULT_RERANKER if value is None else value
    return checked(name, value)


def _check_stage(made: RunoffRerank) -> None:
    """Refuse a reranker that takes no threshold or blend now, not at the first query."""
    if not isinstance(made.reranker, str) or made.threshold is not None or made.blend != "auto":
        _ = made.stage


def _required(query_bundle: QueryBundle | None) -> QueryBundle:
    if query_bundle is None:
        remedy = "the reranker needs the query: pass query_bundle= or query_str="
        raise InvalidArgument("query_bundle", query_bundle, remedy)
    return query_bundle


def _revived(kind: type[RunoffRerank], fields: dict[str, Any]) -> RunoffRerank:
    """Make one of pickled fields; pickles name this function."""
    return kind(**fields)
