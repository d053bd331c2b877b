"""Conversion between LangChain's documents and runoff's, on copies.

A result has two metadata keys more than its document: `relevance_score`, which other LangChain
parts read, and `runoff`, a JSON string with everything else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document as LangChainDocument

from runoff._util import provenance as core
from runoff._util.adapters.template import Template
from runoff._util.isolated import isolated
from runoff._util.text import text_key
from runoff.types import Document

if TYPE_CHECKING:
    from runoff.types import Candidate, Response

RELEVANCE = "relevance_score"


@dataclass(frozen=True, slots=True)
class Carried(Document):
    """A core document with the LangChain document it was made from.

    Attributes:
        origin: the LangChain document; it is never changed.
    """

    origin: LangChainDocument | None = field(default=None, compare=False, repr=False)

    def rewritten(self, text: str) -> Carried:
        origin = plain(self).model_copy(update={"page_content": text})
        return replace(self, text=text, origin=origin)


def carried(document: LangChainDocument, id_key: str | None = None) -> Carried:
    """Return a LangChain document as a core document.

    Its id is `metadata[id_key]` if a key is given, else `Document.id`, else `metadata["_id"]`,
    where Qdrant and MongoDB keep it. A document without an id is identified by its text.
    """
    if id_key is not None:
        own = document.metadata.get(id_key)
    else:
        own = document.id or document.metadata.get("_id")
    text = document.page_content
    if own is None or own == "":
        return Carried(text_key(text), text, document.metadata, own_id=False, origin=document)
    return Carried(str(own), text, document.metadata, origin=document)


def plain(document: Document) -> LangChainDocument:
    """Return the LangChain document of a core document; make one if it has none."""
    if isinstance(document, Carried) and document.origin is not None:
        return document.origin
    return LangChainDocument(
        id=document.doc_id if document.own_id else None,
        page_content=document.text,
        metadata=isolated(dict(document.metadata)),
    )


def answer(response: Response, *, reranked: bool, marked: bool) -> list[LangChainDocument]:
    """Return the results as LangChain documents: copies with their id, text and metadata.

    If the second stage scored any document, `relevance_score` is the rerank score, or None for a
    document without one: scales are never mixed. If it scored nothing, or there is no second stage,
    `relevance_score` stays as it was. Provenance of an earlier pass is replaced.
    """
    scored = reranked and response.outcome.scored > 0
    documents = []
    for result in response.results:
        origin = plain(result.document)
        metadata = core.Marked(core.without(origin.metadata))
        if scored:
            score = result.rerank_score
            metadata[RELEVANCE] = None if score is None else float(score)
        if marked:
            metadata[core.KEY] = core.encode(response, result)
        documents.append(origin.model_copy(update={"metadata": metadata}))
    return documents


def provenance(document: LangChainDocument) -> dict[str, Any] | None:
    """Return how a result was found and ranked, or None if runoff did not return it.

    The keys are `doc_id`, `rank`, `sources` (name to rank and score, None where there was none),
    `fusion` (its class), `fusion_rank`, `fusion_score`, `rerank_rank`, `rerank_score`,
    `pair_score`, `truncated`, `model`, `kind`, `complete`; for a degraded answer `degraded`;
    `passages` (start, end and score) if parts of the text were scored; `grouped` (ids) if other
    documents were put under this one.
    """
    return core.decode(document.metadata)


def relevance(document: LangChainDocument) -> float | None:
    """Return a document's `relevance_score`, or None if that is not a finite number."""
    score = document.metadata.get(RELEVANCE)
    if score is None:  # as most documents have it: an exception would cost ten times as much
        return None
    try:
        value = float(score)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def template(layout: str) -> Template:
    r"""Return what the reranker reads of a document, such as `"{title}\n{page_content}"`.

    `{page_content}` is the text, and so is `{text}` in a layout without it; other placeholders are
    metadata fields.

    Raises:
        InvalidArgument: it is not such a layout.
    """
    return Template(layout, ("page_content", "text"))


def shown(layout: Template, candidate: Candidate) -> Candidate:
    """Return a candidate whose text is what the reranker is to read."""
    document = candidate.document
    text = layout.render(document.text, document.metadata)
    return replace(candidate, document=replace(document, text=text))
