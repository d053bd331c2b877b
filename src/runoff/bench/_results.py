"""The results of measuring a second stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runoff.bench._searches import Times
    from runoff.scores import Usage


@dataclass(frozen=True, slots=True)
class Length:
    """The cost of documents of one length.

    Attributes:
        words: words of a document.
        tokens: tokens of a pair, with those of the query and special ones; None if unknown.
        truncated: the share of documents that were truncated.
        one: times of searches with one document.
        pairs_per_second: with eight documents; None if there was no time to measure it.
    """

    words: int
    tokens: float | None
    truncated: float
    one: Times
    pairs_per_second: float | None


@dataclass(frozen=True, slots=True)
class Window:
    """The cost of a window.

    Attributes:
        window: candidates to rerank.
        times: times of the searches; None if there was no time to measure them.
        expected_ms: an estimate from the other windows, if `times` is None.
    """

    window: int
    times: Times | None
    expected_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Fit:
    """The widest window found whose p95 is within a deadline.

    Attributes:
        window: its size; 0 if not even one candidate fits.
        times: times of searches with it; for window 0, with one candidate.
        widest: whether a wider one was not tried because there are no more documents.
    """

    window: int
    times: Times
    widest: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """Searches with a deadline too short for their window.

    Attributes:
        window: candidates to rerank.
        scored: the median number of candidates that were scored.
        times: times of the searches.
    """

    window: int
    scored: float
    times: Times


@dataclass(frozen=True, slots=True)
class Callers:
    """Searches of several concurrent callers.

    Attributes:
        callers: the number of callers.
        window: candidates of each search.
        times: times of their searches.
        pairs_per_second: of all callers together.
    """

    callers: int
    window: int
    times: Times
    pairs_per_second: float


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything measured of a second stage.

    Attributes:
        load_s: seconds to import, load and run it once.
        memory: bytes of the process before loading, after loading and at most; None if unknown.
        lengths: the cost by length of the documents.
        tokens: tokens of a pair of the material, median and p95 over searches; None if unknown.
        truncated: the share of the material's documents that were truncated.
        windows: the cost by window.
        timeout: the deadline in seconds.
        fit: the window that fits the deadline; None if there was no time to find it.
        kept: searches with a window too wide for the deadline; None if there was no time for them.
        callers: the throughput by number of callers.
        usage: what all searches consumed.
        degraded: reason to number of degraded searches, which are not counted in the other figures.
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
