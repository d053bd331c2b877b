"""Made-up texts whose words are distributed as in natural language, a million in half a minute."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from runoff.recall._analyzers import _ENGLISH

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["queries", "texts"]

_VOCABULARY = 300_000
_EXPONENT, _SHIFT = 1.1, 2.7  # Zipf-Mandelbrot
_MEAN, _SPREAD = 60, 0.6  # words a text, log-normal
_LETTERS = np.array(list("etaoinshrdlucmfwypvbgk"))
_ENDINGS = ("", "", "", "s", "ing", "ed", "ly", "er")
_AT_ONCE = 10_000


def texts(count: int, seed: int = 1) -> Iterator[str]:
    """Yield texts; the most frequent words are the stop words of English."""
    random = np.random.default_rng(seed)
    words = np.array(_words(np.random.default_rng(0)), dtype=object)
    weights = 1 / (np.arange(1, words.size + 1) + _SHIFT) ** _EXPONENT
    upto = np.cumsum(weights / weights.sum())
    for start in range(0, count, _AT_ONCE):
        some = min(_AT_ONCE, count - start)
        sizes = random.lognormal(np.log(_MEAN) - _SPREAD**2 / 2, _SPREAD, some).astype(int) + 3
        drawn = words[np.minimum(np.searchsorted(upto, random.random(sizes.sum())), words.size - 1)]
        ends = np.cumsum(sizes)
        for end, size in zip(ends.tolist(), sizes.tolist(), strict=True):
            yield " ".join(drawn[end - size : end]).capitalize() + "."


def queries(count: int) -> list[str]:
    """Return queries of four words each, drawn from a text of their own."""
    random = np.random.default_rng(2)
    return [" ".join(random.choice(one[:-1].split(), 4)) for one in texts(count, seed=3)]


def _words(random: np.random.Generator) -> list[str]:
    """Return different words, stop words first."""
    words = dict.fromkeys(_ENGLISH.split())
    while len(words) < _VOCABULARY:
        sizes = random.integers(3, 9, 4096)
        letters = "".join(random.choice(_LETTERS, sizes.sum()))
        ends = np.cumsum(sizes)
        for end, size, ending in zip(
            ends.tolist(), sizes.tolist(), random.integers(0, 8, 4096).tolist(), strict=True
        ):
            words[letters[end - size : end] + _ENDINGS[ending]] = None
    return list(words)[:_VOCABULARY]
