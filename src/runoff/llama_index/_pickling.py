"""A vector index as it is pickled and deeply copied: without callbacks."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, TypeVar

from llama_index.core.callbacks import CallbackManager
from llama_index.core.schema import BaseComponent

if TYPE_CHECKING:
    from llama_index.core import VectorStoreIndex

_T = TypeVar("_T")


def without_callbacks(index: VectorStoreIndex) -> VectorStoreIndex:
    """Return a shallow copy of an index, and of what it splits and embeds with, without callbacks.

    LlamaIndex's managers keep the id of every event until a trace begins, so that a pickle would
    grow with the process; their handlers may keep texts, and locks that cannot be pickled.
    """
    bare = copy.copy(index)
    vars(bare).update(
        _callback_manager=CallbackManager([]),
        _embed_model=_bare(index._embed_model),  # noqa: SLF001
        _transformations=[*map(_bare, index._transformations)],  # noqa: SLF001
    )
    return bare


def _bare(component: _T) -> _T:
    if not isinstance(component, BaseComponent) or not hasattr(component, "callback_manager"):
        return component
    return component.model_copy(update={"callback_manager": CallbackManager([])})
