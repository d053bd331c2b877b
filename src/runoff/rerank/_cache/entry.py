"""What a cache keeps of one pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runoff.scores import ModelIdentity, Passage, ScoreKind


@dataclass(frozen=True, slots=True)
class Entry:
    """The score of one pair, with all that `PairScores` says of it."""

    value: float
    truncated: bool
    kind: ScoreKind
    model: ModelIdentity
    passages: tuple[Passage, ...] = ()


class Found(dict[bytes, Entry]):
    """Entries by key, with a sentence about those that could not be read; empty if all could."""

    note: str = ""
