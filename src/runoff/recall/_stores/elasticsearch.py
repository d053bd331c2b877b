"""An existing index of Elasticsearch or OpenSearch as a source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from runoff._util.messages import number_of
from runoff.errors import BadReply, DeadlineExceeded, InvalidArgument, ServerFailed
from runoff.recall._stores.elasticsearch_where import elasticsearch_query, fields_in
from runoff.recall._stores.engine import AsyncEngineSource, Client, EngineSource
from runoff.recall._stores.records import Layout, layout_of
from runoff.recall._stores.spaces import clamped
from runoff.types import Hit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runoff._waiting.drive import Asking
    from runoff.deadline import Deadline
    from runoff.filters import Filter
    from runoff.recall._dense.vectors import AsyncEmbedQuery, Embed, EmbedQuery
    from runoff.recall._stores.elasticsearch_where import Clause
    from runoff.recall._stores.engine import Form, Page, Search

_RANGES: dict[str, tuple[float | None, float | None]] = {
    "cosine": (-1.0, 1.0),
    "dot_product": (-1.0, 1.0),
    "l2_norm": (None, 1.0),
    "max_inner_product": (None, None),
}
_OWN = (0.0, None)  # of a `_score` that is kept as it is
_VECTORS = {"dense_vector", "knn_vector"}
_FEWEST_CANDIDATES = 100
# engines of OpenSearch that filter while they search, and so return as many as were asked for
_FILTERING = {"lucene", "faiss"}
_KEPT = "10m"  # how long the engine keeps a listing open between two pages


@dataclass(frozen=True, slots=True)
class _Index:
    """What the engine says about an index: how fields are indexed, the vector, a record."""

    fields: Mapping[str, Mapping[str, Any]]
    vector: str
    similarity: str
    dimension: int | None
    filtering: bool
    layout: Layout
    empty: bool

    def field(self, name: str) -> tuple[str, Mapping[str, Any]] | None:
        """Return the whole name and the mapping of a metadata field, if it can be filtered by."""
        if self.layout.may_hide(name):
            return None
        whole = f"{self.layout.metadata}.{name}" if self.layout.metadata else name
        known = self.fields.get(whole)
        return None if known is None else (whole, known)


class Elasticsearch(EngineSource[_Index]):
    """A source over an existing index of Elasticsearch 8 or 9, or of OpenSearch 2 or 3.

    `search="text"` asks by a `match` query, which scores by BM25. `search="dense"` asks for the
    nearest vectors. Elasticsearch's scores become cosines, inner products, or for `l2_norm` 1 -
    distance ** 2 / 2, which is the cosine for vectors of length 1; OpenSearch's stay as they are,
    as they differ from version to version. For both, make two sources: a pipeline fuses them. Equal
    scores are ordered by id.

    Filters are translated as far as the index's mapping allows, and every hit is checked with
    `Filter.matches`: where the engine keeps more than the filter, more and more records are fetched
    until `depth` of them pass. The engine returns at most 10,000 records; if too few of these pass,
    `FilterNotSupported` says so. The search for vectors is approximate.

    The asynchronous clients are accepted too: `asearch` awaits them, and `search` refuses them.

    Args:
        client: an `elasticsearch.Elasticsearch` or `AsyncElasticsearch`, or an
            `opensearchpy.OpenSearch` or `AsyncOpenSearch`.
        index: the name of the index, or an alias.
        search: `"dense"` or `"text"`.
        embed: a callable, list of n texts -> (n, d) numbers, with the model that made the vectors.
        embed_query: a callable, text -> (d,) numbers, for models that embed queries differently.
        aembed_query: the same, async, for an async client.
        vector: the field with the vectors, if the index has several.
        text: the field with the text.
        metadata: the object with the metadata; empty if its fields are beside the text.
        id: a field with the document's id, in place of `_id`.

    Without `text` and `metadata`, what LangChain's and LlamaIndex's stores write is recognised.

    Raises:
        InvalidArgument: `client` is not a client of either, or an option is missing or wrong.
    """

    _engine = "Elasticsearch"
    _methods = ("search", "scroll", "indices")
    _client_is = "a client of Elasticsearch 8.12 or later, or of OpenSearch"
    _noun = "index"
    _most = 10_000

    def __init__(  # noqa: PLR0913 - all but two by name
        self,
        client: Client,
        index: str,
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
        super().__init__(client, index, search, embed, embed_query, aembed_query)
        # the clients differ in how a request is given its timeout
        self._opens = not hasattr(client, "options")
        if self._opens:
            self._engine = "OpenSearch"
        self._vector, self._text = vector, text
        self._layout_of = partial(layout_of, metadata=metadata, doc_id=id)

    def _describe(self, deadline: Deadline | None) -> Asking[_Index]:
        reply = yield from self._ask(
            lambda seconds: self._timed(seconds, "indices.get_mapping", index=self._name), deadline
        )
        fields = _common(
            fields_in(one["mappings"].get("properties") or {}) for one in reply.values()
        )
        vectors = {name for name, one in fields.items() if one.get("type") in _VECTORS}
        vector, similarity, dimension, filtering = "", "", None, True
        if self._search_kind == "dense":
            vector = self._chosen(vectors, "vector field")
            similarity, dimension, filtering = self._about(vector, fields[vector])
        found = yield from self._asked({"query": {"match_all": {}}, "size": 1}, vectors, deadline)
        record = found[0]["_source"] if found else {}
        layout = self._layout_of(record, text=self._text, others=vectors)
        return _Index(fields, vector, similarity, dimension, filtering, layout, empty=not found)

    def _about(self, vector: str, field: Mapping[str, Any]) -> tuple[str, int | None, bool]:
        """Return a vector field's similarity, if scores can be read back, and its dimension."""
        if field.get("type") == "knn_vector":
            method = field.get("method") or {}
            return "", field.get("dimension"), method.get("engine") in _FILTERING
        if field.get("index") is False:
            remedy = f"is not indexed in {self._name!r}, so it cannot be searched"
            raise InvalidArgument("vector", vector, remedy)
        plain = field.get("element_type", "float") == "float"
        return field.get("similarity", "cosine") if plain else "", field.get("dims"), True

    def _has_cosines(self, description: _Index) -> bool:
        return description.similarity in {"cosine", "dot_product"}

    def _refuses_zeros(self, description: _Index) -> bool:
        return description.similarity != "l2_norm"

    def _clause(self, wanted: Filter, description: _Index) -> Clause | bool:
        return not description.filtering or elasticsearch_query(wanted, description.field)

    def _fetch(
        self,
        description: _Index,
        question: Form,  # a vector or a text
        clause: Form,  # a query
        count: int,
        deadline: Deadline | None,
    ) -> Asking[list[Hit]]:
        if self._embedder is None:
            matched = {"match": {description.layout.text: {"query": question}}}
            asked = {"bool": {"must": [matched], "filter": [clause]}} if clause else matched
            body: dict[str, Any] = {"query": asked}
        else:
            body = self._nearest(description, question, clause, count)
        body["size"] = count
        others = description.layout.others
        found = yield from self._asked(body, others, deadline)
        similarity = description.similarity
        score_range = _RANGES.get(similarity, _OWN)
        return [
            Hit(
                description.layout.document(one["_id"], one["_source"]),
                self._score(one["_id"], one["_score"], similarity),
                score_range,
            )
            for one in found
        ]

    def _nearest(
        self,
        description: _Index,
        vector: object,
        clause: Clause | None,
        count: int,
    ) -> dict[str, Any]:
        """Return the search for the nearest vectors, in the words of either engine."""
        if self._opens:
            near = {"vector": vector, "k": count} | ({"filter": clause} if clause else {})
            return {"query": {"knn": {description.vector: near}}}
        knn = {
            "field": description.vector,
            "query_vector": vector,
            "k": count,
            "num_candidates": min(self._most, max(_FEWEST_CANDIDATES, 2 * count)),
        }
        return {"knn": knn | ({"filter": clause} if clause else {})}

    def _score(self, doc_id: str, found: float | None, similarity: str) -> float:
        found = self._finite(found, doc_id)
        if found <= 0 and similarity in {"l2_norm", "max_inner_product"}:
            raise BadReply(f"{self!r} returned score {found} for {doc_id!r}: it must be above 0")
        if similarity in {"cosine", "dot_product"}:
            return clamped(2 * found - 1)
        if similarity == "l2_norm":
            return 1.0 - (1 / found - 1) / 2
        if similarity == "max_inner_product":
            return 1 - 1 / found if found < 1 else found - 1
        return found

    def _asked(
        self, body: dict[str, Any], without: Iterable[str], deadline: Deadline | None
    ) -> Asking[list[dict[str, Any]]]:
        """Search, and return the hits without their vectors."""
        body = {**body, "_source": {"excludes": sorted(without)}}

        def send(seconds: float | None) -> Any:  # noqa: ANN401 - an async client returns an awaitable
            timed = {} if seconds is None else {"timeout": f"{max(1, int(seconds * 1000))}ms"}
            return self._timed(
                seconds,
                "search",
                index=self._name,
                body=body | timed,
                allow_partial_search_results=False,
            )

        return self._hits((yield from self._ask(send, deadline)))

    def _hits(self, reply: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the hits of a reply, unless it is cut short.

        Raises:
            DeadlineExceeded, ServerFailed: the engine returned what it had.
            BadReply: records have no source.
        """
        where = f"{self._engine} {self._noun} {self._name!r}"
        if reply.get("timed_out"):
            raise DeadlineExceeded(f"{where}: the search timed out")
        failed = (reply.get("_shards") or {}).get("failed")
        if failed:
            raise ServerFailed(f"{where}: {number_of(failed, 'shard')} failed")
        hits: list[dict[str, Any]] = reply["hits"]["hits"]
        for one in hits:
            if not isinstance(one.get("_source"), Mapping):
                raise BadReply(
                    f"{where}: the record {one.get('_id')!r} has no _source, which stores the text"
                )
        return hits

    def _page(self, description: _Index, cursor: Form, size: int) -> Asking[Page]:
        if cursor is None:
            body = {
                "query": {"match_all": {}},
                "size": size,
                "sort": ["_doc"],
                "_source": {"excludes": sorted(description.layout.others)},
            }
            asked = {"index": self._name, "body": body, "scroll": _KEPT}
            method = "search"
        else:
            asked, method = {"body": {"scroll_id": cursor, "scroll": _KEPT}}, "scroll"
        reply = yield from self._ask(lambda seconds: self._timed(seconds, method, **asked), None)
        hits = self._hits(reply)
        cursor = reply["_scroll_id"]
        if len(hits) < size:
            done = {"body": {"scroll_id": [cursor]}}
            yield from self._ask(lambda seconds: self._timed(seconds, "clear_scroll", **done), None)
            cursor = None
        return [description.layout.document(one["_id"], one["_source"]) for one in hits], cursor

    def _timed(self, seconds: float | None, method: str, **options: object) -> Any:  # noqa: ANN401 - of either client
        """Call a method of the client with a timeout; retries would outlast it."""
        client = self._client
        if seconds is not None:
            if self._opens:
                options["request_timeout"] = seconds
            else:
                client = client.options(request_timeout=seconds, max_retries=0)
        holder, _, name = method.rpartition(".")
        return getattr(getattr(client, holder) if holder else client, name)(**options)


class _AsyncElasticsearch(AsyncEngineSource[_Index], Elasticsearch):
    """A source over an asynchronous client; `Elasticsearch` chooses it."""


def _common(
    indexes: Iterable[Mapping[str, Mapping[str, Any]]],
) -> dict[str, Mapping[str, Any]]:
    """Return the fields that all indexes behind an alias map in the same way."""
    first, *others = [dict(one) for one in indexes] or [{}]
    return {
        name: field
        for name, field in first.items()
        if all(one.get(name) == field for one in others)
    }
