"""Score or embed whole Parquet files, on this machine or on a Ray cluster.

The names below are imported on first use; they need pyarrow: `pip install "runoff[eval]"`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runoff._util.lazy import lazily

if TYPE_CHECKING:
    from runoff.bulk._run import BulkSummary, encode, rerank

__all__ = ["BulkSummary", "encode", "rerank"]

_MODULES = {"BulkSummary": "_run", "encode": "_run", "rerank": "_run"}

if not TYPE_CHECKING:  # a type checker then knows the names above, and no others
    __getattr__, __dir__ = lazily(__name__, _MODULES)
