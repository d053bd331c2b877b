"""Pairs of text on which a graph that was made is compared with the original."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runoff._util.prose import stretches

if TYPE_CHECKING:
    from runoff._onnx.tokens import Encoded, TextEncoder

_SHORTEST = 4  # words
_LENGTHS = 16
_ASKED = 8  # words in a query


def sample_pairs(max_length: int) -> list[tuple[str, str]]:
    """Return 64 pairs of English, from a few words to more than `max_length` tokens.

    For each length there are four documents: one that contains the query, one on the same subject,
    one whose first half is on it, and one on another subject. A model's scores of them differ.
    """
    ratio = (max_length / _SHORTEST) ** (1 / (_LENGTHS - 1))
    pairs = []
    for step in range(_LENGTHS):
        size = max(_ASKED, round(_SHORTEST * ratio**step))
        own, strange = (text.split() for text in stretches([2 * size + _ASKED, size], seed=step))
        query = " ".join(own[size // 2 : size // 2 + _ASKED])
        documents = (own[:size], own[-size:], own[: size // 2] + strange[: size // 2], strange)
        pairs += [(query, " ".join(document)) for document in documents]
    return pairs


def traced_with(encoder: TextEncoder) -> list[Encoded]:
    """Return two inputs of different length, so that neither batch nor padding looks constant."""
    asked = encoder.query("how do I read a file?")
    return [encoder.pair(asked, "line by line"), encoder.pair(asked, "with a loop over its lines")]
