"""The options of the second stage that differ for LlamaIndex: metadata modes and groups."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llama_index.core.schema import MetadataMode

from runoff.llama_index._convert import Reading, as_mode, plain_node
from runoff.pipeline import _second_stage
from runoff.pipeline._stages import as_grouping

if TYPE_CHECKING:
    from runoff.grouping import Grouping
    from runoff.types import Document

_SOURCE = {"ref_doc_id", "source_node"}  # as LlamaIndex calls it


def checked(name: str, value: Any) -> Any:  # noqa: ANN401
    """Check the value of an option, and return it.

    Raises:
        InvalidArgument: names the option and its value.
    """
    if name == "metadata_mode":
        return as_mode(value)
    if name == "text_template":
        return Reading(text_template=value).text_template
    return _second_stage.checked(name, value)


def node_grouping(group: object) -> Grouping | None:
    """Return how nodes are grouped, for what a user gave.

    `"ref_doc_id"` and `"source_node"` stand for the document a node was cut from, any other string
    for a metadata field. Duplicates are found by a node's content alone: metadata such as a page
    number may differ.

    Raises:
        InvalidArgument: it is not a way to group.
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
