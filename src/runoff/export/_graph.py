"""From a torch network to ONNX files: traced as fp32, and quantised to int8."""

from __future__ import annotations

import logging
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runoff._onnx import runtime
from runoff._onnx.passes.graph import need_onnx

if TYPE_CHECKING:
    from collections.abc import Mapping

_OPSET = 17  # with IR version 8: onnxruntime 1.17 loads it
_WHOLE = 1_900_000_000  # bytes; a graph of 2 GiB or more needs its weights in a file of their own


def to_onnx(
    net: Any,  # noqa: ANN401 - torch publishes types only where it is installed
    inputs: Mapping[str, Any],
    output: str,
    target: Path,
    *,
    by_token: bool = False,
) -> None:
    """Write a network as fp32 ONNX, with the axes of batch and tokens dynamic.

    Weights of 2 GB and more are in one file beside the graph, whose name ends in `_data`.

    Args:
        net: takes the inputs by position and returns one tensor, shape (batch, ...).
        inputs: int64 tensors of shape (batch, tokens) by name; what the graph is traced with.
        output: the name of the output.
        target: the file to write.
        by_token: whether the output has shape (batch, tokens, ...).

    Raises:
        Exception: torch's error where the network cannot be traced.
    """
    import torch  # noqa: PLC0415 - an extra

    both = {0: "batch", 1: "tokens"}
    axes = dict.fromkeys(inputs, both) | {output: both if by_token else {0: "batch"}}
    # a large network is written as one file for each weight
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        traced = Path(scratch) / target.name
        with warnings.catch_warnings():
            # the tracer's, of branches on shapes that are constant here; and that it is an old one:
            # the new one needs a further package and a newer onnxruntime to run what it writes
            warnings.simplefilter("ignore")
            torch.onnx.export(
                net,
                tuple(inputs.values()),
                str(traced),
                input_names=list(inputs),
                output_names=[output],
                dynamic_axes=axes,
                opset_version=_OPSET,
                dynamo=False,
            )
        if len(list(traced.parent.iterdir())) == 1:
            shutil.move(traced, target)
            return
        onnx = need_onnx()
        onnx.save_model(
            onnx.load(traced), target, save_as_external_data=True, location=f"{target.name}_data"
        )


def to_int8(source: Path, target: Path) -> None:
    """Quantise weights to int8 per output channel, and activations dynamically.

    The 7-bit range (`reduce_range`) keeps AVX2 machines without VNNI from saturating 16-bit sums.

    Args:
        source: an fp32 graph that `to_onnx` wrote.
        target: the file to write; large weights are beside it, as those of the source are.

    Raises:
        MissingExtra: onnx is not installed.
    """
    need_onnx()
    quantization = runtime.load("onnxruntime.quantization")
    root = logging.getLogger()
    root.addFilter(_no_hint)
    try:
        quantization.quantize_dynamic(
            source,
            target,
            op_types_to_quantize=["MatMul", "Gather"],
            per_channel=True,
            reduce_range=True,
            weight_type=quantization.QuantType.QInt8,
            use_external_data_format=_size(source) > _WHOLE,
            extra_options={"MatMulConstBOnly": True},
        )
    finally:
        root.removeFilter(_no_hint)


def _size(graph: Path) -> int:
    return sum(one.stat().st_size for one in graph.parent.glob(f"{graph.name}*"))


def _no_hint(record: logging.LogRecord) -> bool:
    """Drop the advice to pre-process the graph, which is for image models."""
    return "pre-processing before quantization" not in record.getMessage()
