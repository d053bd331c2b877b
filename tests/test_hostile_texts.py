"""Texts made to be slow: every stage that reads them keeps the deadline, and says what it left out.

Times are those of the calling thread's own work (`time.thread_time`) where another process could
make the wall clock slower, and are compared with what plain texts cost.
"""

import random
import time

import pytest
from parts import Listed

from runoff import Document, TwoStage
from runoff._util.duplicates import alike
from runoff.grouping import Grouping

TIMEOUT = 0.2
OVERRUN_MS = 50.0


def few_words(texts, words=200):
    """Texts drawn from ten words, which share most of their three-word sequences."""
    source = random.Random(1)
    vocabulary = [f"w{number}" for number in range(10)]
    return [" ".join(source.choices(vocabulary, k=words)) for _ in range(texts)]


def grouping(texts, timeout):
    documents = [Document(f"d{number:04}", text) for number, text in enumerate(texts)]
    group = Grouping(duplicates=0.6)
    pipeline = TwoStage({"s": Listed(*documents)}, reranker=None, group=group, depth=len(texts))
    return pipeline.search("q", timeout=timeout)


@pytest.mark.parametrize(
    "texts",
    [few_words(500), few_words(1000), [f"{at} {'ab cd ' * 800_000}" for at in range(20)]],
    ids=["depth 500", "depth 1000", "20 texts of 5 MB"],
)
def test_grouping_is_under_the_deadline(texts):
    """Texts that take seconds to compare are kept when time is up, and a note counts them."""
    began = time.thread_time()
    response = grouping(texts, TIMEOUT)
    assert (time.thread_time() - began) < TIMEOUT + OVERRUN_MS / 1000
    (note,) = response.outcome.notes
    assert f"of {len(texts)} candidates were not compared to find duplicates" in note
    assert response.outcome.complete


def test_texts_that_there_is_time_for_are_grouped():
    """A text that is too long costs no other its duplicate, and the first are compared first."""
    texts = ["x " * 5_000_000, "one two three four", "one two three four", "other"]
    found, left = alike(texts, 0.6, 0.05)
    assert (found, left) == ({2: 1}, 1)
    response = grouping(texts, TIMEOUT)
    assert [one.doc_id for one in response] == ["d0000", "d0001", "d0003"]


def test_without_a_deadline_every_text_is_compared():
    """No time limit, no bound: the duplicates are all that there are, and there is no note."""
    texts = [*few_words(40), *few_words(40)]
    response = grouping(texts, None)
    assert response.outcome.notes == ()
    assert sum(fate.grouped_under != "" for fate in response.trace.fates) == 40
