"""English text that comes with Python, for measuring and comparing models.

It is what `help("topics")` shows: reference prose with some code, about 80 texts of 65,000 words.
"""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING

from runoff.errors import RunoffError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def words() -> list[str]:
    """Return the words in the order of the topics.

    Raises:
        RunoffError: this Python does not include them.
    """
    try:
        from pydoc_data.topics import topics  # noqa: PLC0415 - half a megabyte
    except ImportError as error:
        raise RunoffError(
            "this Python has no module pydoc_data: pass texts of your own, or install all of Python"
        ) from error
    return list(itertools.chain.from_iterable(topics[name].split() for name in sorted(topics)))


def stretches(lengths: Iterable[int], seed: int = 0) -> Iterator[str]:
    """Yield texts with these numbers of words, from random places in the topics."""
    found, chance = words(), random.Random(seed)  # noqa: S311 - no secret
    for length in lengths:
        start = chance.randrange(max(1, len(found) - length))
        yield " ".join(found[start : start + length])
