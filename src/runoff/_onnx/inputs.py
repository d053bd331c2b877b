"""What a graph asks for, made from the tokens of a text or pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from runoff._onnx.tokens import Encoded

_DTYPES: dict[str, type[np.generic]] = {
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(bool)": np.bool_,
}
_NAMES = ("input_ids", "attention_mask", "token_type_ids", "position_ids")


@dataclass(frozen=True, slots=True)
class Inputs:
    """The inputs of a graph.

    Attributes:
        dtypes: the type of each, by name.
    """

    dtypes: Mapping[str, type[np.generic]]

    @classmethod
    def of(cls, session: Any, model: str) -> Inputs:  # noqa: ANN401 - onnxruntime has no types
        """Return the inputs that a session asks for.

        Raises:
            InvalidArgument: one of them is not made from texts.
        """
        asked = {one.name: _DTYPES.get(one.type) for one in session.get_inputs()}
        known = {name: dtype for name, dtype in asked.items() if name in _NAMES and dtype}
        if known.keys() != asked.keys() or "input_ids" not in known:
            raise InvalidArgument(
                "model",
                model,
                f"its graph has the inputs {', '.join(asked)}; a text model has input_ids "
                f"and any of {', '.join(_NAMES[1:])}",
            )
        return cls(known)

    def feeds(self, encoded: Encoded) -> dict[str, NDArray[Any]]:
        """Return the values of one input, by name, shape (1, n) each."""
        feeds = {}
        for name, dtype in self.dtypes.items():
            if name == "attention_mask":
                values = np.ones_like(encoded.ids) if encoded.mask is None else encoded.mask
            elif name == "position_ids":
                values = np.arange(len(encoded), dtype=np.int64)[None]
            else:
                values = encoded.ids if name == "input_ids" else encoded.type_ids
            feeds[name] = values.astype(dtype, copy=False)
        return feeds
