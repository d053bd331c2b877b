"""The one place that imports onnxruntime, with its telemetry off."""

from __future__ import annotations

import importlib
import os
from typing import Any

__all__ = ["load"]


def load(module: str = "onnxruntime") -> Any:  # noqa: ANN401 - onnxruntime has no types
    """Return onnxruntime, or a module of it, imported on first use.

    Its telemetry is off unless the environment variable `ORT_DISABLE_TELEMETRY` says otherwise:
    onnxruntime reads the variable when it is imported.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    return importlib.import_module(module)
