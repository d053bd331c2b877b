"""The checks that every reranking must pass."""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING

from runoff._util.messages import short_repr
from runoff.errors import BadReply
from runoff.types import Reranking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runoff.types import Candidate

__all__ = ["check_reranking"]


def check_reranking(reranking: object, given: Sequence[Candidate]) -> Reranking:
    """Return a reranking that has every candidate once and is ordered by finite scores.

    Candidates without a score, which an earlier stage of a cascade ordered, must come last.

    Raises:
        BadReply: a check failed; says which.
    """
    if not isinstance(reranking, Reranking):
        msg = f"the reranker returned {short_repr(reranking)}, not a Reranking"
        raise BadReply(msg)
    try:
        back = [one.candidate.key for one in reranking.ordered]
        back += [candidate.key for candidate in reranking.unscored]
        back += [one.candidate.key for one in reranking.dropped]
    except (AttributeError, TypeError) as error:
        msg = f"the reranker returned a Reranking that contains the wrong types: {error}"
        raise BadReply(msg) from error
    if sorted(back) != sorted(candidate.key for candidate in given):
        known = {candidate.key for candidate in given}
        msg = (
            f"the reranker was given {len(given)} candidates and returned {len(back)}: "
            f"{len(known - set(back))} missing, {len(set(back) - known)} unknown, "
            f"{len(back) - len(set(back))} repeated"
        )
        raise BadReply(msg)
    if reranking.ordered and not reranking.dropped and reranking.ordered[0].rerank_score is None:
        msg = "the reranker ordered candidates but scored none"
        raise BadReply(msg)
    unscored = False
    for one in reranking.ordered:
        doc_id, score = one.candidate.document.doc_id, one.rerank_score
        if score is None:
            unscored = True
        elif not (type(score) is float or isinstance(score, Real)) or not math.isfinite(score):
            msg = f"the reranker gave {doc_id!r} the score {score}, which is not a finite number"
            raise BadReply(msg)
        elif unscored:
            msg = f"the reranker placed {doc_id!r}, with a score, below a candidate without one"
            raise BadReply(msg)
    return reranking
