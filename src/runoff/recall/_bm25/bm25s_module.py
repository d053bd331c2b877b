"""bm25s and its modules, imported when first needed and without a word."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

__all__ = ["bm25s_module"]


def bm25s_module(name: str) -> Any:  # noqa: ANN401 - bm25s publishes no types
    """Return the module `bm25s.<name>`.

    bm25s imports progress bars, which in a notebook without widgets warn about that; nothing here
    ever shows one.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(f"bm25s.{name}")
