"""All passes over one graph, in the order in which they help each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runoff._onnx.passes.attention import fuse_attention
from runoff._onnx.passes.first_token import keep_first_token
from runoff._onnx.passes.graph import Graph
from runoff._onnx.passes.seen import watch
from runoff._onnx.passes.shapes import drop_zeros, fix_reshapes, may_be_zero

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runoff._onnx.tokens import Encoded


@dataclass(frozen=True, slots=True)
class Changes:
    """What the passes changed.

    Attributes:
        nodes: how many there were, and how many there are.
        reshapes: of these, the shape is written down now.
        masks: how many additions of an attention mask that masks nothing were removed.
        attentions: how many are one operator of onnxruntime now.
        rows: how many nodes compute the first token alone.
    """

    nodes: tuple[int, int]
    reshapes: int
    masks: int
    attentions: int
    rows: int

    def __bool__(self) -> bool:
        return bool(self.reshapes or self.masks or self.attentions or self.rows)


def clean(
    model: Any,  # noqa: ANN401 - onnx is imported late
    inputs: Sequence[Encoded],
    *,
    whole: bool,
    fuse: bool = False,
    rows: bool = True,
) -> Changes:
    """Change a graph so that it computes the same in less time.

    Args:
        model: an `onnx.ModelProto`, which is changed.
        inputs: what it is run with, unpadded; the longest should be as long as the model reads.
        whole: whether that is so, and all inputs will be as unpadded as these. Only then is the
            attention mask left out, which may depend on the length otherwise.
        fuse: whether attention without a mask may become an operator that only onnxruntime has.
        rows: whether the last layer may be computed for the first token alone, which changes int8
            scores a little: that token's row is then quantised on its own.

    Raises:
        Exception: onnxruntime cannot run the graph with different batches and lengths.
    """
    graph = Graph(model)
    before = len(graph.nodes)
    graph.tidy()
    asked = may_be_zero(graph) if whole else []
    seen = watch(model, inputs, asked)
    reshapes = fix_reshapes(graph, seen)
    masks = drop_zeros(graph, seen)
    graph.tidy()  # what computed a shape reads no longer what attention makes
    attentions = fuse_attention(graph, seen) if fuse else 0
    graph.tidy()
    kept = keep_first_token(graph, seen) if rows else 0
    return Changes((before, len(graph.nodes)), reshapes, masks, attentions, kept)
