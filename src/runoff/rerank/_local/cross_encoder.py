"""A local cross-encoder: on ONNX Runtime without torch, or through sentence-transformers."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from runoff._onnx.state import State
from runoff._util.arguments import is_one_of, plain_numbers
from runoff._util.display import html_by
from runoff._util.messages import config_repr
from runoff._waiting.drive import ask
from runoff.errors import InvalidArgument
from runoff.rerank._local import backends, onnx
from runoff.rerank._local.scorer import LocalScorer, Values
from runoff.scores import ScoreKind

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

    from numpy.typing import NDArray

    from runoff._onnx.files import ModelDirectory, Precision
    from runoff._onnx.slots import Interrupt
    from runoff._onnx.tokens import TextEncoder
    from runoff._waiting.drive import Asking
    from runoff.deadline import Deadline
    from runoff.rerank._local.backends import Memo, Ready, Scored

_USUAL_LENGTH = 512  # tokens read, as long as the model has not been asked
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class CrossEncoder(LocalScorer[backends.Ready]):
    """A model that reads query and document together and scores how well they match.

    On ONNX Runtime each pair is one run on one core, unpadded, and the pairs of all callers share
    one queue with as many slots as cores: a score never depends on the pairs beside it, and at the
    deadline the caller has everything scored so far. The other backends take one run at a time,
    which spreads over the cores or a GPU. Scores are the model's raw logits in float32; an
    activation in its settings is not applied. For a model with two labels the score is the log-odds
    of the second, `logit[1] - logit[0]`; for a causal language model, the log-odds of the answer
    "yes" against "no".

    The model is loaded on first use, or by `warmup`; loading stops the deadline's clock. Instances
    are configuration and cheap to copy, replace and pickle: loaded models are kept per process.

    Attributes:
        model: an embedded model (`"runoff-mini"`, with `pip install "runoff[models]"`; ONNX only),
            the path of a directory, or a Hugging Face name
            (`"cross-encoder/ms-marco-MiniLM-L6-v2"`).
        precision: of the ONNX build: `"auto"` takes the int8 build for this processor where there
            is one, else fp32; `"int8"` and `"fp32"` insist. The other backends have no int8.
        max_length: tokens read of each pair, special tokens included; None asks the model.
        activation: `"sigmoid"` turns logits into probabilities, computed in float64; the kind of
            the scores says which they are. Logits above 17 all become 1.0 in float32.
        revision: branch, tag or commit on the Hugging Face Hub.
        cache_dir: where Hub models are kept; None is the Hub's own default.
        local_files_only: never use the network.
        backend: `"onnx"` runs without torch; `"torch"` runs any Hugging Face cross-encoder, and on
            GPUs; `"openvino"` is for Intel processors.
        device: of torch, such as `"cuda:0"`; None takes the best there is.
        dtype: of torch: `"float16"` and `"bfloat16"` on GPUs alone; None is `"float32"`.
        trust_remote_code: run Python code that comes with the model (torch and OpenVINO).
        prompt: a text before each query, or a system message where the model has a chat template
            (torch and OpenVINO); None takes the one the model's settings name, `""` none.
        prompt_name: the name of such a text in the model's settings.
        batch_size: pairs in a run (torch and OpenVINO); None is 1 on a CPU, where a deadline is
            then kept to a pair, and 32 on a GPU.

    Raises:
        InvalidArgument: an argument has an invalid value.
    """

    model: str | Path = "runoff-mini"
    _: KW_ONLY
    precision: Precision = "auto"
    max_length: int | None = None
    activation: Literal["sigmoid"] | None = None
    revision: str | None = None
    cache_dir: str | Path | None = None
    local_files_only: bool = False
    backend: Literal["onnx", "torch", "openvino"] = "onnx"
    device: str | None = None
    dtype: Literal["float32", "float16", "bfloat16"] | None = None
    trust_remote_code: bool = False
    prompt: str | None = None
    prompt_name: str | None = None
    batch_size: int | None = None
    _state: State[Ready] = field(default_factory=State, init=False, repr=False, compare=False)

    __repr__ = config_repr

    _repr_html_ = html_by("configured_html", "_notebook")

    def __post_init__(self) -> None:
        """Check the arguments; nothing is looked up yet."""
        self._check()
        if self.activation is not None and not is_one_of(self.activation, ("sigmoid",)):
            raise InvalidArgument("activation", self.activation, 'must be "sigmoid" or None')
        backends.check(self)
        plain_numbers(self, "max_length", "batch_size")

    @property
    def default_blend(self) -> float | None:
        """The weight its model's `config.json` asks for when mixed with fusion scores, or None.

        Of models of the Hugging Face Hub it is known once they are loaded.

        Raises:
            RunoffError: the model cannot be found, as `score` would say.
        """
        return self._stated_blend()

    @property
    def cache_key(self) -> str:
        """What its scores depend on: the model's files, this configuration and this machine.

        The files are known by their checksum, so a model that moved or was retrained has another
        key. They are found, and fetched where need be, but not loaded.

        Raises:
            RunoffError: the model cannot be found, as `score` would say.
        """
        ready = self._state.current
        return self._backend.cache_key(self) if ready is None else ready.cache_key

    @property
    def _backend(self) -> ModuleType:
        if self.backend == "onnx":
            return onnx
        from runoff.rerank._local import sentence_transformers  # noqa: PLC0415 - import time

        return sentence_transformers

    def _files(self) -> ModelDirectory:
        return self._backend.find(self)  # type: ignore[no-any-return] # both return one

    def _prepare(self, deadline: Deadline | None) -> Ready:
        return self._backend.prepare(self, deadline)  # type: ignore[no-any-return] # as above

    def _read(
        self, ready: Ready, pairs: list[tuple[str, str]], deadline: Deadline | None
    ) -> Asking[Values]:
        asked = [index for index, (query, _) in enumerate(pairs) if query.strip()]
        count, task = _tasks(ready, [pairs[index] for index in asked])
        slots = ready.slots
        batches = yield from ask(
            partial(slots.run, count, task, deadline), partial(slots.arun, count, task, deadline)
        )
        missing: list[None] = [None] * ready.batch
        found = [one for batch in batches for one in batch or missing]
        # the last batch may not be full
        made = {index: one for index, one in zip(asked, found, strict=False) if one is not None}
        logits, places = np.full(len(pairs), math.nan), list(made)
        done, truncated = np.zeros((2, len(pairs)), np.bool_)
        logits[places] = [one.logit for one in made.values()]
        logits[np.abs(logits) > _LARGEST] = math.nan
        done[places] = True
        truncated[places] = [one.truncated for one in made.values()]
        return Values(
            _sigmoid(logits) if self.activation == "sigmoid" else logits.astype(np.float32),
            done,
            truncated,
            sum(one.tokens for one in made.values()),
            any(one.query_cut for one in made.values()),
        )

    def _reading(self, ready: Ready, query: str) -> tuple[TextEncoder, int]:
        return ready.encoder, ready.room(query)

    def _most_tokens(self) -> int:
        ready = self._state.current
        return self.max_length or (ready.encoder.max_length if ready else _USUAL_LENGTH)

    def _usual_kind(self) -> ScoreKind:
        return ScoreKind.LOGIT if self.activation is None else ScoreKind.PROBABILITY


def _tasks(
    ready: Ready, pairs: list[tuple[str, str]]
) -> tuple[int, Callable[[int, Interrupt], list[Scored]]]:
    """Return how many runs the pairs need, and what one run does."""
    size = ready.batch
    memo: Memo = {}

    def task(index: int, interrupt: Interrupt) -> list[Scored]:
        return ready.run(pairs[index * size : (index + 1) * size], memo, interrupt)

    return -(-len(pairs) // size), task


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return 1 / (1 + exp(-x)), without overflow on either side."""
    small = np.exp(-np.abs(logits))
    return (np.where(logits >= 0, 1.0, small) / (1.0 + small)).astype(np.float32)
