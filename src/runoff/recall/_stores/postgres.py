"""A table of PostgreSQL as a source: vectors of pgvector, or full-text search."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

from runoff.errors import InvalidArgument
from runoff.recall._stores.engine import AsyncEngineSource, Client, EngineSource
from runoff.recall._stores.postgres_bm25 import Ranking
from runoff.recall._stores.postgres_pool import connect
from runoff.recall._stores.postgres_statements import (
    as_documents,
    by_bm25,
    by_vector,
    by_words,
    everything,
    reaches,
    settings,
)
from runoff.recall._stores.postgres_table import CATALOGUE, Table, quoted, read_table
from runoff.recall._stores.postgres_where import postgres_where
from runoff.recall._stores.records import Names
from runoff.recall._stores.spaces import SCORE_RANGES, check_space, similarity
from runoff.types import Hit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runoff._waiting.drive import Asking
    from runoff.deadline import Deadline
    from runoff.filters import Filter
    from runoff.recall._dense.vectors import AsyncEmbedQuery, Embed, EmbedQuery
    from runoff.recall._stores.engine import Form, Page, Search
    from runoff.recall._stores.postgres_where import Part
    from runoff.recall._stores.spaces import Space


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

    Text scores: BM25, if the texts have an index of the extensions pg_search or pg_textsearch. Else
    `ts_rank_cd` of documents with any of the query's words, which knows no frequencies of words in
    other documents. For it, a column of type `tsvector` is used if there is one;
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
        language: the configuration of full-text search, for `ts_rank_cd`; an index for BM25 has its
            own.
        ranking: what ranks texts: `"bm25"`, `"ts_rank_cd"`, or `"auto"` for BM25 where there is an
            index for it.

    Raises:
        MissingExtra: psycopg is not installed.
        PermanentError: psycopg does not find libpq.
        InvalidArgument: an argument is wrong; names it.
    """

    _engine = "PostgreSQL"
    _noun = "table"
    _methods = ("connection",)

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
        space: Space | None = None,
        exact: bool = False,
        language: str = "english",
        ranking: Ranking = "auto",
    ) -> None:
        for argument, name in (("table_name", table_name), ("schema", schema or "public")):
            if not isinstance(name, str) or not name or "\0" in name:
                raise InvalidArgument(argument, name, "must be a name, a non-empty string")
        super().__init__(client, table_name, search, embed, embed_query, aembed_query)
        check_space(space)
        if not isinstance(language, str) or not language:
            raise InvalidArgument("language", language, 'must be a name, such as "english"')
        self._where = quoted(*([schema] if schema else []), table_name)
        self._client = connect(
            client, f"PostgreSQL table {table_name!r}"
        )  # and not the string: it may be secret
        self._names = Names(vector, text, id, metadata)
        self._space = space
        self._exact = exact
        if ranking not in get_args(Ranking):
            remedy = f"must be one of {', '.join(get_args(Ranking))}"
            raise InvalidArgument("ranking", ranking, remedy)
        if search == "dense" and ranking != "auto":
            raise InvalidArgument("ranking", ranking, 'applies only to search="text"')
        self._language = language
        self._ranking = ranking

    def close(self) -> None:
        """Close the connections of a source that was given a connection string."""
        self._client.close()

    def _describe(self, deadline: Deadline | None) -> Asking[Table]:
        name = self._where.replace("%%", "%")
        rows = yield from self._rows([], (CATALOGUE, (name,)), deadline)
        table = read_table(
            self._where, rows[0], self._names, self._search_kind, self._language, self._ranking
        )
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

    def _clause(self, wanted: Filter, description: Table) -> Part | bool:
        return postgres_where(wanted, description)

    def _fetch(
        self,
        description: Table,
        question: Form,  # a vector or a text
        clause: Part | None,
        count: int,
        deadline: Deadline | None,
    ) -> Asking[list[Hit]]:
        space = self._space_of(description)
        if description.bm25 is not None:
            return (yield from self._ranked(description, question, clause, count, deadline))
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

    def _ranked(
        self,
        table: Table,
        text: str,
        clause: Part | None,
        count: int,
        deadline: Deadline | None,
    ) -> Asking[list[Hit]]:
        """Ask an index for BM25.

        pg_textsearch may stop before it has as many rows that pass a clause, and pg_search may
        leave out scores beside one: they are asked again without it.
        """
        index: Any = table.bm25
        negated = index.extension == "pg_textsearch"
        while True:
            statement = by_bm25(table, index, text, clause, count)
            rows = yield from self._rows([], statement, deadline)
            short = len(rows) < count if negated else any(row[2] is None for row in rows)
            if clause is None or not short:
                break
            clause = None
        scored = [self._finite(row[2], row[0]) for row in rows]
        return [
            Hit(document, abs(score), SCORE_RANGES["text"])
            for document, score in zip(as_documents(table, rows), scored, strict=True)
            if score or not negated  # 0 is that of a row without any of the words
        ]

    def _rows(
        self, prepared: Sequence[Part], query: Part, deadline: Deadline | None
    ) -> Asking[list[tuple[Any, ...]]]:
        send = partial(self._client.rows, prepared, query)
        found: list[tuple[Any, ...]] = yield from self._ask(send, deadline)
        return found

    def _hits(self, table: Table, space: str, rows: Sequence[tuple[Any, ...]]) -> list[Hit]:
        score_range = SCORE_RANGES[space]
        return [
            Hit(document, _score(space, row[2]), score_range)
            for document, row in zip(as_documents(table, rows), rows, strict=True)
            if not math.isnan(row[2])  # the cosine of a vector of zeros
        ]

    def _page(self, description: Table, cursor: Form, size: int) -> Asking[Page]:
        rows = self._client.stream(everything(description)) if cursor is None else cursor
        found = yield from self._ask(lambda _seconds: self._client.take(rows, size), None)
        more = rows if len(found) == size else None
        return as_documents(description, found), more


class _AsyncPostgres(AsyncEngineSource[Table], Postgres):
    """A source over an async pool; `Postgres` chooses it."""


def _score(space: str, found: float) -> float:
    if space == "text":
        return float(found)
    if space == "ip":
        return -found
    return similarity(space, found * found if space == "l2" else found)
