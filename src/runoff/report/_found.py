"""What a framework returned, as an account; it is read by its shape, importing no framework.

An item is a result of LlamaIndex (a node, alone or with a score) or a LangChain document. What the
adapters left in its metadata says how it was found. That metadata may have been stored elsewhere in
between, so every value of it is checked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

from runoff._util.messages import number_of
from runoff._util.provenance import KEY, decode
from runoff._util.text import snippet
from runoff.errors import InvalidArgument
from runoff.report._account import Account, Row, said

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_ACCEPTED = (
    "must be a Response, one query of a recording (recording[query_id]), an answer of a LlamaIndex "
    "engine, a list of its nodes or of LangChain documents, or the dict of a chain that has one"
)
_QUESTIONS = ("input", "question", "query")
_SYSTEM = ("search", "retrieve", "query", "invoke", "chat")


def is_item(given: object) -> bool:
    """Whether an object looks like a document or a node."""
    return not isinstance(given, type) and _parts(given) is not None


def items_of(given: object) -> tuple[list[object], str]:
    """Return the documents or nodes of an answer, and the question where the answer has it.

    Raises:
        InvalidArgument: it is not an answer; the message says what to pass.
    """
    if is_item(given):
        return [given], ""
    if isinstance(given, Mapping):
        return _of_chain(given)
    nodes = None if isinstance(given, type) else getattr(given, "source_nodes", None)
    if isinstance(nodes, list | tuple):
        return _checked("answer.source_nodes", nodes), ""
    if isinstance(given, list | tuple):
        return _checked("answer", given), ""
    remedy = _ACCEPTED
    if not isinstance(given, type) and any(callable(getattr(given, one, None)) for one in _SYSTEM):
        remedy += "; this is a system: pass what it answers to a question"
    raise InvalidArgument("answer", given, remedy)


def _of_chain(given: Mapping[Any, object]) -> tuple[list[object], str]:
    """Return the documents in a chain's output; exactly one of its values must be some."""
    lists = {
        name: one
        for name, one in given.items()
        if isinstance(one, list | tuple) and all(map(is_item, one))
    }
    full = {name: one for name, one in lists.items() if one} or lists
    names = ", ".join(repr(one) for one in full)
    if not full:
        remedy = "are the keys of a dict without a list of documents: let the chain return them"
        raise InvalidArgument("answer", list(given), remedy)
    if len(full) > 1:
        remedy = f"are the keys of a dict with several lists of documents: pass one, of {names}"
        raise InvalidArgument("answer", list(given), remedy)
    question = next((one for name in _QUESTIONS if _is_text(one := given.get(name))), "")
    return list(*full.values()), question


def _is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str)


def _checked(name: str, items: Sequence[object]) -> list[object]:
    for at, one in enumerate(items):
        if not is_item(one):
            raise InvalidArgument(f"{name}[{at}]", one, "must be a node or a document")
    return list(items)


def _parts(given: object) -> tuple[str, str, Mapping[str, Any], float | None] | None:
    """Return id, text, metadata and score of a node or a document; None of anything else."""
    node = getattr(given, "node", given)
    metadata = getattr(node, "metadata", None)
    if not isinstance(metadata, Mapping):
        return None
    text = getattr(node, "page_content", None)
    if isinstance(text, str):  # LangChain
        doc_id = getattr(node, "id", None) or metadata.get("_id")
        return (
            "" if doc_id is None else str(doc_id),
            text,
            metadata,
            metadata.get("relevance_score"),
        )
    doc_id, content = getattr(node, "node_id", None), getattr(node, "get_content", None)
    if not isinstance(doc_id, str) or not callable(content):
        return None
    return doc_id, str(content() or ""), metadata, getattr(given, "score", None)


def of_items(items: Sequence[object], question: str = "") -> Account:
    """Return what the provenance of results says of them; it may be missing."""
    rows, records = [], []
    for rank, one in enumerate(items, 1):
        parts = _parts(one)
        if parts is None:
            raise InvalidArgument(f"answer[{rank - 1}]", one, "must be a node or a document")
        doc_id, text, metadata, score = parts
        record = decode(metadata)
        records.append(record)
        rows.append(_row(rank, record or {}, doc_id, text, score))
    known = [one for one in records if one is not None]
    sources = tuple(dict.fromkeys(name for row in rows for name in row.sources))
    degraded = [*dict.fromkeys(line for one in known for line in _degraded(one))]
    asked = f"{snippet(question, 100)!r}: " if question else ""
    many = number_of(len(items), "result")
    lines = [f"{asked}{many}{_by(known)}", *degraded]
    if not items:
        lines.append("nothing was found, or everything that was found was left out")
    elif len(known) < len(items):
        without = len(items) - len(known)
        lines.append(
            f"{without} of {many} {'carries' if without == 1 else 'carry'} no provenance, so "
            "that only "
            "their order and score are known: retrieve or rerank them with runoff (two_stage, "
            "TwoStageRetriever, RunoffRerank; provenance=True is the default), and keep the "
            f"metadata key {KEY!r}"
        )
    return Account("\n".join(lines), not degraded, tuple(rows), sources)


def _by(records: Sequence[Mapping[str, Any]]) -> str:
    """Return what fused and reranked the results, to end a sentence with."""
    fusions = _names(one.get("fusion") for one in records if len(_mapping(one, "sources")) > 1)
    models = _names(one.get("model") for one in records)
    how = ([f"fused by {fusions}"] if fusions else []) + (
        [f"reranked by {models}"] if models else []
    )
    return ", " + ", ".join(how) if how else ""


def _names(values: Iterable[object]) -> str:
    return ", ".join(
        dict.fromkeys(snippet(one, 60) for one in values if isinstance(one, str) and one)
    )


def _degraded(record: Mapping[str, Any]) -> list[str]:
    given = record.get("degraded")
    lines = []
    for one in given if isinstance(given, list) else []:
        if isinstance(one, dict):
            stage, source, reason = (str(one.get(key, "")) for key in ("stage", "source", "reason"))
            lines.append(said(f"degraded: {stage} {source}: {reason} ({one.get('detail', '')})"))
    if not lines and record.get("complete") is False:
        lines.append("degraded: the provenance does not say why")
    return lines


def _row(rank: int, record: Mapping[str, Any], doc_id: str, text: str, score: object) -> Row:
    sources = {
        str(name): (_rank(one.get("rank")), _float(one.get("score")))
        for name, one in _mapping(record, "sources").items()
        if isinstance(one, dict)
    }
    own = record.get("doc_id")
    reranked = _rank(record.get("rerank_rank"))
    if not record and _score(score) is not None:
        sources = {"score": (None, _float(score))}
    return Row(
        own if isinstance(own, str) and own else doc_id or snippet(text, 40),
        text,
        rank,
        sources,
        _rank(record.get("fusion_rank")),
        _score(record.get("fusion_score")),
        reranked,
        _score(record.get("rerank_score")),
        record.get("truncated") is True,
    )


def _mapping(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = record.get(name)
    return found if isinstance(found, dict) else {}


def _rank(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _score(value: object) -> float | None:
    return None if math.isnan(found := _float(value)) else found


def _float(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan
