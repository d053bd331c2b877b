"""Orders of real queries by four systems, found once: what the simulated traffic is drawn from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness import cache_root, say
from judged import Collection, measured
from recalled import sources

from runoff import TwoStage
from runoff.fusion import RRF

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SYSTEMS", "Orders", "orders_of"]

SYSTEMS = ("bm25", "dense", "fused", "reranked")
_KEPT = 20


@dataclass(frozen=True, slots=True)
class Orders:
    """What four systems found for the queries of a collection.

    Attributes:
        name: the collection's.
        found: system to query id to document ids, best first.
        grades: query id to document id to grade, 0 to 3.
        ndcg: system to the mean of nDCG@10.
    """

    name: str
    found: Mapping[str, Mapping[str, list[str]]]
    grades: Mapping[str, Mapping[str, int]]
    ndcg: Mapping[str, float]


def orders_of(name: str, queries: int | None = None) -> Orders:
    """Return the orders for a collection, from the cache if they are there.

    The systems are BM25, the embedded model, both fused by default, and that reranked by default.

    Raises:
        Skipped: the collection or the models are not there.
    """
    collection = Collection.load(name, queries)
    file = cache_root() / f"live-{name}-{len(collection.queries)}.json"
    if not file.is_file():
        say(f"{name}: searching {len(collection.queries)} queries with four systems")
        given = sources(collection)
        systems = {
            "bm25": TwoStage({"bm25": given["bm25"]}, fusion=RRF(), reranker=None),
            "dense": TwoStage({"dense": given["dense"]}, fusion=RRF(), reranker=None),
            "fused": TwoStage(given, reranker=None),
            "reranked": TwoStage(given),
        }
        answers = {
            system: {
                query_id: [one.doc_id for one in pipeline.search(text, top_k=_KEPT)]
                for query_id, text in collection.queries.items()
            }
            for system, pipeline in systems.items()
        }
        file.write_text(json.dumps(answers), encoding="utf-8")
    found = json.loads(file.read_text(encoding="utf-8"))
    highest = max(grade for judged in collection.qrels.values() for grade in judged.values())
    grades = {
        query_id: {one: round(3 * max(grade, 0) / highest) for one, grade in judged.items()}
        for query_id, judged in collection.qrels.items()
    }
    means = {}
    for system, runs in found.items():
        values = measured(runs, collection, ["nDCG@10"])["nDCG@10"]
        means[system] = sum(values.values()) / len(values)
    return Orders(name, found, grades, means)
