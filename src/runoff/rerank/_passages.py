"""Long documents: split into windows, which are scored one by one and make one score."""

from __future__ import annotations

import re
from array import array
from dataclasses import KW_ONLY, dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

from runoff._util.arguments import count, is_one_of, is_whole, plain_numbers
from runoff._util.text import units
from runoff.errors import InvalidArgument
from runoff.protocols import WindowedScorer
from runoff.scores import PairScores, Passage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runoff.deadline import Deadline
    from runoff.protocols import PairScorer

Fold: TypeAlias = Literal["first", "max", "top-m"]

_WORDS = 200  # some 270 tokens of English: with any question they fit models that read 512
_SHARE = 0.2  # of the time left, for splitting texts; scoring them takes some fifty times as long


@dataclass(frozen=True, slots=True)
class Passages:
    """How a document longer than its scorer reads is scored.

    Each window is a pair and counts as one in the usage. A document that fits is a single pair.

    Attributes:
        fold: how the scores of windows become the document's: `"max"` takes the best, `"top-m"` the
            mean of the `m` best (of all, where there are fewer); `"first"` splits nothing: the
            scorer reads only the start.
        m: for `"top-m"`, 1 or more.
        length: the most tokens in a window; None takes all that the scorer reads beside the
            query. A scorer that cannot split texts (no `windows`) gets windows of that many words,
            or of 200; a letter of a script without spaces counts as a word, and so do 16
            characters without a space.
        overlap: the fewest tokens (or words) that a window repeats of the one before; at most half
            a window.
        at_most: the most windows of one document; a longer document is marked truncated.

    Raises:
        InvalidArgument: an argument has an invalid value.
    """

    fold: Fold = "max"
    _: KW_ONLY
    m: int = 3
    length: int | None = None
    overlap: int = 32
    at_most: int = 8

    def __post_init__(self) -> None:
        if not is_one_of(self.fold, get_args(Fold)):
            remedy = f"must be one of {', '.join(get_args(Fold))}, or a Passages"
            raise InvalidArgument("passages", self.fold, remedy)
        object.__setattr__(self, "m", count("m", self.m))
        object.__setattr__(self, "at_most", count("at_most", self.at_most))
        if self.length is not None:
            object.__setattr__(self, "length", count("length", self.length))
        if not is_whole(self.overlap, 0):
            raise InvalidArgument("overlap", self.overlap, "must be a whole number, 0 or more")
        plain_numbers(self, "overlap")


def as_passages(given: object) -> Passages:
    """Return a `Passages`, given as it is or by its fold.

    Raises:
        InvalidArgument: it is neither.
    """
    return given if isinstance(given, Passages) else Passages(given)  # type: ignore[arg-type] # it checks


@dataclass(frozen=True, slots=True)
class Plan:
    """Which pairs are scored for which documents.

    Attributes:
        how: how scores are folded.
        texts: what is read of each document.
        query: what is asked.
        spans: for each pair the document's place in `texts`, and start and end of the window; first
            the first window of every document, then second windows.
    """

    how: Passages
    query: str
    texts: Sequence[str]
    spans: Sequence[tuple[int, int, int]]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The pairs, in the order they are to be scored."""
        return [(self.query, self.texts[at][start:end]) for at, start, end in self.spans]

    def folded(self, scores: PairScores) -> PairScores:
        """Return one score for each document from the scores of its windows.

        Windows without a score (a deadline, a value that is not finite) are left out, and a
        document that has one is marked truncated; it is unscored only where no window was scored.
        """
        if self.how.fold == "first":
            return scores
        held: list[list[int]] = [[] for _ in self.texts]
        for pair, (at, _, _) in enumerate(self.spans):
            held[at].append(pair)
        best = [self._best(pairs, scores) for pairs in held]
        partly = np.array([0 < _known(pairs, scores) < len(pairs) for pairs in held], np.bool_)
        unread = np.array(
            [self.spans[pairs[-1]][2] < len(self.texts[at]) for at, pairs in enumerate(held)],
            np.bool_,
        )
        lost = np.array([bool(scores.truncated[pairs].any()) for pairs in held], np.bool_)
        scored = np.array([bool(pairs) for pairs in best], np.bool_)
        notes = scores.notes
        if partly.any():
            why = f" ({scores.reason})" if scores.reason else ""
            notes += (f"only some passages of {partly.sum()} long documents were scored{why}",)
        return replace(
            scores,
            values=np.array(
                [scores.values[pairs].mean(dtype=np.float64) if pairs else np.nan for pairs in best]
            ),
            scored=scored,
            truncated=scored & (partly | unread | lost),
            reason="" if scored.all() else scores.reason,
            notes=notes,
            passages=tuple(
                self._passages(pairs, scores, split=len(held[at]) > 1 or bool(unread[at]))
                for at, pairs in enumerate(best)
            ),
        )

    def _best(self, pairs: list[int], scores: PairScores) -> list[int]:
        known = [pair for pair in pairs if scores.scored[pair]]
        known.sort(key=lambda pair: -scores.values[pair])  # stable: the earlier of two equals
        return known[: self.how.m if self.how.fold == "top-m" else 1]

    def _passages(
        self, pairs: list[int], scores: PairScores, *, split: bool
    ) -> tuple[Passage, ...]:
        """Return the passages that made the score: those of the scorer, or else the windows."""
        found: list[Passage] = []
        for pair in pairs:
            _, start, end = self.spans[pair]
            own = scores.passages[pair] if scores.passages else ()
            if own:
                found += [Passage(start + one.start, start + one.end, one.score) for one in own]
            elif split:
                found.append(Passage(start, end, float(scores.values[pair])))
        return tuple(found)


def _known(pairs: list[int], scores: PairScores) -> int:
    return int(scores.scored[pairs].sum())


def plan(
    how: Passages,
    scorer: PairScorer,
    query: str,
    texts: Sequence[str],
    deadline: Deadline | None = None,
) -> Plan:
    """Split texts for a scorer.

    With a deadline, splitting takes at most a fifth of the time left. Texts that were not reached
    by then are scored as with `"first"`, and further windows are left out.

    Raises:
        RunoffError: the scorer's error, such as for a model that cannot be loaded.
    """
    if how.fold == "first" or (deadline is not None and deadline.expired):
        return Plan(how, query, texts, [(at, 0, len(text)) for at, text in enumerate(texts)])
    windows = _windows(how, scorer, query, texts, deadline)
    least = -1.0
    if deadline is not None and deadline.finite:
        least = deadline.remaining() * (1 - _SHARE)
    spans: list[tuple[int, int, int]] = []
    going = list(range(len(texts)))
    for turn in range(how.at_most):
        beyond = []
        for at in going:
            if deadline is not None and deadline.remaining() < least:
                if turn:
                    return Plan(how, query, texts, spans)
                spans.append((at, 0, len(texts[at])))
            elif (span := next(windows[at], None)) is not None:
                spans.append((at, *span))
                if span[1] < len(texts[at]):
                    beyond.append(at)
        going = beyond
    return Plan(how, query, texts, spans)


def _windows(
    how: Passages,
    scorer: PairScorer,
    query: str,
    texts: Sequence[str],
    deadline: Deadline | None,
) -> Sequence[Iterator[tuple[int, int]]]:
    if isinstance(scorer, WindowedScorer):
        return scorer.windows(
            query, texts, length=how.length, overlap=how.overlap, deadline=deadline
        )
    length = how.length or _WORDS
    return [_by_words(text, length, min(how.overlap, length // 2)) for text in texts]


def _by_words(text: str, length: int, overlap: int) -> Iterator[tuple[int, int]]:
    found, starts = units(text), array("Q")
    at = 0
    while True:
        starts.extend(islice(found, at + length + 1 - len(starts)))
        if at + length >= len(starts):
            break
        yield (starts[at] if at else 0), starts[at + length]
        at += length - overlap
    yield (starts[at] if at else 0), len(text)


def within(passages: Sequence[Passage], read: str, own: str) -> tuple[Passage, ...]:
    """Return passages of the text that a scorer read as passages of the document's own text.

    Where the text that was read contains the document's, as in a template, their offsets are
    shifted, and parts outside it are left out; white space around it may be missing. Where it
    contains the document's text with other spacing, as in YAML, a passage is returned if its words
    occur exactly once in the document.
    """
    if read == own or not passages:
        return tuple(passages)
    found = read.find(own.strip())
    if found < 0:
        again = (_again(read[one.start : one.end], own) for one in passages)
        return tuple(
            Passage(*ends, one.score) for ends, one in zip(again, passages, strict=True) if ends
        )
    offset = found - (len(own) - len(own.lstrip()))
    moved = (
        Passage(max(0, one.start - offset), min(len(own), one.end - offset), one.score)
        for one in passages
    )
    return tuple(one for one in moved if one.start < one.end)


def _again(part: str, own: str) -> tuple[int, int] | None:
    """Return where the words of a part occur in a text, if they do so exactly once."""
    pattern = r"\s+".join(map(re.escape, part.split()))
    ends = [one.span() for one in islice(re.finditer(pattern, own), 2)] if pattern else []
    return ends[0] if len(ends) == 1 else None
