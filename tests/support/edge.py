"""A client of Qdrant's own engine, in this process, with the methods that the source asks.

Qdrant Edge is the code that a server runs on its shards; only the requests are put differently.
"""

from types import SimpleNamespace

import numpy as np
import qdrant_edge as edge

__all__ = ["Client", "shard", "type_of"]


def type_of(name):
    """The type of a payload index, by its name."""
    return getattr(edge.PayloadSchemaType, name.title())


def shard(path, documents, rows, *, under="metadata", indexes=()):
    """A shard with a point for each document, and an index for each pair of a key and a type."""
    config = edge.EdgeConfig(
        vectors=edge.EdgeVectorParams(size=len(rows[0]), distance=edge.Distance.Dot)
    )
    made = edge.EdgeShard.create(str(path), config)
    for key, kind in indexes:
        made.update(edge.UpdateOperation.create_field_index(key, type_of(kind)))
    points = [
        edge.Point(
            number,
            list(row),
            {"page_content": one.text, under: dict(one.metadata), "key": one.doc_id},
        )
        for number, (one, row) in enumerate(zip(documents, rows, strict=True))
    ]
    made.update(edge.UpdateOperation.upsert_points(points))
    return made


def _condition(one):
    if "is_empty" in one:
        return edge.IsEmptyCondition(one["is_empty"]["key"])
    if "key" not in one:
        return _filter(one)
    if "range" in one:
        bounds = {name: float(bound) for name, bound in one["range"].items()}
        return edge.FieldCondition(one["key"], range=edge.RangeFloat(**bounds))
    match = one["match"]
    if "any" in match:
        return edge.FieldCondition(one["key"], match=edge.MatchAny(match["any"]))
    value = match["value"]
    # Edge takes True for 1, but not NumPy's
    value = np.bool_(value) if isinstance(value, bool) else value
    return edge.FieldCondition(one["key"], match=edge.MatchValue(value))


def _filter(one):
    """A filter of qdrant-client, as JSON, in Edge's words."""
    return edge.Filter(
        **{word: [_condition(part) for part in parts] for word, parts in one.items()}
    )


class Client:
    """The part of a `QdrantClient` that the source uses.

    Attributes:
        held: the shard.
        size: the dimension of its vectors.
        created_at: when the server says that it made the collection; older ones do not say it.
    """

    def __init__(self, held, size, created_at="2026-11-30"):
        self.held = held
        self.size = size
        self.created_at = created_at

    def get_collection(self, _name):
        info = self.held.info()
        schema = {
            key: SimpleNamespace(
                data_type=str(one.data_type).rpartition(".")[2].lower(), points=one.points
            )
            for key, one in info.payload_schema.items()
        }
        vectors = SimpleNamespace(size=self.size, distance="Dot", multivector_config=None)
        params = SimpleNamespace(vectors=vectors, sparse_vectors=None)
        return SimpleNamespace(
            config=SimpleNamespace(params=params, strict_mode_config=None),
            payload_schema=schema,
            points_count=info.points_count,
            status="green",
            created_at=self.created_at,
        )

    def scroll(self, _name, *, limit, offset, with_payload, timeout):
        del timeout
        return self.held.scroll(
            edge.ScrollRequest(offset=offset, limit=limit, with_payload=with_payload)
        )

    def query_points(self, collection_name, *, query, query_filter, limit, with_payload, **others):
        del collection_name, others
        told = None if query_filter is None else query_filter.model_dump(exclude_none=True)
        found = self.held.query(
            edge.QueryRequest(
                limit=limit,
                query=edge.Query.Nearest(query),
                filter=None if told is None else _filter(told),
                with_payload=with_payload,
                params=edge.SearchParams(exact=True),
            )
        )
        return SimpleNamespace(points=found)
