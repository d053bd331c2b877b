"""What the backends of a local cross-encoder share: checks, loaded models, kinds of scores."""

from __future__ import annotations

import math
import platform
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from runoff._onnx import resolve, runtime
from runoff._util.arguments import is_one_of, is_share, is_whole
from runoff.errors import InvalidArgument, ModelDamaged
from runoff.scores import ModelIdentity, ScoreKind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from runoff._onnx.files import ModelDirectory
    from runoff._onnx.sessions import InProcess
    from runoff._onnx.slots import Interrupt, Slots
    from runoff._onnx.tokens import TextEncoder
    from runoff.rerank._local.cross_encoder import CrossEncoder

BACKENDS = ("onnx", "torch", "openvino")
_DTYPES = ("float32", "float16", "bfloat16")
_TORCH_ONLY: dict[str, object] = {"device": None, "dtype": None}
_NOT_ONNX = {
    **_TORCH_ONLY,
    "trust_remote_code": False,
    "prompt": None,
    "prompt_name": None,
    "batch_size": None,
}
_MOST_LABELS = 2
_ENGLISH = (
    "cross-encoder/ms-marco-",
    "cross-encoder/stsb-",
    "cross-encoder/qnli-",
    "sentence-transformers/all-",
    "sentence-transformers/multi-qa-",
    "colbert-ir/",
    "lightonai/GTE-ModernColBERT",
)
_REVISION_LENGTH = 16  # hexadecimal digits of the checksum

# the queries that a call has encoded so far, as most calls ask only one
Memo: TypeAlias = "dict[str, tuple[list[int], bool]]"


class Scored(NamedTuple):
    """The result for one pair: its logit or probability, and how much of it was read.

    Attributes:
        logit: the score.
        truncated: whether text of the document was lost.
        tokens: tokens read.
        query_cut: whether text of the query was lost.
    """

    logit: float
    truncated: bool
    tokens: int
    query_cut: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """A loaded model, and what a configuration adds to it.

    Attributes:
        loaded: the model, shared by all who name it.
        slots: the queue of its runs.
        batch: pairs in a run.
        run: scores at most `batch` pairs in a slot; its answer is dropped once the `Interrupt` is
            stopped.
        kind: the scale of the scores, activation included.
        identity: the model that makes them.
        encoder: its tokenizer and how many tokens it reads.
        room: how many tokens of a document it reads beside a query.
        english: whether it was trained on English only.
        cache_key: what its scores depend on.
        default_blend: the weight its `config.json` asks for, or None.
    """

    loaded: InProcess
    slots: Slots
    batch: int
    run: Callable[[Sequence[tuple[str, str]], Memo, Interrupt], list[Scored]]
    kind: ScoreKind
    identity: ModelIdentity
    encoder: TextEncoder
    room: Callable[[str], int]
    english: bool
    cache_key: str
    default_blend: float | None


_READING = 1  # raised when runoff changes how it encodes a pair


def cache_key(config: CrossEncoder, directory: ModelDirectory, *further: object) -> str:
    """Return what scores depend on: configuration, settings of the model, and what is given."""
    # where the files came from changes nothing
    asked = replace(config, revision=None, cache_dir=None, local_files_only=False)
    kind = directory.config.get("score_kind") if directory.ours else None
    length = resolve.length(directory, config.max_length)
    return repr((_READING, length, kind, asked, platform.machine(), *further))


def versions(*packages: str) -> tuple[str, ...]:
    """Return the installed versions of what changes the last bits of a score.

    The module says it where it is loaded. So it does where a package has another name
    (`onnxruntime-gpu`) or no metadata, as in a frozen application.
    """
    return tuple(_version(one) for one in packages)


def _version(package: str) -> str:
    loaded = getattr(sys.modules.get(package), "__version__", None)
    if loaded is not None:
        return str(loaded)
    import importlib.metadata  # noqa: PLC0415 - a tenth of the time to the first score

    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return str(runtime.load(package).__version__)


def check(config: CrossEncoder) -> None:
    """Refuse an unknown backend, and arguments that the backend does not support.

    Raises:
        InvalidArgument: names the argument.
    """
    backend, device, size = config.backend, config.device, config.batch_size
    asked, named = config.prompt, config.prompt_name
    if not is_one_of(backend, BACKENDS):
        raise InvalidArgument("backend", backend, f"must be one of {', '.join(BACKENDS)}")
    if not isinstance(config.trust_remote_code, bool):
        raise InvalidArgument(
            "trust_remote_code", config.trust_remote_code, "must be True or False"
        )
    elsewhere = f'backend="{backend}" does not support it: leave it out, or choose another backend'
    refused = _NOT_ONNX if backend == "onnx" else _TORCH_ONLY if backend == "openvino" else {}
    embedded = (
        f'{config.model} is an embedded model, which needs backend="onnx"; other models are named '
        'as a directory ("./model") or "org/name"'
    )
    rules = [
        (
            "device",
            device is None or isinstance(device, str),
            'must be the name of a device, such as "cuda:0"',
        ),
        (
            "dtype",
            config.dtype is None or is_one_of(config.dtype, _DTYPES),
            "must be float32, float16, bfloat16 or None",
        ),
        ("prompt", isinstance(asked, str | None), "must be a text or None"),
        ("prompt_name", isinstance(named, str | None), "must be a name or None"),
        ("prompt_name", asked is None or named is None, "cannot be given together with prompt"),
        ("batch_size", size is None or is_whole(size), "must be a number of pairs, or None"),
        *[(name, getattr(config, name) == usual, elsewhere) for name, usual in refused.items()],
        ("precision", backend == "onnx" or config.precision != "int8", elsewhere),
        ("backend", backend == "onnx" or not resolve.is_plain(config.model), embedded),
    ]
    for argument, fine, remedy in rules:
        if not fine:
            raise InvalidArgument(argument, getattr(config, argument), remedy)


def kind(
    directory: ModelDirectory, activation: str | None, *, probability: bool = False
) -> ScoreKind:
    """Return the kind of a model's scores once the activation is applied.

    Args:
        directory: the model; `config.json` may say `score_kind` where it is written for runoff.
        activation: what the user asks for.
        probability: whether the model itself ends in a sigmoid.

    Raises:
        InvalidArgument: the model is not a cross-encoder, or it returns probabilities and
            `activation` is given.
    """
    made = "probability" if probability else "logit"
    if directory.ours:
        made = directory.config.get("score_kind", made)
    if made not in ["logit", "probability"]:  # a list takes any JSON
        remedy = f"its scores are of kind {made}: it is not a cross-encoder"
        raise InvalidArgument("model", directory.name, remedy)
    if made == "probability" and activation is not None:
        remedy = f"{directory.name} returns probabilities already: leave it out"
        raise InvalidArgument("activation", activation, remedy)
    return ScoreKind.LOGIT if activation is None and made == "logit" else ScoreKind.PROBABILITY


def check_shape(name: str, output: str, shape: tuple[int, ...]) -> None:
    """Refuse a model by the shape of its output for one pair.

    Raises:
        InvalidArgument: it is not (1, labels) or (1,) with one or two labels.
    """
    if len(shape) > 2 or math.prod(shape) > _MOST_LABELS:  # noqa: PLR2004 - (1, labels)
        raise InvalidArgument(
            "model",
            name,
            f"its output {output} has shape {shape} for one pair; a cross-encoder has one score or "
            "two labels",
        )


def logit(values: NDArray[np.float64]) -> float:
    """Return the score of one pair: its only value, or the log-odds of the second of two labels."""
    return float(values[0] if len(values) == 1 else values[1] - values[0])


def identity(name: str, digest: str, precision: str) -> ModelIdentity:
    """Return the model that makes scores, by the name it was given and its checksum."""
    return ModelIdentity(name, digest[:_REVISION_LENGTH], precision)


def english(directory: ModelDirectory) -> bool:
    """Whether a model is known to be trained on English only."""
    return directory.name.startswith(_ENGLISH) or directory.config.get("language") == "en"


def default_blend(directory: ModelDirectory) -> float | None:
    """Return the weight that `config.json` asks for when mixed with fusion scores, or None.

    Raises:
        ModelDamaged: it is not within 0 and 1.
    """
    blend = directory.config.get("default_blend")
    if blend is None:
        return None
    if not is_share(blend):
        raise ModelDamaged(
            f"{directory.name}: default_blend in its config.json must be within 0 and 1, "
            f"not {blend}"
        )
    return float(blend)
