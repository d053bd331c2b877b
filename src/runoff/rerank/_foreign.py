"""What rerankers of a framework have in common: they may leave candidates out or rewrite texts."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from runoff._util.faults import unreadable
from runoff._util.messages import number_of
from runoff.scores import ModelIdentity, Usage
from runoff.types import Dropped, Ranked, Reranking

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Self

    from runoff.types import Candidate

REMOVED_BY = "removed by "
"""How the reason of every candidate begins that a framework's reranker left out."""


@contextmanager
def read_by(name: str) -> Iterator[None]:
    """Raise `BadReply` for an error that says that a reranker cannot read its language model."""
    try:
        yield
    except Exception as error:
        bad = unreadable(error, name)
        if bad is None:
            raise
        raise bad from error


@runtime_checkable
class Rewritable(Protocol):
    """A document that carries a framework's own, whose text must change with it."""

    def rewritten(self, text: str) -> Self:
        """Return a copy with another text."""


def read_as(
    name: str,
    model: str,
    candidates: Sequence[Candidate],
    before: Sequence[str],
    kept: Mapping[int, tuple[str, float | None]],
) -> Reranking:
    """Return what a framework's reranker made of candidates.

    Its scores count if every candidate that it kept has one and they fall with its order. Otherwise
    the order alone does, and rerank_score is 1 / rank. Candidates with a score that is not finite
    are unscored, and the others are then ordered by score: such an order has no meaning.

    Args:
        name: the reranker's name.
        model: the model it names.
        candidates: in fused order.
        before: the text of each, as it was given to the reranker.
        kept: places of candidates to the text and the score that came back, best first.
    """
    order = [at for at, (_, score) in kept.items() if score is None or math.isfinite(score)]
    unscored = kept.keys() - set(order)
    if unscored:
        order.sort(key=lambda at: -(kept[at][1] or 0.0))
    own = [score for at in order if (score := kept[at][1]) is not None]
    notes: list[str] = []
    if len(own) < len(order) or any(high < low for high, low in pairwise(own)):
        own = [1 / rank for rank in range(1, len(order) + 1)]
        notes.append(order_only(name))
    if left_out := len(candidates) - len(kept):
        notes.append(
            f"{name} left out {left_out} of {len(candidates)} candidates; candidates that it has "
            "not read do not take their places, so there may be fewer results"
        )
    if changed := sum(before[at] != text for at, (text, _) in kept.items()):
        notes.append(f"{name} rewrote {number_of(changed, 'text')}: the results have the new ones")
    broken = number_of(len(unscored), "score that is", "scores that are")
    fault = f"{name} returned {broken} not finite"
    return Reranking(
        ordered=tuple(
            Ranked(_rewritten(candidates[at], before[at], kept[at][0]), float(score))
            for at, score in zip(order, own, strict=True)
        ),
        unscored=tuple(one for at, one in enumerate(candidates) if at in unscored),
        dropped=tuple(
            Dropped(one, f"{REMOVED_BY}{name}")
            for at, one in enumerate(candidates)
            if at not in kept
        ),
        model=ModelIdentity(model),
        usage=Usage(pairs=len(candidates)),
        reason="bad_reply" if unscored else "",
        detail=fault if unscored else "",
        notes=tuple(notes),
        thresholded=left_out > 0,
    )


def _rewritten(candidate: Candidate, before: str, after: str) -> Candidate:
    """Return a candidate with the text that a reranker returned, if it is another one."""
    if before == after:
        return candidate
    document = candidate.document
    if isinstance(document, Rewritable):
        return replace(candidate, document=document.rewritten(after))
    return replace(candidate, document=replace(document, text=after))


def is_order_only(scores: Sequence[float | None]) -> bool:
    """Whether rerank scores, best first, are 1 / rank, as where a reranker gave an order alone."""
    return all(
        score is not None and math.isclose(score, 1 / rank, rel_tol=1e-6)
        for rank, score in enumerate(scores, 1)
    )


def order_only(name: str) -> str:
    """Return the note that a reranker gave no scores."""
    return f"{name} returned an order without scores: rerank_score is 1 / rank"
