"""What every reranking must be, whoever made it."""

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
    """Return a reranking that loses, invents and repeats no candidate and orders by numbers.

    Those without a score, which an earlier stage of a cascade placed, come last.

    Raises:
        BadReply: it is no such thing; says why.
    """
    if not isinstance(reranking, Reranking):
        msg = f"the reranker returned {short_repr(reranking)} and not a Reranking"
        raise BadReply(msg)
    try:
        back = [one.candidate.key for one in reranking.ordered]
        back += [candidate.key for candidate in reranking.unscored]
        back += [one.candidate.key for one in reranking.dropped]
    except (AttributeError, TypeError) as error:
        msg = f"the reranker returned a Reranking that holds something else than it says: {error}"
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
        msg = "the reranker gave none of what it ordered a score"
        raise BadReply(msg)
    after = ""
    for one in reranking.ordered:
        score = one.rerank_score
        if score is None:
            after = " after one without a score"
        elif after or not isinstance(score, Real) or not math.isfinite(score):
            msg = f"the reranker ordered {one.candidate.document.doc_id!r} by {score}{after}"
            raise BadReply(msg)
    return reranking
