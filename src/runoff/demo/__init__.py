"""The material of `runoff demo`: the documentation of Python's library, and judged questions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runoff._util.lazy import lazily

__all__: list[str] = []

# those that `__all__` lacks were public once, and can still be imported
_HOMES = {"load_questions": "_questions", "stdlib_documents": "_corpus"}

if not TYPE_CHECKING:  # a type checker then knows the names above, and no others
    __getattr__, __dir__ = lazily(__name__, _HOMES)
