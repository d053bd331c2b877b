"""A small BERT as its exporters write it: shapes computed from the input, a mask, a [CLS] head."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import tiny

import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from pathlib import Path

WIDTH, HEADS, LAYERS = 32, 4, 2
POSITIONS = 48


class _Writer:
    def __init__(self) -> None:
        self.random = np.random.default_rng(0)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def __call__(self, kind: str, *inputs: str, **attributes: object) -> str:
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def weight(self, *shape: int) -> str:
        scale = 1.0 if len(shape) == 1 else shape[0] ** -0.5
        return self.constant(self.random.normal(size=shape).astype(np.float32) * scale)

    def constant(self, values: object, dtype: type = np.float32) -> str:
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def linear(self, tensor: str, width: int, wide: int) -> str:
        return self("Add", self.weight(wide), self("MatMul", tensor, self.weight(width, wide)))

    def norm(self, tensor: str) -> str:
        ones, zeros = self.constant(np.ones(WIDTH)), self.constant(np.zeros(WIDTH))
        return self("LayerNormalization", tensor, ones, zeros, axis=-1)

    def dimension(self, tensor: str, axis: int) -> str:
        """One dimension, as tracers compute it."""
        shape = self("Shape", tensor)
        found = self("Gather", shape, self.constant(axis, np.int64), axis=0)
        return self("Unsqueeze", found, self.constant([0], np.int64))

    def reshaped(self, tensor: str, *last: int) -> str:
        sizes = [self.dimension(tensor, 0), self.dimension(tensor, 1)]
        shape = self("Concat", *sizes, self.constant(last, np.int64), axis=0)
        return self("Reshape", tensor, shape)


def graph(
    *, pooled: bool = False, window: int | None = None, scaled: bool = False
) -> onnx.ModelProto:
    """A cross-encoder with dynamic batch and length.

    Args:
        pooled: whether the head reads the mean of all tokens, and not the first alone.
        window: how far tokens see; None is everywhere.
        scaled: whether queries and keys are scaled, and not their products.
    """
    write = _Writer()
    words = write("Gather", write.weight(len(tiny.tokenizer().get_vocab()), WIDTH), "input_ids")
    types = write("Gather", write.weight(2, WIDTH), "token_type_ids")
    length = write("Squeeze", write.dimension("input_ids", 1), write.constant([0], np.int64))
    zero, one = write.constant(0, np.int64), write.constant(1, np.int64)
    places = write("Range", zero, length, one)
    placed = write("Gather", write.weight(POSITIONS, WIDTH), places)
    hidden = write.norm(write("Add", write("Add", words, types), placed))
    seen = write("Cast", "attention_mask", to=TensorProto.FLOAT)
    hidden_from = write("Sub", write.constant(1.0), seen)
    mask = write("Mul", hidden_from, write.constant(-10000.0))
    mask = write("Unsqueeze", mask, write.constant([1, 2], np.int64))
    if window is not None:
        columns = write("Unsqueeze", places, write.constant([0], np.int64))
        rows = write("Unsqueeze", places, write.constant([1], np.int64))
        apart = write("Abs", write("Sub", columns, rows))
        far = write("Greater", apart, write.constant(window, np.int64))
        away = write("Mul", write("Cast", far, to=TensorProto.FLOAT), write.constant(-10000.0))
        mask = write("Add", mask, away)
    for _ in range(LAYERS):
        query, key, value = (
            write(
                "Transpose", write.reshaped(write.linear(hidden, WIDTH, WIDTH), HEADS, -1), perm=p
            )
            for p in ([0, 2, 1, 3], [0, 2, 1, 3] if scaled else [0, 2, 3, 1], [0, 2, 1, 3])
        )
        if scaled:
            key = write("Transpose", key, perm=[0, 1, 3, 2])
            query, key = (write("Div", one, write.constant(8**0.25)) for one in (query, key))
            scores = write("MatMul", query, key)
        else:
            scores = write("Mul", write("MatMul", query, key), write.constant(8**-0.5))
        weights = write("Softmax", write("Add", scores, mask), axis=-1)
        context = write("Transpose", write("MatMul", weights, value), perm=[0, 2, 1, 3])
        attended = write.linear(write.reshaped(context, WIDTH), WIDTH, WIDTH)
        hidden = write.norm(write("Add", attended, hidden))
        inner = write("Relu", write.linear(hidden, WIDTH, 2 * WIDTH))
        hidden = write.norm(write("Add", write.linear(inner, 2 * WIDTH, WIDTH), hidden))
    if pooled:
        read = write("ReduceMean", hidden, axes=[1], keepdims=0)
    else:
        read = write("Gather", hidden, zero, axis=1)
    write.nodes.append(
        helper.make_node("MatMul", [write("Tanh", read), write.weight(WIDTH, 1)], ["logits"])
    )
    both = ["batch", "tokens"]
    names = ("input_ids", "attention_mask", "token_type_ids")
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, both) for name in names]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1])
    made = helper.make_graph(write.nodes, "transformer", inputs, [output], write.weights)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def save(directory: Path, *, int8: bool = False, **options: object) -> Path:
    """Write a model that reads as many tokens as it has positions, and return its directory."""
    tiny.save(directory)
    settings = {"max_position_embeddings": POSITIONS, "model_type": "bert"}
    (directory / "config.json").write_text(str(settings).replace("'", '"'))
    onnx.save(graph(**options), directory / "model.onnx")
    if int8:
        from runoff.export._graph import to_int8

        to_int8(directory / "model.onnx", directory / "model_int8.onnx")
    return directory
