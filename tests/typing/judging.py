"""What a type checker knows of judging and of experiments."""

from typing import assert_type

from runoff import TwoStage
from runoff.live import Answer, Experiment, Judging, Statement, judge
from runoff.recall import BM25


def graded(query: str, text: str) -> int:
    """Return a grade."""
    return len(query) % 4 if text else 0


def judged() -> None:
    """A result has a statement, figures and grades."""
    found = judge("observations/", graded, people="labels.csv", labels=60)
    assert_type(found, Judging)
    assert_type(found.statement, Statement)
    assert_type(found.statement.interval, tuple[float, float])
    assert_type(found.alarm, bool)


def compared(pipeline: TwoStage) -> None:
    """An answer has an id for feedback."""
    other = TwoStage({"bm25": BM25(["a", "b"])})
    experiment = Experiment(pipeline, other, "experiment/", design="split")
    answer = experiment.search("a", user="u")
    assert_type(answer, Answer)
    experiment.feedback(answer.response_id, answer.results[0].doc_id, "click")
    assert_type(experiment.result(), Statement)
