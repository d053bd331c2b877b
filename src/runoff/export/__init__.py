"""From a Hugging Face cross-encoder to a folder that `CrossEncoder` runs without torch.

Names are imported when they are first used: only this package needs torch and onnx.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runoff._util.lazy import lazily

if TYPE_CHECKING:
    from runoff.export._cross_encoder import Exported, export_cross_encoder

__all__ = ["Exported", "export_cross_encoder"]

_HOMES = {"Exported": "_cross_encoder", "export_cross_encoder": "_cross_encoder"}

if not TYPE_CHECKING:  # a type checker then knows the names above, and no others
    __getattr__, __dir__ = lazily(__name__, _HOMES)
