"""`doctor`, contract tests for your own parts, a faulty rerank server, and a pytest plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runoff._util.lazy import lazily

if TYPE_CHECKING:
    from runoff.testing._doctor.doctor import doctor

__all__ = ["doctor"]

__getattr__, __dir__ = lazily(__name__, {"doctor": "_doctor.doctor"})
