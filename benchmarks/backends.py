"""One cross-encoder on ONNX Runtime, torch and OpenVINO: seconds, and how far scores are apart.

The network has the shape of MiniLM-L6 and random weights: those decide the scores, not the time.
It reads real queries and documents through the tokenizer of the embedded model.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import statistics
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from harness import Report, Requirement, Skipped, Table, interleaved, ratio
from judged import Collection

from runoff._onnx import cpu, resolve, runtime
from runoff.recall import BM25
from runoff.rerank import CrossEncoder
from runoff.types import Query

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness import Options

__all__ = ["run", "save"]

_DOCUMENTS = 16
_ROUNDS = 3
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_APART = 1e-4


def run(options: Options) -> Report:
    """Measure every backend that is installed."""
    if importlib.util.find_spec("sentence_transformers") is None:
        raise Skipped(
            'sentence-transformers is absent: pip install "runoff[sentence-transformers]"'
        )
    collection = Collection.load("scifact", 1 if options.quick else 20)
    text = next(iter(collection.queries.values()))
    hits = BM25(collection.documents).retrieve(Query(text), depth=_DOCUMENTS)
    pairs = [(text, hit.document.text) for hit in hits][: 4 if options.quick else None]
    with tempfile.TemporaryDirectory() as folder:
        whole, small = Path(folder, "fp32"), Path(folder, "int8")
        _make(whole, small)
        scorers = {
            "onnx, fp32": CrossEncoder(whole),
            "onnx, int8": CrossEncoder(small),
            "torch": CrossEncoder(whole, backend="torch", device="cpu"),
            "torch, batches of 32": CrossEncoder(
                whole, backend="torch", device="cpu", batch_size=32
            ),
        }
        if importlib.util.find_spec("openvino") is not None:
            scorers["openvino"] = CrossEncoder(whole, backend="openvino")
        return _measure(scorers, pairs, 1 if options.quick else _ROUNDS)


def _measure(scorers: dict[str, CrossEncoder], pairs: list[tuple[str, str]], rounds: int) -> Report:
    scores = {name: scorer.score(pairs) for name, scorer in scorers.items()}
    expected = scores["onnx, fp32"]
    apart = {
        name: float(np.abs(one.values - expected.values).max()) for name, one in scores.items()
    }
    calls: dict[str, Callable[[], object]] = {
        name: lambda scorer=scorer: scorer.score(pairs)  # type: ignore[misc]
        for name, scorer in scorers.items()
    }
    seconds = interleaved(rounds, calls)
    table = Table(
        f"Seconds to score {len(pairs)} documents, the shape of MiniLM-L6",
        ("backend", "seconds", "of onnx, fp32", "largest difference of a score"),
        [
            (name, statistics.median(taken), ratio(seconds, name, "onnx, fp32"), apart[name])
            for name, taken in seconds.items()
        ],
        f"{expected.usage.tokens} tokens, {cpu.cores()} cores, medians of {rounds} interleaved "
        "rounds; weights are random.",
    )
    requirements = [
        Requirement(f"{name} beside onnx, fp32, in logits", apart[name], _APART)
        for name in scorers
        if name.startswith(("torch", "openvino"))
    ]
    return Report([table], requirements)


def _make(whole: Path, small: Path) -> None:
    """Save the network for torch and, exported, for ONNX Runtime in both precisions."""
    quantization = runtime.load("onnxruntime.quantization")
    save(whole)
    small.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(whole / name, small / name)
    quantization.quantize_dynamic(
        whole / "model.onnx",
        small / "model_int8.onnx",
        per_channel=True,
        reduce_range=True,
        weight_type=quantization.QuantType.QInt8,
    )


def save(folder: Path, *, weights: float = 0.02) -> None:
    """Save the network for torch and, exported, for ONNX Runtime.

    Args:
        folder: where to; it is made.
        weights: their standard deviation; scores are further apart where it is larger.
    """
    import torch  # noqa: PLC0415 - an extra
    import transformers  # noqa: PLC0415 - comes with it

    embedded = resolve.resolve("runoff-mini")
    vocabulary = json.loads(embedded.tokenizer.read_text("utf-8"))["model"]["vocab"]
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=1536,
        num_labels=1,
        initializer_range=weights,
        attn_implementation="eager",
    )
    model = transformers.BertForSequenceClassification(config).eval()
    model.save_pretrained(folder)
    shutil.copyfile(embedded.tokenizer, folder / "tokenizer.json")
    # written here, as each release of transformers names the class in its own way
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 512,
        "model_input_names": _INPUTS,
        **{f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep")},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings) + "\n", "utf-8")
    axes = {name: {0: "batch", 1: "tokens"} for name in _INPUTS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's, of branches that are constant here
        torch.onnx.export(
            model,
            tuple(torch.ones(1, 8, dtype=torch.long) for _ in _INPUTS),
            str(folder / "model.onnx"),
            input_names=list(_INPUTS),
            output_names=["logits"],
            dynamic_axes=axes,
            opset_version=17,
            dynamo=False,
        )
