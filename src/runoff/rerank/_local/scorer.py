"""What scorers with a model in this process share: it is found, loaded, asked and described."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeVar

import numpy as np

from runoff._onnx import languages, resolve
from runoff._onnx.state import Loading
from runoff._onnx.windows import windows as windows_of
from runoff._util.display import Configured
from runoff._util.messages import number_of
from runoff._waiting import workers
from runoff._waiting.drive import run, run_async
from runoff.errors import DeadlineExceeded, RequestRejected
from runoff.rerank._amounts import pair_tokens
from runoff.rerank._local import backends
from runoff.rerank._pairs import check_queries, checked, texts
from runoff.scores import ModelIdentity, PairScores, ScoreKind, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from runoff._onnx.files import ModelDirectory, Precision
    from runoff._onnx.sessions import InProcess
    from runoff._onnx.state import State
    from runoff._onnx.tokens import TextEncoder
    from runoff._waiting.drive import Asking
    from runoff.deadline import Deadline


class _Ready(Protocol):
    """A loaded model, and what a configuration adds to it."""

    @property
    def loaded(self) -> InProcess: ...
    @property
    def kind(self) -> ScoreKind: ...
    @property
    def identity(self) -> ModelIdentity: ...
    @property
    def english(self) -> bool: ...
    @property
    def default_blend(self) -> float | None: ...


_R = TypeVar("_R", bound=_Ready)


class Values(NamedTuple):
    """What became of n pairs.

    Attributes:
        scores: float32, shape (n,); NaN where there is none.
        done: whether the model read the pair, shape (n,).
        truncated: whether text of the document was lost, shape (n,).
        tokens: tokens read in this call.
        query_cut: whether text of a query was lost.
    """

    scores: NDArray[np.float32]
    done: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    tokens: int
    query_cut: bool


class LocalScorer(Configured, Generic[_R]):
    """A scorer whose model runs in this process; it is loaded on first use, or by `warmup`."""

    __slots__ = ()

    if TYPE_CHECKING:  # the fields of the dataclasses that are one

        @property
        def model(self) -> str | Path: ...
        @property
        def precision(self) -> Precision: ...
        @property
        def max_length(self) -> int | None: ...
        @property
        def revision(self) -> str | None: ...
        @property
        def cache_dir(self) -> str | Path | None: ...
        @property
        def local_files_only(self) -> bool: ...
        @property
        def _state(self) -> State[_R]: ...

    @property
    def name(self) -> str:
        """The model, as given."""
        return str(self.model)

    @property
    def keeps_deadline(self) -> bool:
        """True: at the deadline it returns the scores it has."""
        return True

    def estimate(self, pairs: Sequence[tuple[str, str]]) -> Usage:
        """Return the pairs and, by a quarter of their bytes, the tokens it may read."""
        most = self._most_tokens()
        return Usage(pairs=len(pairs), tokens=sum(min(most, pair_tokens(one)) for one in pairs))

    def remarks(self, pairs: Sequence[tuple[str, str]]) -> tuple[str, ...]:
        """Return a sentence when an English model is given texts in other scripts."""
        ready = self._state.current
        english = backends.english(self._files()) if ready is None else ready.english
        return languages.remarks(self.name, texts(pairs)) if english else ()

    def warmup(self) -> None:
        """Find, load and run the model once; late interaction opens its store.

        Raises:
            ModelNotFound: there is no such model, or a file of it is missing.
            ModelDamaged: a file of it cannot be read.
            MissingExtra: an embedded model is asked for and `runoff-models` is not installed, or
                the package of the backend.
            InvalidArgument: the model is of another kind, or does not support an argument.
            IndexDamaged, IndexTooNew: the store cannot be read.
        """
        self._load()

    def score(
        self, pairs: Sequence[tuple[str, str]], *, deadline: Deadline | None = None
    ) -> PairScores:
        """Score n pairs of (query text, document text), in input order.

        The model reads in input order what it has to; at the deadline the rest stay unscored,
        reason `timeout`. A value that is not finite leaves its pair unscored, reason `bad_reply`;
        so does a blank query, reason `request_rejected`. `usage.tokens` counts what was read now,
        not what a store had.

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

    def windows(
        self,
        query: str,
        texts: Sequence[str],
        *,
        length: int | None = None,
        overlap: int = 0,
        deadline: Deadline | None = None,
    ) -> list[Iterator[tuple[int, int]]]:
        """Split texts into windows that the model reads in one run.

        Args:
            query: what the windows will be paired with; late interaction reads it apart.
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
        encoder, room = self._reading(self._load(Loading(deadline)), query)
        room = min(room, length or room)
        return [windows_of(encoder, text, room, min(overlap, room // 2)) for text in texts]

    def _check(self) -> None:
        """Refuse a model, and arguments of any model, that cannot be.

        Raises:
            InvalidArgument: names the argument.
        """
        resolve.check(
            self.model, self.precision, self.revision, self.cache_dir, self.local_files_only
        )
        resolve.check_length(self.max_length)

    def _stated_blend(self) -> float | None:
        """Return what the model's `config.json` says; None for a Hub model that is not loaded."""
        ready = self._state.current
        if ready is not None:
            return ready.default_blend
        return None if resolve.needs_hub(self.model) else backends.default_blend(self._files())

    def _asking(
        self, pairs: Sequence[tuple[str, str]], deadline: Deadline | None
    ) -> Asking[PairScores]:
        given = checked(pairs)
        ready, loading = self._state.current, Loading(deadline)
        if not given or (deadline is not None and deadline.expired):
            kind = self._usual_kind() if ready is None else ready.kind
            identity = ModelIdentity(self.name) if ready is None else ready.identity
            return PairScores.none_of(len(given), kind, identity, DeadlineExceeded.reason)
        check_queries(self.name, (query for query, _ in given))
        if ready is None:
            ready = yield from workers.aside(lambda: self._load(loading), deadline, "load")
        values = yield from self._read(ready, given, deadline)
        return self._scores(ready, given, values, loading.took_ms)

    def _load(self, loading: Loading | None = None) -> _R:
        ready = self._state.current
        if ready is None:
            with (loading := loading or Loading(None)):
                ready = self._prepare(loading.deadline)
                self._state.current = ready
        return ready

    def _scores(
        self, ready: _R, pairs: list[tuple[str, str]], values: Values, load_ms: float
    ) -> PairScores:
        notes = [*self.remarks(pairs)]
        done = int(values.done.sum())
        broken = int((values.done & ~np.isfinite(values.scores)).sum())
        if broken:
            notes.append(
                f"{self.name} returned no finite score for {broken} of {number_of(done, 'pair')}"
            )
        if values.query_cut:
            notes.append(f"{self.name}: the query is too long, and its end was not read")
        blank = sum(not query.strip() for query, _ in pairs)
        reason = "timeout" if done < len(pairs) - blank else "bad_reply" if broken else ""
        return PairScores(
            values.scores,
            values.done,
            values.truncated,
            ready.kind,
            ready.identity,
            Usage(pairs=done, tokens=values.tokens),
            load_ms,
            reason or (RequestRejected.reason if blank else ""),
            tuple(notes),
        )

    def _files(self) -> ModelDirectory:
        """Find the model, and fetch it where need be."""
        raise NotImplementedError

    def _prepare(self, deadline: Deadline | None) -> _R:
        """Find and load the model, and run it once before the deadline."""
        raise NotImplementedError

    def _read(
        self, ready: _R, pairs: list[tuple[str, str]], deadline: Deadline | None
    ) -> Asking[Values]:
        """Have the model read what there is time for."""
        raise NotImplementedError

    def _reading(self, ready: _R, query: str) -> tuple[TextEncoder, int]:
        """Return the tokenizer, and how many tokens of a document are read beside a query."""
        raise NotImplementedError

    def _most_tokens(self) -> int:
        """Return how many tokens of a pair are read at most."""
        raise NotImplementedError

    def _usual_kind(self) -> ScoreKind:
        """Return the scale that scores are expected to have."""
        raise NotImplementedError
