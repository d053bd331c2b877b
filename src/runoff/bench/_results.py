"""What was measured of a second stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runoff.bench._searches import Times
    from runoff.scores import Usage

__all__ = ["Callers", "Fit", "Kept", "Length", "Measured", "Window"]


@dataclass(frozen=True, slots=True)
class Length:
    """What documents of one length take.

    Attributes:
        words: in a document.
        tokens: of a pair, query and special tokens included; None where the reranker does not tell.
        truncated: the share of documents that lost text to the reranker's limit.
        one: searches with one document.
        pairs_per_second: with eight documents; None where there was no time for them.
    """

    words: int
    tokens: float | None
    truncated: float
    one: Times
    pairs_per_second: float | None


@dataclass(frozen=True, slots=True)
class Window:
    """What a window takes.

    Attributes:
        window: candidates read.
        times: of searches; None where there was no time for them.
        expected_ms: by the milliseconds of a pair in the other windows, where `times` is None.
    """

    window: int
    times: Times | None
    expected_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Fit:
    """The widest window found that is read within a deadline in 19 of 20 searches.

    Attributes:
        window: 0 where not even one candidate is.
        times: of searches with it; with window 0, of one candidate.
        widest: whether no wider one was tried, since there are no more documents.
    """

    window: int
    times: Times
    widest: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """What searches with a deadline did.

    Attributes:
        window: that they were to read, too wide for the deadline.
        scored: the median of the candidates that were read.
        times: of the searches.
    """

    window: int
    scored: float
    times: Times


@dataclass(frozen=True, slots=True)
class Callers:
    """What several callers at once got.

    Attributes:
        callers: how many.
        window: candidates each search read.
        times: of their searches.
        pairs_per_second: of all together.
    """

    callers: int
    window: int
    times: Times
    pairs_per_second: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What a second stage costs.

    Attributes:
        load_s: seconds to import, load and run it once.
        memory: bytes of the process before, after loading and at most; None where unknown.
        lengths: by length of the documents.
        tokens: of a pair of the material, median and p95 over searches; None where unknown.
        truncated: the share of the material's documents that lost text.
        windows: by window.
        timeout: the deadline, in seconds.
        fit: the window that fits the deadline; None where there was no time to find it.
        kept: what a deadline does to a window too wide for it; None as before.
        callers: by the number of callers.
        usage: of all searches.
        degraded: how many searches were not complete, by reason; they are in no figure.
    """

    load_s: float
    memory: tuple[int, int, int] | None
    lengths: tuple[Length, ...]
    tokens: tuple[float, float] | None
    truncated: float
    windows: tuple[Window, ...]
    timeout: float
    fit: Fit | None
    kept: Kept | None
    callers: tuple[Callers, ...]
    usage: Usage
    degraded: dict[str, int]
