"""A cross-encoder on ONNX Runtime: one pair, one run, on one core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from runoff._onnx import cpu, resolve, sessions, slots
from runoff._onnx.tokens import TextEncoder
from runoff.rerank._local import backends

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runoff._onnx.files import ModelFiles
    from runoff._onnx.sessions import Loaded
    from runoff._onnx.slots import Interrupt
    from runoff.deadline import Deadline
    from runoff.rerank._local.cross_encoder import CrossEncoder

_OUTPUT = "logits"

find = resolve.find  # as every backend has it


def prepare(config: CrossEncoder, deadline: Deadline | None = None) -> backends.Ready:
    """Find and load a model, run it once, and check that it is a cross-encoder.

    Args:
        config: names the model.
        deadline: how long the first run may take; loading is not limited.

    Raises:
        DeadlineExceeded: the first run did not end in time.
        RunoffError: as `CrossEncoder.warmup` says.
    """
    files = resolve.find(config)
    kind = backends.kind(files, config.activation)
    length = resolve.length(files, config.max_length)
    graph = _graph(config, files, files.digest())
    loaded = sessions.load(files, graph=graph)
    encoder = TextEncoder(loaded.tokenizer, length)
    output = _OUTPUT if _OUTPUT in loaded.outputs else loaded.outputs[0]
    pair = encoder.pair(encoder.query("query"), "document")
    shape = loaded.probe(pair, output, deadline).shape
    backends.check_shape(config.name, output, shape)
    return backends.Ready(
        loaded,
        slots.shared(),
        1,
        _Run(loaded, encoder, output),
        kind,
        backends.identity(config.name, loaded.digest, files.precision),
        encoder,
        lambda query: encoder.room(encoder.query(query)),
        backends.english(files),
        _cache_key(config, files, loaded.digest, graph),
        backends.default_blend(files),
    )


def cache_key(config: CrossEncoder) -> str:
    """Return what the scores depend on; the files are found and not loaded."""
    files = resolve.find(config)
    digest = files.digest()
    return _cache_key(config, files, digest, _graph(config, files, digest))


def _graph(config: CrossEncoder, files: ModelFiles, digest: str) -> Path | None:
    """Return the graph to run where it is not the model's own; embedded models need none."""
    if resolve.is_plain(files.name):
        return None
    from runoff._onnx.passes.kept import faster  # noqa: PLC0415 - a first score is to be quick

    return faster(files, digest, config.cache_dir)


def _cache_key(config: CrossEncoder, files: ModelFiles, digest: str, graph: Path | None) -> str:
    # int8 kernels differ between processors by more than the last bits
    versions = backends.versions("onnxruntime", "tokenizers")
    made = () if graph is None else ("clean",)
    flavours = cpu.int8_flavours()
    return backends.cache_key(config, files, digest, files.precision, versions, flavours, *made)


@dataclass(frozen=True, slots=True)
class _Run:
    loaded: Loaded
    encoder: TextEncoder
    output: str

    def __call__(
        self, pairs: Sequence[tuple[str, str]], memo: backends.Memo, interrupt: Interrupt
    ) -> list[backends.Scored]:
        ((query, document),) = pairs
        asked = memo.get(query)
        if asked is None:
            asked = memo[query] = self.encoder.query(query)
        encoded = self.encoder.pair(asked, document)
        values = self.loaded.run(encoded, self.output, interrupt).ravel().astype(np.float64)
        return [
            backends.Scored(
                backends.logit(values), encoded.truncated, len(encoded), encoded.query_cut
            )
        ]
