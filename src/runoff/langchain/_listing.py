"""All documents of a vector store, and some by id, where LangChain has no way to ask for them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document as LangChainDocument

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_PAGE = 1000
_Documents = list[LangChainDocument]


def _pgvector(store: Any) -> _Documents:  # noqa: ANN401
    with store._make_sync_session() as session:  # noqa: SLF001
        collection, kind = store.get_collection(session), store.EmbeddingStore
        if collection is None:
            return []
        columns = (kind.id, kind.document, kind.cmetadata)
        rows = session.query(*columns).filter(kind.collection_id == collection.uuid).all()
    return [_made(str(row[0]), row[1], row[2]) for row in rows if row[1] is not None]


def _made(doc_id: str, text: str, metadata: Any) -> LangChainDocument:  # noqa: ANN401
    return LangChainDocument(id=doc_id, page_content=text, metadata=dict(metadata or {}))


def _milvus(store: Any) -> _Documents:  # noqa: ANN401
    return _of_milvus(store, f'{store._primary_field} != ""')  # noqa: SLF001


def _milvus_by_ids(store: Any, ids: Sequence[str]) -> _Documents:  # noqa: ANN401
    wanted = json.dumps(list(ids), ensure_ascii=False)
    return _of_milvus(store, f"{store._primary_field} in {wanted}")  # noqa: SLF001


def _of_milvus(store: Any, expression: str) -> _Documents:  # noqa: ANN401
    if store.col is None:
        return []  # it is made when the first document is added
    pages = store.client.query_iterator(
        store.collection_name, filter=expression, output_fields=["*"], batch_size=_PAGE
    )
    documents: _Documents = []
    field = getattr(store, "_metadata_field", None)
    vectors = store._vector_field  # noqa: SLF001
    own = {vectors} if isinstance(vectors, str) else set(vectors)
    own |= {store._text_field, store._primary_field}  # noqa: SLF001
    while rows := pages.next():
        for row in rows:
            held = row.get(field) if field else {k: v for k, v in row.items() if k not in own}
            doc_id = str(row[store._primary_field])  # noqa: SLF001
            documents.append(_made(doc_id, row[store._text_field], held))  # noqa: SLF001
    pages.close()
    return documents


def _lancedb(store: Any) -> _Documents:  # noqa: ANN401
    table = store.get_table()
    return [] if table is None else _of_lancedb(store, table.to_arrow().to_pylist())


def _lancedb_by_ids(store: Any, ids: Sequence[str]) -> _Documents:  # noqa: ANN401
    quoted = ", ".join("'" + one.replace("'", "''") + "'" for one in ids)
    where = f"{store._id_key} IN ({quoted})"  # noqa: SLF001
    table = store.get_table()
    if table is None or not ids:
        return []
    return _of_lancedb(store, table.search().where(where).limit(len(ids)).to_list())


def _of_lancedb(store: Any, rows: Sequence[Any]) -> _Documents:  # noqa: ANN401
    return [
        _made(str(row[store._id_key]), row[store._text_key], row.get("metadata"))  # noqa: SLF001
        for row in rows
    ]


def _duckdb(store: Any) -> _Documents:  # noqa: ANN401
    columns = f"{store._id_key}, {store._text_key}, metadata"  # noqa: SLF001
    rows = store._connection.execute(f"SELECT {columns} FROM {store._table_name}").fetchall()  # noqa: S608, SLF001
    return [_made(str(row[0]), row[1], json.loads(row[2] or "null")) for row in rows]


def _sqlitevec(store: Any) -> _Documents:  # noqa: ANN401
    query = f"SELECT rowid, text, metadata FROM {store._table}"  # noqa: S608, SLF001
    rows = store._connection.execute(query).fetchall()  # noqa: SLF001
    return [_made(str(row[0]), row[1], json.loads(row[2] or "null")) for row in rows]


def _mongodb(store: Any) -> _Documents:  # noqa: ANN401
    text, vector = store._text_key, store._embedding_key  # noqa: SLF001
    return [
        _made(
            str(row["_id"]), row[text],
            {name: value for name, value in row.items() if name not in {"_id", text, vector}},
        )
        for row in store.collection.find({}, {vector: 0})
        if text in row
    ]  # fmt: skip


def _weaviate(store: Any) -> _Documents:  # noqa: ANN401
    collection = store._client.collections.get(store._index_name)  # noqa: SLF001
    found = []
    for one in collection.iterator():
        held = dict(one.properties)
        text = held.pop(store._text_key, None)  # noqa: SLF001
        if text is not None:
            found.append(_made(str(one.uuid), text, held))
    return found


def _elasticsearch(store: Any) -> _Documents:  # noqa: ANN401
    from elasticsearch.helpers import scan  # noqa: PLC0415 - here is a store of it

    inner = store._store  # noqa: SLF001
    hits = scan(inner.client, index=inner.index, query={"query": {"match_all": {}}}, size=_PAGE)
    return _of_hits(hits, inner.text_field, inner.metadata_field)


def _opensearch(store: Any) -> _Documents:  # noqa: ANN401
    from opensearchpy.helpers import scan  # noqa: PLC0415 - as above

    hits = scan(store.client, index=store.index_name, query={"query": {"match_all": {}}})
    return _of_hits(hits, "text", "metadata")


def _of_hits(hits: Any, text: str, metadata: str) -> _Documents:  # noqa: ANN401
    return [
        _made(str(hit["_id"]), hit["_source"][text], hit["_source"].get(metadata))
        for hit in hits
        if text in hit["_source"]
    ]


LISTED: dict[str | None, Callable[[Any], _Documents]] = {
    "pgvector": _pgvector,
    "milvus": _milvus,
    "lancedb": _lancedb,
    "duckdb": _duckdb,
    "sqlitevec": _sqlitevec,
    "mongodb": _mongodb,
    "weaviate": _weaviate,
    "elasticsearch": _elasticsearch,
    "opensearch": _opensearch,
}
"""Kind of store to what lists its documents."""

BY_IDS: dict[str | None, Callable[[Any, Sequence[str]], _Documents]] = {
    "milvus": _milvus_by_ids,
    "lancedb": _lancedb_by_ids,
}
"""Kind of store to what returns documents by id."""
