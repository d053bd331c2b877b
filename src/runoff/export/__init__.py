"""From a model of the Hugging Face Hub to a folder that runs without torch.

Names are imported when they are first used: only this package needs torch and onnx.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runoff._util.lazy import lazily

if TYPE_CHECKING:
    from runoff.export._cross_encoder import export_cross_encoder
    from runoff.export._late_interaction import export_late_interaction

__all__ = ["export_cross_encoder", "export_late_interaction"]

# those that `__all__` lacks were public once, and can still be imported
_HOMES = {
    "Exported": "_cross_encoder",
    "export_cross_encoder": "_cross_encoder",
    "export_late_interaction": "_late_interaction",
}

if not TYPE_CHECKING:  # a type checker then knows the names above, and no others
    __getattr__, __dir__ = lazily(__name__, _HOMES)
