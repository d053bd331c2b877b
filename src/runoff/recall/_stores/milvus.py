"""An existing Milvus collection as a source."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from runoff.errors import BadReply, InvalidArgument
from runoff.recall._stores.engine import AsyncEngineSource, Client, EngineSource, is_async
from runoff.recall._stores.milvus_where import Place, milvus_expression, quoted
from runoff.recall._stores.records import Layout, layout_of
from runoff.types import Hit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from runoff._waiting.drive import Asking
    from runoff.deadline import Deadline
    from runoff.filters import Filter
    from runoff.recall._dense.vectors import AsyncEmbedQuery, Embed, EmbedQuery
    from runoff.recall._stores.engine import Search
    from runoff.recall._stores.milvus_where import Kind
    from runoff.types import Document, Query

__all__ = ["Milvus"]

_RANGES: dict[str, tuple[float | None, float | None]] = {
    "COSINE": (-1.0, 1.0),
    "IP": (None, None),
    "L2": (None, 1.0),
    "BM25": (0.0, None),
}
_KINDS: dict[str, Kind] = {
    "BOOL": "bool",
    **dict.fromkeys(("INT8", "INT16", "INT32", "INT64"), "integer"),
    "FLOAT": "single",
    "DOUBLE": "double",
    "VARCHAR": "string",
    "STRING": "string",
    "JSON": "json",
}
_DYNAMIC = "$meta"
_NESTED = ("metadata", "metadata_")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDS = {"and", "empty", "exists", "false", "in", "is", "like", "not", "null", "or", "true"}


@dataclass(frozen=True, slots=True)
class _Collection:
    """What Milvus says about a collection: the vector searched, its metric, its fields."""

    vector: str
    metric: str
    dimension: int | None
    key: str
    fields: Mapping[str, Place]
    dynamic: bool
    returned: Sequence[str]
    layout: Layout
    empty: bool

    def document(self, record: Mapping[str, Any]) -> Document:
        """Return the document of a record; arrays, which pymilvus 2 has as its own, as lists."""
        lists = {
            name: list(record[name])
            for name, one in self.fields.items()
            if one.array and record.get(name) is not None
        }
        return self.layout.document(record[self.key], {**record, **lists} if lists else record)

    def place(self, name: str) -> Place | None:
        """Return where a metadata field is; None if no record has it."""
        if self.layout.may_hide(name):
            return Place(name, "other")
        holder, literal = self.layout.metadata, quoted(name)
        if holder:
            known = holder in self.fields and self.fields[holder].kind == "json"
            said = literal is not None and (known or _is_plain(holder))
            return Place(f"{holder}[{literal}]", "json") if said else Place(name, "other")
        if name in self.fields:
            return self.fields[name]
        if not self.dynamic:
            return None
        return Place(name, "json" if _is_plain(name) else "other")


class Milvus(EngineSource[_Collection]):
    """A source over an existing Milvus collection: Milvus Lite, a server or Zilliz Cloud.

    `search="dense"` asks for the nearest vectors. Scores are cosines, inner products, or for
    `"L2"`, whose distance is squared, 1 - distance / 2, which is the cosine for vectors of length
    1. `search="text"` asks by the collection's BM25 function; higher is better, though Milvus Lite
    returns its scores negated. For both, make two sources: a pipeline fuses them. Equal scores are
    ordered by id.

    Filters are translated to Milvus's expressions as far as these are exact, and every hit is
    checked with `Filter.matches`: where Milvus keeps more than the filter, more and more records
    are fetched until `depth` of them pass. Milvus returns at most 16,384 records; if too few of
    these pass, `FilterNotSupported` says so. An index other than `FLAT` is approximate.

    An `AsyncMilvusClient` is accepted too: `asearch` awaits it, and `search` refuses it.

    Args:
        client: a `MilvusClient` or an `AsyncMilvusClient`.
        collection: the collection's name; it must be loaded.
        search: `"dense"` or `"text"`.
        embed: a callable, list of n texts -> (n, d) numbers, with the model that made the vectors.
        embed_query: a callable, text -> (d,) numbers, for models that embed queries differently.
        aembed_query: the same, async, for an async client.
        vector: the field with the vectors, if the collection has several.
        text: the field with the text.
        metadata: the JSON field with the metadata; empty if each has a field of its own.
        id: a field with the document's id, in place of the primary key.

    Without `text` and `metadata`, what LangChain's and LlamaIndex's stores write is recognised.

    Raises:
        InvalidArgument: `client` is not a client of Milvus, or an option is missing or wrong.
    """

    _engine = "Milvus"
    _most = 16384

    def __new__(  # noqa: PYI034 - it may be the class below
        cls, client: object = None, *_args: object, **_options: object
    ) -> Milvus:
        """Choose the awaitable class for an async client."""
        awaitable = is_async(client, "search")
        return object.__new__(_AsyncMilvus if cls is Milvus and awaitable else cls)

    def __init__(  # noqa: PLR0913 - all but two by name
        self,
        client: Client,
        collection: str,
        *,
        search: Search = "dense",
        embed: Embed | None = None,
        embed_query: EmbedQuery | None = None,
        aembed_query: AsyncEmbedQuery | None = None,
        vector: str | None = None,
        text: str | None = None,
        metadata: str | None = None,
        id: str | None = None,  # noqa: A002 - as all engines call it
    ) -> None:
        if not all(hasattr(client, one) for one in ("search", "query", "describe_collection")):
            remedy = "must be a MilvusClient or an AsyncMilvusClient of pymilvus 2.6 or later"
            raise InvalidArgument("client", client, remedy)
        super().__init__(
            client,
            collection,
            search=search,
            embed=embed,
            embed_query=embed_query,
            aembed_query=aembed_query,
        )
        self._vector, self._text, self._metadata = vector, text, metadata
        self._layout_of = partial(layout_of, doc_id=id)

    def _describe(self, deadline: Deadline | None) -> Asking[_Collection]:
        about = yield from self._sent("describe_collection", deadline)
        fields = {one["name"]: one for one in about["fields"]}
        vector, words = self._vector_of(about, fields)
        metric = "BM25"
        if self._search_kind == "dense":
            metric = yield from self._metric_of(vector, deadline)
        places = {name: _place(one) for name, one in fields.items() if not _is_vector(one)}
        key = next(name for name, one in fields.items() if one.get("is_primary"))
        dynamic = bool(about.get("enable_dynamic_field"))
        returned = [*places, _DYNAMIC] if dynamic else list(places)
        records = yield from self._sent(
            "query", deadline, filter="", limit=1, output_fields=returned
        )
        metadata = self._metadata
        if metadata is None:
            kinds = {name: one.kind for name, one in places.items()}
            metadata = next((one for one in _NESTED if kinds.get(one) == "json"), None)
        layout = self._layout_of(
            records[0] if records else {},
            text=words if self._text is None else self._text,
            metadata=metadata,
            others={key, *(fields.keys() - places.keys())},
        )
        return _Collection(
            vector,
            metric,
            fields[vector]["params"].get("dim"),
            key,
            places,
            dynamic,
            returned,
            layout,
            empty=not records,
        )

    def _vector_of(
        self, about: Mapping[str, Any], fields: Mapping[str, Any]
    ) -> tuple[str, str | None]:
        """Return the field that is searched and, for BM25, the field that it was made from."""
        if self._search_kind == "text":
            made = {
                one["output_field_names"][0]: one["input_field_names"][0]
                for one in about.get("functions") or ()
                if _name_of(one["type"]) == "BM25"
            }
            chosen = self._chosen(made, "made by a BM25 function")
            return chosen, made[chosen]
        dense = [name for name, one in fields.items() if _name_of(one["type"]) == "FLOAT_VECTOR"]
        return self._chosen(dense, "of type FLOAT_VECTOR"), None

    def _chosen(self, named: Any, what: str) -> str:  # noqa: ANN401 - a list or a mapping
        wanted = self._vector
        if wanted is None and len(named) == 1:
            return str(next(iter(named)))
        if wanted is None or wanted not in named:
            listed = ", ".join(map(repr, sorted(named))) or "none"
            remedy = f"must be the name of a field {what}; {self._name!r} has {listed}"
            raise InvalidArgument("vector", wanted, remedy)
        return wanted

    def _metric_of(self, vector: str, deadline: Deadline | None) -> Asking[str]:
        for name in (yield from self._sent("list_indexes", deadline)):
            index = yield from self._sent("describe_index", deadline, index_name=name)
            if index and index.get("field_name") == vector:
                metric = str(index.get("metric_type"))
                if metric in _RANGES:
                    return metric
                remedy = f"has the metric {metric}: supported are COSINE, IP and L2"
                raise InvalidArgument("vector", vector, remedy)
        remedy = f"has no index in {self._name!r}: Milvus searches only vectors with an index"
        raise InvalidArgument("vector", vector, remedy)

    def _is_settled(self, description: _Collection) -> bool:
        return not description.empty

    def _has_cosines(self, description: _Collection) -> bool:
        return description.metric == "COSINE"

    def _question(
        self, query: Query, description: _Collection, deadline: Deadline | None
    ) -> Asking[Any]:
        if self._embedder is None:
            return query.text if query.text.strip() else None
        found = yield from self._embedder.vector(query, description.dimension, deadline)
        if found is None or (description.metric == "COSINE" and not found.any()):
            return None
        return found.astype(np.float32).tolist()

    def _clause(self, wanted: Filter, description: _Collection) -> str | bool | None:
        found = milvus_expression(wanted, description.place)
        return None if found is True else found

    def _fetch(
        self,
        description: _Collection,
        question: Any,  # noqa: ANN401 - a vector or a text
        clause: Any,  # noqa: ANN401 - an expression
        count: int,
        deadline: Deadline | None,
    ) -> Asking[list[Hit]]:
        reply = yield from self._sent(
            "search",
            deadline,
            data=[question],
            anns_field=description.vector,
            filter=clause or "",
            limit=count,
            output_fields=description.returned,
            search_params={"metric_type": description.metric},
        )
        score_range = _RANGES[description.metric]
        hits = []
        for found in reply[0]:
            document = description.document(found["entity"])
            score = self._score(document.doc_id, found["distance"], description.metric)
            hits.append(Hit(document, score, score_range))
        return hits

    def _score(self, key: object, found: float, metric: str) -> float:
        if not math.isfinite(found):
            msg = f"{self!r} returned distance {found} for {key!r}: its vector is damaged"
            raise BadReply(msg)
        if metric == "L2":
            return 1.0 - found / 2
        if metric == "BM25":
            return abs(found)  # Milvus Lite negates it
        # rounding takes a cosine some 1e-7 beyond its range
        return max(-1.0, min(1.0, found)) if metric == "COSINE" else found

    def _page(
        self,
        description: _Collection,
        cursor: Any,  # noqa: ANN401 - an iterator of pymilvus
        size: int,
    ) -> Asking[tuple[list[Document], object]]:
        if cursor is None:
            cursor = yield from self._sent(
                "query_iterator", None, batch_size=size, output_fields=description.returned
            )
        records = yield from self._ask(lambda _seconds: cursor.next(), None)
        found = [description.document(one) for one in records]
        if not found:
            cursor.close()
        return found, cursor if found else None

    def _sent(self, method: str, deadline: Deadline | None, **options: object) -> Asking[Any]:
        """Call a method of the client on the collection."""
        call = partial(getattr(self._client, method), self._name, **options)
        return (yield from self._ask(lambda seconds: call(timeout=seconds), deadline))


class _AsyncMilvus(AsyncEngineSource[_Collection], Milvus):
    """A source over an `AsyncMilvusClient`; `Milvus` chooses it."""

    def adocuments(self) -> AsyncIterator[Document]:
        """Refuse: pymilvus lists with its synchronous client only."""
        remedy = "cannot list a collection: use documents() of a source with a MilvusClient"
        raise InvalidArgument("client", self._client, remedy)


def _name_of(kind: object) -> str:
    """Return the name of one of pymilvus's types, which are enumerations."""
    return str(getattr(kind, "name", kind))


def _is_plain(name: str) -> bool:
    """Whether an expression can name a key of the dynamic field as it is."""
    return bool(_PLAIN.fullmatch(name)) and name.lower() not in _WORDS


def _is_vector(field: Mapping[str, Any]) -> bool:
    return "VECTOR" in _name_of(field["type"])


def _place(field: Mapping[str, Any]) -> Place:
    kind = _name_of(field["type"])
    array = kind == "ARRAY"
    if array:
        kind = _name_of(field.get("element_type"))
    known = _KINDS.get(kind, "other")
    return Place(
        field["name"],
        "other" if array and known == "json" else known,
        array,
        nullable=bool(field.get("nullable")),
    )
