"""Checks that a file can be an index: each column is in its range, and all columns agree.

Checksums find accidents. They do not find a file whose checksum was computed again after a change,
and a row out of range would then return another document without an error. Each check is one pass
of NumPy over a column.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from runoff._util.stored import is_text
from runoff.recall._bm25.formula import Weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from runoff.recall._bm25.engine import EagerScores
    from runoff.recall._bm25.formula import Formula
    from runoff.recall._bm25.postings import Postings

_SAMPLE = 4096  # scores that are computed again
_CLOSE = 1e-3  # float32, and formulas that round in another order


def check_words(ids: object, terms: object) -> None:
    """Check the ids, which ascend, and the terms, which are all different.

    Raises:
        ValueError: says what is wrong.
    """
    for name, words in (("ids", ids), ("terms", terms)):
        require(
            isinstance(words, list) and is_text(*words), f"the {name} are not a list of strings"
        )
    assert isinstance(ids, list)  # noqa: S101 - for mypy: checked above
    assert isinstance(terms, list)  # noqa: S101 - as above
    ascending = all(one < other for one, other in pairwise(ids))
    require(ascending and (not ids or ids[0] != ""), "the ids are empty, repeated or out of order")
    require(len(set(terms)) == len(terms), "a term is repeated")


def check_offsets(offsets: NDArray[np.int64], documents: int, ends: list[int]) -> None:
    """Check where each document's text and extra begin.

    Raises:
        ValueError: says what is wrong.
    """
    require(
        offsets.shape == (2, documents + 1)
        and not offsets[:, 0].any()
        and offsets[:, -1].tolist() == ends
        and bool((offsets[:, 1:] >= offsets[:, :-1]).all()),
        "the positions of the documents do not match the files",
    )


def check_postings(postings: Postings, *, values: bool) -> None:
    """Check the counts of terms in documents.

    Args:
        postings: the counts.
        values: whether to read every posting, and not only where each term's postings begin.

    Raises:
        ValueError: says what is wrong.
    """
    starts, rows, counts = postings.starts, postings.rows, postings.counts
    require(
        starts.size == len(postings.terms) + 1
        and int(starts[0]) == 0
        and int(starts[-1]) == rows.size == counts.size
        and bool((starts[1:] > starts[:-1]).all()),
        "the terms do not match their postings",
    )
    if not values:
        return
    size = postings.lengths.size
    inside = not rows.size or (int(rows.min()) >= 0 and int(rows.max()) < size)
    require(inside, "a posting names a document that does not exist")
    ascending = rows[1:] > rows[:-1]
    ascending[starts[1:-1] - 1] = True  # the next term begins anew
    require(bool(ascending.all()), "the postings of a term are out of order")
    require(not counts.size or int(counts.min()) > 0, "a count of a term is below 1")
    total = np.bincount(rows, weights=counts, minlength=size)
    require(
        bool((total == postings.lengths).all()),
        "the lengths of the documents differ from the sums of their counts",
    )


def check_scores(scoring: EagerScores, formula: Formula, *, values: bool) -> None:
    """Check the scores; the lowest, the highest and some thousand more are computed again.

    Args:
        scoring: the scores.
        formula: what made them.
        values: whether to read every score, and not only how many there are.

    Raises:
        ValueError: says what is wrong.
    """
    scores, base, postings = scoring.scores, scoring.base, scoring.postings
    expected = len(postings.terms) if formula.shifted else 0
    require(
        scores.size == postings.rows.size and base.size == expected,
        "the scores do not match the postings",
    )
    if not values or not scores.size:
        return
    lowest, highest = scores.min(), scores.max()
    require(bool(np.isfinite(lowest) and np.isfinite(highest)), "a score is not a finite number")
    require((lowest > 0) == scoring.positive, "the lowest score differs from the recorded one")
    spread = np.linspace(0, scores.size - 1, min(scores.size, _SAMPLE)).astype(np.int64)
    chosen = np.concatenate([[scores.argmin(), scores.argmax()], spread])
    terms = np.searchsorted(postings.starts, chosen, "right") - 1
    weights = Weights.of(formula, [postings.lengths])
    with np.errstate(all="ignore"):  # a k1 out of any use
        idf = np.array([*map(weights.idf, postings.frequencies[terms].tolist())])
        of_base = weights.base(idf)
        norms = weights.norms(postings.lengths[postings.rows[chosen]])
        made = weights.scores(postings.counts[chosen], norms, idf, of_base)
    if of_base is not None:
        require(bool(np.isfinite(base).all()), "a score is not a finite number")
        require(
            np.allclose(base[terms], of_base, _CLOSE, _CLOSE), "the scores are of another index"
        )
    require(
        np.allclose(scores[chosen], made, _CLOSE, _CLOSE * 0.01), "the scores are of another index"
    )


def require(holds: object, what: str) -> None:
    """Raise a ValueError that says what is wrong, unless it holds."""
    if not holds:
        raise ValueError(what)
