"""Estimates of the tokens and search units of a request, before it is sent."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from runoff.rerank._pairs import has_text

if TYPE_CHECKING:
    from collections.abc import Sequence

_PER_UNIT = 100  # documents of one query in a search unit, as Cohere's price list has it
_BYTES_PER_TOKEN = 4  # of English text, about; other scripts come close
_SPECIAL = 3  # tokens around query and document


def tokens(text: str) -> int:
    """Estimate the tokens of a text: a quarter of its bytes."""
    return len(text.encode("utf-8", "surrogatepass")) // _BYTES_PER_TOKEN


def pair_tokens(pair: tuple[str, str]) -> int:
    """Estimate the tokens of a pair: a quarter of its bytes, and 3 special tokens."""
    sizes = (len(text.encode("utf-8", "surrogatepass")) for text in pair)
    return math.ceil(sum(sizes) / _BYTES_PER_TOKEN) + _SPECIAL


def units(pairs: Sequence[tuple[str, str]], batch: int) -> float:
    """Return the search units of pairs with text: one for each query and 100 documents of it."""
    documents = Counter(pair[0] for pair in pairs if has_text(pair))
    return float(
        sum(
            math.ceil(min(batch, number - start) / _PER_UNIT)
            for number in documents.values()
            for start in range(0, number, batch)
        )
    )
