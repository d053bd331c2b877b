"""A scorer that keeps scores for later calls, and scores a pair once for concurrent calls."""

from __future__ import annotations

import logging
import math
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from runoff._util.faults import reason_of
from runoff._util.messages import visible
from runoff._waiting import workers
from runoff._waiting.drive import run, run_async
from runoff.deadline import Deadline
from runoff.errors import BadReply, DeadlineExceeded, InvalidArgument, PoolFull, TransientError
from runoff.rerank._cache.as_store import as_store
from runoff.rerank._cache.entry import Entry, Found
from runoff.rerank._cache.flights import claim
from runoff.rerank._cache.keys import check_keyed, pair_keys, scorer_key
from runoff.rerank._cache.memory import MemoryCache
from runoff.rerank._wrapping import Wrapping, check_scorer, innermost, scored
from runoff.scores import ModelIdentity, PairScores, ScoreKind, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from runoff._waiting.drive import Asking
    from runoff.protocols import PairScorer
    from runoff.rerank._cache.as_store import Store
    from runoff.rerank._cache.disk import DiskCache
    from runoff.rerank._cache.flights import Flight, Landed

_logger = logging.getLogger("runoff.rerank")
_PATIENCE = 0.05  # seconds to wait for a file that another process holds
_STORING = 0.5  # seconds to wait for a thread that writes

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, repr=False)
class Cached(Wrapping):
    """A scorer that asks another only for pairs whose scores are not in the cache.

    A score is kept under the scorer's `cache_key` and the SHA-256 of both texts as they are sent,
    never under an id, so a text that changed is scored again. A pair that another thread or
    coroutine is scoring is waited for and not scored twice. Pairs without a score, and failures,
    are not kept.

    Pairs from the cache count only in `usage.cached`. When the scorer has a transient error and
    some pairs are in the cache, these are returned and the others stay unscored. A store that
    cannot be read or written in time never fails a search: pairs are scored anew, and a note and
    one WARNING say so.

    Attributes:
        scorer: what scores the pairs.
        store: a `MemoryCache` or a `DiskCache`; a path is a `DiskCache`.

    Raises:
        InvalidArgument: the scorer does not say what its scores depend on, or the store is not one.
    """

    scorer: PairScorer
    _: KW_ONLY
    store: MemoryCache | DiskCache | str | Path | bool = True

    def __post_init__(self) -> None:
        check_scorer(self.scorer)
        store = as_store(self.store)
        if store is None:
            raise InvalidArgument("store", self.store, "must be a cache")
        object.__setattr__(self, "store", store)
        check_keyed(self.scorer, persistent=not isinstance(store, MemoryCache))

    def score(
        self, pairs: Sequence[tuple[str, str]], *, deadline: Deadline | None = None
    ) -> PairScores:
        """Score n pairs of (query text, document text), in input order.

        Raises:
            DeadlineExceeded: another caller was scoring all of them until the deadline.
            RunoffError: the scorer's error, when no pair is in the cache.
        """
        return run(self._asking(pairs, deadline or Deadline()))

    async def ascore(
        self, pairs: Sequence[tuple[str, str]], *, deadline: Deadline | None = None
    ) -> PairScores:
        """Do what `score` does without blocking the event loop."""
        return await run_async(self._asking(pairs, deadline or Deadline()))

    def _asking(self, pairs: Sequence[tuple[str, str]], deadline: Deadline) -> Asking[PairScores]:
        if not pairs:
            return (yield from scored(self.scorer, [], deadline))
        try:
            key, keys = yield from self._aside(partial(self._keys, pairs, deadline), deadline)
        except PoolFull:
            return (yield from scored(self.scorer, list(pairs), deadline))
        asked: dict[bytes, tuple[str, str]] = dict(zip(keys, pairs, strict=True))
        work = _Work(key, asked)
        with suppress(PoolFull):
            found = yield from self._aside(partial(self._get, work, list(asked)), deadline)
            work.meet(found)
        while missing := work.missing():
            flight, theirs = claim(self._store.scope, missing, deadline, join=not work.alone)
            try:
                yield from self._fly(work, flight, deadline)
            except Exception as error:
                flight.land({})
                if not reason_of(error):
                    raise
                work.failed(flight.keys, error)
            except BaseException:  # cancelled or interrupted: another caller may score them
                flight.land({}, gave_up=True)
                raise
            for other, wanted in theirs.items():
                work.joined(wanted, (yield from other.landed(deadline)))
            if deadline.expired:
                break
        sent = [asked[key] for key in work.sent]
        said = set(self._remarks(sent))
        notes = [note for note in work.notes if note not in said]
        priced = getattr(self.scorer, "price", None) is not None
        return work.answer(keys, (*notes, *self._remarks(pairs)), priced=priced)

    def _fly(self, work: _Work, flight: Flight, deadline: Deadline) -> Asking[None]:
        """Score the pairs of a flight, keep their scores and hand them out."""
        if not flight.keys:
            return
        with suppress(PoolFull):  # another caller may have landed since the first look
            found = yield from self._aside(partial(self._get, work, flight.keys), deadline)
            work.take(found)
        mine = [key for key in flight.keys if key not in work.entries]
        gave_up = False
        if mine:
            pairs = [work.asked[key] for key in mine]
            scores = yield from scored(self.scorer, pairs, deadline)
            gave_up = scores.reason == "timeout"
            made = work.made(mine, scores)
            with suppress(TransientError):  # no thread, or not in time
                yield from self._aside(partial(self._put, work, made), Deadline(_STORING))
        have = {key: work.entries[key] for key in flight.keys if key in work.entries}
        flight.land(have, gave_up=gave_up)

    def _aside(self, call: Callable[[], _T], limit: Deadline) -> Asking[_T]:
        """Make a call that may wait for a disk: on an event loop, in a worker thread.

        Raises:
            PoolFull: every worker thread is busy.
            DeadlineExceeded: the limit has passed.
        """
        return (yield from workers.aside(call, limit, f"cache of {self.name}"))

    @property
    def _store(self) -> Store:
        return self.store  # type: ignore[return-value] # made a store in __post_init__

    def _keys(
        self, pairs: Sequence[tuple[str, str]], deadline: Deadline
    ) -> tuple[str, list[bytes]]:
        key = scorer_key(self.scorer, deadline)
        return key, pair_keys(key, pairs)

    def _get(self, work: _Work, keys: list[bytes]) -> dict[bytes, Entry]:
        wanted = [key for key in keys if key not in work.ignored]
        try:
            found = self._store.get(wanted, _PATIENCE) if wanted else {}
        except OSError as error:
            work.notes.append(_warn(f"the score cache could not be read: {error}"))
            return {}
        if isinstance(found, Found) and found.note:
            work.notes.append(_warn(found.note))
        return found

    def _put(self, work: _Work, entries: Mapping[bytes, Entry]) -> None:
        if scorer_key(self.scorer) != work.key:
            return  # the model's files were replaced after its key was asked and before it loaded
        try:
            self._store.put(entries, _PATIENCE)
        except OSError as error:
            work.notes.append(_warn(f"the score cache could not be written: {error}"))

    def _remarks(self, pairs: Iterable[tuple[str, str]]) -> tuple[str, ...]:
        """Return the scorer's remarks on texts, whether or not they are scored anew."""
        remarks = getattr(innermost(self.scorer), "remarks", None)
        return () if remarks is None else tuple(remarks(list(pairs)))


class _Work:
    """What one call knows about its pairs.

    Attributes:
        key: what the scores depend on.
        asked: each distinct pair by its key.
        entries: the scores so far.
        ignored: keys whose kept scores come from another model than the scorer has now.
        sent: keys of pairs that this call sent to the scorer.
        alone: whether to wait for no other caller, because one has failed already.
        notes: sentences for the user.
    """

    def __init__(self, key: str, asked: dict[bytes, tuple[str, str]]) -> None:
        self.key = key
        self.asked = asked
        self.entries: dict[bytes, Entry] = {}
        self.ignored: set[bytes] = set()
        self.sent: dict[bytes, None] = {}
        self.alone = False
        self.notes: list[str] = []
        self._own: set[bytes] = set()
        self._cut: set[bytes] = set()
        self._identity: tuple[ScoreKind, ModelIdentity] | None = None
        self._usage = Usage()
        self._load_ms = 0.0
        self._reason = ""
        self._error: Exception | None = None
        self._replaced = False
        self._stated: tuple[ScoreKind, ModelIdentity] | None = None  # without any score

    def missing(self) -> list[bytes]:
        """Return the keys still to be scored."""
        return [key for key in self.asked if key not in self.entries and key not in self.sent]

    def meet(self, found: Mapping[bytes, Entry]) -> None:
        """Take what the store has; scores of several models mean that the model was replaced."""
        if len({(one.kind, one.model) for one in found.values()}) > 1:
            self.ignored.update(found)
        else:
            self.take(found)

    def take(self, entries: Mapping[bytes, Entry]) -> None:
        """Take scores of the store or another caller, but only of one model."""
        for key, one in entries.items():
            if self._identity is None:
                self._identity = one.kind, one.model
            if self._identity == (one.kind, one.model):
                self.entries[key] = one
            else:
                self.ignored.add(key)
                self.alone = True

    def joined(self, keys: list[bytes], landed: Landed | None) -> None:
        """Take the scores of another caller; None when it was too late."""
        if landed is not None:
            self.take({key: landed.entries[key] for key in keys if key in landed.entries})
            self.alone |= not landed.gave_up and any(key not in landed.entries for key in keys)

    def made(self, keys: list[bytes], scores: PairScores) -> dict[bytes, Entry]:
        """Take scores of the scorer itself, and return those to keep."""
        identity = scores.kind, scores.model
        any_scored = bool(scores.scored.any())
        replaced = any_scored and self._identity not in (None, identity)
        self._usage += scores.usage
        self._load_ms += scores.load_ms
        self._reason = scores.reason or self._reason
        self.notes += scores.notes
        self._cut.update(key for key, cut in zip(keys, scores.truncated, strict=True) if cut)
        if replaced:
            if self._replaced:
                raise BadReply(f"the model of the scorer keeps changing: now it is {scores.model}")
            self._replaced = self.alone = True  # what was kept before is of the old model
            self.ignored.update(self.entries)
            self.entries, self.sent = {}, {}
        if any_scored:
            self._identity = identity
        self._stated = identity
        self.sent.update(dict.fromkeys(keys))
        made = {
            key: Entry(
                float(scores.values[at]),
                bool(scores.truncated[at]),
                scores.kind,
                scores.model,
                scores.passages[at] if scores.passages else (),
            )
            for at, key in enumerate(keys)
            if scores.scored[at]
        }
        self.entries.update(made)
        self._own.update(made)
        return made

    def failed(self, keys: list[bytes], error: Exception) -> None:
        """Note that the scorer had a transient error on these pairs."""
        self.sent.update(dict.fromkeys(keys))
        self._error = error
        self._reason = reason_of(error)

    def answer(self, keys: list[bytes], notes: tuple[str, ...], *, priced: bool) -> PairScores:
        """Return the scores in the order of the pairs.

        Raises:
            Exception: the scorer's error, when no pair has a score.
            DeadlineExceeded: others were scoring all pairs until the deadline.
        """
        if self._error is not None and not self.entries:
            raise self._error
        identity = self._identity or self._stated
        if identity is None:
            raise DeadlineExceeded("other searches were still scoring these pairs at the deadline")
        found = [self.entries.get(key) for key in keys]
        scored = np.array([one is not None for one in found], np.bool_)
        cached = int(scored.sum()) - len(self._own & self.entries.keys())
        usage = self._usage + Usage(cached=cached, cost=0.0 if priced else None)
        kind, model = identity
        reason = "" if scored.all() else self._reason or "timeout"
        passages = [() if one is None else one.passages for one in found]
        return PairScores(
            np.array([math.nan if one is None else one.value for one in found], np.float32),
            scored,
            np.array(
                [
                    key in self._cut if one is None else one.truncated
                    for key, one in zip(keys, found, strict=True)
                ]
            ),
            kind,
            model,
            usage,
            self._load_ms,
            reason,
            tuple(dict.fromkeys(notes)),
            tuple(passages) if any(passages) else (),
        )


_warned: set[str] = set()


def _warn(sentence: str) -> str:
    """Log a sentence as a WARNING, once per process, and return it."""
    if sentence not in _warned:
        _warned.add(sentence)
        _logger.warning("%s", visible(sentence))
    return sentence
