"""Measuring a second stage: lengths, windows, a deadline, concurrent callers, memory."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

from runoff.bench._machine import memory, percentile
from runoff.bench._material import of_words
from runoff.bench._results import Callers, Fit, Kept, Length, Measured, Window
from runoff.bench._searches import Allowance, Searches, Times
from runoff.errors import RecallFailed, RunoffError
from runoff.scores import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runoff.bench._material import Material
    from runoff.bench._searches import Timed
    from runoff.protocols import Reranker

_WINDOWS = (10, 25, 50, 100)
_CALLERS = (1, 2, 4, 8)
_SINGLES = 3  # searches with one document for each search with many
_MANY = 8
_LEAST = 3  # searches with each window, if there is time
_TRIES = 5
_WIDEST = 1000
_NEAR = 0.85  # of the deadline: a faster window is widened
# shares of the remaining seconds
_SHARES = {"lengths": 0.2, "windows": 0.4, "fit": 0.4, "kept": 0.15, "callers": 1.0}


def measure(
    reranker: Reranker,
    material: Material,
    *,
    timeout: float,
    seconds: float,
    words: Sequence[int],
    pairs: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> Measured:
    """Measure a second stage.

    Candidates are drawn at random, which takes no time, so all figures are those of the second
    stage and of what the pipeline adds to it. Measurements to be compared are interleaved, so that
    changes of the machine's load affect all of them.

    Args:
        reranker: the second stage, not loaded yet, so that loading can be timed.
        material: the queries and documents.
        timeout: the deadline of one search in seconds.
        seconds: for all measurements together, without loading; a slow reranker takes somewhat
            longer and is not measured completely.
        words: the document lengths to measure.
        pairs: the most pairs to score; None for no limit.
        progress: called with the name of each step.

    Raises:
        RunoffError: the reranker cannot be loaded, or no search was complete.
    """
    say = progress or (lambda _: None)
    before = memory()
    say("loading")
    began = time.perf_counter()
    warmup = getattr(reranker, "warmup", None)
    if warmup is not None:
        warmup()
    load_s = time.perf_counter() - began
    loaded = memory()
    allowance = Allowance(seconds, pairs)
    bench = _Bench(reranker, material, allowance)
    say("lengths")
    lengths = bench.lengths(words)
    say("windows")
    windows = bench.windows()
    say("deadline")
    fit = bench.fit(timeout * 1000)
    kept = bench.kept(timeout, fit)
    say("callers")
    callers = bench.callers(fit.window if fit is not None and fit.window else _WINDOWS[0])
    most = memory()
    known = before is not None and loaded is not None and most is not None
    return Measured(
        load_s,
        (before[0], loaded[0], most[1]) if known else None,  # type: ignore[index] # known
        lengths,
        bench.tokens(),
        bench.truncated(),
        windows,
        timeout,
        fit,
        kept,
        callers,
        bench.usage(),
        bench.degraded(),
    )


class _Bench:
    def __init__(self, reranker: Reranker, material: Material, allowance: Allowance) -> None:
        self._reranker = reranker
        self._material = material
        self._allowance = allowance
        self._searches = Searches(reranker, material.queries, material.documents)
        self._all = [self._searches]
        self._windows: dict[int, list[Timed]] = {}
        self._failed = 0  # searches since the last answer

    def lengths(self, words: Sequence[int]) -> tuple[Length, ...]:
        self._allowance.begin(_SHARES["lengths"])
        kinds = {
            length: Searches(self._reranker, self._material.queries, of_words(length))
            for length in words
        }
        self._all += kinds.values()
        singles: dict[int, list[Timed]] = {length: [] for length in kinds}
        several: dict[int, list[Timed]] = {length: [] for length in kinds}
        for length, searches in kinds.items():  # at least one of each
            self._add(singles[length], searches, 1)
        going = True
        while going and self._allowance.left > 0:
            for length, searches in kinds.items():
                for _ in range(_SINGLES):
                    going &= self._add(singles[length], searches, 1)
                going &= self._add(several[length], searches, _MANY)
                if self._allowance.left <= 0:
                    break
        return tuple(
            _length(length, singles[length], several[length]) for length in kinds if singles[length]
        )

    def windows(self) -> tuple[Window, ...]:
        self._allowance.begin(_SHARES["windows"])
        sizes = [size for size in _WINDOWS if size <= self._searches.size] or [self._searches.size]
        found: dict[int, list[Timed]] = {size: [] for size in sizes}
        spent = dict.fromkeys(sizes, 0.0)
        for size in sizes:  # the narrow ones show whether there is time for the wide ones
            while len(found[size]) < _LEAST and self._fits(found, size):
                began = time.perf_counter()
                if not self._add(found[size], self._searches, size):
                    break
                spent[size] += time.perf_counter() - began
        measured = [size for size in sizes if found[size]]
        while measured and self._allowance.left > 0:
            size = min(measured, key=spent.__getitem__)
            began = time.perf_counter()
            if not self._add(found[size], self._searches, size):
                break
            spent[size] += time.perf_counter() - began
        self._windows = {size: runs for size, runs in found.items() if runs}
        if not self._windows:
            why = ", ".join(self.degraded()) or "too few pairs are allowed"
            raise RunoffError(f"no search was complete: {why}")
        per_pair = percentile(_per_pair(self._windows), 50)
        return tuple(
            Window(size, Times.of(found[size]))
            if found[size]
            else Window(size, None, per_pair * size)
            for size in sizes
        )

    def fit(self, limit_ms: float) -> Fit | None:
        self._allowance.begin(_SHARES["fit"])
        most = min(_WIDEST, self._searches.size)
        window = min(most, max(1, int(limit_ms / percentile(_per_pair(self._windows), 95))))
        best: Fit | None = None
        too_wide = most + 1
        for _ in range(_TRIES):
            runs: list[Timed] = []
            half = time.perf_counter() + self._allowance.left / 2
            while len(runs) < _LEAST or time.perf_counter() < half:
                if not self._add(runs, self._searches, window):
                    break
            if len(runs) < _LEAST:
                return best
            times = Times.of(runs)
            if times.p95 <= limit_ms:
                best = Fit(window, times, window == most)
                wider = min(int(window * limit_ms / times.p95 * 0.95), too_wide - 1)
                if times.p95 > _NEAR * limit_ms or wider <= window:
                    return best
                window = wider
            else:
                too_wide = window
                if window == 1:
                    return Fit(0, times)
                narrower = min(window - 1, int(window * limit_ms / times.p95 * 0.95))
                window = max(1, narrower, 0 if best is None else best.window + 1)
                if best is not None and window >= too_wide:
                    return best
        return best

    def kept(self, timeout: float, fit: Fit | None) -> Kept | None:
        self._allowance.begin(_SHARES["kept"])
        wide = 2 * (fit.window if fit is not None else _WINDOWS[-1])
        window = min(max(_WINDOWS[-1], wide), self._searches.size)
        if fit is None or fit.window >= window:
            return None
        runs: list[Timed] = []
        try:
            while len(runs) < _LEAST or self._allowance.left > 0:
                if not self._add(runs, self._searches, window, timeout):
                    return None
        except RecallFailed:  # the deadline is too short even for drawing documents
            return None
        return Kept(window, percentile([one.pairs for one in runs], 50), Times.of(runs))

    def callers(self, window: int) -> tuple[Callers, ...]:
        window = min(window, self._searches.size)
        found: list[Callers] = []
        self._allowance.begin(_SHARES["callers"])
        for at, callers in enumerate(_CALLERS):
            # each caller finishes at least one search
            if found and callers * window > found[-1].pairs_per_second * self._allowance.left:
                break
            share = max(0.0, self._allowance.left) / (len(_CALLERS) - at)
            made = self._together(callers, window, time.perf_counter() + share)
            if made is None:
                break
            found.append(made)
        return tuple(found)

    def _together(self, callers: int, window: int, end: float) -> Callers | None:
        runs: list[Timed] = []
        errors: list[BaseException] = []

        def call() -> None:
            try:
                while self._add(runs, self._searches, window) and time.perf_counter() < end:
                    pass
            except BaseException as error:  # noqa: BLE001 - raised below, in the caller's thread
                errors.append(error)

        threads = [threading.Thread(target=call) for _ in range(callers)]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.perf_counter() - began
        if errors:
            raise errors[0]
        if not runs:
            return None
        return Callers(callers, window, Times.of(runs), sum(one.pairs for one in runs) / took)

    def tokens(self) -> tuple[float, float] | None:
        each = [
            one.tokens / one.pairs
            for runs in self._windows.values()
            for one in runs
            if one.tokens is not None and one.pairs
        ]
        return (percentile(each, 50), percentile(each, 95)) if each else None

    def truncated(self) -> float:
        runs = [one for several in self._windows.values() for one in several]
        return sum(one.truncated for one in runs) / max(1, sum(one.pairs for one in runs))

    def usage(self) -> Usage:
        return sum((one.usage for one in self._all), Usage())

    def degraded(self) -> dict[str, int]:
        return dict(sum((one.degraded for one in self._all), Counter()))

    def _add(
        self, runs: list[Timed], searches: Searches, window: int, timeout: float | None = None
    ) -> bool:
        """Search once more; False if no pairs are left for it, or too many searches failed."""
        if not self._allowance.take(window):
            return False
        made = searches.run(window, timeout)
        if made is not None:
            runs.append(made)
            self._failed = 0
            return True
        self._failed += 1
        return self._failed < _TRIES

    def _fits(self, found: dict[int, list[Timed]], size: int) -> bool:
        """Whether there is time for a window, judging by the narrower ones."""
        if not any(found.values()):
            return True
        expected = percentile(_per_pair(found), 50) * size / 1000
        return expected <= self._allowance.left


def _length(words: int, singles: Sequence[Timed], several: Sequence[Timed]) -> Length:
    runs = [*singles, *several]
    tokens = [one.tokens / one.pairs for one in runs if one.tokens is not None and one.pairs]
    return Length(
        words,
        percentile(tokens, 50) if tokens else None,
        sum(one.truncated for one in runs) / max(1, sum(one.pairs for one in runs)),
        Times.of(singles),
        percentile([one.pairs / one.ms * 1000 for one in several], 50) if several else None,
    )


def _per_pair(windows: dict[int, list[Timed]]) -> list[float]:
    """Return the milliseconds per pair of each search."""
    return [
        one.ms / one.pairs for runs in windows.values() for one in runs if one.pairs and one.ms
    ] or [math.inf]
