"""Explanations and reports: text for a terminal, HTML for a notebook or a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runoff._util.lazy import lazily

if TYPE_CHECKING:
    from runoff.report._advice import Advice, advise
    from runoff.report._explain import explain

__all__ = ["Advice", "advise", "explain"]

_HOMES = {"Advice": "_advice", "advise": "_advice", "explain": "_explain"}

if not TYPE_CHECKING:  # a type checker then knows the names above, and no others
    __getattr__, __dir__ = lazily(__name__, _HOMES)
