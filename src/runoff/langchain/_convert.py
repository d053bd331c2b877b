"""LangChain documents to runoff's and back, on copies.

What runoff adds to a result lives under two metadata keys: `relevance_score`, which the ecosystem
reads, and `runoff`, one JSON string with all the rest.
"""

from __future__ import annotations

import string
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document as LangChainDocument

from runoff import provenance as core
from runoff._util.text import text_key
from runoff.errors import InvalidArgument
from runoff.types import Document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runoff.types import Candidate, Response

__all__ = ["RELEVANCE", "Carried", "Template", "answer", "carried", "plain", "provenance"]

RELEVANCE = "relevance_score"


@dataclass(frozen=True, slots=True)
class Carried(Document):
    """A core document that remembers the LangChain document it was made of.

    Attributes:
        origin: that document, which is never changed.
    """

    origin: LangChainDocument | None = field(default=None, compare=False, repr=False)


def carried(document: LangChainDocument, id_key: str | None = None) -> Carried:
    """Make a core document of a LangChain document.

    Its id is `metadata[id_key]` where a key is given, else `Document.id`, else `metadata["_id"]`,
    where Qdrant and MongoDB keep it. A document without is identified by its text.
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
    """Return the LangChain document behind a core document, or make one where there is none."""
    if isinstance(document, Carried) and document.origin is not None:
        return document.origin
    return LangChainDocument(
        id=document.doc_id if document.own_id else None,
        page_content=document.text,
        metadata=dict(document.metadata),
    )


def answer(response: Response, *, reranked: bool) -> list[LangChainDocument]:
    """Return the results as LangChain documents: copies with their id, text and metadata.

    Once the second stage has scored a document, `relevance_score` is the rerank score, and None for
    what has none: scales are never mixed. Where it scored nothing, or there is none, incoming
    metadata stays as it was. Provenance of an earlier pass is replaced.

    Args:
        response: the core's answer.
        reranked: whether there was a second stage.
    """
    scored = reranked and response.outcome.scored > 0
    documents = []
    for result in response.results:
        origin = plain(result.document)
        metadata = dict(origin.metadata)
        if scored:
            score = result.rerank_score
            metadata[RELEVANCE] = None if score is None else float(score)
        metadata[core.KEY] = core.encode(response, result)
        documents.append(origin.model_copy(update={"metadata": metadata}))
    return documents


def provenance(document: LangChainDocument) -> dict[str, Any] | None:
    """Return how a result came about, or None when runoff had no part in it.

    The keys are `doc_id`, `rank`, `sources` (name to rank and score), `fusion_rank`,
    `fusion_score`, `rerank_rank`, `rerank_score`, `pair_score`, `truncated`, `model`, `kind`,
    `complete`; for a degraded answer `degraded`; `passages` (start, end and score) where the score
    came from parts of the text, and `grouped` (ids) where it stands for other documents.
    """
    return core.decode(document.metadata)


class _Blank(dict[str, Any]):
    """Metadata in which an absent or empty field reads as nothing."""

    def __missing__(self, key: str) -> str:
        return ""


class Template:
    r"""What the reranker reads of a document, such as `"{title}\n{page_content}"`.

    Args:
        text: a format string; its fields are `page_content` and names of metadata fields. A field
            that a document lacks reads as nothing.

    Raises:
        InvalidArgument: it is not a string, cannot be parsed, does not mention `page_content`, or
            asks for runoff's own metadata or for anything but plain names.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            fields = [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
        except (TypeError, ValueError):
            raise InvalidArgument("text_template", text, "must be a format string") from None
        if "page_content" not in fields:
            raise InvalidArgument("text_template", text, "must contain {page_content}")
        unfit = [name for name in fields if not name.isidentifier() or name == core.KEY]
        if unfit:
            remedy = f"{{{unfit[0]}}} is not the plain name of a metadata field"
            raise InvalidArgument("text_template", text, remedy)

    def render(self, text: str, metadata: Mapping[str, Any]) -> str:
        """Fill in one document's text and metadata."""
        known = {key: value for key, value in metadata.items() if value is not None}
        return self.text.format_map(_Blank(known, page_content=text)).strip()

    def shown(self, candidate: Candidate) -> Candidate:
        """Return a candidate whose text is what the reranker is to read."""
        document = candidate.document
        text = self.render(document.text, document.metadata)
        return replace(candidate, document=replace(document, text=text))
