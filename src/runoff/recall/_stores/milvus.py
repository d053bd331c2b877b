"""An existing Milvus collection as a source."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from runoff.errors import InvalidArgument
from runoff.recall._stores.engine import AsyncEngineSource, Client, EngineSource
from runoff.recall._stores.milvus_where import (
    Place,
    is_plain,
    milvus_expression,
    name_of,
    place_among,
    place_of,
    quoted,
)
from runoff.recall._stores.records import Layout, layout_of
from runoff.recall._stores.spaces import SCORE_RANGES, clamped, similarity
from runoff.types import Hit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from runoff._waiting.drive import Asking
    from runoff.deadline import Deadline
    from runoff.filters import Filter
    from runoff.recall._dense.vectors import AsyncEmbedQuery, Embed, EmbedQuery
    from runoff.recall._stores.engine import Form, Page, Search
    from runoff.types import Document

_SPACES = {"COSINE": "cosine", "IP": "ip", "L2": "l2", "BM25": "text"}
_DYNAMIC = "$meta"
_NESTED = ("metadata", "metadata_")


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
            said = literal is not None and (known or is_plain(holder))
            return Place(f"{holder}[{literal}]", "json") if said else Place(name, "other")
        return place_among(self.fields, name, dynamic=self.dynamic)


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
    _methods = ("search", "query", "describe_collection")
    _client_is = "a MilvusClient or an AsyncMilvusClient of pymilvus 2.6 or later"
    _most = 16384

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
        super().__init__(client, collection, search, embed, embed_query, aembed_query)
        self._vector, self._text, self._metadata = vector, text, metadata
        self._layout_of = partial(layout_of, doc_id=id)

    def _describe(self, deadline: Deadline | None) -> Asking[_Collection]:
        about = yield from self._sent("describe_collection", deadline)
        fields = {one["name"]: one for one in about["fields"]}
        vector, words = self._vector_of(about, fields)
        metric = "BM25"
        if self._search_kind == "dense":
            metric = yield from self._metric_of(vector, deadline)
        plain = {name: one for name, one in fields.items() if "VECTOR" not in name_of(one["type"])}
        places = {name: place_of(one) for name, one in plain.items()}
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
                if name_of(one["type"]) == "BM25"
            }
            chosen = self._chosen(made, "field made by a BM25 function")
            return chosen, made[chosen]
        dense = [name for name, one in fields.items() if name_of(one["type"]) == "FLOAT_VECTOR"]
        return self._chosen(dense, "field of type FLOAT_VECTOR"), None

    def _metric_of(self, vector: str, deadline: Deadline | None) -> Asking[str]:
        for name in (yield from self._sent("list_indexes", deadline)):
            index = yield from self._sent("describe_index", deadline, index_name=name)
            if index and index.get("field_name") == vector:
                metric = str(index.get("metric_type"))
                if metric in _SPACES:
                    return metric
                remedy = f"has the metric {metric}: supported are COSINE, IP and L2"
                raise InvalidArgument("vector", vector, remedy)
        remedy = f"has no index in {self._name!r}: Milvus searches only vectors with an index"
        raise InvalidArgument("vector", vector, remedy)

    def _has_cosines(self, description: _Collection) -> bool:
        return description.metric == "COSINE"

    def _clause(self, wanted: Filter, description: _Collection) -> str | bool:
        return milvus_expression(wanted, description.place)

    def _fetch(
        self,
        description: _Collection,
        question: Form,  # a vector or a text
        clause: Form,  # an expression
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
        score_range = SCORE_RANGES[_SPACES[description.metric]]
        hits = []
        for found in reply[0]:
            document = description.document(found["entity"])
            score = self._score(document.doc_id, found["distance"], description.metric)
            hits.append(Hit(document, score, score_range))
        return hits

    def _score(self, key: object, found: float, metric: str) -> float:
        found = self._finite(found, key)
        if metric == "L2":
            return similarity("l2", found)
        if metric == "BM25":
            return abs(found)  # Milvus Lite negates it
        return clamped(found) if metric == "COSINE" else found

    def _page(self, description: _Collection, cursor: Form, size: int) -> Asking[Page]:
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
