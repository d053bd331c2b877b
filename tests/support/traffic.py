"""Observations made up for tests: what two orders of graded documents look like on disk."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

from runoff._util.text import text_key
from runoff.live._observation import Observation, SourceRanks
from runoff.live._store import Store
from runoff.scores import ModelIdentity, ScoreKind
from runoff.trace import FateKind, Scoring
from runoff.types import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

__all__ = ["graded", "keep", "observation", "stream"]


def observation(  # noqa: PLR0913 - an observation has more fields
    query: str,
    fused: Sequence[str],
    reranked: Sequence[str],
    *,
    at: float = 0.0,
    top_k: int = 5,
    texts: bool = True,
    model: str = "small-reranker",
    pipeline: str = "p",
    slices: Mapping[str, str] | None = None,
    outcome: Outcome | None = None,
) -> Observation:
    """Return an answer with these documents, whose ids are their texts."""
    many = len(fused)
    nothing = (math.nan,) * many
    return Observation(
        id=text_key(f"{query} {at}").removeprefix("text:"),
        time=at,
        sample=1.0,
        query_hash=text_key(query),
        query=query if texts else "",
        pipeline=pipeline,
        depth=many,
        window=many,
        top_k=top_k,
        doc_ids=tuple(fused),
        text_hashes=tuple(map(text_key, fused)),
        texts=tuple(fused) if texts else (),
        fusion_scores=tuple(1.0 / rank for rank in range(1, many + 1)),
        ranks=tuple(reranked.index(one) + 1 for one in fused),
        rerank_scores=nothing,
        pair_scores=nothing,
        truncated=(False,) * many,
        scorings=(Scoring.RERANKED,) * many,
        fates=(FateKind.RETURNED,) * many,
        sources={"bm25": SourceRanks(tuple(range(1, many + 1)), nothing)},
        stages=(),
        outcome=outcome or Outcome(),
        model=ModelIdentity(model),
        kind=ScoreKind.UNKNOWN,
        slices=slices or {},
    )


def graded(query: str, text: str) -> int:
    """Return the grade that a document made by `stream` says it has."""
    return int(text.rpartition(" ")[2])


def stream(
    many: int,
    *,
    better: float,
    seed: int = 0,
    documents: int = 10,
    first: int = 0,
    **about: object,
) -> list[Observation]:
    """Return answers whose second order is better by some amount than the first.

    Args:
        many: how many.
        better: how much more the second order heeds the grades; negative for a worse one.
        seed: of everything random.
        documents: of each answer.
        first: the number of the first query, which is its time, too.
        about: further arguments of `observation`.
    """
    chance = random.Random(seed)
    found = []
    for at in range(first, first + many):
        grades = [chance.choice((0, 0, 0, 0, 1, 2, 3)) for _ in range(documents)]
        names = [f"document {at} {place} {grade}" for place, grade in enumerate(grades)]

        def ordered(weight: float, grades: list[int] = grades) -> list[int]:
            scores = [chance.gauss(weight * grade, 1) for grade in grades]
            return sorted(range(documents), key=scores.__getitem__, reverse=True)

        before, after = ordered(0.5), ordered(0.5 + better)
        found.append(
            observation(
                f"question {at}",
                [names[one] for one in before],
                [names[one] for one in after],
                at=float(at),
                **about,  # type: ignore[arg-type] # as described
            )
        )
    return found


def keep(path: Path, observations: Iterable[Observation]) -> Path:
    """Write observations as `watch` does, and return the directory."""
    Store(path).write(list(observations))
    return path
