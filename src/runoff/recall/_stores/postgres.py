"""A table of PostgreSQL as a source: vectors of pgvector, or full-text search."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from runoff.errors import InvalidArgument
from runoff.recall._stores.engine import AsyncEngineSource, Client, EngineSource, is_async
from runoff.recall._stores.postgres_pool import connect
from runoff.recall._stores.postgres_statements import (
    as_document,
    by_vector,
    by_words,
    everything,
    reaches,
    settings,
)
from runoff.recall._stores.postgres_table import CATALOGUE, Names, Table, quoted, read_table
from runoff.recall._stores.postgres_where import postgres_where
from runoff.types import Hit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runoff._waiting.drive import Asking
    from runoff.deadline import Deadline
    from runoff.filters import Filter
    from runoff.recall._dense.vectors import AsyncEmbedQuery, Embed, EmbedQuery
    from runoff.recall._stores.engine import Search
    from runoff.recall._stores.postgres_where import Part
    from runoff.types import Document, Query

__all__ = ["Postgres"]

_Space: TypeAlias = Literal["cosine", "l2", "ip"]

_SCORE_RANGES: dict[str, tuple[float | None, float | None]] = {
    "cosine": (-1.0, 1.0),
    "l2": (None, 1.0),
    "ip": (None, None),
    "text": (0.0, None),
}


class Postgres(EngineSource[Table]):
    """A source over a table of PostgreSQL: pgvector's vectors, or full-text search.

    One instance is one source: `search="dense"` finds by vectors and `search="text"` by words. Two
    instances may share a pool, and `TwoStage` fuses them. The table's columns are recognised if
    they are named as LangChain's PGVectorStore, LlamaIndex's PGVectorStore or most others name
    them; name the others. All remaining columns are fields of the metadata, and so is what an
    object in the column of JSON contains.

    Dense scores: the cosine; the inner product for `"ip"`; 1 - distance² / 2 for `"l2"`, which is
    the cosine for vectors of length 1. Rows without a vector or an id are never found, and with
    `"cosine"` neither are vectors of zeros. If the column has an approximate index (HNSW or
    IVFFlat), it is used unless `exact=True`, and may miss some of the nearest. If it finds fewer
    rows than were asked for, as it does if a filter excludes many, the table is searched exactly.

    Text scores: `ts_rank_cd` of documents with any of the query's words. It knows no frequencies of
    words in other documents, as BM25 does. A column of type `tsvector` is used if there is one;
    otherwise the texts are analysed for each query, unless an index on
    `to_tsvector('english', text)` serves.

    Equal scores are ordered by id. Filters become parametrised SQL, and every hit is checked with
    `Filter.matches`. If SQL cannot express a filter exactly, as with times beside texts, more and
    more rows are fetched until `depth` of them pass.

    A deadline limits the wait for a connection and, as `statement_timeout`, the query. With an
    `AsyncConnectionPool`, `asearch` awaits the source in the event loop of the pool, and `search`
    refuses it.

    Args:
        client: a connection string, for which the source has a pool of its own of at most 10
            connections, or a `ConnectionPool` or `AsyncConnectionPool` of psycopg_pool. psycopg 3
            is the extra `postgres`.
        table_name: the table.
        search: `"dense"`, which needs `embed`, or `"text"`.
        embed: a callable, list of n texts -> (n, d) numbers, with the model that made the vectors
            in the table.
        embed_query: a callable, text -> (d,) numbers, for models that embed queries differently.
        aembed_query: the same, async.
        schema: the table's schema; None searches as the connection does.
        vector: the column of type `vector` or `halfvec`.
        text: the column of texts.
        id: the column of ids, of any type.
        metadata: a column of type `json` or `jsonb`, other columns, or both, as a name or a list.
        space: `"cosine"`, `"l2"` or `"ip"`; None takes the one that the index is made for, or
            `"cosine"`.
        exact: whether to search without an approximate index.
        language: the configuration of full-text search.

    Raises:
        MissingExtra: psycopg is not installed.
        InvalidArgument: an argument is wrong; names it.
    """

    _engine = "PostgreSQL"
    _noun = "table"

    def __new__(  # noqa: PYI034 - it may be the class below
        cls, client: object = None, *_args: object, **_options: object
    ) -> Postgres:
        """Choose the awaitable class for an async pool."""
        awaitable = is_async(client, "connection")
        return object.__new__(_AsyncPostgres if cls is Postgres and awaitable else cls)

    def __init__(  # noqa: PLR0913 - all but two by name
        self,
        client: Client,
        table_name: str,
        *,
        search: Search = "dense",
        embed: Embed | None = None,
        embed_query: EmbedQuery | None = None,
        aembed_query: AsyncEmbedQuery | None = None,
        schema: str | None = None,
        vector: str | None = None,
        text: str | None = None,
        id: str | None = None,  # noqa: A002 - as all engines call it
        metadata: str | Sequence[str] | None = None,
        space: _Space | None = None,
        exact: bool = False,
        language: str = "english",
    ) -> None:
        for argument, name in (("table_name", table_name), ("schema", schema or "public")):
            if not isinstance(name, str) or not name or "\0" in name:
                raise InvalidArgument(argument, name, "must be a name, a non-empty string")
        super().__init__(
            client,
            table_name,
            search=search,
            embed=embed,
            embed_query=embed_query,
            aembed_query=aembed_query,
        )
        if space not in (None, *get_args(_Space)):
            raise InvalidArgument("space", space, f"must be one of {', '.join(get_args(_Space))}")
        if not isinstance(language, str) or not language:
            raise InvalidArgument("language", language, 'must be a name, such as "english"')
        self._where = quoted(*([schema] if schema else []), table_name)
        self._client = connect(
            client, f"PostgreSQL table {table_name!r}"
        )  # and not the string: it may be secret
        self._names = Names(vector, text, id, metadata)
        self._space = space
        self._exact = exact
        self._language = language

    def close(self) -> None:
        """Close the connections of a source that was given a connection string."""
        self._client.close()

    def _describe(self, deadline: Deadline | None) -> Asking[Table]:
        name = self._where.replace("%%", "%")
        rows = yield from self._rows([], (CATALOGUE, (name,)), deadline)
        table = read_table(self._where, rows[0], self._names, self._search_kind, self._language)
        if self._search_kind == "dense" and self._space is None and len(table.spaces) > 1:
            remedy = f"must be given: there are indexes for {' and '.join(table.spaces)}"
            raise InvalidArgument("space", None, remedy)
        return table

    def _space_of(self, table: Table) -> str:
        if self._search_kind == "text":
            return "text"
        return self._space or (table.spaces[0] if table.spaces else "cosine")

    def _has_cosines(self, description: Table) -> bool:
        return self._space_of(description) == "cosine"

    def _question(self, query: Query, description: Table, deadline: Deadline | None) -> Asking[Any]:
        if self._embedder is None:
            return query.text if query.text.strip() else None
        found = yield from self._embedder.vector(query, description.dimension, deadline)
        if found is None or (self._space_of(description) == "cosine" and not found.any()):
            return None
        return found

    def _clause(self, wanted: Filter, description: Table) -> Part | Literal[False] | None:
        found = postgres_where(wanted, description)
        return None if found is True else found

    def _fetch(
        self,
        description: Table,
        question: Any,  # noqa: ANN401 - a vector or a text
        clause: Part | None,
        count: int,
        deadline: Deadline | None,
    ) -> Asking[list[Hit]]:
        space = self._space_of(description)
        if space == "text":
            statement = by_words(description, question, self._language, clause, count)
            rows = yield from self._rows([], statement, deadline)
            return self._hits(description, space, rows)
        for exact in (False, True):
            if not exact and (self._exact or not reaches(description, count)):
                continue
            statement = by_vector(description, space, question, clause, count, exact=exact)
            needed = settings(description, count, exact=exact)
            rows = yield from self._rows(needed, statement, deadline)
            if len(rows) == count:
                break  # an approximate index may find fewer than there are
        return self._hits(description, space, rows)

    def _rows(
        self, prepared: Sequence[Part], query: Part, deadline: Deadline | None
    ) -> Asking[list[tuple[Any, ...]]]:
        send = partial(self._client.rows, prepared, query)
        found: list[tuple[Any, ...]] = yield from self._ask(send, deadline)
        return found

    def _hits(self, table: Table, space: str, rows: Sequence[tuple[Any, ...]]) -> list[Hit]:
        return [
            Hit(as_document(table, row), _score(space, row[2]), _SCORE_RANGES[space])
            for row in rows
            if not math.isnan(row[2])  # the cosine of a vector of zeros
        ]

    def _page(
        self,
        description: Table,
        cursor: Any,  # noqa: ANN401 - the rows that are being read
        size: int,
    ) -> Asking[tuple[list[Document], object]]:
        rows = self._client.stream(everything(description)) if cursor is None else cursor
        found = yield from self._ask(lambda _seconds: self._client.take(rows, size), None)
        more = rows if len(found) == size else None
        return [as_document(description, row) for row in found], more


class _AsyncPostgres(AsyncEngineSource[Table], Postgres):
    """A source over an async pool; `Postgres` chooses it."""


def _score(space: str, found: float) -> float:
    if space == "text":
        return float(found)
    if space == "ip":
        return -found
    score = 1.0 - (found * found / 2 if space == "l2" else found)
    # rounding takes a cosine some 1e-7 beyond its range
    return max(-1.0, min(1.0, score)) if space == "cosine" else score
