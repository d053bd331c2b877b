"""Whether the order of a reranker that reads several candidates at once may be replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import numpy as np

from runoff._recording.query import Content, FateCode
from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from runoff._recording.query import RecordedQuery
    from runoff._recording.setup import StepSetup


def check_other(given: object, steps: Sequence[StepSetup]) -> None:
    """Refuse a listwise reranker in the place of the recorded one."""
    if any(step.listwise for step in steps):
        refuse(given)


def refuse(given: object) -> NoReturn:
    """Refuse a reranker whose order holds only for the candidates that it reads together.

    Raises:
        InvalidArgument: always.
    """
    remedy = "orders several candidates at once: record the system with it, and compare the two"
    raise InvalidArgument("reranker", given, remedy)


def check_read(query: RecordedQuery, name: str, rows: NDArray[np.int64]) -> None:
    """Refuse rows other than those that a listwise reranker read, in the same order.

    Raises:
        InvalidArgument: names the reranker and the query.
    """
    read = np.flatnonzero((query.content == int(Content.TEXT)) & (query.fate != int(FateCode.TAIL)))
    if not np.array_equal(rows, read):
        remedy = (
            "orders several candidates at once, and these settings give it other candidates than "
            f"were recorded (query {query.query_id!r})"
        )
        raise InvalidArgument("reranker", name, remedy)
