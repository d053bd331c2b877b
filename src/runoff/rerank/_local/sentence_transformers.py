"""A cross-encoder run by sentence-transformers, on torch or OpenVINO.

Texts are encoded and cut as for ONNX Runtime; only a model with a chat template has its texts
rendered by sentence-transformers. On a CPU no run pads: pairs of one length share it, so that a
score does not depend on the pairs beside it.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from runoff._onnx import resolve, sessions, slots
from runoff._onnx.files import ModelDirectory, checksum
from runoff._util.stored import open_stored
from runoff.errors import InvalidArgument, ModelNotFound
from runoff.rerank._local import backends
from runoff.rerank._local.torch_model import LoadedModel
from runoff.rerank._local.torch_texts import ChatTexts, PlainTexts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runoff._onnx.slots import Interrupt
    from runoff._onnx.tokens import Encoded
    from runoff.deadline import Deadline
    from runoff.rerank._local.cross_encoder import CrossEncoder

_ON_GPU = 32  # pairs in a run
_SHORT = {None: "fp32", "float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}
_SETTINGS = ("*.json", "*.txt", "*.jinja", "*.model", "*.py")
_GRAPH = "openvino/openvino_model.xml"
_HEADS = ("ForSequenceClassification", "ForCausalLM")
_AUTO_MODEL = "AutoModelForSequenceClassification"
# a classifier of any architecture of transformers; `score` is that of decoders
_OF_A_HEAD = re.compile(
    r"classif|score|logits_proj|\bhead\b|\bcls\b|seq_relationship|_head\b|linear"
)
_LARGEST_HEADER = 100 << 20  # bytes; the format's own limit
_FOREIGN = {"onnx", "openvino", "original"}  # folders of builds for other runtimes


def find(config: CrossEncoder) -> ModelDirectory:
    """Find a model's directory, fetching it from the Hub where it has to be.

    Raises:
        ModelNotFound: there is no such model, or it has no weights that can be loaded safely.
    """

    def wanted(names: Sequence[str]) -> list[str]:
        settings = [one for one in _SETTINGS if one != "*.py" or config.trust_remote_code]
        return [*settings, *_weights(names, config)]

    def look(directory: Path) -> ModelDirectory:
        if not directory.is_dir():
            raise ModelNotFound(f"{config.name}: there is no directory {directory}")
        _weights(_names(directory), config)
        return ModelDirectory(config.name, directory)

    return resolve.fetched(
        config.model,
        look,
        wanted,
        kind=f"{config.backend} {config.trust_remote_code}",
        revision=config.revision,
        cache_dir=config.cache_dir,
        local_files_only=config.local_files_only,
    )


def prepare(config: CrossEncoder, deadline: Deadline | None = None) -> backends.Ready:
    """Find and load a model, run it once, and check that it is a cross-encoder.

    Raises:
        RunoffError: as `CrossEncoder.warmup` says.
    """
    del deadline  # torch cannot be interrupted
    directory = find(config)
    _check_architecture(directory)
    length = resolve.length(directory, config.max_length)
    digest = _digest(directory, config)
    precision = _SHORT[config.dtype]
    key = (digest, config.backend, config.device, precision, config.trust_remote_code)
    loaded = sessions.shared(key, lambda: LoadedModel(config, directory))
    _check_question(directory, loaded)
    kind = backends.kind(directory, config.activation, probability=loaded.ends_in_sigmoid)
    prompt = _prompt(config, loaded)
    texts = (ChatTexts if loaded.chat else PlainTexts)(loaded, prompt, length)
    encoded = texts.encode("query", "document", {})
    backends.check_shape(config.name, "scores", loaded.run([encoded]).shape)
    size = config.batch_size or (1 if loaded.on_cpu else _ON_GPU)
    batch = size if loaded.can_batch else 1
    revision = hashlib.sha256(f"{config.backend}\0{prompt}\0{digest}".encode()).hexdigest()
    return backends.Ready(
        loaded,
        slots.shared(loaded.device),
        batch,
        _Run(loaded, texts),
        kind,
        backends.identity(config.name, revision, precision),
        texts.encoder,
        texts.room,
        backends.english(directory),
        _cache_key(config, directory, digest),
        backends.default_blend(directory),
    )


def cache_key(config: CrossEncoder) -> str:
    """Return what the scores depend on; the files are found and not loaded."""
    directory = find(config)
    return _cache_key(config, directory, _digest(directory, config))


def _cache_key(config: CrossEncoder, directory: ModelDirectory, digest: str) -> str:
    versions = backends.versions("sentence-transformers", "transformers", "torch", "tokenizers")
    return backends.cache_key(config, directory, digest, versions)


@dataclass(frozen=True, slots=True)
class _Run:
    loaded: LoadedModel
    texts: PlainTexts | ChatTexts

    def __call__(
        self, pairs: Sequence[tuple[str, str]], memo: backends.Memo, interrupt: Interrupt
    ) -> list[backends.Scored]:
        encoded = [self.texts.encode(query, document, memo) for query, document in pairs]
        logits = [0.0] * len(pairs)
        for group in _groups(encoded, padded=not self.loaded.on_cpu):
            if interrupt.stopped:
                break
            values = self.loaded.run([encoded[index] for index in group])
            for index, row in zip(group, values, strict=True):
                logits[index] = backends.logit(row)
        return [
            backends.Scored(value, one.truncated, len(one), one.query_cut)
            for value, one in zip(logits, encoded, strict=True)
        ]


def _groups(encoded: Sequence[Encoded], *, padded: bool) -> list[list[int]]:
    """Return which inputs share a run: all of them, or those of one length."""
    if padded:
        return [list(range(len(encoded)))]
    by_length: dict[int, list[int]] = {}
    for index, one in enumerate(encoded):
        by_length.setdefault(len(one), []).append(index)
    return list(by_length.values())


def _names(directory: Path) -> list[str]:
    """Return the files of a model, relative to its directory, in order."""
    found = (path.relative_to(directory) for path in directory.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in found)


def _weights(names: Sequence[str], config: CrossEncoder) -> list[str]:
    """Return which of a model's files contain the weights to run."""
    if config.backend == "openvino" and _GRAPH in names:
        return [_GRAPH, _GRAPH.replace(".xml", ".bin")]
    found = [
        name
        for name in names
        if name.endswith(".safetensors") and PurePosixPath(name).parts[0] not in _FOREIGN
    ]
    if not found:
        raise ModelNotFound(
            f"{config.name}: it has no .safetensors file, and a pickle (pytorch_model.bin) is not "
            "loaded: convert it with transformers: AutoModelForSequenceClassification"
            '.from_pretrained(...).save_pretrained("directory"), and the tokenizer likewise'
        )
    return found


def _digest(directory: ModelDirectory, config: CrossEncoder) -> str:
    """Return a checksum of the weights, the settings and the code (SHA-256, hex)."""
    names = _names(directory.directory)
    settings = [name for name in names if any(PurePosixPath(name).match(one) for one in _SETTINGS)]
    whole = hashlib.sha256()
    for name in sorted({*settings, *_weights(names, config)}):
        whole.update(f"{name}\0{checksum(directory.directory / name)}\0".encode())
    return whole.hexdigest()


def _check_architecture(directory: ModelDirectory) -> None:
    """Refuse a model without a trained head: it would get one with random weights."""
    named = directory.architecture
    stated = directory.settings("config_sentence_transformers.json").get("model_type")
    has_head = (
        named.endswith(_HEADS) or _AUTO_MODEL in str(directory.config.get("auto_map"))
    ) and "Pooling" not in directory.modules()
    if not has_head and stated != "CrossEncoder":
        remedy = (
            f"its architecture is {named}; that of a cross-encoder ends in {' or '.join(_HEADS)}"
        )
        raise InvalidArgument("model", directory.name, remedy)
    names = _tensors(directory.directory)
    if (
        str(named).endswith(_HEADS[0])
        and "auto_map" not in directory.config
        and names
        and not any(map(_OF_A_HEAD.search, names))
    ):
        remedy = (
            f"its architecture is {named}, and its files have no weights of a classifier: they "
            "would be random, and so would the scores; save it with the head it was trained with"
        )
        raise InvalidArgument("model", directory.name, remedy)


def _check_question(directory: ModelDirectory, loaded: LoadedModel) -> None:
    """Refuse a causal language model that is not asked whether the document is relevant.

    Without a chat template it reads the query and then the document, and continues the document:
    its log-odds of "yes" are then about nothing, unless it was saved as a cross-encoder, with the
    answers that it was trained to give to just that.
    """
    declared = "LogitScore" in directory.modules()
    if str(directory.architecture).endswith(_HEADS[1]) and not loaded.chat and not declared:
        remedy = (
            f"its architecture is {directory.architecture}, and it has neither a chat template nor "
            "a LogitScore module that names its answers: its scores would mean nothing; save the "
            "template it was trained with, or a sentence-transformers CrossEncoder"
        )
        raise InvalidArgument("model", directory.name, remedy)


def _tensors(directory: Path) -> list[str]:
    """Return the names of a model's tensors, by the headers of its safetensors files.

    Nothing for files that cannot be read: loading them says what is wrong.
    """
    found: list[str] = []
    for name in _names(directory):
        if not name.endswith(".safetensors") or PurePosixPath(name).parts[0] in _FOREIGN:
            continue
        with open_stored(directory / name) as file:
            size = int.from_bytes(file.read(8), "little")
            try:
                header = json.loads(file.read(size)) if size <= _LARGEST_HEADER else None
            except (ValueError, RecursionError):
                header = None
        if not isinstance(header, dict):
            return []
        found += map(str, header)
    return found


def _prompt(config: CrossEncoder, loaded: LoadedModel) -> str:
    if config.prompt is not None:
        return config.prompt
    name = loaded.default_prompt if config.prompt_name is None else config.prompt_name
    if name is None:
        return ""
    if name not in loaded.prompts:
        known = ", ".join(loaded.prompts) or "none"
        raise InvalidArgument("prompt_name", name, f"{config.name} has these prompts: {known}")
    return loaded.prompts[name]
