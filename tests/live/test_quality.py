"""A judge's agreement with people: grades of one query go together, and unmoved documents aside."""

import numpy as np
import pytest

from runoff.live._judging.quality import quality
from runoff.live._judging.store import Pair


def pair(before=1, after=2, length=100):
    """Return a document with these ranks."""
    return Pair("d", "text:d", before, after, float(before - after), 0.0, length, 0.5)


def graded(queries, documents):
    """Return grades that agree within a query or not, all documents alike."""
    rng = np.random.default_rng(0)
    found = {}
    for query in range(queries):
        people = int(rng.integers(0, 4))
        judge = people if rng.random() < 0.7 else int(rng.integers(0, 4))
        for at in range(documents):
            found[f"q{query}", f"d{at}"] = (pair(), judge, people)
    return found


def test_more_documents_of_a_query_that_agree_prove_no_more():
    """The interval is that of the queries, not of ten times as many documents."""
    one, ten = quality(graded(60, 1)), quality(graded(60, 10))
    assert ten.documents == 600
    assert ten.kappa == pytest.approx(one.kappa)
    assert np.ptp(ten.interval) == pytest.approx(np.ptp(one.interval), rel=1e-6)


def test_a_document_that_stayed_is_no_evidence_of_where_it_came_from():
    """Only what the second system moved up or down is compared."""
    rows = [pair(3, 1), pair(1, 3), pair(2, 2), pair(4, 4)]
    found = quality({("q", str(at)): (one, 1, 1) for at, one in enumerate(rows)})
    assert found.biases["origin"].documents == (1, 1)
    assert found.biases["position"].documents == (3, 1)
