"""Conversion between LlamaIndex's nodes and query bundles and runoff's; inputs are not changed."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from llama_index.core.constants import DATA_KEY, TYPE_KEY
from llama_index.core.schema import (
    BaseNode,
    ImageNode,
    IndexNode,
    MetadataMode,
    Node,
    NodeWithScore,
    QueryBundle,
    TextNode,
)
from llama_index.core.storage.docstore.utils import json_to_doc

from runoff._util.adapters.template import Template
from runoff._util.adapters.trend import as_similarities
from runoff._util.isolated import isolated
from runoff._util.provenance import KEY, Marked, decode, encode, without
from runoff.errors import IndexDamaged, InvalidArgument
from runoff.llama_index._filters import as_filter
from runoff.rerank._passages import within
from runoff.types import Document, Hit, Query

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llama_index.core.vector_stores.types import MetadataFilters

    from runoff.filters import Filter
    from runoff.types import Response, Result

NODE = "_runoff_node"
"""The metadata key under which a BM25 index keeps a whole node as JSON."""


@dataclass
class FilteredQueryBundle(QueryBundle):
    """A query bundle with filters.

    Query engines pass bundles on unchanged, so `engine.query(FilteredQueryBundle("q",
    filters=...))` filters one query of an engine whose retriever is one of runoff's.

    Attributes:
        filters: which nodes may be returned: LlamaIndex's `MetadataFilters` or one of
            `runoff.filters`.
    """

    filters: MetadataFilters | Filter | None = None


@dataclass(frozen=True, slots=True)
class BundledQuery(Query):
    """A query with what only LlamaIndex's retrievers understand.

    Attributes:
        image_path: an image to search by, for multi-modal retrievers.
    """

    image_path: str | None = None

    def has_question(self) -> bool:
        """Whether there is anything to search by; an image will do."""
        return bool(self.image_path) or Query.has_question(self)


@dataclass(frozen=True, slots=True)
class NodeDocument(Document):
    """A document with the node it was made from, and that node's incoming score."""

    node: NodeWithScore | None = field(default=None, compare=False, repr=False)

    def rewritten(self, text: str) -> NodeDocument:
        """Return a copy with another text, which becomes the content of a copy of the node."""
        found = plain_node(self)
        node = found.node.model_copy()
        node.set_content(text)
        return replace(self, text=text, node=found.model_copy(update={"node": node}))


@dataclass(frozen=True, slots=True)
class Reading:
    """How a node becomes the text that BM25 and rerankers read.

    A node without content of its own, such as an image without a caption, has no text, even if it
    has metadata. Provenance of an earlier pass is never part of the text.

    Attributes:
        metadata_mode: which metadata is put before the content. `EMBED`, the default, is what the
            node was embedded with and what LlamaIndex's rerankers read; it honours
            `excluded_embed_metadata_keys`. `NONE` reads the content alone.
        text_template: replaces LlamaIndex's own layout, such as `"{title}: {text}"`: `{text}` is
            the content, `{metadata}` the metadata as `metadata_mode` shows it, any other name is
            the metadata field of that name (empty if a node lacks it).

    Raises:
        InvalidArgument: the mode is not one of LlamaIndex's, or the template lacks `{text}` or has
            placeholders that are not plain names.
    """

    metadata_mode: MetadataMode = MetadataMode.EMBED
    text_template: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "metadata_mode", as_mode(self.metadata_mode))
        if self.text_template is not None:
            Template(self.text_template)

    def text(self, node: BaseNode) -> str:
        """Return the text that is read of a node; empty if it has no content of its own."""
        content = node.get_content(metadata_mode=MetadataMode.NONE)
        if not content.strip():
            return ""
        if self.text_template is None:
            if self.metadata_mode is MetadataMode.NONE or not node.metadata:
                return content
            return _unmarked(node).get_content(metadata_mode=self.metadata_mode)
        shown = {"metadata": _unmarked(node).get_metadata_str(self.metadata_mode)}
        return Template(self.text_template).render(content, {**node.metadata, **shown})

    def document(self, found: NodeWithScore) -> NodeDocument:
        node = found.node
        text = self.text(node)
        return NodeDocument(
            node.node_id, text, node.metadata, image=not text and _has_image(node), node=found
        )


def as_mode(value: MetadataMode | str) -> MetadataMode:
    """Return one of LlamaIndex's metadata modes, given as it is or by its name.

    Raises:
        InvalidArgument: it is not one of them.
    """
    try:
        return MetadataMode(value)
    except ValueError:
        modes = ", ".join(mode.value for mode in MetadataMode)
        raise InvalidArgument("metadata_mode", value, f"must be one of {modes}") from None


def _unmarked(node: BaseNode) -> BaseNode:
    """Return the node, or a copy without provenance if it has some."""
    if KEY not in node.metadata:
        return node
    return node.model_copy(update={"metadata": without(node.metadata)})


def _has_image(node: BaseNode) -> bool:
    if isinstance(node, ImageNode):
        return bool(node.image or node.image_path or node.image_url)
    return isinstance(node, Node) and node.image_resource is not None


def to_hits(nodes: Iterable[NodeWithScore], reading: Reading) -> list[Hit]:
    """Return one hit for each node, in the order given; a node without a score has NaN.

    Scores that rise along the order, best first, are distances, as FAISS gives, and are negated.
    """
    given = list(nodes)
    scores = [math.nan if found.score is None else float(found.score) for found in given]
    pairs = zip(given, as_similarities(scores), strict=True)
    return [Hit(reading.document(found), score) for found, score in pairs]


def to_query(bundle: QueryBundle) -> BundledQuery:
    """Return a bundle as a query.

    Raises:
        InvalidArgument: it has nothing to search by, or its filters cannot be translated.
    """
    embedding = bundle.embedding
    return BundledQuery(
        bundle.query_str,
        as_filter(bundle.filters) if isinstance(bundle, FilteredQueryBundle) else None,
        None if embedding is None else tuple(map(float, embedding)),
        tuple(bundle.custom_embedding_strs or ()),
        bundle.image_path,
    )


def to_bundle(query: Query) -> QueryBundle:
    """Return a new bundle for one source: LlamaIndex's dense retrievers change theirs."""
    return QueryBundle(
        query.text,
        image_path=query.image_path if isinstance(query, BundledQuery) else None,
        custom_embedding_strs=list(query.embedding_texts) or None,
        embedding=None if query.embedding is None else list(query.embedding),
    )


def to_nodes(response: Response, sources: int, *, marked: bool = True) -> list[NodeWithScore]:
    """Return copies of the answer's nodes with their scores and provenance.

    A list never mixes scales. If any node was reranked, scores are the reranker's, and nodes that
    it did not score (the tail below the window, images, empty nodes, or for lack of time) have
    None. If no node was reranked, incoming scores stay: the source's own if there is one source,
    else the fusion_score.
    """
    reranked = response.outcome.scored > 0
    node = _marked if marked else _plain
    return [
        node(response, result, _score(result, sources, reranked=reranked)) for result in response
    ]


def _score(result: Result, sources: int, *, reranked: bool) -> float | None:
    if reranked:
        return None if result.rerank_score is None else float(result.rerank_score)
    if sources == 1:
        incoming = plain_node(result.document).score  # a distance, where that is what it was
        score = result.placements[0].score if incoming is None else incoming
    else:
        score = result.fusion_score
    return None if math.isnan(score) else float(score)


def _plain(response: Response, result: Result, score: float | None) -> NodeWithScore:
    del response  # nothing of it is kept
    found = plain_node(result.document)
    update = {
        "metadata": without(found.node.metadata),
        "relationships": dict(found.node.relationships),
    }
    return found.model_copy(update={"node": found.node.model_copy(update=update), "score": score})


def _marked(response: Response, result: Result, score: float | None) -> NodeWithScore:
    found = plain_node(result.document)
    node = found.node
    if result.passages:
        content = node.get_content(metadata_mode=MetadataMode.NONE)
        result = replace(result, passages=within(result.passages, result.text, content))
    marked = node.model_copy(
        update={
            "metadata": Marked({**without(node.metadata), KEY: encode(response, result)}),
            "excluded_embed_metadata_keys": _with_key(node.excluded_embed_metadata_keys),
            "excluded_llm_metadata_keys": _with_key(node.excluded_llm_metadata_keys),
            "relationships": dict(node.relationships),
        }
    )
    return found.model_copy(update={"node": marked, "score": score})


def plain_node(document: Document) -> NodeWithScore:
    """Return the node of a document; a new one if it was not made from a node."""
    if isinstance(document, NodeDocument) and document.node is not None:
        return document.node
    metadata = isolated(dict(document.metadata))
    written = metadata.pop(NODE, None)
    if isinstance(written, str):
        return NodeWithScore(node=from_json(written))
    return NodeWithScore(node=TextNode(id_=document.doc_id, text=document.text, metadata=metadata))


def provenance(node: NodeWithScore | BaseNode) -> dict[str, Any] | None:
    """Return how a node was found and ranked, or None if runoff did not return it.

    Keys: `doc_id`, `rank`, `sources` (name to rank and score, None where there was none), `fusion`
    (its class), `fusion_rank`, `fusion_score`, `rerank_rank`, `rerank_score`, `pair_score`,
    `truncated`, `model`, `kind`, `complete`, and `degraded` if something was left out; `passages`
    (start, end and score; parts of the node's content) if parts were scored; `grouped` (ids) if
    other nodes were put under this one.
    """
    return decode(node.metadata)


def _with_key(keys: Sequence[str]) -> list[str]:
    return [*keys] if KEY in keys else [*keys, KEY]


def to_json(node: BaseNode) -> str:
    """Return a node as JSON, without the bytes of media, as LlamaIndex's stores write it.

    Raises:
        InvalidArgument: it cannot be written, such as an index node over a retriever.
    """
    try:
        return json.dumps(_as_json(node))
    except (TypeError, ValueError) as error:
        raise InvalidArgument("nodes", node.node_id, f"cannot be saved: {error}") from error


def _as_json(node: BaseNode) -> dict[str, Any]:
    data = node.model_dump(mode="json")
    if isinstance(node, IndexNode) and isinstance(node.obj, BaseNode):
        data["obj"] = _as_json(node.obj)
    return {DATA_KEY: data, TYPE_KEY: node.get_type()}


def from_json(written: str) -> BaseNode:
    """Return the node that `to_json` wrote.

    Raises:
        IndexDamaged: it wrote something else.
    """
    try:
        return json_to_doc(json.loads(written))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        msg = f"a node of the saved index cannot be read ({error}): build it and persist it again"
        raise IndexDamaged(msg) from error
