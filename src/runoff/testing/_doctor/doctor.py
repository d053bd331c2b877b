"""`doctor`: what is wrong with a source, a reranker or a pipeline as it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

from runoff.errors import InvalidArgument
from runoff.evaluation._health.health import health
from runoff.evaluation._health.observations import Health
from runoff.pipeline._systems import as_system
from runoff.protocols import RecallSource
from runoff.rerank._as_reranker import as_reranker
from runoff.testing._doctor import reranker as second
from runoff.testing._doctor import source as first
from runoff.testing._doctor.findings import odd, prefixed, sorted_findings
from runoff.testing._doctor.questions import checked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runoff.evaluation._health.observations import Finding
    from runoff.pipeline._two_stage import TwoStage

_FEW_QUESTIONS = (
    "what is it?",
    "how does it work?",
    "who did it, and when?",
    "the name of the place and the number of people",
    "a new way to make more of it",
)


def doctor(part: object, *, questions: Mapping[str, str] | Sequence[str] | None = None) -> Health:
    """Return what is wrong with a part, in a sentence for each check, and what to do about it.

    It asks the part as it stands, changes nothing, and needs no judgments. Of a source (a store of
    LangChain's or LlamaIndex's, a retriever, one of `runoff.recall`) it checks the direction of
    order and scores, depth, filters, ids, texts, noise, and that it does the same when awaited. Of
    a reranker (one of `runoff.rerank`, a model name, a framework's) it checks direction, chance,
    the range of its scores, what they depend on, ties, long texts, an instruction, and that all
    comes back. Of a pipeline it checks each source, the second stage, and some answers.

    Args:
        part: what to check.
        questions: for a reranker or a pipeline, at least four questions and the texts that answer
            them, if it reads another language than English; for a source, questions in the words of
            its documents. A mapping serves both.

    Returns:
        The findings, the odd ones first: `odd` is empty if nothing is wrong.

    Raises:
        InvalidArgument: the part is none of these, or the questions are not as said.
    """
    asked = tuple(questions) if questions is not None else _FEW_QUESTIONS
    if isinstance(questions, str) or not asked or not all(isinstance(q, str) for q in asked):
        remedy = "must be a list of questions, or map questions to the texts that answer them"
        raise InvalidArgument("questions", questions, remedy)
    if _is_source(part):
        return _health(*first.examined(part, asked))
    try:
        second_stage = as_reranker(part)
    except InvalidArgument:
        second_stage = None
    if second_stage is not None:
        return _health(*second.examined(part, checked(questions)))
    return _of_pipeline(_pipeline(part), asked, questions)


def _is_source(part: object) -> TypeGuard[RecallSource]:
    """Whether a part is a source of the core: frameworks' retrievers have `retrieve`, too."""
    packages = {one.__module__.partition(".")[0] for one in type(part).__mro__}
    framework = packages & {"llama_index", "langchain_core"}
    return isinstance(part, RecallSource) and not framework and not isinstance(part, type)


def _pipeline(part: Any) -> TwoStage:  # noqa: ANN401 - anything that can be asked
    try:
        return as_system(part).pipeline
    except InvalidArgument:
        if callable(getattr(part, "as_retriever", None)):  # a vector store, an index
            return as_system(part.as_retriever()).pipeline
        remedy = (
            "must be a source, a vector store, an index, a retriever, a reranker, a model name or "
            "a pipeline"
        )
        raise InvalidArgument("part", part, remedy) from None


def _of_pipeline(pipeline: TwoStage, asked: Sequence[str], questions: Any) -> Health:  # noqa: ANN401 - checked below
    found: list[Finding] = []
    for name, source in pipeline.sources.items():
        _, findings = first.examined(source, asked)
        alone = len(pipeline.sources) == 1 and pipeline.reranker is None
        found += findings if alone else prefixed(name, findings)
    if pipeline.reranker is not None:
        answers = questions if not isinstance(questions, list | tuple) else None
        found += prefixed("second stage", second.examined(pipeline.reranker, checked(answers))[1])
        found += _answered(pipeline, asked)
    return _health(len(asked), found)


def _answered(pipeline: TwoStage, asked: Sequence[str]) -> list[Finding]:
    """Return what is odd about whole answers: only whether they are degraded."""
    try:
        return [health([pipeline.search(one) for one in asked])["degraded"]]
    except Exception as error:  # noqa: BLE001 - what it raises is the finding
        return [odd("answers", 1, f"A search raised {error}.", "what the error says")]


def _health(queries: int, findings: Sequence[Finding]) -> Health:
    return Health(queries, sorted_findings(findings))
