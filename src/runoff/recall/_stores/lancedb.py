"""A table of LanceDB as a source: vectors, or its full-text search."""

from __future__ import annotations

import dataclasses
import inspect
import math
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from runoff._util.arguments import count as checked_count
from runoff.errors import (
    DeadlineExceeded,
    EmbeddingError,
    IndexNotFound,
    InvalidArgument,
    RunoffError,
)
from runoff.recall._stores.engine import AsyncEngineSource, Client, EngineSource
from runoff.recall._stores.lancedb_table import Table, read_table
from runoff.recall._stores.lancedb_where import lancedb_where
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
    from runoff.recall._stores.spaces import Space

_METRICS = {"cosine": "cosine", "l2": "l2", "ip": "dot"}
_SAFE = 10_000  # rows to ask for without knowing how many there are


class LanceDB(EngineSource[Table]):
    """A source over a table of LanceDB: its vectors, or its full-text search with BM25.

    One instance is one source: `search="dense"` finds by vectors and `search="text"` by words, for
    which the table needs an index: `table.create_fts_index("text")`. Tables of LangChain's and
    LlamaIndex's stores open as they are. The metadata is what the struct or the JSON in the column
    `metadata` contains, and all other columns.

    Dense scores: 1 - distance / 2 for `"l2"`, LanceDB's default, whose distance is squared, which
    is the cosine for vectors of length 1; the cosine, where vectors of zeros are never found; the
    inner product for `"ip"`. If the column has an approximate index, it is used unless
    `exact=True`, and may miss some of the nearest; scores are computed from the vectors themselves.
    If it finds fewer rows than were asked for, the table is searched exactly. Equal scores are
    ordered by id.

    Filters become LanceDB's SQL, and every hit is checked with `Filter.matches`. Filters on times,
    on JSON and on numbers beyond 2**53 cannot be written exactly: more and more rows are fetched
    until `depth` of them pass.

    An `AsyncTable` or `AsyncConnection` is accepted too: `asearch` awaits it, and `search` refuses
    it. A table shows what it held when it was opened, unless its connection says otherwise with
    `read_consistency_interval`.

    Args:
        client: a table, or the connection that `lancedb.connect` returns.
        table_name: the table's name, if `client` is a connection.
        search: `"dense"`, which needs `embed`, or `"text"`.
        embed: a callable, list of n texts -> (n, d) numbers, with the model that made the vectors
            in the table.
        embed_query: a callable, text -> (d,) numbers, for models that embed queries differently.
        aembed_query: the same, async.
        vector: the column of vectors.
        text: the column of texts.
        id: the column of ids.
        metadata: a column of a struct or of JSON, other columns, or both, as a name or a list.
        space: `"cosine"`, `"l2"` or `"ip"`; None takes the one that the index is made for, or
            `"l2"`.
        exact: whether to search without an approximate index.
        nprobes: how many parts of an approximate index to search; None leaves it to LanceDB.

    Raises:
        InvalidArgument: an argument is wrong; names it.
    """

    _engine = "LanceDB"
    _noun = "table"
    _methods = ("open_table",)

    def __init__(  # noqa: PLR0913 - all but two by name
        self,
        client: Client,
        table_name: str | None = None,
        *,
        search: Search = "dense",
        embed: Embed | None = None,
        embed_query: EmbedQuery | None = None,
        aembed_query: AsyncEmbedQuery | None = None,
        vector: str | None = None,
        text: str | None = None,
        id: str | None = None,  # noqa: A002 - as all engines call it
        metadata: str | Sequence[str] | None = None,
        space: Space | None = None,
        exact: bool = False,
        nprobes: int | None = None,
    ) -> None:
        is_table = hasattr(client, "count_rows") and hasattr(client, "list_indices")
        if not is_table and not hasattr(client, "open_table"):
            remedy = "must be a table of LanceDB, or what lancedb.connect returns"
            raise InvalidArgument("client", client, remedy)
        if is_table and table_name is not None:
            raise InvalidArgument("table_name", table_name, "applies only to a connection")
        if not is_table and (not isinstance(table_name, str) or not table_name):
            raise InvalidArgument("table_name", table_name, "must be the name of a table")
        name = client.name if is_table else table_name or ""
        super().__init__(client, name, search, embed, embed_query, aembed_query)
        check_space(space)
        if nprobes is not None:
            checked_count("nprobes", nprobes)
        self._table: Any = client if is_table else None
        self._names = Names(vector, text, id, metadata)
        self._space = space
        self._exact = exact
        self._nprobes = nprobes

    def _describe(self, deadline: Deadline | None) -> Asking[Table]:
        if self._table is None:
            self._table = yield from self._ask(
                lambda _seconds: self._client.open_table(self._name), deadline
            )
        table = self._table
        schema = yield from self._ask(lambda _seconds: _called(table.schema), deadline)
        found = read_table(schema, self._names, dense=self._search_kind == "dense")
        indexes = yield from self._ask(lambda _seconds: table.list_indices(), deadline)
        searched = found.text if self._search_kind == "text" else found.vector
        on_column = [one for one in indexes if list(one.columns) == [searched]]
        if self._search_kind == "text":
            if not any(one.index_type == "FTS" for one in on_column):
                raise IndexNotFound(
                    f"LanceDB table {self._name!r} has no full-text index on {searched!r}: "
                    f"table.create_fts_index({searched!r}) makes one"
                )
            return found
        if not on_column:
            return found
        about = yield from self._ask(
            lambda _seconds: table.index_stats(on_column[0].name), deadline
        )
        of_index = {metric: space for space, metric in _METRICS.items()}
        space = of_index.get(getattr(about, "distance_type", None) or "")
        return dataclasses.replace(found, indexed=True, space=space)

    def _space_of(self, table: Table) -> str:
        return "text" if self._search_kind == "text" else self._space or table.space or "l2"

    def _has_cosines(self, description: Table) -> bool:
        return self._space_of(description) == "cosine"

    def _clause(self, wanted: Filter, description: Table) -> str | bool:
        return lancedb_where(wanted, description)

    def _fetch(
        self,
        description: Table,
        question: Form,  # a vector or a text
        clause: str | None,
        count: int,
        deadline: Deadline | None,
    ) -> Asking[list[Hit]]:
        if count > _SAFE:  # LanceDB reserves memory for as many rows as it is asked for
            held = yield from self._ask(lambda _seconds: self._table.count_rows(), deadline)
            count = min(count, max(1, held))
        rows: list[dict[str, Any]] = []
        for exact in (False, True):
            approximate = description.indexed and not self._exact
            if not exact and not approximate:
                continue
            send = partial(self._send, description, question, clause, count, exact=exact)
            found = yield from self._ask(send, deadline)
            rows = found.to_pylist()
            if len(rows) == count:
                break  # an approximate index may find fewer than there are
        space = self._space_of(description)
        field = "_score" if space == "text" else "_distance"
        read = float if space == "text" else partial(similarity, space)
        return [
            Hit(description.document(row), read(row[field]), SCORE_RANGES[space])
            for row in rows
            if not math.isnan(row[field])  # the cosine of a vector of zeros
        ]

    def _send(
        self,
        table: Table,
        question: Form,
        clause: str | None,
        count: int,
        seconds: float | None,
        *,
        exact: bool,
    ) -> Any:  # noqa: ANN401 - a table of pyarrow, or what is awaited for it
        if self._search_kind == "text":
            builder = self._by_words(table, question).select([*table.columns, "_score"])
        else:
            builder = self._by_vector(table, question).select([*table.columns, "_distance"])
            builder = builder.distance_type(_METRICS[self._space_of(table)])
            if exact:
                builder = builder.bypass_vector_index()
            else:
                builder = builder.refine_factor(1)  # the distances of an index are approximate
                builder = builder if self._nprobes is None else builder.nprobes(self._nprobes)
        if clause is not None:
            builder = builder.where(clause)
        timeout = None if seconds is None else timedelta(seconds=seconds)
        return builder.limit(count).to_arrow(timeout=timeout)

    def _by_vector(self, table: Table, question: Any) -> Any:  # noqa: ANN401 - of lancedb
        return self._table.search(question, vector_column_name=table.vector, query_type="vector")

    def _by_words(self, table: Table, question: str) -> Any:  # noqa: ANN401 - of lancedb
        return self._table.search(question, query_type="fts", fts_columns=table.text)

    def _all(self, table: Table, size: int) -> Any:  # noqa: ANN401 - of lancedb
        return iter(self._table.search().select(table.columns).to_batches(size))

    def _page(self, description: Table, cursor: Form, size: int) -> Asking[Page]:
        if cursor is None:
            cursor = yield from self._ask(lambda _seconds: self._all(description, size), None)
        batch = yield from self._ask(lambda _seconds: self._next(cursor), None)
        if batch is None:
            return [], None
        return [description.document(row) for row in batch.to_pylist()], cursor

    def _next(self, batches: Any) -> Any:  # noqa: ANN401 - of lancedb
        return next(batches, None)

    def _known(self, error: Exception) -> Exception:
        known = super()._known(error)
        if known is not error or isinstance(error, RunoffError):
            return known
        # the native library says in words only what went wrong
        said, message = str(error), f"LanceDB table {self._name!r}: {error}"
        if "Query timeout" in said:
            return DeadlineExceeded(message)
        if "Not found:" in said:
            return IndexNotFound(message)
        return EmbeddingError(message) if "query dim" in said else error


class _AsyncLanceDB(AsyncEngineSource[Table], LanceDB):
    """A source over an async table or connection; `LanceDB` chooses it."""

    def _by_vector(self, table: Table, question: Any) -> Any:  # noqa: ANN401 - as above
        return self._table.query().nearest_to(question).column(table.vector)

    def _by_words(self, table: Table, question: str) -> Any:  # noqa: ANN401 - as above
        return self._table.query().nearest_to_text(question, columns=[table.text])

    async def _all(self, table: Table, size: int) -> Any:  # noqa: ANN401 - as above
        query = self._table.query().select(table.columns)
        return aiter(await query.to_batches(max_batch_length=size))

    async def _next(self, batches: Any) -> Any:  # noqa: ANN401 - as above
        return await anext(batches, None)


def _called(value: Any) -> Any:  # noqa: ANN401 - of lancedb
    """Return the value of what is an attribute of one client and a method of the other."""
    return value() if inspect.ismethod(value) else value
