"""One embedding model in runoff's `Embedder`, in fastembed, and in padded batches.

All run the same int8 file of all-MiniLM-L6-v2. fastembed pads batches in the order of the texts.
sentence-transformers needs torch; what it does is to sort the texts by length and to pad batches of
32, which stands here for it. Times are of the processor, as systems use more threads or fewer.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from harness import Options, Report, Requirement, Table, interleaved, ratio

from runoff._onnx import runtime
from runoff._util.prose import stretches
from runoff.recall import Embedder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Embed = Callable[[Sequence[str]], NDArray[np.float32]]

__all__ = ["run"]

_OURS = "runoff"
_SORTED = "batches of 32, sorted by length"
_FASTEMBED = "fastembed, batches of {}"
_SHORTEST, _LONGEST = 10, 240  # words
_FILE = "model_int8.onnx"


def run(options: Options) -> Report:
    """Embed the same texts by all that are installed."""
    chance = random.Random(0)  # noqa: S311 - no secret
    count, rounds = (8, 1) if options.quick else (options.queries or 64, 5)
    texts = [*stretches([chance.randint(_SHORTEST, _LONGEST) for _ in range(count)])]
    ours = Embedder()
    tokens = ours.embed(texts).tokens
    folder = Path(str(importlib.util.find_spec("runoff_models").origin)).parent  # type: ignore[union-attr]
    source = folder / "data" / ours.name
    systems: dict[str, Embed] = {_OURS: ours, _SORTED: _sorted(source)}
    notes = []
    with tempfile.TemporaryDirectory() as scratch:
        if importlib.util.find_spec("fastembed") is None:
            notes.append("fastembed is not installed: pip install fastembed")
        else:
            systems |= _fastembed(source, Path(scratch))
        exact = ours(texts)
        least = {
            name: float((embed(texts) * exact).sum(axis=1).min()) for name, embed in systems.items()
        }
        calls = {name: lambda embed=embed: embed(texts) for name, embed in systems.items()}
        seconds = interleaved(rounds, calls, clock=time.process_time)
    rows = [
        (
            name,
            tokens / statistics.median(taken),
            ratio(seconds, name, _OURS),
            f"{min(_ratios(seconds, name)):.2f} to {max(_ratios(seconds, name)):.2f}",
            least[name],
        )
        for name, taken in seconds.items()
    ]
    columns = ("system", "tokens a CPU second", "times runoff's time", "from, to", "least cosine")
    note = (
        f"{count} texts of {_SHORTEST} to {_LONGEST} words, {tokens:,} tokens; medians of {rounds} "
        "rounds in turn. Least cosine: of a text's embedding with that of the text alone."
    )
    required = [
        Requirement(
            f"embedding: time of {name}, times runoff's",
            ratio(seconds, name, _OURS),
            1,
            at_least=True,
        )
        for name in systems
        if name != _OURS
    ]
    return Report([Table("Embedding texts", columns, rows, note)], required, notes)


def _ratios(seconds: dict[str, list[float]], name: str) -> list[float]:
    return [one / ours for one, ours in zip(seconds[name], seconds[_OURS], strict=True)]


def _sorted(source: Path) -> Embed:
    """Return what pads batches of texts of about the same length."""
    from tokenizers import Tokenizer  # noqa: PLC0415 - imported where models are used

    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    tokenizer.enable_truncation(256)
    tokenizer.enable_padding()
    onnxruntime = runtime.load()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(source / _FILE), options, providers=["CPUExecutionProvider"]
    )
    names = [one.name for one in session.get_inputs()]

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        order = sorted(range(len(texts)), key=lambda at: -len(texts[at]))
        found: NDArray[np.float32] | None = None
        for start in range(0, len(order), 32):
            here = order[start : start + 32]
            batch = tokenizer.encode_batch([texts[at] for at in here])
            columns = {
                "input_ids": [one.ids for one in batch],
                "attention_mask": [one.attention_mask for one in batch],
                "token_type_ids": [one.type_ids for one in batch],
            }
            (pooled, *_) = session.run(
                ["sentence_embedding"], {name: np.array(columns[name], np.int64) for name in names}
            )
            if found is None:
                found = np.empty((len(texts), pooled.shape[1]), np.float32)
            found[here] = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
        return np.empty((0, 0), np.float32) if found is None else found

    return embed


def _fastembed(source: Path, folder: Path) -> dict[str, Embed]:
    """Return fastembed with the same files, by the size of its batches."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    import fastembed  # noqa: PLC0415 - need not be installed
    from fastembed.common import model_description as described  # noqa: PLC0415 - as above

    for name in ("config.json", "tokenizer.json", _FILE):
        shutil.copy(source / name, folder)
    special = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    (folder / "special_tokens_map.json").write_text(json.dumps(special), "utf-8")
    settings = {"model_max_length": 256, "pad_token": "[PAD]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    fastembed.TextEmbedding.add_custom_model(
        model="runoff/same-file",
        pooling=described.PoolingType.DISABLED,
        normalization=True,
        sources=described.ModelSource(hf="runoff/same-file"),
        dim=384,
        model_file=_FILE,
        output_name="sentence_embedding",
    )
    model = fastembed.TextEmbedding("runoff/same-file", specific_model_path=str(folder), threads=1)
    return {
        _FASTEMBED.format(size): lambda texts, size=size: np.array(  # type: ignore[misc]
            list(model.embed(texts, batch_size=size)), np.float32
        )
        for size in (32, 256)
    }
