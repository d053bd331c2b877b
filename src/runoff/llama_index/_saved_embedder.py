"""Which model embedded the nodes of a saved hybrid retriever; checked when it is opened."""

from __future__ import annotations

import json
import os
import warnings
from typing import TYPE_CHECKING

from runoff._util.stored import is_text, open_stored, parse_json
from runoff.errors import IndexDamaged, InvalidArgument

if TYPE_CHECKING:
    from pathlib import Path

    from llama_index.core.base.embeddings.base import BaseEmbedding

_FILE = "embedder.json"
_UNNAMED = {"", "unknown"}  # what LlamaIndex calls a model that has no name
_LARGEST = 65_536  # bytes that are read


def save_embedder(folder: Path, model: BaseEmbedding) -> None:
    """Write the class and the name of a model, and no other setting: it may hold a key.

    Raises:
        OSError: the file cannot be written.
    """
    written = json.dumps({"class": type(model).__name__, "model": model.model_name})
    fresh = folder / f"{_FILE}.{os.getpid()}"
    fresh.write_text(written, "utf-8")
    fresh.replace(folder / _FILE)


def check_embedder(folder: Path, model: BaseEmbedding, *, chosen: bool) -> None:
    """Refuse a model other than the one that embedded the saved nodes.

    A class may have been renamed, and a model may be served under another name. A model that the
    caller has chosen is therefore used, with a warning. One version of a model has one name in
    every class: `org/name` and `name` are the same.

    Args:
        folder: where the hybrid retriever was saved; earlier versions wrote no such file there.
        model: the model that would embed queries.
        chosen: whether the caller passed it, or an index that has it.

    Raises:
        InvalidArgument: it is another model, and the caller has not chosen it.
        IndexDamaged: the file does not say which model it was.
    """
    saved = _read(folder / _FILE)
    if saved is None:
        return
    kind, name = saved
    if _identity(kind, name) == _identity(type(model).__name__, model.model_name):
        return
    remedy = (
        f"the nodes in {folder} were embedded by {_shown(kind, name)}, and queries would be "
        f"embedded by {_shown(type(model).__name__, model.model_name)}: vectors of two models "
        "cannot be compared"
    )
    if not chosen:
        raise InvalidArgument("embed_model", None, f"{remedy}; pass embed_model= with the first")
    warnings.warn(f"{remedy}, unless these are two names of one model", stacklevel=3)


def _read(path: Path) -> tuple[str, str] | None:
    try:
        with open_stored(path) as file:
            raw = file.read(_LARGEST)
    except FileNotFoundError:
        return None
    try:
        found = parse_json(raw)
        kind, name = found["class"], found["model"]
    except (ValueError, TypeError, KeyError):
        kind = name = None
    if not (isinstance(kind, str) and is_text(name)):
        msg = f"{path} does not name an embedding model: persist the hybrid retriever again"
        raise IndexDamaged(msg)
    return kind, name


def _identity(kind: str, name: str) -> str:
    return f"class {kind}" if name in _UNNAMED else name.rstrip("/").rsplit("/", 1)[-1].lower()


def _shown(kind: str, name: str) -> str:
    return kind if name in _UNNAMED else f"{kind} {name!r}"
