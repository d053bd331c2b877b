"""Export a Hugging Face cross-encoder as a folder of ONNX, after comparing it with torch."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from runoff._onnx.agreement import spearman
from runoff._onnx.files import TOKENIZER
from runoff._onnx.passes.clean import clean
from runoff._onnx.passes.graph import need_onnx
from runoff._onnx.samples import sample_pairs, traced_with
from runoff._util.messages import error_text, first_line, number_of
from runoff._util.progress import stepwise
from runoff.errors import ExportFailed, InvalidArgument
from runoff.export._agreement import SMALLEST_AGREEMENT, check_fp32, check_int8
from runoff.export._folder import (
    FP32,
    INT8,
    Precisions,
    appearing,
    checked,
    described,
    finished,
    write_json,
)
from runoff.export._graph import to_int8, to_onnx
from runoff.rerank._local import backends, sentence_transformers
from runoff.rerank._local.cross_encoder import CrossEncoder
from runoff.rerank._local.torch_model import LoadedModel

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from runoff._onnx.files import ModelDirectory
    from runoff._onnx.tokens import TextEncoder
    from runoff._util.progress import Wanted
    from runoff.scores import PairScores

_logger = logging.getLogger("runoff")

_OUTPUT = "logits"


@dataclass(frozen=True, slots=True)
class Exported:
    """An exported model.

    Attributes:
        folder: of the model: `CrossEncoder(folder)` or `LateInteraction(folder)` runs it.
        bytes: the size of each graph with its weights, by precision.
        max_length: tokens read of each pair, or of each document.
        kind: of the scores, `"logit"`, `"probability"` or `"similarity"`.
        difference: the largest, between the scores of torch and of fp32 ONNX.
        agreement: Spearman's correlation of int8 with fp32; None without int8.
        pairs: how many were compared.
        truncated: of those, how many were longer than the model reads.
        scorer: the name of the class that runs it.
    """

    folder: Path
    bytes: Mapping[str, int]
    max_length: int
    kind: str
    difference: float
    agreement: float | None
    pairs: int
    truncated: int
    scorer: str = "CrossEncoder"


def export_cross_encoder(
    model: str | Path,
    out: str | Path,
    *,
    precision: Precisions = "both",
    agreement: float = SMALLEST_AGREEMENT,
    max_length: int | None = None,
    revision: str | None = None,
    local_files_only: bool = False,
    progress: Wanted = False,
) -> Exported:
    """Write a cross-encoder as ONNX, with its tokenizer and settings, and check its scores.

    The graph computes the model's scores without the activation of its settings, as `CrossEncoder`
    does. Every graph is run on 64 pairs before the folder appears: fp32 must score as torch does
    within 1e-4, read the same tokens and truncate the same texts, and int8 must order the pairs as
    fp32 does.

    Args:
        model: a directory or `"org/name"` of a sequence classifier with one or two labels, as
            transformers or sentence-transformers save it, with safetensors weights. Python code
            that comes with a model is never run.
        out: the folder to create; it must not exist.
        precision: which graphs to write. `CrossEncoder` uses int8 where there are both.
        agreement: Spearman's correlation with fp32 that int8 must have, within 0 and 1.
        max_length: tokens the export reads of each pair; None asks the model.
        revision: branch, tag or commit on the Hugging Face Hub.
        local_files_only: never use the network.
        progress: True shows the steps in a terminal or a notebook; a callable gets (steps done, all
            steps) instead.

    Raises:
        InvalidArgument: an argument has an invalid value, or the model cannot be exported: a
            causal language model, or one that needs a prompt.
        MissingExtra: sentence-transformers, torch or onnx is not installed.
        ModelNotFound: there is no such model, or it has no safetensors weights.
        ModelDamaged: a file of it cannot be read.
        ExportFailed: torch cannot trace it, or the export scores differently.
        RunoffError: the folder cannot be written.
    """
    where = checked(out, precision, agreement, progress)
    original = CrossEncoder(
        model,
        backend="torch",
        device="cpu",
        max_length=max_length,
        revision=revision,
        local_files_only=local_files_only,
    )
    with stepwise(progress, 3 if precision == "fp32" else 4) as say:
        say(f"loading {original.name}")
        directory = sentence_transformers.find(original)
        _check_kind(directory)
        ready = sentence_transformers.prepare(original)
        _check_prompt(directory, ready)
        length = ready.encoder.max_length
        with appearing(where) as folder:
            say("tracing")
            _write_graph(original, directory, ready, folder)
            described = _cleaned(folder / FP32, ready.encoder, directory)
            write_json(folder / "config.json", _settings(directory, ready) | described)
            pairs = sample_pairs(length)
            say(f"comparing {number_of(len(pairs), 'pair')} with torch")
            made = CrossEncoder(folder, precision="fp32")
            expected, found = original.score(pairs), made.score(pairs)
            difference = _difference(original.name, expected, found)
            check_fp32(original.name, difference)
            reached = None
            if precision != "fp32":
                say("quantising")
                to_int8(folder / FP32, folder / INT8)
                _cleaned(folder / INT8, ready.encoder, directory, again=True)
                quick = replace(made, precision="int8").score(pairs)
                reached = spearman(found.values.tolist(), quick.values.tolist())
                check_int8(original.name, reached, agreement)
            sizes = finished(folder, precision)
    return Exported(
        where,
        sizes,
        length,
        str(ready.kind),
        difference,
        reached,
        len(pairs),
        int(found.truncated.sum()),
    )


def _check_kind(directory: ModelDirectory) -> None:
    named = directory.architecture
    if named.endswith("ForCausalLM"):
        remedy = (
            f"{named} is a causal language model, which the ONNX backend does not support: run it "
            'with CrossEncoder(..., backend="torch")'
        )
        raise InvalidArgument("model", directory.name, remedy)


def _check_prompt(directory: ModelDirectory, ready: backends.Ready) -> None:
    loaded: Any = ready.loaded
    if loaded.chat or loaded.prompts.get(loaded.default_prompt):
        remedy = (
            "its settings put a text before each query, which the ONNX backend cannot do: use "
            'CrossEncoder(..., backend="torch")'
        )
        raise InvalidArgument("model", directory.name, remedy)


def _write_graph(
    original: CrossEncoder, directory: ModelDirectory, ready: backends.Ready, folder: Path
) -> None:
    """Write the fp32 graph and the tokenizer.

    Raises:
        ExportFailed: torch cannot trace the network.
    """
    import torch  # noqa: PLC0415 - an extra

    # attention as plain matrix products is the faster graph on a CPU
    loaded = LoadedModel(original, directory, attention="eager")
    network, scores, inputs = loaded.traceable(traced_with(ready.encoder))

    class Scoring(torch.nn.Module):  # type: ignore[misc] # torch has types only where it is
        """The network with its inputs by position."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, *tensors: object) -> object:
            """Return the scores, shape (batch, labels)."""
            return scores(dict(zip(inputs, tensors, strict=True)))

    try:
        with torch.no_grad():
            to_onnx(Scoring().eval(), inputs, _OUTPUT, folder / FP32)
    except Exception as error:  # torch raises many kinds here
        raise ExportFailed(
            f"{original.name}: torch cannot trace it: {first_line(error)}: run it with "
            'CrossEncoder(..., backend="torch")'
        ) from error
    loaded.tokenizer.save(str(folder / TOKENIZER))


def _cleaned(
    graph: Path, encoder: TextEncoder, directory: ModelDirectory, *, again: bool = False
) -> dict[str, object]:
    """Clean a graph, and return what the settings say of it.

    A network that does not run with every batch and length stays as it was traced. What is changed
    is compared with torch afterwards, as a graph that was not is. The int8 graph, which
    onnxruntime alone runs, is cleaned once more, to fuse its attention.
    """
    if len([*graph.parent.glob(f"{graph.name}*")]) > 1:  # its weights are in a file of their own
        return {}
    onnx = need_onnx()
    model = onnx.load(graph)
    limit = directory.positions or encoder.max_length
    inputs = [encoder.pair(encoder.query(query), text) for query, text in sample_pairs(limit)[-4:]]
    whole = limit <= encoder.max_length and max(map(len, inputs)) >= limit
    try:
        clean(model, inputs, whole=whole, fuse=again, rows=not again)
    except Exception as error:  # noqa: BLE001 - onnxruntime's errors have no base of their own
        _logger.warning("the graph stays as it was traced: %s", error_text(error))
        return {}
    onnx.save(model, graph)
    return {"graph": "clean"}


def _settings(directory: ModelDirectory, ready: backends.Ready) -> dict[str, object]:
    """Return the model's own settings and those that `CrossEncoder` needs besides."""
    said: dict[str, object] = {
        "kind": "cross-encoder",
        "score_kind": str(ready.kind),
        "output": _OUTPUT,
        "max_length": ready.encoder.max_length,
    }
    if ready.english:
        said["language"] = "en"
    if ready.default_blend is not None:
        said["default_blend"] = ready.default_blend
    return described(directory, said, checksum=ready.identity.revision)


def _difference(name: str, expected: PairScores, found: PairScores) -> float:
    """Return the largest difference between the scores of two scorers.

    Raises:
        ExportFailed: they read or truncate the texts differently.
    """
    if (
        expected.usage.tokens != found.usage.tokens
        or expected.truncated.tolist() != found.truncated.tolist()
    ):
        raise ExportFailed(
            f"{name}: the export reads {found.usage.tokens} tokens and torch reads "
            f"{expected.usage.tokens}: the saved tokenizer is not the same"
        )
    if not (expected.scored.all() and found.scored.all()):
        return math.nan
    return float(np.abs(expected.values.astype(np.float64) - found.values).max())
