"""What it takes to put near-duplicates together, by how many candidates there are and which."""

from __future__ import annotations

import random
import time
from itertools import accumulate
from typing import TYPE_CHECKING

from harness import Report, Requirement, Table, percentile

from runoff import Document
from runoff.grouping import Grouping
from runoff.types import Candidate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness import Options

__all__ = ["run"]

_ROUNDS = 30
_WORDS = 20_000  # in the vocabulary; a word is as common as its rank is low, as in a language
_ASKED = "200 texts of 200 words"
_SIMILARITIES = (1.0, 0.9, 0.5)


def run(options: Options) -> Report:
    """Time `Grouping(duplicates=...)`, every case in every round."""
    chosen = random.Random(0)  # noqa: S311 - the same texts in every run
    cases = {
        _ASKED: _texts(chosen, 200, 200),
        "the same, in families of four": _families(chosen, 200, 200),
        "the same, half of each the same page head": _headed(chosen, 200, 200),
        "200 texts of 200 ideographs": _ideographs(chosen, 200, 200),
        "1,000 texts of 200 words": _texts(chosen, 1000, 200),
        "200 texts of 2,000 words": _texts(chosen, 200, 2000),
    }
    given = {name: _candidates(texts) for name, texts in cases.items()}
    taken: dict[str, list[list[float]]] = {name: [[] for _ in _SIMILARITIES] for name in cases}
    stay: dict[str, int] = {}
    for _ in range(2 if options.quick else _ROUNDS):
        for name, candidates in given.items():
            for similarity, times in zip(_SIMILARITIES, taken[name], strict=True):
                began = time.process_time()
                kept = Grouping(duplicates=similarity).group(candidates)
                times.append((time.process_time() - began) * 1000)
                if similarity == _SIMILARITIES[1]:
                    stay[name] = len(kept)
    table = Table(
        "Milliseconds of CPU time to group, p50",
        ("candidates", *(f"duplicates={one:g}" for one in _SIMILARITIES), "stay at .9"),
        [(name, *(percentile(one, 50) for one in taken[name]), stay[name]) for name in cases],
        "Words are drawn from 20,000 by Zipf's law; in families, up to 3% of them are replaced.",
    )
    p50 = percentile(taken[_ASKED][1], 50)
    return Report([table], [Requirement(f"{_ASKED}, duplicates=0.9, p50 in CPU ms", p50, 5.0)], [])


def _candidates(texts: Sequence[str]) -> list[Candidate]:
    return [
        Candidate(Document(f"d{rank}", text), f"d{rank}", 1 / rank, rank)
        for rank, text in enumerate(texts, 1)
    ]


def _texts(chosen: random.Random, many: int, words: int) -> list[str]:
    vocabulary = [f"word{at}" for at in range(_WORDS)]
    weights = list(accumulate(1 / rank for rank in range(1, _WORDS + 1)))
    return [" ".join(chosen.choices(vocabulary, cum_weights=weights, k=words)) for _ in range(many)]


def _families(chosen: random.Random, many: int, words: int) -> list[str]:
    texts = []
    for first in _texts(chosen, many // 4, words):
        for percent in range(4):
            found = first.split()
            for at in chosen.sample(range(words), words * percent // 100):
                found[at] = f"other{at}"
            texts.append(" ".join(found))
    return texts


def _headed(chosen: random.Random, many: int, words: int) -> list[str]:
    (head,) = _texts(chosen, 1, words // 2)
    return [f"{head} {text}" for text in _texts(chosen, many, words - words // 2)]


def _ideographs(chosen: random.Random, many: int, words: int) -> list[str]:
    letters = [chr(0x4E00 + at) for at in range(3000)]
    weights = list(accumulate(1 / rank for rank in range(1, len(letters) + 1)))
    return ["".join(chosen.choices(letters, cum_weights=weights, k=words)) for _ in range(many)]
