"""Attention as one operator of onnxruntime, which never writes all its weights to memory.

Scores, softmax and the weighted sum are computed for a block of queries at a time, so that they
stay in the processor's cache. Only attention without a mask is changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from runoff._onnx.passes.graph import Graph
    from runoff._onnx.passes.seen import Seen

ATTENTION: Final = "MultiHeadAttention"
_DOMAIN = "com.microsoft"  # of operators that onnxruntime has and ONNX has not
_HEADS_FIRST, _HEADS_FIRST_TURNED, _TURNED = [0, 2, 1, 3], [0, 2, 3, 1], [0, 1, 3, 2]
_RANK, _RANK_OF_HEADS = 3, 4  # (batch, tokens, hidden); (batch, tokens, heads, size)


def fuse_attention(graph: Graph, seen: Seen) -> int:
    """Replace each attention without a mask by one operator, and return how many there were."""
    softmaxes = [node for node in graph.nodes if node.op_type == "Softmax"]
    return sum(_fuse(graph, seen, node) for node in softmaxes)


@dataclass(frozen=True, slots=True)
class _Part:
    """What is split into heads: a tensor of shape (batch, tokens, heads * size)."""

    tensor: str
    heads: int
    size: int


def _fuse(graph: Graph, seen: Seen, softmax: Any) -> bool:  # noqa: ANN401 - onnx
    if _axis(softmax) not in {-1, _RANK_OF_HEADS - 1}:
        return False
    scores, scale = _unscaled(graph, softmax.input[0])
    product, total = graph.maker(scores), _only(graph, softmax.output[0], "MatMul")
    if total is None or product is None or product.op_type != "MatMul":
        return False
    left, of_left = _unscaled(graph, product.input[0])
    right, of_right = _unscaled(graph, product.input[1])
    parts = (
        _split(graph, seen, left),
        _split(graph, seen, right, turned=True),
        _split(graph, seen, total.input[1]) if total.input[0] == softmax.output[0] else None,
    )
    made = _joined(graph, total.output[0])
    query = parts[0]
    if query is None or made is None or seen.rank(made.output[0]) != _RANK:
        return False
    sizes = {(part.heads, part.size) for part in parts if part is not None}
    names = [part.tensor for part in parts if part is not None]
    before, after = seen.shapes[query.tensor], seen.shapes[made.output[0]]
    # a query that is key or value, too, would be read in two ways
    if None in parts or len(sizes) > 1 or query.tensor in names[1:] or (before != after).any():
        return False
    graph.become(
        made,
        ATTENTION,
        names,
        domain=_DOMAIN,
        num_heads=query.heads,
        scale=scale * of_left * of_right,
    )
    return True


def _axis(softmax: Any) -> int:  # noqa: ANN401 - onnx
    return next((one.i for one in softmax.attribute if one.name == "axis"), -1)


def _only(graph: Graph, tensor: str, kind: str) -> Any:  # noqa: ANN401 - onnx
    """Return the one node that reads a tensor, if it is of a kind."""
    found = [*graph.readers(tensor)]
    fits = len(found) == 1 and found[0].op_type == kind and tensor not in graph.outputs
    return found[0] if fits else None


def _unscaled(graph: Graph, tensor: str) -> tuple[str, float]:
    """Return the tensor that is multiplied by constants to make another, and their product."""
    scale = 1.0
    while (node := graph.maker(tensor)) is not None and node.op_type in {"Mul", "Div"}:
        first, second = node.input
        by = graph.number(second)
        if by is None and node.op_type == "Mul":
            first, by = second, graph.number(first)
        if not by:
            break
        tensor, scale = first, scale * by if node.op_type == "Mul" else scale / by
    return tensor, scale


def _split(graph: Graph, seen: Seen, tensor: str, *, turned: bool = False) -> _Part | None:
    """Return what a tensor of shape (batch, heads, tokens, size) is split from.

    Args:
        graph: that makes it.
        seen: the shapes in it.
        tensor: its name.
        turned: whether its last two axes are exchanged.
    """
    node, order = graph.maker(tensor), _HEADS_FIRST
    if turned and _order(node) == _TURNED:
        node = graph.maker(node.input[0])
    elif turned:
        order = _HEADS_FIRST_TURNED
    if _order(node) != order:
        return None
    reshape = graph.maker(node.input[0])
    if reshape is None or reshape.op_type != "Reshape":
        return None
    whole, split = reshape.input[0], reshape.output[0]
    if (seen.rank(whole), seen.rank(split)) != (_RANK, _RANK_OF_HEADS):
        return None
    before, after = seen.shapes[whole], seen.shapes[split]
    heads, size = after[0, 2:].tolist()
    fits = (
        (before[:, :2] == after[:, :2]).all()
        and (after[:, 2:] == (heads, size)).all()
        and (before[:, 2] == heads * size).all()
    )
    return _Part(whole, heads, size) if fits else None


def _order(node: Any) -> list[int] | None:  # noqa: ANN401 - onnx
    if node is None or node.op_type != "Transpose":
        return None
    return next((list(one.ints) for one in node.attribute if one.name == "perm"), None)


def _joined(graph: Graph, tensor: str) -> Any:  # noqa: ANN401 - onnx
    """Return the reshape that puts the heads of each token side by side."""
    node = _only(graph, tensor, "Transpose")
    return _only(graph, node.output[0], "Reshape") if _order(node) == _HEADS_FIRST else None
