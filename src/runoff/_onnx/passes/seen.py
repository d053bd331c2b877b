"""What runs of a graph show: the shape of every tensor, and which parts are always the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from runoff._onnx import runtime
from runoff._onnx.inputs import Inputs
from runoff._onnx.passes.graph import Graph

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from runoff._onnx.tokens import Encoded

# primes, so that no batch is mistaken for a length or a multiple of one
_RUNS = ((2, 11), (3, 7), (5, 13), (2, 17))  # batch, tokens


@dataclass(frozen=True, slots=True)
class Seen:
    """What runs of different batch and length showed.

    Attributes:
        shapes: of every tensor, a row a run; tensors that are no tensor at all are left out.
        zeros: those of the tensors asked about that were zero everywhere in every run.
    """

    shapes: Mapping[str, NDArray[np.int64]]
    zeros: frozenset[str]

    def rank(self, tensor: str) -> int | None:
        """Return how many axes a tensor has; None where that is unknown or varies."""
        found = self.shapes.get(tensor)
        return None if found is None else found.shape[1]


def watch(model: Any, inputs: Sequence[Encoded], asked: Sequence[str]) -> Seen:  # noqa: ANN401
    """Run a copy of a model with several batches and lengths, and look at all its tensors.

    Args:
        model: an `onnx.ModelProto`, which stays as it is.
        inputs: what it may be run with; the longest is run as it is and in batches of its start.
        asked: tensors that may be zero everywhere.

    Raises:
        Exception: onnxruntime cannot load or run it.
    """
    copy = type(model)()
    copy.CopyFrom(model)
    graph = Graph(copy)
    names = [*graph.inputs, *(name for node in graph.nodes for name in node.output if name)]
    shown = {graph.add("Shape", [name])[0]: name for name in names}
    graph.show([*shown, *asked])
    onnxruntime = runtime.load()
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        copy.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    wanted = Inputs.of(session, "a copy of it")
    feeds = wanted.feeds(max(inputs, key=len))
    runs = [feeds]
    for batch, tokens in _RUNS:
        runs.append(
            {name: np.repeat(one[:, :tokens], batch, axis=0) for name, one in feeds.items()}
        )
    rows: dict[str, list[NDArray[np.int64]]] = {name: [] for name in names}
    zeros = {*asked}
    for one in runs:
        found = session.run([*shown, *asked], one)
        for shape, name in zip(found, shown.values(), strict=False):
            rows[name].append(shape)
        zeros -= {
            name for name, value in zip(asked, found[len(shown) :], strict=True) if np.any(value)
        }
    shapes = {
        name: np.stack(row) for name, row in rows.items() if len({len(one) for one in row}) == 1
    }
    return Seen(shapes, frozenset(zeros))
