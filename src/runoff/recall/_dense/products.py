"""Products of a query of whole numbers with tiles of int8 rows, at the rate of memory."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from runoff._onnx import runtime
from runoff._util.fork import in_child
from runoff._waiting import exits

if TYPE_CHECKING:
    from numpy.typing import NDArray

TILE = 64  # rows: a cache line of each dimension
LARGEST = 63  # entry of a query: 1 to 127 after the shift, which no processor's int8 sums cut off
SHIFT = LARGEST + 1
_AT_ONCE = 512  # tiles
_UINT8, _INT8, _INT32 = 2, 3, 6  # onnx.TensorProto.DataType
_QUIET = 4  # only fatal errors are logged


class _Session:
    """The session of this process, opened on first use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opened: Any = None

    def get(self) -> Any:  # noqa: ANN401 - onnxruntime has no types
        with self._lock:
            if self._opened is None:
                onnxruntime = runtime.load()
                options = onnxruntime.SessionOptions()
                options.intra_op_num_threads = options.inter_op_num_threads = 1
                options.log_severity_level = _QUIET
                self._opened = onnxruntime.InferenceSession(
                    _graph(), options, providers=["CPUExecutionProvider"]
                )
            return self._opened


_session = _Session()


@in_child
def _after_fork() -> None:
    global _session  # noqa: PLW0603 - a lock of the session may be held for ever
    _session = _Session()


def warmup() -> None:
    """Open the session, which the first product does otherwise."""
    _session.get()


def products(
    query: NDArray[np.float64], numbers: NDArray[np.int8], shifts: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Return the exact products of a query with the first `len(shifts)` rows.

    onnxruntime's MatMulInteger reads a query in front of a matrix once, in the order in which it
    is stored, where it is unsigned; so the query is shifted, and the shift's share is subtracted.

    Args:
        query: whole numbers from -63 to 63, shape (d,).
        numbers: shape (tiles, d, 64): 64 rows a tile, and of each dimension all 64 together.
        shifts: of each row, its numbers' sum times `SHIFT`.
    """
    session = _session.get()
    shifted = (query + SHIFT).astype(np.uint8)[None, :]
    found = np.empty(len(shifts), np.int32)
    for start in range(0, -(-len(shifts) // TILE), _AT_ONCE):
        here = slice(start * TILE, (start + _AT_ONCE) * TILE)
        count = len(shifts[here])
        some = numbers[start : start + -(-count // TILE)]
        with exits.Native():
            (result,) = session.run(None, {"query": shifted, "rows": some})
        np.subtract(result.reshape(-1)[:count], shifts[here], out=found[here])
    return found


def _graph() -> bytes:
    """Return a model in ONNX's format: products = MatMulInteger(query, rows)."""
    node = _text(1, "query") + _text(1, "rows") + _text(2, "products") + _text(4, "MatMulInteger")
    graph = _field(1, node) + _text(2, "products")
    for number, name, kind, axes in (
        (11, "query", _UINT8, 2),
        (11, "rows", _INT8, 3),
        (12, "products", _INT32, 3),
    ):
        shape = _field(2, _field(1, b"") * axes)
        tensor = _field(2, _field(1, bytes((1 << 3, kind)) + shape))
        graph += _field(number, _text(1, name) + tensor)
    version, opset = bytes((1 << 3, 8)), bytes((2 << 3, 13))
    return version + _field(7, graph) + _field(8, opset)


def _field(number: int, content: bytes) -> bytes:
    """Return a field of bytes, shorter than 128 or in two bytes' length, in protobuf's format."""
    size = len(content)
    length = bytes((size,)) if size < 1 << 7 else bytes((size & 127 | 128, size >> 7))
    return bytes((number << 3 | 2,)) + length + content


def _text(number: int, text: str) -> bytes:
    return _field(number, text.encode("ascii"))
