"""Makes reshapes static and removes additions of zero: work that no input needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from runoff._onnx.passes.graph import Graph
    from runoff._onnx.passes.seen import Seen

_MASK = "attention_mask"


def fix_reshapes(graph: Graph, seen: Seen) -> int:
    """Write the shapes of reshapes as constants, and return how many there were.

    A dimension is a number where it was the same in all runs, 0 where it was that of the input, and
    -1 for at most one other; a reshape that needs more stays as it is.
    """
    constants, done = graph.weights(), 0
    for node in graph.nodes:
        if node.op_type != "Reshape" or node.input[1] in constants:
            continue
        before, after = (seen.shapes.get(name) for name in (node.input[0], node.output[0]))
        wanted = None if before is None or after is None else _static(before, after)
        if wanted is not None:
            node.input[1] = graph.constant(np.array(wanted, np.int64))
            for attribute in [one for one in node.attribute if one.name == "allowzero"]:
                node.attribute.remove(attribute)
            done += 1
    return done


def _static(before: NDArray[np.int64], after: NDArray[np.int64]) -> list[int] | None:
    made = []
    for axis in range(after.shape[1]):
        column = after[:, axis]
        if (column == column[0]).all():
            made.append(int(column[0]))
        elif axis < before.shape[1] and (before[:, axis] == column).all():
            made.append(0)
        else:
            made.append(-1)
    return made if made.count(-1) <= 1 and 0 not in after else None


def may_be_zero(graph: Graph) -> list[str]:
    """Return the tensors that are added to others and follow from the attention mask alone."""
    alone: dict[str, bool] = {name: name == _MASK for name in graph.inputs}
    constants = graph.weights()
    for node in graph.nodes:
        # a shape says nothing about the values of what has it
        values = () if node.op_type == "Shape" else (one for one in node.input if one)
        own = [alone.get(name, True) for name in values if name not in constants]
        alone.update(dict.fromkeys(node.output, all(own)))
    found = {
        name
        for node in graph.nodes
        if node.op_type == "Add"
        for name in node.input
        if name not in constants and alone.get(name)
    }
    return sorted(found)


def drop_zeros(graph: Graph, seen: Seen) -> int:
    """Remove additions of tensors that are zero where nothing is masked; return how many."""
    done = 0
    for node in graph.nodes:
        if node.op_type != "Add":
            continue
        other = [name for name in node.input if name not in seen.zeros]
        if len(other) != 1 or seen.shapes.get(other[0]) is None:
            continue
        if np.array_equal(seen.shapes[other[0]], seen.shapes.get(node.output[0], ())):
            graph.replace(node.output[0], other[0])
            done += 1
    return done
