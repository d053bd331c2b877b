"""Long documents: parted into windows, each scored by itself, and folded into one score again."""

from __future__ import annotations

import re
from dataclasses import KW_ONLY, dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

from runoff._util.arguments import count
from runoff._util.text import units
from runoff.errors import InvalidArgument
from runoff.protocols import WindowedScorer
from runoff.scores import PairScores, Passage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runoff.deadline import Deadline
    from runoff.protocols import PairScorer

__all__ = ["Fold", "Passages", "Plan", "as_passages", "plan", "within"]

Fold: TypeAlias = Literal["first", "max", "top-m"]

_WORDS = 200  # some 270 tokens of English: with any question they fit models that read 512
_SHARE = 0.2  # of the time left, for parting texts; scoring them takes some fifty times as long


@dataclass(frozen=True, slots=True)
class Passages:
    """How a document longer than its scorer reads is scored.

    Each window is a pair of its own, and counts as one in the usage. A document that fits is one
    pair and scored as ever.

    Attributes:
        fold: what becomes the document's score: `"max"` takes its best window's, `"top-m"` the mean
            of its `m` best (of all, where it has fewer); `"first"` parts nothing: the scorer reads
            the start and loses the rest.
        m: for `"top-m"`, 1 or more.
        length: tokens in a window at most. None takes all that the scorer reads beside the query.
            A scorer that cannot part texts (no `windows`) gets windows of that many words, or of
            200; a letter of a script without spaces counts as one, 16 characters without a space
            as another.
        overlap: tokens (or words) of a window that stand again at the start of the next, at
            least; at most half a window.
        at_most: windows of one document; a document that goes on beyond them is marked truncated.

    Raises:
        InvalidArgument: an argument has a value it cannot have.
    """

    fold: Fold = "max"
    _: KW_ONLY
    m: int = 3
    length: int | None = None
    overlap: int = 32
    at_most: int = 8

    def __post_init__(self) -> None:
        """Check the arguments."""
        if self.fold not in get_args(Fold):
            remedy = f"must be one of {', '.join(get_args(Fold))}, or a Passages"
            raise InvalidArgument("passages", self.fold, remedy)
        object.__setattr__(self, "m", count("m", self.m))
        object.__setattr__(self, "at_most", count("at_most", self.at_most))
        if self.length is not None:
            object.__setattr__(self, "length", count("length", self.length))
        if isinstance(self.overlap, bool) or not isinstance(self.overlap, int) or self.overlap < 0:
            raise InvalidArgument("overlap", self.overlap, "must be a whole number, 0 or more")


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
            notes += (f"{partly.sum()} long documents were scored by some of their passages{why}",)
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
                self._passages(pairs, scores, parted=len(held[at]) > 1 or bool(unread[at]))
                for at, pairs in enumerate(best)
            ),
        )

    def _best(self, pairs: list[int], scores: PairScores) -> list[int]:
        known = [pair for pair in pairs if scores.scored[pair]]
        known.sort(key=lambda pair: -scores.values[pair])  # stable: the earlier of two equals
        return known[: self.how.m if self.how.fold == "top-m" else 1]

    def _passages(
        self, pairs: list[int], scores: PairScores, *, parted: bool
    ) -> tuple[Passage, ...]:
        """Return what the score came from; what the scorer itself points to, where it does."""
        found: list[Passage] = []
        for pair in pairs:
            _, start, end = self.spans[pair]
            own = scores.passages[pair] if scores.passages else ()
            if own:
                found += [Passage(start + one.start, start + one.end, one.score) for one in own]
            elif parted:
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
    """Part texts for a scorer.

    With a deadline, parting takes at most a fifth of the time left: texts it did not come to are
    given whole, as with `"first"`, and further windows are left out.

    Raises:
        RunoffError: what the scorer raises, such as for a model that cannot be loaded.
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
    starts = units(text)
    at = 0
    while at + length < len(starts):
        yield (starts[at] if at else 0), starts[at + length]
        at += length - overlap
    yield (starts[at] if at else 0), len(text)


def within(passages: Sequence[Passage], read: str, own: str) -> tuple[Passage, ...]:
    """Return passages of what a scorer read as passages of the document's own text.

    Where the own text stands in what was read, as in a template, they are moved there and what lies
    outside it is left out. White space around it may be gone. Where it stands there otherwise
    spaced, as in YAML, a passage is told when its words are found in one place of the own text.
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
    """Return where the words of a part stand in a text, if they do so exactly once."""
    pattern = r"\s+".join(map(re.escape, part.split()))
    ends = [one.span() for one in islice(re.finditer(pattern, own), 2)] if pattern else []
    return ends[0] if len(ends) == 1 else None
