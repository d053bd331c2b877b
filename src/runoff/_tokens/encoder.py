"""From texts to token vectors, one run for a window of text."""

from __future__ import annotations

import hashlib
import unicodedata
from typing import TYPE_CHECKING, Any

import numpy as np

from runoff._onnx.tokens import Encoded, TextEncoder
from runoff._tokens.settings import read_settings
from runoff._tokens.vectors import QueryVectors, TokenVectors, product, quantised
from runoff._util.arguments import is_whole
from runoff._util.messages import number_of
from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from runoff._onnx.files import ModelFiles
    from runoff._onnx.sessions import Loaded
    from runoff._onnx.slots import Interrupt
    from runoff._tokens.settings import LateSettings, Side
    from runoff.deadline import Deadline

_HIDDEN = ("token_vectors", "token_embeddings", "last_hidden_state")
_HIDDEN_DIMS = 3
_TINY = 1e-12  # the shortest vector that is divided by its own length
_READING = 1  # raised when runoff changes how token vectors are made
_NEITHER, _SKIPPED, _KEPT = 0, 1, 2
_WINDOWS = 64  # the most windows of one text that can be asked for


def check_options(dimensions: object, max_windows: object) -> None:
    """Refuse what is not a number of dimensions, or of windows.

    Raises:
        InvalidArgument: names the argument.
    """
    for name, value, most in (("dimensions", dimensions, 2**20), ("max_windows", max_windows, 64)):
        if name == "dimensions" and value is None:
            continue
        if not is_whole(value) or value > most:  # type: ignore[operator] # as checked
            raise InvalidArgument(name, value, f"must be a whole number, 1 to {most}")


def vectors_key(
    digest: str, settings: LateSettings, max_length: int, max_windows: int, dimensions: int | None
) -> str:
    """Return what a document's vectors depend on besides its text, as a checksum (hex)."""
    asked = (_READING, digest, settings.digest, max_length, max_windows, dimensions)
    return hashlib.sha256(repr(asked).encode()).hexdigest()


class TokenEncoder:
    """Makes the token vectors of queries and documents with one model.

    Documents longer than the model reads are encoded window by window, up to `max_windows`.
    Vectors of special tokens and of punctuation are left out, unless `late.json` says otherwise or
    nothing else is left.

    Args:
        files: of the model.
        loaded: the model.
        max_length: tokens of one run.
        max_windows: runs of one document at most.
        dimensions: how many of the dimensions are kept; None keeps all.
        deadline: how long the first run may take.

    Attributes:
        dims: dimensions of the vectors.
        key: what a document's vectors depend on besides its text, as a checksum.
        settings: what `late.json` says.
        output: the name of the graph's output.

    Raises:
        InvalidArgument: the graph has no token vectors, or not so many dimensions.
        ModelDamaged: `late.json` does not fit the graph.
        DeadlineExceeded: the first run did not end in time.
    """

    def __init__(
        self,
        files: ModelFiles,
        loaded: Loaded,
        *,
        max_length: int,
        max_windows: int,
        dimensions: int | None = None,
        deadline: Deadline | None = None,
    ) -> None:
        settings = self.settings = read_settings(files)
        self._loaded = loaded
        self._windows = max_windows
        self._document = TextEncoder(loaded.tokenizer, settings.document.max_length or max_length)
        self._query = TextEncoder(loaded.tokenizer, settings.query.max_length or max_length)
        known = (settings.output,) if settings.output else _HIDDEN
        output = next((one for one in known if one in loaded.outputs), None)
        if output is None:
            raise InvalidArgument(
                "model",
                files.name,
                f"late interaction needs a vector for each token, and its graph gives "
                f"{', '.join(loaded.outputs)}: export an embedding model with an output named "
                f"{' or '.join(known[-2:])}",
            )
        self.output = output
        shape = loaded.probe(self._document.text("text"), output, deadline).shape
        if len(shape) != _HIDDEN_DIMS or shape[-1] <= 1:
            remedy = f"its output {output} has shape {shape} for one text; expected (1, tokens, d)"
            raise InvalidArgument("model", files.name, remedy)
        self._mean, self._projection = settings.mean, settings.projection
        for one in (self._mean, self._projection):
            if one is not None and len(one) != shape[-1]:
                remedy = (
                    f"its late.json is for {number_of(len(one), 'dimension')}, and it has "
                    f"{shape[-1]}"
                )
                raise InvalidArgument("model", files.name, remedy)
        width = shape[-1] if self._projection is None else self._projection.shape[1]
        if dimensions is not None and dimensions != width:
            self._check_dimensions(files.name, dimensions, width)
        self.dims = dimensions or width
        if self._projection is not None:
            self._projection = np.ascontiguousarray(self._projection[:, : self.dims])
        self.key = vectors_key(loaded.digest, settings, max_length, max_windows, dimensions)
        self._kinds: dict[int, int] = {}

    @property
    def room(self) -> int:
        """How many tokens of a document one run reads."""
        return self._document.length

    @property
    def max_length(self) -> int:
        """How many tokens one run reads, special tokens included."""
        return self._document.max_length

    @property
    def text_encoder(self) -> TextEncoder:
        """What makes the tokens of documents."""
        return self._document

    def shares(self, other: TextEncoder, loaded: Loaded) -> bool:
        """Whether a document's first run is the run that another encoder of a text would make."""
        same = loaded.digest == self._loaded.digest and other.max_length == self.max_length
        return same and not self.settings.document.prefix

    def document(
        self, text: str, interrupt: Interrupt | None = None
    ) -> tuple[TokenVectors | None, int]:
        """Return a document's vectors and the tokens read; None where one is not finite."""
        made = [
            (encoded, self._loaded.run(encoded, self.output, interrupt)[0])
            for encoded in self.windows(text)
        ]
        return self.gathered(made), sum(len(encoded) for encoded, _ in made)

    def windows(self, text: str) -> Iterator[Encoded]:
        """Yield the inputs of a document's runs; `truncated` says whether more would follow."""
        room = self.room
        ids, cut = self._document.ids(self.settings.document.prefix + text, room * self._windows)
        for start in range(0, max(len(ids), 1), room):
            yield self._document.filled(ids[start : start + room], truncated=cut)

    def floats(self, text: str) -> tuple[NDArray[np.float32], NDArray[np.int32], bool]:
        """Return a document's vectors before rounding, their ids, and whether text was lost."""
        runs = [(one, self._loaded.run(one, self.output)[0]) for one in self.windows(text)]
        return (*self._floats(runs), runs[0][0].truncated)

    def gathered(self, runs: list[tuple[Encoded, NDArray[Any]]]) -> TokenVectors | None:
        """Return a document's vectors from the outputs of its runs, each of shape (n, hidden)."""
        vectors, ids = self._floats(runs)
        if not np.isfinite(vectors).all():
            return None
        codes, scales = quantised(vectors)
        return TokenVectors(codes, scales, ids, runs[0][0].truncated)

    def _floats(
        self, runs: list[tuple[Encoded, NDArray[Any]]]
    ) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        side = self.settings.document
        kept = [self._kept(encoded, side) for encoded, _ in runs]
        if not any(one.any() for one in kept):
            kept = [np.ones_like(one) for one in kept]
        hidden = np.concatenate([out[one] for (_, out), one in zip(runs, kept, strict=True)])
        ids = np.concatenate([run.ids[0][one] for (run, _), one in zip(runs, kept, strict=True)])
        return self._projected(hidden), ids.astype(np.int32)

    def query(self, text: str, interrupt: Interrupt | None = None) -> QueryVectors:
        """Return a query's vectors; those that are not finite are left in."""
        side = self.settings.query
        encoded = self._query.text(side.prefix + text)
        kept = self._kept(encoded, side)
        if side.expansion is not None:
            more = max(0, min(side.expansion.length, self._query.max_length) - len(encoded))
            filler = np.full((1, more), side.expansion.token, np.int64)
            ids = np.concatenate([encoded.ids, filler], axis=1)
            types = np.concatenate([encoded.type_ids, np.zeros_like(filler)], axis=1)
            mask = np.ones_like(ids)
            mask[:, len(encoded) :] = int(side.expansion.attend)
            kept = np.concatenate([kept, np.ones(more, np.bool_)])
            encoded = Encoded(ids, types, encoded.truncated, mask=mask)
        if not kept.any():
            kept[:] = True
        hidden = self._loaded.run(encoded, self.output, interrupt)[0]
        vectors = self._projected(hidden[kept])
        ids = encoded.ids[0][kept].astype(np.int32)
        return QueryVectors(vectors, ids, encoded.truncated, len(encoded))

    def weights(self, ids: NDArray[np.int32]) -> NDArray[np.float32] | None:
        """Return the query weights that the model has learned for these tokens, or None.

        A token beyond the model's list has the weight 1; so have all, where their weights are 0.
        """
        learned = self.settings.weights
        if learned is None:
            return None
        known = ids < len(learned)
        found = np.where(known, learned[np.where(known, ids, 0)], np.float32(1.0))
        return found if found.any() else np.ones_like(found)

    def words(self, text: str, *, query: bool) -> list[tuple[int, str]]:
        """Return the word that each vector of a query or document belongs to.

        Returns:
            For each vector, in order, where its word begins in what is read, and the word; a
            token that is no part of the text is itself, and begins at -1.
        """
        side = self.settings.query if query else self.settings.document
        encoder, text = (self._query if query else self._document), side.prefix + text
        room = encoder.length
        most = room if query else room * self._windows
        found, _ = encoder.head(text, most)
        words, offsets = found.word_ids[:most], found.offsets[:most]
        ends: dict[int | None, int] = {}
        starts: dict[int | None, int] = {}
        for word, (start, end) in zip(words, offsets, strict=True):
            starts.setdefault(word, start)
            ends[word] = max(ends.get(word, 0), end)
        spans = [(starts[word], text[starts[word] : ends[word]]) for word in words]
        before, _after = encoder.around
        tokenizer = self._loaded.tokenizer
        made: list[tuple[int, str]] = []
        kept = []
        for at in range(0, max(len(spans), 1), room):
            encoded = encoder.filled(found.ids[:most][at : at + room], truncated=False)
            marks = [(-1, str(tokenizer.id_to_token(one))) for one in encoded.ids[0].tolist()]
            part = spans[at : at + room]
            made += [*marks[:before], *part, *marks[before + len(part) :]]
            kept.append(self._kept(encoded, side))
        chosen = np.concatenate(kept)
        if not chosen.any():
            chosen[:] = True
        return [one for one, keep in zip(made, chosen.tolist(), strict=True) if keep]

    def _kept(self, encoded: Encoded, side: Side) -> NDArray[np.bool_]:
        """Return which tokens of an input have vectors that count, shape (n,)."""
        ids = encoded.ids[0]
        before, after = self._document.around
        end = len(ids) - after
        kept = np.zeros(len(ids), np.bool_)
        inner = ids[before:end]
        if side.skip is None:
            kept[before:end] = [self._kind(token) == _KEPT for token in inner.tolist()]
            if not kept.any():
                kept[before:end] = True  # nothing but punctuation
        else:
            kept[before:end] = [token not in side.skip for token in inner.tolist()]
        if side.special:
            kept[:before], kept[end:] = True, True
        return kept

    def _kind(self, token: int) -> int:
        kind = self._kinds.get(token, _NEITHER)
        if not kind:
            text = self._loaded.tokenizer.decode([token]).strip().removeprefix("##")
            mark = bool(text) and all(unicodedata.category(one)[0] in "PS" for one in text)
            kind = self._kinds[token] = _SKIPPED if mark else _KEPT
        return kind

    def _projected(self, hidden: NDArray[Any]) -> NDArray[np.float32]:
        made: NDArray[np.float32] = hidden.astype(np.float32)
        if self._mean is not None:
            made = made - self._mean
        made = made[:, : self.dims] if self._projection is None else product(made, self._projection)
        with np.errstate(invalid="ignore"):  # what is not finite is found later
            lengths = np.sqrt((made.astype(np.float64) ** 2).sum(axis=1))
            return np.asarray(made / np.maximum(lengths, _TINY)[:, None], np.float32)

    def _check_dimensions(self, name: str, dimensions: int, width: int) -> None:
        remedy = f"{name} has {number_of(width, 'dimension')}: leave it out"
        if self.settings.ordered:
            remedy = f"{name} has {number_of(width, 'dimension')}: must be 1 to {width}"
        if dimensions > width or not self.settings.ordered:
            raise InvalidArgument("dimensions", dimensions, remedy)
