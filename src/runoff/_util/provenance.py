"""The provenance of a result, as one string that any metadata store accepts.

Frameworks carry a result's history in its metadata under the single key `runoff`, as JSON: vector
stores such as Chroma refuse nested values, and one key is easy to keep out of prompts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runoff._util.isolated import PLAIN, isolated
from runoff._util.plain import finite, passages_list, sources_dict

if TYPE_CHECKING:
    from runoff.types import Response, Result

KEY = "runoff"
_PER_QUERY = (KEY, "relevance_score")


class Marked(dict[str, Any]):
    """A result's metadata: two results are equal whichever queries found them.

    Retrievers that ask several queries, such as LangChain's `MultiQueryRetriever`, keep one of
    equal documents; LlamaIndex's `QueryFusionRetriever` keeps one of those with the same hash,
    which is made of `str(metadata)`. Provenance and scores differ from query to query. Two results
    are compared without them, and `str` leaves provenance out. Compared with any other dict, all
    keys count.
    """

    __slots__ = ()

    __hash__ = None  # as of every dict

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Marked):
            return _lasting(self) == _lasting(other)
        return super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __str__(self) -> str:
        return repr(without(self))


def _lasting(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in metadata.items() if name not in _PER_QUERY}


def encode(response: Response, result: Result) -> str:
    """Return the provenance of one result as a JSON object in a string.

    It contains no text: `doc_id`, `rank`, `sources` (name to rank and score, null where the source
    gave none), `fusion` (its class), `fusion_rank`, `fusion_score`, `rerank_rank`, `rerank_score`,
    `pair_score`, `truncated`, `model`, `kind`, `complete`; for a degraded answer `degraded` (stage,
    source, reason and the cause, `detail`, of each); where the score came from parts of the text,
    `passages` (start, end and score of each, best first); and if it stands for others, `grouped`
    (their ids).
    """
    outcome = response.outcome
    record: dict[str, Any] = {
        "doc_id": result.doc_id,
        "rank": result.rank,
        "sources": sources_dict(result.placements),
        "fusion": next((one.source for one in response.trace.stages if one.stage == "fusion"), ""),
        "fusion_rank": result.fusion_rank,
        "fusion_score": finite(result.fusion_score),
        "rerank_rank": result.rerank_rank,
        "rerank_score": finite(result.rerank_score),
        "pair_score": finite(result.pair_score),
        "truncated": result.truncated,
        "model": response.trace.model.name,
        "kind": str(response.trace.kind),
        "complete": outcome.complete,
    }
    if not outcome.complete:
        record["degraded"] = [
            {
                "stage": one.stage,
                "source": one.source,
                "reason": one.reason,
                "detail": one.detail,
            }
            for one in outcome.degraded
        ]
    if result.passages:
        record["passages"] = passages_list(result.passages)
    if result.candidate.grouped:
        record["grouped"] = [one.document.doc_id for one in result.candidate.grouped]
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:  # an id with a lone surrogate cannot be written as UTF-8
        return json.dumps(record, separators=(",", ":"))
    return text


def decode(metadata: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the provenance found in a framework object's metadata, or None when there is none."""
    value = metadata.get(KEY) if isinstance(metadata, Mapping) else None
    if not isinstance(value, str):
        return None
    try:
        record = json.loads(value)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def without(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of the metadata, deep where it is nested, without provenance."""
    return {
        key: value if type(value) in PLAIN else isolated(value)
        for key, value in metadata.items()
        if key != KEY
    }
