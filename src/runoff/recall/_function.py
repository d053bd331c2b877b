"""Any callable as a source."""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from runoff._util.arguments import SignatureOfInit, is_one_of
from runoff._util.display import html_by
from runoff._util.gained import gained
from runoff.errors import BadReply, FilterNotSupported, InvalidArgument
from runoff.recall._arguments import check_callable, check_question
from runoff.types import Document, Hit, Query

if TYPE_CHECKING:
    from runoff.deadline import Deadline

Found: TypeAlias = "Hit | Document | tuple[Document, float] | tuple[str, str, float]"

_REMEDY = (
    "must return a list, best first, of Hit, (Document, score), (doc_id, text, score), or only of "
    "Document"
)
_SCORED_DOCUMENT, _TRIPLE = 2, 3


@dataclass(frozen=True, slots=True)
class Function:
    """A source made of a function `(query, depth) -> hits`.

    The function is called with the `Query` (its question is `query.text`) and the depth, by
    position, and returns an iterable, best first. Its order is kept: scores are passed on and never
    used for sorting. Each item is a `Hit`, `(Document, score)` or `(doc_id, text, score)`. A list
    of bare `Document`s is accepted too: their score is NaN, and a pipeline fuses by rank. Items
    with and without scores cannot be mixed. A repeated id is left out, so a function may return
    several passages of one document: the first stands for it. Items beyond `depth` are cut, and an
    iterator is read no further.

    An async function is accepted too: `asearch` awaits it, and `search` refuses it.

    Attributes:
        function: the function.
        honours_filters: True if the function reads `query.filters` and honours them exactly;
            otherwise a query with filters is refused. A pipeline checks what it returns, by the
            metadata of the hits: (doc_id, text, score) has none, so return `Document`s.
        score_range: the lowest and highest score the function can give, for items that are not
            `Hit`s; None for an unknown bound.

        thread: `"any"`, or `"caller"` for a function that must run in the thread that searches,
            such as one with a `sqlite3` connection. With `timeout=` the answer then waits for it,
            and `asearch` blocks the event loop meanwhile.

    Raises:
        InvalidArgument: `function` cannot be called, `score_range` is not a pair, or `thread` is
            neither of the two.
    """

    function: Callable[[Query, int], Iterable[Found] | Awaitable[Iterable[Found]]]
    honours_filters: bool = False
    score_range: tuple[float | None, float | None] = (None, None)
    thread: Literal["any", "caller"] = "any"

    __setstate__ = gained("thread")

    __signature__ = SignatureOfInit()

    def __new__(  # noqa: PYI034 - it may be the class below
        cls, function: object = None, *_args: object, **_options: object
    ) -> Function:
        """Choose the class that can be awaited for an async function."""
        chosen = _AsyncFunction if cls is Function and _is_async(function) else cls
        return object.__new__(chosen)

    _repr_html_ = html_by("configured_html", "_notebook")

    def __post_init__(self) -> None:
        check_callable("function", self.function, "must be a callable (query, depth) -> hits")
        if not isinstance(self.score_range, tuple) or len(self.score_range) != 2:  # noqa: PLR2004 - a pair
            remedy = "must be a pair (lowest, highest), with None for an unknown bound"
            raise InvalidArgument("score_range", self.score_range, remedy)
        if not isinstance(self.honours_filters, bool):  # one taken for True would leak
            raise InvalidArgument("honours_filters", self.honours_filters, "must be True or False")
        if not is_one_of(self.thread, ("any", "caller")):
            raise InvalidArgument("thread", self.thread, 'must be "any" or "caller"')

    def retrieve(
        self, query: Query, *, depth: int, deadline: Deadline | None = None
    ) -> Sequence[Hit]:
        """Call the function and return what it found, at most `depth` hits.

        Raises:
            FilterNotSupported: the query has filters, and `honours_filters` is False.
            InvalidArgument: the function returned a wrong type, or it is async.
            BadReply: a score is not finite.
        """
        del deadline  # functions take none; the pipeline abandons the call when time is up
        self._check(query, depth)
        found = self.function(query, depth)
        if inspect.isawaitable(found):
            _close(found)
            remedy = (
                "is async: use asearch(), which awaits it"
                if isinstance(self, _AsyncFunction)
                else 'returned an awaitable: declare it "async def", so that asearch() awaits it'
            )
            raise InvalidArgument("function", self.function, remedy)
        return self._hits(found, depth)

    def _check(self, query: Query, depth: int) -> None:
        check_question(query, depth)
        if query.filters is not None and not self.honours_filters:
            remedy = (
                "this function is not declared to honour filters: if it does, pass "
                "Function(..., honours_filters=True)"
            )
            raise FilterNotSupported("filters", query.filters, remedy)

    def _hits(self, found: object, depth: int) -> list[Hit]:
        if isinstance(found, str | bytes | Hit | Document) or not isinstance(found, Iterable):
            raise InvalidArgument("function", found, _REMEDY)
        hits: dict[str, Hit] = {}
        bare: set[bool] = set()
        for item in found:
            bare.add(isinstance(item, Document))
            if len(bare) > 1:
                raise InvalidArgument(
                    "function", item, f"{_REMEDY}; give a score to all of them or to none"
                )
            hit = self._hit(item)
            hits.setdefault(hit.doc_id, hit)
            if len(hits) == depth:
                break
        return list(hits.values())

    def _hit(self, item: object) -> Hit:
        if isinstance(item, Hit):
            hit = item
        elif isinstance(item, Document):
            return Hit(item, math.nan)
        else:
            document, score = _parts(item)
            hit = Hit(document, score, self.score_range)
        if not math.isfinite(hit.score):
            msg = f"scores must be finite: the function returned {hit.score} for {hit.doc_id!r}"
            raise BadReply(msg)
        return hit


class _AsyncFunction(Function):
    """A source made of an async function; `Function` chooses it."""

    __slots__ = ()

    async def aretrieve(
        self, query: Query, *, depth: int, deadline: Deadline | None = None
    ) -> Sequence[Hit]:
        """Await the function and return what it found, as `retrieve` does."""
        del deadline
        self._check(query, depth)
        found = self.function(query, depth)
        return self._hits(await found if inspect.isawaitable(found) else found, depth)


def _is_async(function: object) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an object with an async __call__
    )


def _close(found: Any) -> None:  # noqa: ANN401 - any awaitable
    """Close a coroutine that is never awaited, so that Python does not warn about it."""
    if inspect.iscoroutine(found):
        found.close()


def _parts(item: object) -> tuple[Document, Any]:
    if isinstance(item, tuple) and len(item) == _SCORED_DOCUMENT and isinstance(item[0], Document):
        return item[0], item[1]
    if isinstance(item, tuple) and len(item) == _TRIPLE:
        return Document(item[0], item[1]), item[2]
    raise InvalidArgument("function", item, _REMEDY)
