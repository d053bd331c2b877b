"""The one place that imports onnxruntime, with its telemetry off."""

from __future__ import annotations

import importlib
from typing import Any

from runoff._util import optout

# optimizers of onnxruntime that make a session slower on a CPU; int8 embeddings differ by up to
# .004 without them, and scores of cross-encoders not at all
SLOWER = ("SkipLayerNormFusion",)


def load(module: str = "onnxruntime") -> Any:  # noqa: ANN401 - onnxruntime has no types
    """Return onnxruntime, or a module of it, imported on first use.

    Its telemetry is off unless the environment variable `ORT_DISABLE_TELEMETRY` says otherwise:
    onnxruntime reads the variable when it is imported.
    """
    optout.apply()
    return importlib.import_module(module)
