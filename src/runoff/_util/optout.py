"""Telemetry of packages that runoff imports, off before they are imported."""

from __future__ import annotations

import os

_OFF = {
    "ANONYMIZED_TELEMETRY": "False",  # chromadb
    "HF_HUB_DISABLE_TELEMETRY": "1",  # huggingface-hub, transformers, sentence-transformers
    "ORT_DISABLE_TELEMETRY": "1",  # onnxruntime
    "OPENVINO_TELEMETRY": "0",  # openvino
    "RAY_USAGE_STATS_ENABLED": "0",  # ray
}


def apply() -> None:
    """Set the variables that these packages read when they are imported.

    A variable that is set already stays as it is. To be called before any of them is imported.
    """
    for name, value in _OFF.items():
        os.environ.setdefault(name, value)
