"""The last layer for the first token alone, where a model's head reads only that.

What a cross-encoder's head takes from the last layer is one row, that of [CLS]. It needs the keys
and values of all tokens, but only its own query and its own feed-forward network: the choice of the
row moves towards the inputs, through everything that treats rows alike and that nothing else reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

from runoff._onnx.passes.attention import ATTENTION

if TYPE_CHECKING:
    from runoff._onnx.passes.graph import Graph
    from runoff._onnx.passes.seen import Seen

_TOKENS, _RANK = 1, 3  # the axis of tokens in (batch, tokens, hidden)
_BY_ELEMENT = frozenset(
    ("Add", "Cast", "Div", "Erf", "Mul", "Pow", "Relu", "Sigmoid", "Sqrt", "Sub", "Tanh")
)
_QUANTISE = "DynamicQuantizeLinear"
_SCALE: Final = "scale"
# how a node reads an input: its first row along an axis, a value for all rows, or the whole
_Need: TypeAlias = int | Literal["scale"] | None


def keep_first_token(graph: Graph, seen: Seen) -> int:
    """Compute only the first token where only that is read; return how many nodes that changes.

    Rows that are quantised get a scale of their own, where all rows shared one before.
    """
    done = 0
    for data in {node.input[0]: None for node in graph.nodes if _takes_first(graph, node)}:
        readers = [*graph.readers(data)]
        if (
            seen.rank(data) == _RANK
            and data not in graph.outputs
            and all(_takes_first(graph, node) for node in readers)
        ):
            rows = _Rows(graph, seen, data)
            row = rows.row(data, _TOKENS)
            for node in readers:
                node.input[0] = row
            done += len(rows.needs)
            graph.tidy()
    return done


def _takes_first(graph: Graph, node: Any) -> bool:  # noqa: ANN401 - onnx
    """Whether a node takes index 0 of the axis of tokens."""
    if node.op_type == "Gather":
        return _axis(node, 0) == _TOKENS and graph.value(node.input[1]) == [0]
    if node.op_type != "Slice":
        return False
    given = [graph.value(name) for name in node.input[1:]]
    return given in ([[0], [1], [_TOKENS]], [[0], [1], [_TOKENS], [1]])


def _axis(node: Any, usual: int) -> int:  # noqa: ANN401 - onnx
    return next((one.i for one in node.attribute if one.name == "axis"), usual)


class _Rows:
    """Makes nodes that compute the first row of what others compute whole.

    Attributes:
        needs: for each node that can compute one row, by its first output, how it reads its inputs.
    """

    def __init__(self, graph: Graph, seen: Seen, data: str) -> None:
        self._graph = graph
        self._seen = seen
        self._weights = graph.weights()
        self._made: dict[str, str] = {}
        self.needs: dict[str, dict[str, _Need]] = {}
        read: dict[str, set[_Need]] = {name: {None} for name in graph.outputs}
        read[data] = {_TOKENS}
        for node in reversed(graph.nodes):  # so that those who read what it makes come first
            asked = [read.get(name, {_SCALE}) for name in node.output]
            needs = self._needs(node, asked) if all(len(one) == 1 for one in asked) else None
            if needs is not None:
                self.needs[node.output[0]] = needs
            for name in node.input:
                if not _takes_first(graph, node) or name != data:
                    read.setdefault(name, set()).add(needs[name] if needs else None)

    def row(self, tensor: str, axis: int) -> str:
        """Return the tensor with only index 0 of an axis, which it keeps."""
        if tensor not in self._made:
            if tensor in self.needs:
                self._make(self._graph.maker(tensor), axis)
            else:
                ends = [self._graph.constant(np.array([one], np.int64)) for one in (0, 1, axis)]
                self._made[tensor] = self._graph.add("Slice", [tensor, *ends])[0]
        return self._made[tensor]

    def _scale(self, tensor: str) -> str:
        """Return a value for all rows: of the one row, where that is quantised on its own."""
        node = self._graph.maker(tensor)
        if tensor not in self._made and node is not None and tensor in self.needs:
            self._make(node, None)
        return self._made.get(tensor, tensor)

    def _make(self, node: Any, axis: int | None) -> None:  # noqa: ANN401 - onnx
        needs = self.needs[node.output[0]]
        # rows first: they may bring scales of their own
        rows = {name: self.row(name, one) for name, one in needs.items() if isinstance(one, int)}
        inputs = [
            rows.get(name) or (self._scale(name) if needs[name] == _SCALE else name)
            for name in node.input
        ]
        if node.op_type == "Reshape":
            shape = list(self._graph.value(node.input[1]) or ())
            shape[axis or 0] = 1
            inputs[1] = self._graph.constant(np.array(shape, np.int64))
        made = self._graph.add(node.op_type, inputs, len(node.output), like=node)
        self._made.update(zip(node.output, made, strict=True))

    def _needs(self, node: Any, asked: list[set[_Need]]) -> dict[str, _Need] | None:  # noqa: ANN401
        """Return how a node reads its inputs if it makes one row; None where it cannot."""
        (axis,), *others = asked
        kind, inputs = node.op_type, node.input
        if axis == _SCALE:
            fits = kind in _BY_ELEMENT and not self._weights.issuperset(inputs)
            return dict.fromkeys(inputs, _SCALE) if fits else None
        if axis is None:
            return None
        if kind == _QUANTISE:
            return {inputs[0]: axis} if all(one == {_SCALE} for one in others) else None
        if kind in _BY_ELEMENT:
            from_end = axis - self._rank(node.output[0])
            return {name: self._operand(name, from_end) for name in inputs}
        own = self._own_axis(node, axis)
        if own is None:
            return None
        zero_point = dict.fromkeys(inputs[2:3] if kind == "MatMulInteger" else (), _SCALE)
        return dict.fromkeys(inputs) | zero_point | {inputs[0]: own}

    def _own_axis(self, node: Any, axis: int) -> int | None:  # noqa: ANN401 - onnx
        """Return the axis of the first input along which a node makes its rows from rows."""
        kind, last = node.op_type, self._rank(node.output[0]) - 1
        if kind == "Transpose":
            (order,) = (list(one.ints) for one in node.attribute if one.name == "perm")
            return int(order[axis])
        fits = False
        if kind in {"LayerNormalization", "Softmax"}:
            fits = _axis(node, -1) in {-1, last} and axis < last
        elif kind in {"MatMul", "MatMulInteger"}:
            fits = axis == last - 1 and self._rank(node.input[0]) == last + 1
        elif kind == ATTENTION:
            fits = axis == _TOKENS
        elif kind == "Reshape":
            fits = self._keeps(node, axis)
        return axis if fits else None

    def _operand(self, name: str, axis: int) -> _Need:
        """Return how an operation by element reads an input, the axis counted from the end."""
        rank = self._rank(name)
        shape = self._seen.shapes.get(name)
        if shape is None or name in self._weights or rank + axis < 0:
            return _SCALE
        return rank + axis if (shape[:, axis] != 1).any() else _SCALE

    def _rank(self, tensor: str) -> int:
        return self._seen.rank(tensor) or 0

    def _keeps(self, node: Any, axis: int) -> bool:  # noqa: ANN401 - onnx
        """Whether a reshape leaves the axis and all before it as they are."""
        before, after = (self._seen.shapes.get(one) for one in (node.input[0], node.output[0]))
        return (
            before is not None
            and after is not None
            and min(before.shape[1], after.shape[1]) > axis
            and np.array_equal(before[:, : axis + 1], after[:, : axis + 1])
            and self._graph.value(node.input[1]) is not None
        )
