import pytest

from runoff.types import Document, Hit


def _ranking(*keyed_scores, low=None):
    return [
        Hit(Document(doc_id, f"text of {doc_id}"), score, score_range=(low, None))
        for doc_id, score in keyed_scores
    ]


@pytest.fixture
def ranking():
    """Make a ranking from (id, score) pairs."""
    return _ranking
