"""The part of an answer that is passed to a language model: as much as fits a token budget.

```python
packed = pack(pipeline.search("how do cascades work?", top_k=30), budget=2_000)
```

Results are structural: those of runoff, LangChain's documents and LlamaIndex's nodes are read as
they are, and neither framework is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from runoff._util.arguments import count as checked_count
from runoff._util.arguments import is_listed, is_one_of, is_share
from runoff._util.duplicates import near_pairs
from runoff._util.messages import fields_repr, number_of
from runoff._util.text import text_key, word_starts, words
from runoff._util.tokens import counting
from runoff.errors import InvalidArgument
from runoff.types import Document, Result

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

__all__ = ["LeftOut", "Packed", "Piece", "pack"]

_Count: TypeAlias = "Callable[[str], Any] | object | None"
_Reason: TypeAlias = Literal["budget", "duplicate", "per_document", "empty"]
_Order: TypeAlias = Literal["rank", "document", "ends"]

_OVERLAP = 20  # characters; shorter ones also occur by chance
_BETWEEN = "\n\n"
_MARK = " […]"


@dataclass(frozen=True, slots=True, repr=False)
class Piece:
    """One text for the model: one result, or several overlapping ones joined.

    Attributes:
        text: the text; of overlapping chunks, joined, with what they share once.
        ids: of the results it is made of, best first.
        ranks: their ranks among what was given, from 1.
        scores: theirs, where they have one: the `rerank_score` of runoff's results, LangChain's
            `relevance_score`, the score of LlamaIndex's nodes.
        items: the results themselves.
        cut: whether text of it was left out at its end, which `[…]` marks.
    """

    text: str
    ids: tuple[str, ...]
    ranks: tuple[int, ...]
    scores: tuple[float | None, ...]
    items: tuple[Any, ...]
    cut: bool = False

    __repr__ = fields_repr


@dataclass(frozen=True, slots=True, repr=False)
class LeftOut:
    """A result that was left out of what the model reads.

    Attributes:
        id: the result's.
        rank: its rank among what was given, from 1.
        reason: `"budget"`, `"duplicate"`, `"per_document"`, or `"empty"` for one without text.
        instead: the id of the result that has the same text, for a duplicate.
        item: the result itself.
    """

    id: str
    rank: int
    reason: _Reason
    item: Any
    instead: str = ""

    __repr__ = fields_repr


@dataclass(frozen=True, slots=True, repr=False)
class Packed:
    """The pieces that fit the budget: iterate over them, or take `text`.

    Attributes:
        pieces: in the order in which the model reads them.
        left_out: every other result, in order of rank.
        tokens: of `text`.
        budget: the most that `tokens` may be.
        estimated: whether `tokens` are an estimate, as no way to count them was given.
        notes: sentences for the user to read.
    """

    pieces: tuple[Piece, ...]
    left_out: tuple[LeftOut, ...]
    tokens: int
    budget: int
    estimated: bool
    notes: tuple[str, ...] = ()

    __repr__ = fields_repr

    @property
    def text(self) -> str:
        """The pieces as one text, each after a number in brackets (from 1) to cite it by."""
        return _text(self.pieces)

    def __iter__(self) -> Iterator[Piece]:
        """Iterate over the pieces."""
        return iter(self.pieces)

    def __len__(self) -> int:
        """Return the number of pieces."""
        return len(self.pieces)


@dataclass(frozen=True, slots=True, eq=False)
class _Item:
    """A result as it was read, with the document it is part of and its place there."""

    piece: Piece
    document: Hashable
    place: tuple[int, int] | None

    @property
    def rank(self) -> int:
        return self.piece.ranks[0]


def pack(
    results: Iterable[Any],
    *,
    budget: int,
    count: _Count = None,
    per_document: int | None = None,
    by: str | Callable[[Any], Hashable] | None = None,
    duplicates: float | None = 0.9,
    order: _Order = "rank",
    cut: bool = False,
) -> Packed:
    """Return the part of an answer that fits a token budget, and what was left out and why.

    Results are taken best first, each whole or not at all; one that does not fit is left out, and
    smaller ones after it may still fit. Nothing that is passed in is changed.

    Of two results with the same text, or one like it, the better stays. Chunks of one document that
    overlap become one piece: where the end of one is the start of another to the letter, for at
    least 20 characters, the shared part is there once; a chunk within another is its duplicate.

    Args:
        results: best first: a `Response` or its results, LangChain documents, LlamaIndex nodes.
        budget: the most tokens that `Packed.text` may have, with its numbers and blank lines.
        count: how tokens are counted: a callable from text to a number or to a list of tokens (such
            as `llm.get_num_tokens` of LangChain, `Settings.tokenizer` of LlamaIndex, or `encode` of
            tiktoken), or a tokenizer of Hugging Face. None estimates a third of the bytes, and says
            so.
        per_document: the most results of one document; None for no limit.
        by: which document a result is a part of: a metadata field, or a callable from result to
            document. None knows it only of LlamaIndex's nodes, by their `ref_doc_id`. A result
            that is a part of none stands alone.
        duplicates: the share of common three-word sequences from which two texts are duplicates, as
            in `Grouping`; 1 for equal texts alone, None for none but chunks within another.
        order: `"rank"`, best first; `"document"`, the parts of each document as they follow one
            another in it, the document of the best result first; `"ends"`, the best at both ends
            and the worst in the middle. Models used what stands at the ends of their context
            best in Liu et al. 2023, "Lost in the Middle"; yours may not.
        cut: whether the first result that does not fit is cut at a word to what is left.

    Raises:
        InvalidArgument: an argument has an invalid value, or a result is none of these.
    """
    limit = checked_count("budget", budget)
    if per_document is not None:
        per_document = checked_count("per_document", per_document)
    _check(results, by, duplicates, order, cut)
    items = [_read(one, rank, by) for rank, one in enumerate(results, 1)]
    if items and all(one.document is None for one in items):
        given = {"per_document": per_document, "order": order if order == "document" else None}
        for name, value in given.items():
            if value is not None:
                remedy = "must know which document a result is part of: pass by="
                raise InvalidArgument(name, value, remedy)
    packing = _Packing(limit, counting(count), per_document, order)
    alike = _alike([one.piece.text for one in items], duplicates)
    for item in items:
        reason, same = packing.refused(item, alike[item.rank - 1])
        if reason or not packing.took(item, cut=cut):
            instead = items[same - 1].piece.ids[0] if same else ""
            one, why = item.piece, reason or "budget"
            packing.left_out.append(LeftOut(one.ids[0], item.rank, why, one.items[0], instead))
    notes = ["token counts are estimated as bytes / 3: pass count= to count them"] * (count is None)
    pieces, unknown = _ordered(packing.pieces, order)
    if unknown:
        notes.append(
            f"{number_of(unknown, 'document has', 'documents have')} parts without a position "
            "(`start_index` or `start_char_idx`): these parts are in order of rank"
        )
    left_out, tokens = tuple(packing.left_out), packing.tokens
    return Packed(pieces, left_out, tokens, limit, count is None, tuple(notes))


def _check(
    results: object, by: object, duplicates: float | None, order: object, cut: object
) -> None:
    if isinstance(results, Mapping) or not is_listed(results):
        raise InvalidArgument("results", results, "must list results, best first")
    if not (by is None or isinstance(by, str) or callable(by)):
        remedy = "must be a metadata field or a callable from result to document"
        raise InvalidArgument("by", by, remedy)
    if duplicates is not None and not (is_share(duplicates) and duplicates):
        remedy = "must be a similarity above 0 and at most 1, or None"
        raise InvalidArgument("duplicates", duplicates, remedy)
    if not is_one_of(order, ("rank", "document", "ends")):
        raise InvalidArgument("order", order, 'must be "rank", "document" or "ends"')
    if not isinstance(cut, bool):
        raise InvalidArgument("cut", cut, "must be True or False")


@dataclass(slots=True)
class _Packing:
    """The pieces so far, in no particular order, and what was left out."""

    budget: int
    count: Callable[[str], int]
    per_document: int | None
    order: _Order
    pieces: list[_Item] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    tokens: int = 0
    has_cut: bool = False

    def refused(self, item: _Item, alike: set[int]) -> tuple[_Reason | None, int]:
        """Return why a result is left out even if it fits, and its duplicate's rank, or 0."""
        text = item.piece.text
        if not text.strip():
            return "empty", 0
        near = [one for one in self.pieces if _is_near(one, item)]
        same = {rank for one in self.pieces for rank in one.piece.ranks} & alike
        if same := same | {one.rank for one in near if text in one.piece.text}:
            return "duplicate", min(same)
        parts = sum(len(one.piece.ranks) for one in near)
        full = self.per_document is not None and parts >= self.per_document
        return ("per_document" if full else None), 0

    def took(self, item: _Item, *, cut: bool) -> bool:
        """Add a result if it fits, or can be cut to fit; join it with those that it overlaps."""
        joined, others = item, [*self.pieces]
        while found := next(
            ((one, text) for one in others if (text := _joined(one, joined))), None
        ):
            others.remove(found[0])
            joined = _merged(found[0], joined, found[1])
        if self._fit([*others, joined]):
            return True
        if not cut or self.has_cut or joined is not item:
            return False
        self.has_cut = True
        text, before = item.piece.text, self.pieces
        ends = [*word_starts(text)][1:]
        low, high = 0, len(ends)  # the most words that are known to fit, and that may
        while low < high:
            middle = (low + high + 1) // 2
            short = text[: ends[middle - 1]].rstrip() + _MARK
            if self._fit([*before, replace(item, piece=replace(item.piece, text=short, cut=True))]):
                low = middle
            else:
                high = middle - 1
        return low > 0

    def _fit(self, pieces: list[_Item]) -> bool:
        """Keep these pieces if they fit."""
        tokens = self.count(_text(_ordered(pieces, self.order)[0]))
        if tokens <= self.budget:
            self.pieces, self.tokens = pieces, tokens
        return tokens <= self.budget


def _read(given: Any, rank: int, by: str | Callable[[Any], Hashable] | None) -> _Item:  # noqa: ANN401
    """Return a result as it is read."""
    metadata: Mapping[str, Any]
    source: Hashable = None
    start: object = None
    inner = getattr(given, "node", given)
    if isinstance(given, Result | Document):
        document = given.document if isinstance(given, Result) else given
        key, text, metadata = document.doc_id, document.text, document.metadata
        score = given.rerank_score if isinstance(given, Result) else None
    elif isinstance(getattr(given, "page_content", None), str):
        text, metadata = given.page_content, getattr(given, "metadata", None) or {}
        key = getattr(given, "id", None) or metadata.get("_id") or text_key(text)
        score = metadata.get("relevance_score")
    elif hasattr(inner, "node_id") and callable(getattr(inner, "get_content", None)):
        key, text = inner.node_id, inner.get_content()
        metadata = getattr(inner, "metadata", None) or {}
        score, source = getattr(given, "score", None), getattr(inner, "ref_doc_id", None)
        start = getattr(inner, "start_char_idx", None)
    else:
        remedy = "must be a result of runoff, a LangChain document or a LlamaIndex node"
        raise InvalidArgument(f"results[{rank - 1}]", given, remedy)
    if by is not None:
        source = metadata.get(by) if isinstance(by, str) else by(given)
    start = metadata.get("start_index", start)
    page = metadata.get("page", 0)
    place = (page, start) if isinstance(page, int) and isinstance(start, int) else None
    try:
        hash(source)
    except TypeError:
        remedy = f"must be one value, such as a string (result {key!r})"
        raise InvalidArgument("by", source, remedy) from None
    piece = Piece(text, (str(key),), (rank,), (score,), (given,))
    return _Item(piece, None if source == "" else source, place)


def _alike(texts: Sequence[str], least: float | None) -> list[set[int]]:
    """Return for each text the ranks of the texts that it duplicates."""
    found: list[set[int]] = [set() for _ in texts]
    if least is None:
        return found
    same: dict[str, set[int]] = {}
    for at, text in enumerate(texts):
        found[at] = same.setdefault(" ".join(words(text.casefold())), set())
        found[at].add(at + 1)
    for one, other in near_pairs(texts, least) if least < 1 else ():
        found[one] = found[one] | {other + 1}
        found[other] = found[other] | {one + 1}
    return found


def _is_near(one: _Item, other: _Item) -> bool:
    return one.document is not None and one.document == other.document


def _joined(one: _Item, other: _Item) -> str | None:
    """Return two parts of a document as one text where they overlap; None if they do not."""
    if not _is_near(one, other) or one.piece.cut:
        return None
    texts = one.piece.text, other.piece.text
    if texts[0] in texts[1]:
        return texts[1]
    for first, second in (texts, texts[::-1]):
        at = first.find(second[:_OVERLAP])
        while at >= 0:
            if second.startswith(first[at:]):
                return first[:at] + second
            at = first.find(second[:_OVERLAP], at + 1)
    return None


def _merged(one: _Item, other: _Item, text: str) -> _Item:
    """Return two results as one piece, the better first."""
    pairs = [
        pair
        for piece in (one.piece, other.piece)
        for pair in zip(piece.ranks, piece.ids, piece.scores, piece.items, strict=True)
    ]
    ranks, ids, scores, items = zip(*sorted(pairs, key=lambda pair: pair[0]), strict=True)
    place = min(one.place, other.place) if one.place and other.place else None
    return _Item(Piece(text, ids, ranks, scores, items), one.document, place)


def _ordered(items: Sequence[_Item], order: _Order) -> tuple[tuple[Piece, ...], int]:
    """Return the pieces in the model's order, and how many documents' parts could not be placed."""
    best = sorted(items, key=lambda one: one.rank)
    unknown = 0
    if order == "ends":
        best = [*best[::2], *reversed(best[1::2])]
    elif order == "document":
        parts: dict[Hashable, list[_Item]] = {}
        for one in best:
            key = one.rank if one.document is None else (one.document,)
            parts.setdefault(key, []).append(one)
        for several in parts.values():
            if all(one.place is not None for one in several):
                several.sort(key=lambda one: (one.place, one.rank))
            else:
                unknown += len(several) > 1
        best = [one for several in parts.values() for one in several]
    return tuple(one.piece for one in best), unknown


def _text(pieces: Sequence[Piece]) -> str:
    return _BETWEEN.join(f"[{number}] {one.text}" for number, one in enumerate(pieces, 1))
