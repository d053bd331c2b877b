"""A local cross-encoder: on ONNX Runtime without torch, or through sentence-transformers."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from runoff._onnx import languages, resolve
from runoff._onnx.state import Loading, State
from runoff._onnx.windows import windows as windows_of
from runoff._waiting import workers
from runoff._waiting.drive import ask, run, run_async
from runoff.errors import DeadlineExceeded, InvalidArgument, RequestRejected
from runoff.rerank._amounts import pair_tokens
from runoff.rerank._local import backends, onnx
from runoff.rerank._pairs import check_queries, checked, texts
from runoff.scores import ModelIdentity, PairScores, ScoreKind, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from types import ModuleType

    from numpy.typing import NDArray

    from runoff._onnx.files import ModelDirectory, Precision
    from runoff._onnx.slots import Interrupt
    from runoff._waiting.drive import Asking
    from runoff.deadline import Deadline
    from runoff.rerank._local.backends import Memo, Ready, Scored

__all__ = ["CrossEncoder"]

_USUAL_LENGTH = 512  # tokens read, as long as the model has not been asked
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class CrossEncoder:
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

    def __post_init__(self) -> None:
        """Check the arguments; nothing is looked up yet."""
        resolve.check(
            self.model, self.precision, self.revision, self.cache_dir, self.local_files_only
        )
        resolve.check_length(self.max_length)
        if self.activation not in (None, "sigmoid"):
            raise InvalidArgument("activation", self.activation, 'must be "sigmoid" or None')
        backends.check(self)

    @property
    def name(self) -> str:
        """The model, as given."""
        return str(self.model)

    @property
    def keeps_deadline(self) -> bool:
        """True: at the deadline it returns the scores it has."""
        return True

    @property
    def default_blend(self) -> float | None:
        """The weight its model's `config.json` asks for when mixed with fusion scores, or None.

        Of models of the Hugging Face Hub it is known once they are loaded.

        Raises:
            RunoffError: the model cannot be found, as `score` would say.
        """
        ready = self._state.current
        if ready is not None:
            return ready.default_blend
        return None if resolve.needs_hub(self.model) else backends.default_blend(self._files())

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

    def estimate(self, pairs: Sequence[tuple[str, str]]) -> Usage:
        """Return the pairs and, by a quarter of their bytes, the tokens it may read."""
        ready = self._state.current
        length = self.max_length or (ready.encoder.max_length if ready else _USUAL_LENGTH)
        return Usage(pairs=len(pairs), tokens=sum(min(length, pair_tokens(one)) for one in pairs))

    def remarks(self, pairs: Sequence[tuple[str, str]]) -> tuple[str, ...]:
        """Return a sentence when an English model is given texts in other scripts."""
        ready = self._state.current
        english = backends.english(self._files()) if ready is None else ready.english
        return languages.remarks(self.name, texts(pairs)) if english else ()

    def warmup(self) -> None:
        """Find, load and run the model once.

        Raises:
            ModelNotFound: there is no such model, or a file of it is missing.
            ModelDamaged: a file of it cannot be read.
            MissingExtra: an embedded model is asked for and `runoff-models` is not installed, or
                the package of the backend.
            InvalidArgument: the model is not a cross-encoder, or does not support an argument.
        """
        self._load()

    def score(
        self, pairs: Sequence[tuple[str, str]], *, deadline: Deadline | None = None
    ) -> PairScores:
        """Score n pairs of (query text, document text), in input order.

        Pairs start in input order; at the deadline the rest stay unscored, reason `timeout`. A
        value that is not finite leaves its pair unscored, reason `bad_reply`; so does a blank
        query, reason `request_rejected`.

        Raises:
            InvalidArgument: a pair is not two strings.
            RequestRejected: every query is blank.
            RunoffError: the model cannot be loaded or run; see `warmup`.
        """
        return run(self._asking(pairs, deadline))

    async def ascore(
        self, pairs: Sequence[tuple[str, str]], *, deadline: Deadline | None = None
    ) -> PairScores:
        """Do what `score` does without blocking the event loop; when cancelled, leave the queue."""
        return await run_async(self._asking(pairs, deadline))

    def _asking(
        self, pairs: Sequence[tuple[str, str]], deadline: Deadline | None
    ) -> Asking[PairScores]:
        given = checked(pairs)
        if not given or (deadline is not None and deadline.expired):
            return self._nothing(len(given))
        check_queries(self.name, (query for query, _ in given))
        asked = [index for index, (query, _) in enumerate(given) if query.strip()]
        ready, loading = self._state.current, Loading(deadline)
        if ready is None:
            load = partial(self._load, loading)
            ready = yield from ask(load, partial(workers.run_async, load, deadline, "load"))
        count, task = _tasks(ready, [given[index] for index in asked])
        slots = ready.slots
        batches = yield from ask(
            partial(slots.run, count, task, deadline), partial(slots.arun, count, task, deadline)
        )
        missing: list[None] = [None] * ready.batch
        found = [one for batch in batches for one in batch or missing]
        results: list[Scored | None] = [None] * len(given)
        for index, one in zip(asked, found, strict=False):  # the last batch may not be full
            results[index] = one
        return self._scores(ready, given, results, loading.took_ms)

    def windows(
        self,
        query: str,
        texts: Sequence[str],
        *,
        length: int | None = None,
        overlap: int = 0,
        deadline: Deadline | None = None,
    ) -> list[Iterator[tuple[int, int]]]:
        """Split texts into windows that fit the model beside the query.

        Args:
            query: what the windows will be paired with.
            texts: what is split.
            length: the most tokens in a window; None takes all that the model reads.
            overlap: the fewest tokens that a window repeats of the one before; at most half a
                window.
            deadline: its clock stops while the model is loaded.

        Returns:
            For each text an iterator over its windows, as start and end in characters.

        Raises:
            RunoffError: the model cannot be loaded; see `warmup`.
        """
        ready = self._load(Loading(deadline))
        room = min(ready.room(query), length or ready.encoder.max_length)
        return [windows_of(ready.encoder, text, room, min(overlap, room // 2)) for text in texts]

    @property
    def _backend(self) -> ModuleType:
        if self.backend == "onnx":
            return onnx
        from runoff.rerank._local import sentence_transformers  # noqa: PLC0415 - import time

        return sentence_transformers

    def _files(self) -> ModelDirectory:
        return self._backend.find(self)  # type: ignore[no-any-return] # both return one

    def _load(self, loading: Loading | None = None) -> Ready:
        ready = self._state.current
        if ready is None:
            with (loading := loading or Loading(None)):
                ready = self._backend.prepare(self, loading.deadline)
                self._state.current = ready
        return ready

    def _nothing(self, count: int) -> PairScores:
        """Answer without the model: there are no pairs, or there is no time."""
        ready = self._state.current
        stated = ScoreKind.LOGIT if self.activation is None else ScoreKind.PROBABILITY
        return PairScores.none_of(
            count,
            stated if ready is None else ready.kind,
            ModelIdentity(self.name) if ready is None else ready.identity,
            DeadlineExceeded.reason,
        )

    def _scores(
        self,
        ready: Ready,
        pairs: list[tuple[str, str]],
        results: list[Scored | None],
        load_ms: float,
    ) -> PairScores:
        done = [index for index, one in enumerate(results) if one is not None]
        logits = np.array([math.nan if one is None else one.logit for one in results])
        logits[np.abs(logits) > _LARGEST] = math.nan
        finite = np.isfinite(logits)
        notes = [*self.remarks(pairs)]
        broken = len(done) - int(finite.sum())
        if broken:
            notes.append(f"{self.name} returned no finite score for {broken} of {len(done)} pairs")
        if any(one is not None and one.query_cut for one in results):
            notes.append(
                f"{self.name} reads {ready.encoder.max_length} tokens of a query and a document "
                "together: the query is too long, and its end was not read"
            )
        blank = sum(not query.strip() for query, _ in pairs)
        late = len(done) < len(pairs) - blank
        reason = "timeout" if late else "bad_reply" if broken else ""
        return PairScores(
            _sigmoid(logits) if self.activation == "sigmoid" else logits.astype(np.float32),
            finite,
            np.array([one is not None and one.truncated for one in results]),
            ready.kind,
            ready.identity,
            Usage(pairs=len(done), tokens=sum(one.tokens for one in results if one is not None)),
            load_ms,
            reason or (RequestRejected.reason if blank else ""),
            tuple(notes),
        )


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
