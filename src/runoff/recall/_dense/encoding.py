"""One pass of a model over texts: their embeddings, and the token vectors of late interaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np

from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from runoff._onnx.sessions import Loaded
    from runoff._onnx.slots import Interrupt
    from runoff._onnx.tokens import TextEncoder
    from runoff._tokens.keeps import Encoding, Shares
    from runoff._tokens.vectors import TokenVectors
    from runoff.scores import ModelIdentity

Pooling: TypeAlias = Literal["none", "mean", "cls"]

_TINY = 1e-12  # the shortest vector that is divided by its own length


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """A loaded model, and how its embeddings are made."""

    loaded: Loaded
    encoder: TextEncoder
    output: str
    pooling: Pooling
    normalise: bool
    dims: int
    identity: ModelIdentity
    english: bool


class Embedded(NamedTuple):
    """What became of one text."""

    vector: NDArray[np.float32]
    truncated: bool
    tokens: int
    token_vectors: TokenVectors | None = None


def embedded(ready: Ready, texts: list[str], index: int, interrupt: Interrupt) -> Embedded:
    encoded = ready.encoder.text(texts[index])
    output = ready.loaded.run(encoded, ready.output, interrupt)
    return Embedded(_vector(ready, output), encoded.truncated, len(encoded))


def _vector(ready: Ready, output: NDArray[Any]) -> NDArray[np.float32]:
    vector: NDArray[np.float32] = output[0].astype(np.float32, copy=False)
    if ready.pooling != "none":
        vector = vector[0] if ready.pooling == "cls" else vector.mean(axis=0)
    if ready.normalise:
        vector = vector / max(float(np.linalg.norm(vector)), _TINY)
    return vector


@dataclass(frozen=True, slots=True, eq=False)
class Pass:
    """One pass over texts, with their token vectors where late interaction wants them."""

    ready: Ready
    texts: list[str]
    encoding: Encoding | None
    known: frozenset[str]

    @classmethod
    def of(cls, late: Shares | None, ready: Ready, texts: list[str]) -> Pass:
        """Prepare a pass.

        Raises:
            InvalidArgument: late interaction has another model, or reads other windows.
        """
        if late is None:
            return cls(ready, texts, None, frozenset())
        encoding = late.encoding
        if not encoding.encoder.shares(ready.encoder, ready.loaded):
            remedy = (
                "must have the same model, precision and max_length, and no document prefix, "
                'as in Embedder("runoff-late", late=LateInteraction())'
            )
            raise InvalidArgument("late", late, remedy)
        held = encoding.store.get(encoding.encoder.key, texts)
        known = (text for text, one in zip(texts, held, strict=True) if one is not None)
        return cls(ready, texts, encoding, frozenset(known))

    def run(self, index: int, interrupt: Interrupt) -> Embedded:
        ready, text = self.ready, self.texts[index]
        if self.encoding is None or text in self.known:
            return embedded(ready, self.texts, index, interrupt)
        encoder = self.encoding.encoder
        first, *rest = encoder.windows(text)
        names = list(dict.fromkeys((ready.output, encoder.output)))
        found = ready.loaded.run_all(first, names, interrupt)
        runs = [(first, found[-1][0])]
        runs += [(one, ready.loaded.run(one, encoder.output, interrupt)[0]) for one in rest]
        tokens = sum(len(one) for one, _ in runs)
        truncated = first.truncated or bool(rest)
        vector = _vector(ready, found[0])
        return Embedded(vector, truncated, tokens, encoder.gathered(runs))

    def keep(self, results: list[Embedded | None]) -> None:
        if self.encoding is None:
            return
        made = {
            text: one.token_vectors
            for text, one in zip(self.texts, results, strict=True)
            if one is not None and one.token_vectors is not None
        }
        if made:
            self.encoding.store.put(self.encoding.encoder.key, list(made), list(made.values()))
