"""Exact search over embeddings held in memory."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from runoff._util.arguments import SignatureOfInit, check_list, count, is_one_of
from runoff._util.display import html_by
from runoff._util.messages import number_of
from runoff._util.progress import Wanted, check_progress, counted
from runoff._waiting import workers
from runoff._waiting.drive import run, run_async
from runoff.errors import DuplicateId, InvalidArgument
from runoff.recall._arguments import as_documents, check_question
from runoff.recall._dense.nearest import SCORE_RANGES, Similarity, nearest
from runoff.recall._dense.packed import Packed, Stored, direction
from runoff.recall._dense.rows import Rows, View
from runoff.recall._dense.vectors import (
    AsyncEmbedQuery,
    Embed,
    EmbedQuery,
    QueryEmbedder,
    as_matrix,
    has_query_methods,
)
from runoff.types import Document, Hit, Query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from runoff._waiting.drive import Asking
    from runoff.deadline import Deadline
    from runoff.recall._arguments import Given

Progress: TypeAlias = "Callable[[int, int], None]"


class Dense:
    """A source that compares the query's embedding with every document's, exactly.

    Vectors are kept in memory: 100,000 of 384 dimensions take 195 MB, or 40 MB as int8. Equal
    scores are ordered by `doc_id`, and scores do not depend on the order in which documents were
    added. Searches see the index as it was when they began; one instance serves many threads.

    A document whose text is blank is not embedded, since many services refuse empty texts: it is
    kept under its id and never found, unless `embeddings` gives it a vector. A query whose vector
    is zero has no direction and finds nothing, except with `"l2"`.

    Args:
        documents: `Document`s, `(id, text)` pairs or plain strings, as for `BM25`; may be empty.
        embed: a callable, list of n texts -> (n, d) numbers: nested lists, or anything else that
            NumPy makes an array of. It is never called with an empty list.
        embed_query: a callable, text -> (d,) numbers, for models that embed queries differently.
        aembed_query: the same, async; if it is given, or `embed` has its own as `Embedder` does,
            `asearch` awaits the query's embedding.
        similarity: `"cosine"` (scores from -1 to 1), `"ip"`, the inner product (unbounded), or
            `"l2"`, `1 - d**2 / 2` for the Euclidean distance d (at most 1; the cosine, for vectors
            of length 1).
        embeddings: ready vectors of the documents, shape (n, d); nothing is embedded then.
        stored: how vectors are kept: `"float32"`, from 4,096 documents on with a copy rounded to
            int8 that finds the few rows worth reading; or `"int8"`, a fifth of the memory, where
            scores are those of the rounded vectors, exactly.
        batch_size: texts given to `embed` at once.
        progress: True shows a bar in a terminal or a notebook; a callable gets (texts embedded,
            texts to embed) after each batch.

    Raises:
        InvalidArgument: an argument has a value it cannot have.
        DuplicateId: two documents have the same id and different texts.
        EmbeddingError: vectors have the wrong shape, or contain NaN or infinity; names the
            document.
    """

    __signature__ = SignatureOfInit()

    def __new__(  # noqa: PYI034 - it may be the class below
        cls,
        documents: object = (),
        embed: object = None,
        *,
        embed_query: object = None,
        aembed_query: object = None,
        **_options: object,
    ) -> Dense:
        """Choose the awaitable class if the query's embedding can be awaited."""
        del documents
        awaitable = aembed_query is not None or (embed_query is None and has_query_methods(embed))
        return object.__new__(_AsyncDense if cls is Dense and awaitable else cls)

    def __init__(  # noqa: PLR0913 - all but two are options, given by name
        self,
        documents: Iterable[Given],
        embed: Embed,
        *,
        embed_query: EmbedQuery | None = None,
        aembed_query: AsyncEmbedQuery | None = None,
        similarity: Similarity = "cosine",
        embeddings: ArrayLike | None = None,
        stored: Stored = "float32",
        batch_size: int = 256,
        progress: Wanted = False,
    ) -> None:
        if not is_one_of(stored, {"float32", "int8"}):
            raise InvalidArgument("stored", stored, 'must be "float32" or "int8"')
        if not is_one_of(similarity, SCORE_RANGES):
            raise InvalidArgument("similarity", similarity, 'must be "cosine", "ip" or "l2"')
        self._embedder = QueryEmbedder(embed, embed_query, aembed_query)
        self._similarity: Similarity = similarity
        self._batch_size = count("batch_size", batch_size)
        self._writing = threading.Lock()
        self._rows = Rows(unit=similarity == "cosine", stored=stored)
        self.add(documents, embeddings=embeddings, progress=progress)

    def add(
        self,
        documents: Iterable[Given],
        *,
        embeddings: ArrayLike | None = None,
        progress: Wanted = False,
    ) -> None:
        """Add documents, and replace those whose id is known.

        A known document whose text has not changed keeps its vector, unless `embeddings` has a new
        one. If an error is raised, nothing is changed.

        Args:
            documents: the documents.
            embeddings: ready vectors, shape (n, d); nothing is embedded then.
            progress: True shows a bar in a terminal or a notebook; a callable gets (texts embedded,
                texts to embed) after each batch.

        Raises:
            InvalidArgument: an item is not a document, a string or a pair.
            DuplicateId: two of the documents have the same id and different texts.
            EmbeddingError: as for the class.
        """
        check_progress(progress)
        given = list(as_documents(documents))
        places = _places(given)
        with self._writing:
            if embeddings is not None and (given or np.size(embeddings)):
                vectors = as_matrix(embeddings, [_named(one) for one in given], self.dimension)
                chosen = list(places.values())
                if len(chosen) < len(given):  # the last one of each id
                    vectors = vectors[chosen]
                packed = self._rows.packed(vectors)
                self._rows.put([given[place] for place in chosen], packed)
                return
            known = self._rows.get
            latest = [given[place] for place in places.values()]
            fresh = [one for one in latest if (old := known(one)) is None or old.text != one.text]
            changed = {one.doc_id for one in fresh}
            spoken = [one for one in fresh if one.text.strip()]
            self._rows.put(
                spoken,
                self._embedded(spoken, progress),
                same_vector=[one for one in latest if one.doc_id not in changed],
                without=[one for one in fresh if not one.text.strip()],
            )

    def delete(self, doc_ids: Iterable[str]) -> int:
        """Delete documents by id, and return how many were deleted; unknown ids are ignored.

        Raises:
            InvalidArgument: `doc_ids` is a string, not a list of them.
        """
        check_list("doc_ids", doc_ids, "ids")
        with self._writing:
            return self._rows.drop(set(doc_ids))

    def retrieve(
        self, query: Query, *, depth: int, deadline: Deadline | None = None
    ) -> Sequence[Hit]:
        """Return the `depth` documents most similar to the query, best first.

        The query's vector is `Query.embedding`, else the mean of the embedded
        `Query.embedding_texts`, else the embedded text.

        Raises:
            InvalidArgument: `query` is not a `Query`, or `depth` is not a whole number, 1 or more.
            EmbeddingError: the query's vector has another dimension, or contains NaN or infinity.
            DeadlineExceeded: no time was left at the start.
        """
        return run(self._steps(query, depth, deadline))

    def warmup(self) -> None:
        """Load the embedding model, or embed a word, and load what searches need."""
        self._embedder.warmup()
        self._rows.view.vectors.warmup()

    @property
    def score_spread(self) -> float | None:
        """The usual deviation of a query's 100 best cosines, if what embeds knows it."""
        spread: float | None = getattr(self._embedder.embed, "score_spread", None)
        return spread if self._similarity == "cosine" else None

    @property
    def dimension(self) -> int | None:
        """The number of dimensions; None if no document has a vector."""
        view = self._rows.view
        return view.vectors.dimension if len(view.lengths) else None

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle or a copy holds: documents, vectors and `embed`, and no lock."""
        with self._writing:
            state = {name: one for name, one in vars(self).items() if name != "_writing"}
            return {**state, "_rows": self._rows.copy()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._writing = threading.Lock()

    def __len__(self) -> int:
        """Return the number of documents, blank ones included."""
        return len(self._rows)

    def __contains__(self, doc_id: object) -> bool:
        return doc_id in self._rows

    _repr_html_ = html_by("repr_html", "_notebook")

    def __repr__(self) -> str:
        stored = "" if self._rows.stored == "float32" else f", {self._rows.stored}"
        width = self.dimension
        size = "" if width is None else f"{number_of(width, 'dimension')}{stored}, "
        return f"Dense({number_of(len(self), 'document')}, {size}{self._similarity!r})"

    def _embedded(self, documents: list[Document], progress: Wanted) -> Packed:
        """Return the packed vectors of documents; every batch has the same dimension."""
        dimension = self.dimension
        batches: list[Packed] = []
        with counted(progress, "embedding") as step:
            for start in range(0, len(documents), self._batch_size):
                batch = documents[start : start + self._batch_size]
                found = self._embedder.embed([one.text for one in batch])
                vectors = as_matrix(found, [_named(one) for one in batch], dimension)
                # packed batch by batch, so that memory never holds the whole corpus as float64
                batches.append(self._rows.packed(vectors))
                dimension = vectors.shape[1]
                if step is not None:
                    step(start + len(batch), len(documents))
        return Packed.joined(batches, self._rows.stored, dimension or 0)

    def _steps(self, query: Query, depth: int, deadline: Deadline | None) -> Asking[list[Hit]]:
        """Embed the query, then search; awaited, in a worker thread."""
        check_question(query, depth)
        view = self._rows.view
        if not len(view.lengths):
            return []
        if deadline is not None:
            deadline.check("recall")
        vector = yield from self._embedder.vector(query, view.vectors.dimension, deadline)
        search = partial(self._search, view, vector, query, depth)
        return (yield from workers.aside(search, deadline, "recall"))

    def _search(
        self, view: View, vector: NDArray[np.float64] | None, query: Query, depth: int
    ) -> list[Hit]:
        if vector is None or (self._similarity != "l2" and not vector.any()):
            return []
        documents, wanted = view.documents, query.filters
        found = nearest(
            view.vectors,
            view.lengths,
            direction(vector) if self._similarity == "cosine" else vector,
            self._similarity,
            depth=depth,
            name=lambda row: documents[row].doc_id,
            keep=None if wanted is None else lambda row: wanted.matches(documents[row].metadata),
        )
        score_range = SCORE_RANGES[self._similarity]
        return [Hit(documents[row], score, score_range) for row, score in found]


class _AsyncDense(Dense):
    """A `Dense` whose query embedding can be awaited; `Dense` chooses it."""

    async def aretrieve(
        self, query: Query, *, depth: int, deadline: Deadline | None = None
    ) -> Sequence[Hit]:
        """Do what `retrieve` does, awaiting the query's embedding and searching in a thread."""
        return await run_async(self._steps(query, depth, deadline))


def _named(document: Document) -> str:
    return f"document {document.doc_id!r}"


def _places(documents: list[Document]) -> dict[str, int]:
    """Map each id to the place of its last document, and refuse an id with two texts."""
    places: dict[str, int] = {}
    for place, one in enumerate(documents):
        first = places.setdefault(one.doc_id, place)
        if documents[first].text != one.text:
            remedy = "is the id of two documents with different texts: ids must be unique"
            raise DuplicateId("doc_id", one.doc_id, remedy)
        places[one.doc_id] = place
    return places
