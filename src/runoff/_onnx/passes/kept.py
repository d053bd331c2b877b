"""Cleaned graphs of models that come as ONNX files, made once and kept.

They are kept among the assets of the Hugging Face cache (`HF_ASSETS_CACHE`), a folder a model:
`runoff/graphs/DIGEST`, with a manifest that says what was changed and how far scores agree with the
original's. Where a pass does not fit, or they do not agree, the manifest says why, and the original
is used.
"""

from __future__ import annotations

import importlib.util
import logging
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from runoff._onnx.agreement import spearman
from runoff._onnx.passes.clean import clean
from runoff._onnx.passes.graph import need_onnx
from runoff._onnx.samples import sample_pairs
from runoff._onnx.sessions import Loaded
from runoff._onnx.tokens import TextEncoder
from runoff._util.generations import Kind, publish, read
from runoff.errors import RunoffError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from runoff._onnx.files import ModelFiles
    from runoff._onnx.tokens import Encoded
    from runoff._util.generations import NewGeneration, StoredGeneration

_KIND = Kind("graph", 1)
_GRAPH = "model.onnx"
_LEAST = 4_000_000  # bytes; smaller graphs are fast enough
_LONGEST = 512  # tokens that a graph is tried with
_SAME = 1e-4  # the largest difference between scores in fp32
_AGREED, _APART = 0.99, 0.25  # int8: Spearman's correlation; of a standard deviation
_OUTPUT = "logits"
_log = logging.getLogger("runoff")


def faster(files: ModelFiles, digest: str, cache_dir: str | Path | None = None) -> Path | None:
    """Return a graph that computes the scores of a cross-encoder in less time; None without one.

    There is no faster graph of exports, which are clean already, of graphs below 4 MB, and of those
    with weights in other files. Making one needs the package onnx.

    Args:
        files: of the model.
        digest: their checksum.
        cache_dir: the Hub's cache, if it is not the usual one.
    """
    if (
        files.config.get("graph") == "clean"
        or files.onnx.stat().st_size < _LEAST
        or files.external()
        or importlib.util.find_spec("onnx") is None
    ):
        return None
    try:
        root = _root(digest, cache_dir)
        try:
            return read(root, _KIND, _graph, verify=True, mmap=True)
        except RunoffError:  # there is none, or it is damaged
            _log.info("runoff: writing a faster graph of %s to %s", files.name, root)
        with publish(root, _KIND) as new:
            _make(new, files, digest)
        return read(root, _KIND, _graph, verify=True, mmap=True)
    except (OSError, RunoffError, ValueError) as error:  # the last of an unusable assets folder
        _log.info("runoff: %s is used unchanged: %s", files.name, error)
        return None


def _root(digest: str, cache_dir: str | Path | None) -> Path:
    import huggingface_hub  # noqa: PLC0415 - only those who need it wait for it

    assets = None if cache_dir is None else Path(cache_dir).expanduser() / "assets"
    return huggingface_hub.cached_assets_path(
        "runoff", namespace="graphs", subfolder=digest[:32], assets_dir=assets
    )


def _graph(stored: StoredGeneration) -> Path | None:
    """Return where the graph is, checked; None where the original is used."""
    if _GRAPH not in stored.files:
        return None
    stored.content(_GRAPH)
    return stored.folder / _GRAPH


def _make(new: NewGeneration, files: ModelFiles, digest: str) -> None:
    """Write a graph that agrees with the original, or why there is none."""
    new.facts |= {"model": files.name, "original": digest, "refused": []}
    original = Loaded(files, digest)
    inputs = _inputs(TextEncoder(original.tokenizer, files.max_length))
    expected = _scores(original, inputs)
    for rows, fuse in ((True, True), (True, False), (False, True), (False, False)):
        try:
            why = _try(new, files, inputs, expected, rows=rows, fuse=fuse)
        except Exception as error:  # noqa: BLE001 - any fault of a foreign graph: it stays as it is
            why = f"{type(error).__name__}: {str(error).partition(chr(10))[0][:300]}"
        if not why:
            return
        new.facts["refused"].append({"rows": rows, "fuse": fuse, "why": why})
        new.files.pop(_GRAPH, None)
        (new.folder / _GRAPH).unlink(missing_ok=True)


def _try(
    new: NewGeneration,
    files: ModelFiles,
    inputs: Sequence[Encoded],
    expected: NDArray[np.float64],
    *,
    rows: bool,
    fuse: bool,
) -> str:
    """Write a graph, and return why it is not used; nothing where it is."""
    onnx = need_onnx()
    model = onnx.load(files.onnx)
    whole = max(map(len, inputs)) >= (files.positions or files.max_length)
    changes = clean(model, inputs, whole=whole, fuse=fuse, rows=rows)
    if not changes:
        return "there is nothing to change"
    new.write(_GRAPH, [model.SerializeToString()])
    found = _scores(Loaded(files, "", graph=new.folder / _GRAPH), inputs)
    agreed = _compare(expected, found)
    new.facts |= {"onnx": onnx.__version__, **asdict(changes), **agreed}
    exact = agreed["largest"] <= _SAME
    quantised = any(node.op_type == "DynamicQuantizeLinear" for node in model.graph.node)
    near = agreed["agreement"] >= _AGREED and agreed["largest"] <= _APART * agreed["spread"]
    if exact or (quantised and near):
        return ""
    return "its scores differ from the original's: " + repr(agreed)


def _inputs(encoder: TextEncoder) -> list[Encoded]:
    """Return pairs of 8 lengths, the longest cut to what the model reads or to 512 tokens."""
    length = min(encoder.max_length, _LONGEST)
    some = [one for at, one in enumerate(sample_pairs(length)) if at // 4 % 2]
    return [encoder.pair(encoder.query(query), document) for query, document in some]


def _scores(loaded: Loaded, inputs: Sequence[Encoded]) -> NDArray[np.float64]:
    """Return a score a pair.

    Raises:
        ValueError: the model has more than two labels.
    """
    output = _OUTPUT if _OUTPUT in loaded.outputs else loaded.outputs[0]
    rows = np.array([np.ravel(loaded.run(one, output)) for one in inputs], np.float64)
    if rows.shape[1] > 2:  # noqa: PLR2004 - a score, or two labels
        raise ValueError(f"it has {rows.shape[1]} labels")
    return rows[:, -1] - rows[:, 0] if rows.shape[1] > 1 else rows[:, 0]


def _compare(before: NDArray[np.float64], after: NDArray[np.float64]) -> dict[str, float]:
    """Return how far two lists of scores agree."""
    return {
        "pairs": len(before),
        "largest": float(np.abs(after - before).max()),
        "spread": float(before.std()),
        "agreement": spearman(before.tolist(), after.tolist()),
    }
