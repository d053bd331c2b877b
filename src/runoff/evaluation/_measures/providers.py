"""Evaluators of ir-measures that compute every measure for any ids and answers."""

from __future__ import annotations

from subprocess import CalledProcessError
from typing import TYPE_CHECKING, Any, NamedTuple

from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

_ACCURACY = "Accuracy"
_ESCAPE = "\U0010ffff"  # no character: no id of a user's begins with it


class Value(NamedTuple):
    """One measure of one query."""

    query_id: str
    measure: object
    value: float


class PlainEvaluator:
    """An evaluator of ir-measures that avoids four of its failures.

    The C code behind most measures ends the process at an id with a lone surrogate, and takes ids
    that differ after a NUL for one: it receives such ids in hexadecimal digits. The Perl script
    behind ERR reads only ids that are numbers, so it receives numbers. Accuracy, the share of pairs
    of a relevant and another result that are in the right order, divides by zero where every
    counted result is relevant: no pair is in the wrong order, so it is 1. A query whose grades are
    all below 0 ends the process, and measures such as Bpref take them for documents that were not
    judged: they count as 0, which means the same here.

    Args:
        ir_measures: the module.
        measures: its measures.
        qrels: query id to document id to grade.

    Raises:
        ValueError: no installed package computes a measure.
    """

    def __init__(
        self,
        ir_measures: Any,  # noqa: ANN401 - it publishes no types
        measures: Collection[Any],
        qrels: Mapping[str, Mapping[str, int]],
    ) -> None:
        qrels = {
            query_id: {doc_id: max(grade, 0) for doc_id, grade in grades.items()}
            for query_id, grades in qrels.items()
        }
        self._qrels = qrels
        measures = [_hashed_once(one) for one in measures]
        self._accuracy = [one for one in measures if one.NAME == _ACCURACY]
        numbered = [one for one in measures if _numbers_only(one)]
        others = [one for one in measures if one not in numbered and one not in self._accuracy]
        self._queries = {query_id: str(at) for at, query_id in enumerate(qrels, 1)}
        self._names = {number: query_id for query_id, number in self._queries.items()}
        self._documents: dict[str, str] = {}
        evaluator = ir_measures.evaluator
        readable = _readable(qrels)
        self._originals = dict(zip(readable, qrels, strict=True))
        self._others = evaluator(others, readable) if others else None
        self._numbered = evaluator(numbered, self._by_number(qrels)) if numbered else None
        self._each = [(one, evaluator([one], readable)) for one in self._accuracy]
        self._measures = numbered

    def iter_calc(self, run: Mapping[str, Mapping[str, float]]) -> Iterator[Value]:
        """Yield every measure of every query of a run.

        Args:
            run: query id to document id to score, which falls with the rank.

        Raises:
            InvalidArgument: the script that computes ERR fails.
        """
        if self._others is not None:
            yield from self._calculated(self._others, run)
        if self._numbered is not None:
            yield from self._scripted(run)
        for measure, evaluator in self._each:
            perfect = {query_id for query_id in run if self._perfect(measure, query_id, run)}
            rest = {one: scores for one, scores in run.items() if one not in perfect}
            yield from self._calculated(evaluator, rest)
            yield from (Value(query_id, measure, 1.0) for query_id in perfect)

    def _calculated(
        self,
        evaluator: Any,  # noqa: ANN401 - it publishes no types
        run: Mapping[str, Mapping[str, float]],
    ) -> Iterator[Value]:
        known = {one: scores for one, scores in run.items() if one in self._queries}
        for one in evaluator.iter_calc(_readable(known)):
            yield Value(self._originals[one.query_id], one.measure, one.value)

    def _scripted(self, run: Mapping[str, Mapping[str, float]]) -> Iterator[Value]:
        known = {one: scores for one, scores in run.items() if one in self._queries}
        if not known:
            return
        assert self._numbered is not None  # noqa: S101 - told to the type checker
        try:
            for one in self._numbered.iter_calc(self._by_number(known)):
                # the script ends with the mean of all queries
                if one.query_id in self._names:
                    yield Value(self._names[one.query_id], one.measure, one.value)
        except CalledProcessError as error:
            remedy = f"cannot be computed: its script takes grades up to 4 and ended with {error}"
            raise InvalidArgument("measures", [str(m) for m in self._measures], remedy) from None

    def _by_number(self, given: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        number = self._documents
        return {
            self._queries[query_id]: {
                number.setdefault(doc_id, str(len(number) + 1)): value
                for doc_id, value in documents.items()
            }
            for query_id, documents in given.items()
        }

    def _perfect(
        self,
        measure: Any,  # noqa: ANN401 - it publishes no types
        query_id: str,
        run: Mapping[str, Mapping[str, float]],
    ) -> bool:
        """Return whether every counted result is relevant."""
        grades = self._qrels.get(query_id, {})
        scores = run[query_id]
        counted = sorted(scores, key=lambda one: -scores[one])[: measure.params.get("cutoff")]
        least: int = measure["rel"]
        return bool(counted) and all(grades.get(doc_id, 0) >= least for doc_id in counted)


def _hashed_once(measure: Any) -> Any:  # noqa: ANN401 - it publishes no types
    """Return a measure that knows its hash, which ir-measures makes of its name for every query."""
    kind, value = type(measure), hash(measure)
    quick = type(kind.__name__, (kind,), {"__hash__": lambda _self: value})
    return quick(**measure.params)


def _readable(given: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return query ids and document ids as C code reads them; no two ids become one."""
    if _is_readable("".join(given)):
        if _is_readable("".join(map("".join, given.values()))):
            return {query_id: dict(documents) for query_id, documents in given.items()}
        queries = dict(given)
    else:
        queries = {_escaped(query_id): documents for query_id, documents in given.items()}
    return {
        query_id: dict(documents)
        if _is_readable("".join(documents))
        else {_escaped(doc_id): value for doc_id, value in documents.items()}
        for query_id, documents in queries.items()
    }


def _is_readable(ids: str) -> bool:
    if "\0" in ids or _ESCAPE in ids:
        return False
    try:
        return ids.isascii() or bool(ids.encode())
    except UnicodeEncodeError:  # a lone surrogate
        return False


def _escaped(name: str) -> str:
    return name if _is_readable(name) else _ESCAPE + name.encode("utf-8", "surrogatepass").hex()


def _numbers_only(measure: Any) -> bool:  # noqa: ANN401 - it publishes no types
    return bool(measure.NAME == "ERR" or measure.params.get("dcg") == "exp-log2")
