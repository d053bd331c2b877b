"""The material of `runoff demo`: the documentation of Python's library, and judged questions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runoff._util.lazy import lazily

if TYPE_CHECKING:
    from runoff.demo._corpus import stdlib_documents
    from runoff.demo._questions import load_questions

__all__ = ["load_questions", "stdlib_documents"]

_HOMES = {"load_questions": "_questions", "stdlib_documents": "_corpus"}

if not TYPE_CHECKING:  # a type checker then knows the names above, and no others
    __getattr__, __dir__ = lazily(__name__, _HOMES)
