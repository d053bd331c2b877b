"""From text to token ids: bounded work, counted truncation, the tokenizer's own templates."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from runoff._util.fork import in_child
from runoff._waiting import exits
from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Encoding, Tokenizer

LONGEST_TOKEN = 100  # characters; WordPiece takes longer words for unknown
_USUAL_TOKEN = 8  # characters; twice what prose needs
_MARGIN = 64  # tokens beyond the limit after which the cut cannot reach back
_GROWTH = 4
_LONG = 2048  # characters; a longer text is encoded without the interpreter's lock
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """One model input.

    Attributes:
        ids: token ids, int64, shape (1, n).
        type_ids: 0 for the first text and 1 for the second, as the tokenizer says; same shape.
        truncated: whether text was lost to the limit; of a pair, text of the document.
        query_cut: whether text of a pair's query was lost.
        mask: 0 for tokens that the others do not see, same shape; None lets all be seen.
    """

    ids: NDArray[np.int64]
    type_ids: NDArray[np.int64]
    truncated: bool
    query_cut: bool = False
    mask: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return self.ids.size


@dataclass(frozen=True, slots=True)
class _Template:
    """The special tokens before, between and after the texts, as ids and type ids."""

    ids: tuple[tuple[int, ...], ...]
    types: tuple[tuple[int, ...], ...]
    text_types: tuple[int, ...]

    @property
    def special(self) -> int:
        return sum([len(part) for part in self.ids])

    def fill(self, *texts: list[int], truncated: bool, query_cut: bool = False) -> Encoded:
        ids, types = list(self.ids[0]), list(self.types[0])
        for number, text in enumerate(texts):
            ids += text
            types += [self.text_types[number]] * len(text)
            ids += self.ids[number + 1]
            types += self.types[number + 1]
        made = np.array([ids], np.int64), np.array([types], np.int64)
        return Encoded(*made, truncated, query_cut)


class TextEncoder:
    """Encodes texts and pairs for one model within its token limit.

    Long texts are cut to a number of characters first, so that 10 MB cost no more than a few
    pages: tokens are made from the start of the text until there are clearly more than the limit,
    and never from more than 100 characters for each token of the limit. Nothing is lost that way
    that could have been kept, except in texts whose words are longer than 100 characters; all that
    is lost counts as truncated. Lone surrogates become U+FFFD.

    Args:
        tokenizer: truncation and padding must be off; it is not changed and is shared by threads.
        max_length: the limit, special tokens included.

    Raises:
        InvalidArgument: `max_length` leaves no room for text, or the tokenizer does not join two
            texts by special tokens around each.
    """

    def __init__(self, tokenizer: Tokenizer, max_length: int) -> None:
        self._tokenizer = tokenizer
        self._single = self._learn("a")
        self._pair = self._learn("a", "b")
        self.max_length = max_length
        if max_length < self._pair.special + 2:
            least = self._pair.special + 2
            raise InvalidArgument("max_length", max_length, f"must be {least} or more")

    def ids(self, text: str, limit: int) -> tuple[list[int], bool]:
        """Return the first `limit` token ids of a text, and whether there were more."""
        found, whole = self.head(text, limit)
        ids: list[int] = found.ids
        return ids[:limit], not whole or len(ids) > limit

    def head(self, text: str, limit: int) -> tuple[Encoding, bool]:
        """Return the tokens of a text's start, and whether that is all of it.

        Where it is not, there are clearly more than `limit`, or 100 characters for each were read.
        """
        bound = LONGEST_TOKEN * limit
        size = min(_USUAL_TOKEN * limit + _MARGIN, bound)
        while True:
            whole = len(text) <= size
            found = self._encode(text if whole else _start(text, size))
            if whole or len(found) >= limit + _MARGIN or size >= bound:
                return found, whole
            size = min(size * _GROWTH, bound)

    @staticmethod
    def reach(text: str, limit: int) -> int:
        """Return how many characters `head` reads at most for this many tokens, 1 or more."""
        bound = LONGEST_TOKEN * limit
        return len(text) if len(text) <= bound else max(1, len(_start(text, bound)))

    def room(self, query: tuple[list[int], bool]) -> int:
        """Return how many tokens of a long document `pair` reads beside a query, 1 or more."""
        room = self.max_length - self._pair.special
        return max(1, room - min(len(query[0]), self.max_length // 2))

    @property
    def length(self) -> int:
        """How many tokens of a text are read alone."""
        return self.max_length - self._single.special

    @property
    def around(self) -> tuple[int, int]:
        """How many special tokens stand before a text and after it."""
        return len(self._single.ids[0]), len(self._single.ids[1])

    def text(self, text: str) -> Encoded:
        ids, truncated = self.ids(text, self.length)
        return self.filled(ids, truncated=truncated)

    def filled(self, ids: list[int], *, truncated: bool) -> Encoded:
        """Return the ids of a text among the special tokens."""
        return self._single.fill(ids, truncated=truncated)

    def query(self, text: str) -> tuple[list[int], bool]:
        """Return the ids of a query, to be given to `pair` with each of its documents."""
        return self.ids(text, self.max_length - self._pair.special)

    def pair(self, query: tuple[list[int], bool], document: str) -> Encoded:
        """Encode a query and a document.

        When they do not fit, the document is cut; the query is cut only where it takes more than
        half of `max_length` and the document needs the room.
        """
        room = self.max_length - self._pair.special
        asked, asked_cut = query
        read, read_cut = self.ids(document, room)
        kept = min(len(asked), max(self.max_length // 2, room - len(read)), room - (len(read) > 0))
        left = room - kept
        return self._pair.fill(
            asked[:kept],
            read[:left],
            truncated=read_cut or left < len(read),
            query_cut=asked_cut or kept < len(asked),
        )

    def _encode(self, text: str) -> Encoding:
        text = clean(text)
        with exits.Native():
            if len(text) <= _LONG or _forked:
                return self._tokenizer.encode(text, add_special_tokens=False)
            # `encode` holds the lock, so that no deadline would be noticed meanwhile
            (found,) = self._tokenizer.encode_batch([text], add_special_tokens=False)
            return found

    def _learn(self, first: str, second: str | None = None) -> _Template:
        """Read the template off an encoding of one-word texts, and check it on longer ones."""
        template = _read(self._tokenizer.encode(first, second), 1 if second is None else 2)
        longer = [f"{first} b {first}", *([] if second is None else [f"{second} a"])]
        expected = self._tokenizer.encode(longer[0], None if second is None else longer[1])
        if template is not None:
            made = template.fill(*(self._encode(text).ids for text in longer), truncated=False)
            if (made.ids[0].tolist(), made.type_ids[0].tolist()) == (
                expected.ids,
                expected.type_ids,
            ):
                return template
        raise InvalidArgument(
            "model", expected.tokens, "its tokenizer joins texts in a way that is not supported"
        )


def clean(text: str) -> str:
    """Return a text with U+FFFD for each lone surrogate, which no tokenizer accepts."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def _read(encoding: Encoding, texts: int) -> _Template | None:
    """Split an encoding into the special tokens around each text; None where that fails."""
    ids, types, owners = encoding.ids, encoding.type_ids, encoding.sequence_ids
    bounds = [0]
    text_types = []
    for number in range(texts):
        if number not in owners:
            return None
        first = owners.index(number)
        bounds += [first, first + owners.count(number)]
        text_types.append(types[first])
    bounds.append(len(ids))
    if bounds != sorted(bounds):
        return None
    gaps = list(zip(bounds[::2], bounds[1::2], strict=True))
    return _Template(
        tuple(tuple(ids[start:end]) for start, end in gaps),
        tuple(tuple(types[start:end]) for start, end in gaps),
        tuple(text_types),
    )


def _start(text: str, size: int) -> str:
    """Return the first characters of a text, at a word's end where there is one."""
    start = text[:size]
    end = max(start.rfind(" "), start.rfind("\n"))
    return start[:end] if end > size // 2 else start


_forked = False  # the threads of `encode_batch` do not survive a fork


@in_child
def _after_fork() -> None:
    global _forked  # noqa: PLW0603 - there is one process
    _forked = True
