"""How much of a filter each of LlamaIndex's stores is asked to apply itself.

A store is asked for what it is known to answer without dropping a node that passes; all that it
returns is checked again. Facts about the stores, each tested in `tests/stores` where it can be run:

- `SimpleVectorStore` compares lists as a whole and fails on values of several types, so that it is
  asked for the ids of nodes that pass.
- `QdrantVectorStore` drops nodes for a float that must be equal; it takes Qdrant's own filters.
- `PGVectorStore` writes names and values into its SQL, as `LanceDBVectorStore` and others do: only
  plain words are sent. It compares text, so that lists and numbers need operators of their own.
- `ElasticsearchStore` reads every condition as an equality, so that it is asked in clauses.
- `ChromaVectorStore` and LanceDB's take no lists in the metadata.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from llama_index.core.schema import QueryBundle
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)

from runoff.errors import FilterNotSupported
from runoff.filters import And, Eq, In, Not, Or, Range
from runoff.llama_index._filters import to_metadata_filters
from runoff.llama_index._kinds import kind_of
from runoff.recall._stores.chroma_where import is_fraction
from runoff.recall._stores.clauses import bounds_of, folded, values_of
from runoff.recall._stores.elasticsearch_where import elasticsearch_query, unread
from runoff.recall._stores.qdrant_filter import qdrant_filter
from runoff.recall._stores.qdrant_indexes import indexes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llama_index.core.indices.vector_store.retrievers import VectorIndexRetriever

    from runoff.filters import Filter

_Form = MetadataFilter | MetadataFilters
_Leaf = Eq | In | Range

# what cannot end a literal, start a parameter or be a pattern in the languages that stores write
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*").fullmatch
_PLAIN_TEXT = re.compile(r"[\w .,@/+=-]*").fullmatch
_MOST_VALUES = 200


@dataclass(frozen=True, slots=True)
class Pushed:
    """A retriever that asks its store for a filter, or for a part of it.

    Attributes:
        retriever: the copy to ask.
        known: whether the store is known to return every node that passes.
        empty: whether no node can pass, so that nothing need be asked.
    """

    retriever: VectorIndexRetriever
    known: bool
    empty: bool = False


def pushed(retriever: VectorIndexRetriever, wanted: Filter) -> Pushed | None:
    """Return a copy of a retriever whose store applies a filter too; None if it cannot.

    The copy keeps the retriever's own filters.
    """
    store: Any = retriever._vector_store  # noqa: SLF001
    kind = kind_of(store)
    clone = copy.copy(retriever)
    if kind == "faiss":
        return None
    if kind == "simple":
        return _of_simple(clone, store, wanted)
    if kind == "qdrant":
        return _of_qdrant(clone, store, wanted)
    if kind == "elasticsearch":
        return _of_elasticsearch(clone, wanted)
    more = _metadata_filters(kind, wanted)
    if isinstance(more, bool):
        return None if more else Pushed(clone, known=True, empty=True)
    own = retriever._filters  # noqa: SLF001
    both = more if own is None else _both(own, more)
    if kind not in _NESTING and any(isinstance(one, MetadataFilters) for one in both.filters):
        return None
    clone._filters = both  # noqa: SLF001
    return Pushed(clone, known=kind in _TESTED)


def _of_simple(clone: VectorIndexRetriever, store: Any, wanted: Filter) -> Pushed | None:  # noqa: ANN401
    held = store.data.metadata_dict
    if held.keys() != store.data.embedding_dict.keys():
        return None  # it was saved by a version that kept no metadata
    own = clone._node_ids  # noqa: SLF001
    among = held if own is None else [one for one in own if one in held]
    clone._node_ids = [one for one in among if wanted.matches(held[one])]  # noqa: SLF001
    return Pushed(clone, known=True)


def _of_qdrant(clone: VectorIndexRetriever, store: Any, wanted: Filter) -> Pushed | None:  # noqa: ANN401
    from qdrant_client.models import Filter as QdrantFilter  # noqa: PLC0415 - here is a store of it

    given = dict(clone._kwargs)  # noqa: SLF001
    made = qdrant_filter(wanted, indexes=indexes_of(store, wanted))
    if isinstance(made, bool):
        return None if made else Pushed(clone, known=True, empty=True)
    added = QdrantFilter.model_validate(made)
    known = given.get("qdrant_filters")
    if known is None:  # they would replace what the store makes of the query
        asked = clone._build_vector_store_query(QueryBundle(""))  # noqa: SLF001
        known = store._build_query_filter(asked)  # noqa: SLF001
    given["qdrant_filters"] = added if known is None else QdrantFilter(must=[known, added])
    clone._kwargs = given  # noqa: SLF001
    return Pushed(clone, known=True)


def _of_elasticsearch(clone: VectorIndexRetriever, wanted: Filter) -> Pushed | None:
    """Ask in clauses of Elasticsearch: its store reads LlamaIndex's filters as equalities."""
    given = dict(clone._kwargs)  # noqa: SLF001
    made = elasticsearch_query(wanted, unread)
    if isinstance(made, bool) or clone._filters is not None:  # noqa: SLF001
        return Pushed(clone, known=True, empty=True) if made is False else None
    given["es_filter"] = [*(given.get("es_filter") or ()), made]
    clone._kwargs = given  # noqa: SLF001
    return Pushed(clone, known=False)


def _metadata_filters(kind: str | None, wanted: Filter) -> MetadataFilters | bool:
    if kind == "chroma" and not _has_fraction(wanted):
        try:
            return to_metadata_filters(wanted)
        except FilterNotSupported:
            pass  # a part of it may do
    form: _Form | bool = folded(
        wanted, _LEAVES.get(kind, _plain), _every, _some if kind in _ORS else _never
    )
    return MetadataFilters(filters=[form]) if isinstance(form, MetadataFilter) else form


def _every(forms: Sequence[_Form]) -> _Form:
    return _joined(forms, FilterCondition.AND)


def _some(forms: Sequence[_Form]) -> _Form:
    return _joined(forms, FilterCondition.OR)


def _never(_: object) -> None:
    """Join no conditions: Redis's store, and perhaps others, drop one that they cannot apply."""


def _joined(forms: Sequence[_Form], condition: FilterCondition) -> MetadataFilters:
    parts: list[_Form] = []
    for one in forms:
        flat = isinstance(one, MetadataFilters) and (
            one.condition is condition or len(one.filters) == 1
        )
        parts += one.filters if flat and isinstance(one, MetadataFilters) else [one]
    return MetadataFilters(filters=parts, condition=condition)


def _both(left: MetadataFilters, right: MetadataFilters) -> MetadataFilters:
    """Return filters that keep what both keep, flat if possible: few stores allow nesting."""
    if left.condition is None:
        left = left.model_copy(update={"condition": FilterCondition.AND})
    return _joined([left, right], FilterCondition.AND)


def _values(one: _Leaf) -> list[Any] | None:
    """Return the values of a condition that may be sent; None if one may not."""
    if not _PLAIN_NAME(one.field):
        return None
    values = [*(bounds_of(one).values() if isinstance(one, Range) else values_of(one))]
    if len(values) > _MOST_VALUES or not all(map(_is_plain, values)):
        return None
    return values


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return _PLAIN_TEXT(value) is not None and not _is_time(value)
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_time(value: str) -> bool:
    """Whether OpenSearch's store takes a text for a time, which it asks for in another field."""
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _one_type(values: Sequence[object]) -> bool:
    return len({isinstance(one, str) for one in values}) == 1


def _plain(one: _Leaf) -> _Form | None:
    """Return a condition as most stores understand it."""
    values = _values(one)
    if values is None or not _one_type(values):
        return None
    try:
        return to_metadata_filters(one)
    except FilterNotSupported:
        return None


def _chroma(one: _Leaf) -> _Form | None:
    """Leave out a range to a fraction: Chroma cuts it where a record has a whole number."""
    return None if isinstance(one, Range) and _has_fraction(one) else _plain(one)


def _has_fraction(wanted: Filter) -> bool:
    if isinstance(wanted, And | Or):
        return any(map(_has_fraction, wanted.filters))
    if isinstance(wanted, Not):
        return _has_fraction(wanted.filter)
    values = bounds_of(wanted).values() if isinstance(wanted, Range) else values_of(wanted)
    return any(map(is_fraction, values))


def _postgres(one: _Leaf) -> _Form | None:
    values = _values(one)
    if values is None:
        return None
    if isinstance(one, Range):
        return to_metadata_filters(one)
    words = [value for value in values if isinstance(value, str)]
    forms: list[_Form] = [
        MetadataFilter(key=one.field, value=value, operator=FilterOperator.EQ)
        for value in values
        if not isinstance(value, str)
    ]
    if words:
        forms.append(MetadataFilter(key=one.field, value=words, operator=FilterOperator.ANY))
    return forms[0] if len(forms) == 1 else _some(forms)


def _milvus(one: _Leaf) -> _Form | None:
    values = _values(one)
    if values is None:
        return None
    if isinstance(one, Range):
        return to_metadata_filters(one)
    operators = (FilterOperator.EQ, FilterOperator.CONTAINS)  # a value, or one in a list
    return _some([
        MetadataFilter(key=one.field, value=value, operator=operator)
        for value in values
        for operator in operators
    ])  # fmt: skip


def _one_each(one: _Leaf) -> _Form | None:
    values = _values(one)
    if values is None or isinstance(one, Range):
        return None if values is None else to_metadata_filters(one)
    return _some([MetadataFilter(key=one.field, value=value) for value in values])


def _lancedb(one: _Leaf) -> _Form | None:
    values = _values(one)
    if values is None or not _one_type(values):
        return None
    if isinstance(one, Range):
        return to_metadata_filters(one)
    return MetadataFilter(key=one.field, value=values, operator=FilterOperator.IN)


def _weaviate(one: _Leaf) -> _Form | None:
    """Return equalities, since it has no `in`; bounds are cut to the type of the property."""
    whole = all(float(value).is_integer() for value in _values(one) or () if _is_number(value))
    return _one_each(one) if whole else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


_LEAVES: dict[str | None, Callable[[_Leaf], _Form | None]] = {
    "chroma": _chroma,
    "postgres": _postgres,
    "milvus": _milvus,
    "lancedb": _lancedb,
    "duckdb": _one_each,
    "weaviate": _weaviate,
}
_NESTING = {"postgres", "milvus", "chroma", "duckdb", "opensearch", "weaviate"}
_TESTED = {"postgres", "milvus", "chroma", "duckdb", "lancedb"}
_ORS = _TESTED | {"opensearch", "weaviate", "mongodb"}
