"""How one call of late interaction is answered: what is known, what is encoded, what it scores."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from runoff._onnx import resolve, sessions
from runoff._tokens.encoder import TokenEncoder
from runoff._tokens.vectors import QueryVectors, cosines, maxsim
from runoff.rerank._local import backends
from runoff.rerank._local.scorer import Values
from runoff.scores import Match, ModelIdentity, ScoreKind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from runoff._onnx.sessions import Loaded
    from runoff._onnx.slots import Interrupt
    from runoff._tokens.frequencies import Frequencies
    from runoff._tokens.keeps import Keeps
    from runoff._tokens.vectors import TokenVectors
    from runoff.deadline import Deadline
    from runoff.rerank._local.late_interaction import LateInteraction

COLLECTION = 200  # documents of a store from which on their frequencies count
_QUERIES = 64  # whose vectors are kept
Counting: TypeAlias = "Callable[[], Frequencies | None]"
Encoded: TypeAlias = "tuple[QueryVectors | TokenVectors | None, int]"  # and the tokens read


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """A loaded model, and what a configuration adds to it.

    Attributes:
        loaded: the model, shared by all who name it.
        encoder: makes the vectors.
        identity: the model that makes the scores.
        english: whether it was trained on English only.
        default_blend: the weight its `config.json` asks for, or None.
        kind: the scale of the scores.
        queries: the vectors of the last queries.
    """

    loaded: Loaded
    encoder: TokenEncoder
    identity: ModelIdentity
    english: bool
    default_blend: float | None
    kind: ScoreKind = ScoreKind.SIMILARITY
    queries: OrderedDict[str, QueryVectors] = field(default_factory=OrderedDict)

    def keep(self, text: str, vectors: QueryVectors) -> None:
        """Keep a query's vectors for the next call."""
        self.queries[text] = vectors
        while len(self.queries) > _QUERIES:
            try:
                self.queries.popitem(last=False)
            except KeyError:  # another thread was faster
                return


def prepare(config: LateInteraction, deadline: Deadline | None = None) -> Ready:
    """Find and load a model, run it once, and check that it has token vectors.

    Raises:
        DeadlineExceeded: the first run did not end in time.
        RunoffError: as `LateInteraction.warmup` says.
    """
    files = resolve.find(config)
    length = resolve.length(files, config.max_length)
    loaded = sessions.load(files)
    encoder = TokenEncoder(
        files,
        loaded,
        max_length=length,
        max_windows=config.max_windows,
        dimensions=config.dimensions,
        deadline=deadline,
    )
    return Ready(
        loaded,
        encoder,
        backends.identity(config.name, loaded.digest, files.precision),
        backends.english(files),
        backends.default_blend(files),
    )


class Work:
    """One call: look, run every task, and take the values.

    Args:
        ready: the model.
        store: where document vectors are kept.
        pairs: (query text, document text), n of them.
    """

    def __init__(self, ready: Ready, store: Keeps, pairs: list[tuple[str, str]]) -> None:
        self.pairs = pairs
        self._ready = ready
        self._store = store
        asked = dict.fromkeys(query for query, _ in pairs if query.strip())
        self._queries = {text: ready.queries.get(text) for text in asked}
        wanted = dict.fromkeys(text for query, text in pairs if query in asked)
        self._documents: dict[str, TokenVectors | None] = dict.fromkeys(wanted)
        self._tasks: list[tuple[bool, str]] = []

    def look(self) -> int:
        """Take what the store has, and return how many texts are still to be encoded."""
        texts = list(self._documents)
        found = self._store.get(self._ready.encoder.key, texts)
        self._documents = dict(zip(texts, found, strict=True))
        queries = [(True, text) for text, one in self._queries.items() if one is None]
        self._tasks = queries + [(False, text) for text in texts if self._documents[text] is None]
        return len(self._tasks)

    def run(self, index: int, interrupt: Interrupt) -> Encoded:
        """Encode one text, the queries first."""
        is_query, text = self._tasks[index]
        if is_query:
            made = self._ready.encoder.query(text, interrupt)
            return made, made.tokens
        return self._ready.encoder.document(text, interrupt)

    def values(self, results: Sequence[Encoded | None], kind: str, counting: Counting) -> Values:
        """Keep what was encoded, and score the pairs.

        Args:
            results: what each `run` returned, or None where there was no time.
            kind: the `weights` of `LateInteraction`.
            counting: returns the frequencies of the collection, or None.
        """
        # before this call's own documents are counted: in all of them the query's words are common
        frequencies = counting()
        done, tokens, fresh = set(self._documents), 0, {}
        for (is_query, text), result in zip(self._tasks, results, strict=True):
            if result is None:
                done.discard(text if not is_query else "")
                continue
            vectors, read = result
            tokens += read
            if isinstance(vectors, QueryVectors):
                self._queries[text] = vectors
                self._ready.keep(text, vectors)
            elif vectors is not None:
                self._documents[text] = fresh[text] = vectors
        if fresh:
            self._store.put(self._ready.encoder.key, list(fresh), list(fresh.values()))
        count = len(self.pairs)
        scores, scored = np.full(count, np.nan, np.float32), np.zeros(count, np.bool_)
        truncated = np.zeros(count, np.bool_)
        for query, vectors in self._queries.items():
            if vectors is None:
                continue
            places = [at for at, (one, text) in enumerate(self.pairs) if one == query]
            places = [at for at in places if self.pairs[at][1] in done]
            scored[places] = True
            known = {at: self._documents[self.pairs[at][1]] for at in places}
            held = {at: one for at, one in known.items() if one is not None}
            if held and np.isfinite(vectors.vectors).all():
                weights = self._weights(vectors.ids, kind, frequencies)
                scores[list(held)] = maxsim(vectors.vectors, weights, list(held.values()))
                truncated[list(held)] = [one.truncated for one in held.values()]
        cut = any(one is not None and one.truncated for one in self._queries.values())
        return Values(scores, scored, truncated, tokens, cut)

    def matches(self, kind: str, counting: Counting) -> tuple[Match, ...]:
        """Return the matches of the only pair, which has been scored before."""
        self.look()
        ((query, document),) = self.pairs
        asked, held = self._queries[query], self._documents[document]
        if asked is None or held is None:
            return ()
        encoder = self._ready.encoder
        weights = self._weights(asked.ids, kind, counting())
        found = cosines(asked.vectors, held)
        ours, theirs = encoder.words(query, query=True), encoder.words(document, query=False)
        ours += [(-1, "(expansion)")] * (len(asked.ids) - len(ours))
        parts: dict[tuple[int, str], list[tuple[float, float, str]]] = {}
        for at, word in enumerate(ours):
            best = int(found[at].argmax())
            part = (float(weights[at]), float(found[at, best]), theirs[best][1])
            parts.setdefault(word, []).append(part)
        total = float(weights.sum())
        made = []
        for (_, named), several in parts.items():
            share = sum(weight for weight, _, _ in several)
            mean = sum(weight * cosine for weight, cosine, _ in several) / (share or 1.0)
            other = max(several, key=lambda one: one[0] * one[1])[2]
            made.append(Match(named, other, mean, share / total))
        return tuple(sorted(made, key=lambda one: -one.share * one.cosine))

    def _weights(
        self, ids: NDArray[np.int32], kind: str, frequencies: Frequencies | None
    ) -> NDArray[np.float32]:
        learned = self._ready.encoder.weights(ids) if kind == "auto" else None
        if learned is not None:
            return learned
        if frequencies is None:
            return np.ones(len(ids), np.float32)
        return frequencies.weights(ids)
