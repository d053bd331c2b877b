"""What belongs together among nodes: those of one source document, and those with one content."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from llama_index.core.schema import MetadataMode

from runoff.llama_index._convert import plain_node
from runoff.pipeline._grouping import as_grouping

if TYPE_CHECKING:
    from collections.abc import Callable

    from runoff.grouping import Grouping
    from runoff.types import Document

__all__ = ["Group", "node_grouping"]

Group: TypeAlias = "Grouping | str | Callable[[Document], object] | None"

_SOURCE = {"ref_doc_id", "source_node"}  # as LlamaIndex calls it


def node_grouping(group: object) -> Grouping | None:
    """Return how nodes are grouped, for what a user gave.

    `"ref_doc_id"` and `"source_node"` stand for the document a node was cut from, any other string
    for a metadata field. Duplicates are told by a node's content: metadata such as a page number
    may differ.

    Raises:
        InvalidArgument: it says nothing of the kind.
    """
    grouping = as_grouping(group)
    if grouping is None:
        return None
    by = grouping.by
    return replace(
        grouping,
        by=_ref_doc_id if isinstance(by, str) and by in _SOURCE else by,
        text=grouping.text or _content,
    )


def _ref_doc_id(document: Document) -> str | None:
    return plain_node(document).node.ref_doc_id


def _content(document: Document) -> str:
    return plain_node(document).node.get_content(metadata_mode=MetadataMode.NONE)
