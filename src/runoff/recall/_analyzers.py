"""Analyzers: they turn documents and queries into tokens in the same way.

Every analyzer made here takes the same steps:

1. Unicode NFKC and case folding, so that full-width, ligature and upper-case forms are equal.
2. Words are runs of letters, digits and their combining marks, in any script; everything else
   separates words, even the underscore (`read_csv` is found by "read csv").
3. Scripts written without spaces between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese), and
   Korean, give character bigrams and single characters, so that a query of one character finds
   something. This applies to every language: an English index finds Chinese text.
4. A language drops its stop words and stems the other words by Snowball (Porter, "Snowball: a
   language for stemming algorithms", 2001). `Analyzer.stop_words` returns those that were dropped,
   for queries such as "to be or not to be" that have no other words.

No text is cut, however long; of more than 30 combining marks in a row, the first 30 are read.
"""

from __future__ import annotations

import operator
import re
import threading
import unicodedata
from collections.abc import Callable
from functools import cache
from itertools import compress
from typing import TYPE_CHECKING, Any, TypeAlias

from runoff.errors import InvalidArgument
from runoff.recall._bm25.engine import bm25s_module

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Analyze: TypeAlias = Callable[[str], list[str]]
"""A callable that turns a text into tokens."""

_UNICODE = "unicode"
_ALIASES = {
    "none": _UNICODE,
    "cjk": _UNICODE,
    "chinese": _UNICODE,
    "japanese": _UNICODE,
    "korean": _UNICODE,
    "thai": _UNICODE,
}
_MEMO_SIZE = 100_000  # words, 15 MB
_MEMO_LENGTH = 64  # characters

# Scripts without spaces between words, and Hangul, whose particles are written with the noun.
_BIGRAM_RANGES = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1100, 0x11FF),  # Hangul letters
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),  # marks used among Chinese characters
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),  # Katakana extension
    (0x3400, 0x4DBF),  # Chinese characters
    (0x4E00, 0x9FFF),
    (0xAC00, 0xD7A3),  # Hangul syllables
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
_FIRST_BIGRAM = chr(_BIGRAM_RANGES[0][0])
_LAST_SCANNED = 0x1FFFF  # beyond lie Chinese characters only

# ASCII letters in lower case, and a space for what separates words
_ASCII = bytes(
    ord(one.lower()) if one.isascii() and one.isalnum() else ord(" ")
    for one in map(chr, range(256))
)
_TURKISH = str.maketrans({"I": "\u0131", "\u0130": "i"})

# The stop words of Lucene's English analyzer, and the letters that follow an apostrophe.
_ENGLISH = (
    "a an and are as at be but by for if in into is it no not of on or such that the their then "
    "there these they this to was will with s t d ll m re ve"
)
_ARABIC = (
    "في من على إلى الى عن مع هذا هذه ذلك تلك التي الذي الذين أن ان إن لا ما لم لن كان كانت يكون هو "
    "هي هم و أو او ثم قد كل بعد قبل بين عند منذ حتى حيث كما لكن إذا اذا أي اي غير ليس به بها له "
    "لها فيه فيها منه منها عليه عليها"
)


class Analyzer:
    """Turns a text into tokens, and has the name that a saved index stores.

    Calling it returns the tokens in order, repeats included. Any number of threads may use it.

    Attributes:
        name: the analyzer's name, or `module:qualname` of a callable.
        by_name: whether `make_analyzer(name)` returns it again; False for a callable.

    Args:
        name: see above.
        analyze: turns a text into tokens.
        by_name: see above.
        words: splits a text into pieces and gives each its token; None for a callable, whose tokens
            are its pieces.
    """

    __slots__ = ("_analyze", "_words", "by_name", "name")

    def __init__(
        self, name: str, analyze: Analyze, *, by_name: bool, words: _Words | None = None
    ) -> None:
        self.name = name
        self.by_name = by_name
        self._analyze = analyze
        self._words = words

    def __call__(self, text: str) -> list[str]:
        """Return the tokens of a text.

        Raises:
            InvalidArgument: a callable returned anything but a list of strings.
        """
        tokens = self._analyze(text)
        if not self.by_name and (
            not isinstance(tokens, list) or not all(isinstance(one, str) for one in tokens)
        ):
            raise InvalidArgument("analyzer", self.name, "must return a list of strings")
        return tokens

    def pieces(self, text: str) -> list[str]:
        """Return what a text is split into; `token` says what each piece is.

        Raises:
            InvalidArgument: as for a call.
        """
        return self(text) if self._words is None else self._words.pieces(text)

    def token(self, piece: str) -> str | None:
        """Return the token of a piece, or None for a stop word."""
        return piece if self._words is None else self._words.token(piece)

    def stop_words(self, text: str) -> list[str]:
        """Return the stop words of a text, in order, repeats included, case-folded."""
        return [piece for piece in self.pieces(text) if self.token(piece) is None]

    def __reduce__(self) -> tuple[Any, ...]:
        if self.by_name:
            return make_analyzer, (self.name,)
        return _unpickled, (self.name, self._analyze)

    def __repr__(self) -> str:
        return f"Analyzer({self.name!r})"


def _unpickled(name: str, analyze: Analyze) -> Analyzer:
    """Return the analyzer of a callable; pickles name this function."""
    return Analyzer(name, analyze, by_name=False)


def make_analyzer(analyzer: str | Analyze) -> Analyzer:
    """Return the analyzer of this name, or wrap a callable `(str) -> list[str]`.

    Args:
        analyzer: a Snowball language such as `"english"` or `"arabic"`; `"unicode"` for words as
            they are, without stop words or stemming; `"cjk"`, `"chinese"`, `"japanese"`,
            `"korean"`, `"thai"` and `"none"`, which are aliases of it; or a callable.

    Raises:
        InvalidArgument: there is no analyzer of this name, or it is neither a name nor a callable.
    """
    if isinstance(analyzer, Analyzer):
        return analyzer
    if isinstance(analyzer, str):
        return _named(_ALIASES.get(analyzer, analyzer))
    if callable(analyzer):
        kind = analyzer if hasattr(analyzer, "__qualname__") else type(analyzer)
        module = getattr(kind, "__module__", None) or "builtins"
        return Analyzer(f"{module}:{kind.__qualname__}", analyzer, by_name=False)
    raise InvalidArgument("analyzer", analyzer, "must be a name or a callable (str) -> list[str]")


def analyzer_names() -> tuple[str, ...]:
    """Return every name that `make_analyzer` knows, sorted."""
    from Stemmer import algorithms  # noqa: PLC0415 - compiled: loaded when first needed

    return tuple(sorted({_UNICODE, *_ALIASES, *algorithms()}))


@cache
def _named(name: str) -> Analyzer:
    if name == _UNICODE:
        return _of_words(name, _Words(name, str))
    if name not in analyzer_names():
        raise InvalidArgument(
            "analyzer", name, f"must be a callable or one of {', '.join(analyzer_names())}"
        )
    return _of_words(name, _Words(name, _Snowball(name)))


def _of_words(name: str, words: _Words) -> Analyzer:
    return Analyzer(name, words.tokens, by_name=True, words=words)


class _Words:
    """Folds and splits texts, makes bigrams, and maps each word to its token."""

    __slots__ = ("_memo", "_turkish")

    def __init__(self, language: str, stem: Callable[[str], str]) -> None:
        self._memo = _Memo(stem, frozenset(map(_folded, _stop_words(language))))
        self._turkish = language == "turkish"

    def tokens(self, text: str) -> list[str]:
        token_of = self._memo.__getitem__
        if text.isascii():
            return [token for token in map(token_of, self._words(text)) if token]
        tokens: list[str] = []
        for word in self._words(text):
            if _is_bigram_script(word[0]):
                tokens.extend(_bigrams(word))
            elif token := token_of(word):
                tokens.append(token)
        return tokens

    def pieces(self, text: str) -> list[str]:
        """Return the words of a text; those of bigram scripts as bigrams and characters."""
        words = self._words(text)
        if text.isascii():
            return words
        return [
            piece
            for word in words
            for piece in (_bigrams(word) if _is_bigram_script(word[0]) else (word,))
        ]

    def _words(self, text: str) -> list[str]:
        if self._turkish:
            text = text.translate(_TURKISH)
        if text.isascii():
            return text.encode("ascii").translate(_ASCII).decode("ascii").split()
        return _word_pattern().findall(_folded(text))

    def token(self, piece: str) -> str | None:
        """Return the token of a piece, or None for a stop word."""
        return piece if _is_bigram_script(piece[0]) else self._memo[piece] or None


class _Memo(dict[str, str]):
    """Maps a word to its token, computed once; the token of a stop word is empty."""

    def __init__(self, stem: Callable[[str], str], stop_words: frozenset[str]) -> None:
        super().__init__(dict.fromkeys(stop_words, ""))
        self._stem = stem

    def __missing__(self, word: str) -> str:
        token = self._stem(word)
        if len(self) < _MEMO_SIZE and len(word) <= _MEMO_LENGTH:
            self[word] = token
        return token


class _Snowball:
    """A Snowball stemmer per thread: PyStemmer's objects may not be shared between threads."""

    def __init__(self, language: str) -> None:
        self._language = language
        self._local = threading.local()

    def __call__(self, word: str) -> str:
        stemmer: Any = getattr(self._local, "stemmer", None)
        if stemmer is None:
            from Stemmer import Stemmer  # noqa: PLC0415 - compiled: loaded when first needed

            stemmer = self._local.stemmer = Stemmer(self._language, 0)
        return str(stemmer.stemWord(word)) or word


def _folded(text: str) -> str:
    """Return NFKC of the case-folded text; folding may undo NFKC, so it is applied twice.

    Of more than 30 combining marks in a row only 30 are kept, as in Unicode's Stream-Safe Text
    Format (UAX #15): ordering a run of n marks takes n * n steps.
    """
    if text.isascii():  # the pattern takes tens of milliseconds to make, the first time
        return text.lower()
    text = _many_marks().sub(r"\1", text)
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


@cache
def _many_marks() -> re.Pattern[str]:
    """Compile the pattern of more than 30 characters in a row that NFKD begins with a mark."""
    marks = "".join(
        f"\\U{first:08x}-\\U{last:08x}"
        for first, last in _runs(map(unicodedata.combining, map(_first_of_nfkd, _scanned())))
    )
    return re.compile(f"([{marks}]{{30}})[{marks}]+")


def _first_of_nfkd(character: str) -> str:
    if not unicodedata.decomposition(character):  # as of most: asking is quicker than normalising
        return character
    return unicodedata.normalize("NFKD", character)[0]


def _bigrams(run: str) -> list[str]:
    """Return the characters of a run, and every two neighbours."""
    return [*run, *map(operator.add, run, run[1:])]


def _stop_words(language: str) -> tuple[str, ...]:
    """Return a language's stop words; empty if neither bm25s nor this file has any."""
    if language in {"english", "porter"}:
        return tuple(_ENGLISH.split())
    if language == "arabic":
        return tuple(_ARABIC.split())
    if language == _UNICODE:
        return ()
    name = "DUTCH" if language == "dutch_porter" else language.upper()
    found: tuple[str, ...] = getattr(bm25s_module("stopwords"), f"STOPWORDS_{name}", ())
    return tuple(found)


def _is_bigram_script(character: str) -> bool:
    if character < _FIRST_BIGRAM:
        return False
    code = ord(character)
    return any(first <= code <= last for first, last in _BIGRAM_RANGES)


def _is_word_character(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character)[0] == "M"


@cache
def _word_pattern() -> re.Pattern[str]:
    r"""Compile the pattern of words: runs of bigram scripts, and runs of all other scripts.

    `\w` is not enough: it omits the vowel signs of Hindi and Thai and the points of Arabic.
    """
    bigram: list[str] = []
    other: list[str] = []
    for first, last in _runs(map(_is_word_character, _scanned())):
        for start, end, inside in _split(first, last):
            (bigram if inside else other).append(f"\\U{start:08x}-\\U{end:08x}")
    bigram.append(f"\\U{_LAST_SCANNED + 1:08x}-\\U0003ffff")
    return re.compile(f"[{''.join(bigram)}]+|[{''.join(other)}]+")


def _scanned() -> Iterator[str]:
    return map(chr, range(_LAST_SCANNED + 1))


def _runs(accepted: Iterable[object]) -> Iterator[tuple[int, int]]:
    """Yield the first and last code of every run of scanned characters that are accepted."""
    first = last = -1
    for code in compress(range(_LAST_SCANNED + 1), accepted):
        if code != last + 1:
            if last >= 0:
                yield first, last
            first = code
        last = code
    yield first, last


def _split(first: int, last: int) -> Iterator[tuple[int, int, bool]]:
    """Yield the parts of a run that lie inside and outside the bigram scripts."""
    for low, high in _BIGRAM_RANGES:
        if first > last or high < first:
            continue
        if low > last:
            break
        if first < low:
            yield first, low - 1, False
            first = low
        yield first, min(last, high), True
        first = high + 1
    if first <= last:
        yield first, last, False
