"""A node as one JSON string, and back."""

from __future__ import annotations

import json
from typing import Any

from llama_index.core.constants import DATA_KEY, TYPE_KEY
from llama_index.core.schema import BaseNode, IndexNode
from llama_index.core.storage.docstore.utils import json_to_doc

from runoff.errors import InvalidArgument

__all__ = ["NODE", "from_json", "to_json"]

NODE = "_runoff_node"
"""The metadata key that a BM25 index keeps the string under."""


def to_json(node: BaseNode) -> str:
    """Return a node as JSON; the bytes of media are left out, as LlamaIndex's stores do.

    Raises:
        InvalidArgument: it cannot be told, such as an index node over a retriever.
    """
    try:
        return json.dumps(_told(node))
    except (TypeError, ValueError) as error:
        raise InvalidArgument("nodes", node.node_id, f"cannot be saved: {error}") from error


def _told(node: BaseNode) -> dict[str, Any]:
    data = node.model_dump(mode="json")
    if isinstance(node, IndexNode) and isinstance(node.obj, BaseNode):
        data["obj"] = _told(node.obj)
    return {DATA_KEY: data, TYPE_KEY: node.get_type()}


def from_json(told: str) -> BaseNode:
    """Return the node that `to_json` told of."""
    return json_to_doc(json.loads(told))
