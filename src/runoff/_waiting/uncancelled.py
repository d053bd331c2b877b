"""`uncancelled`: a synchronous call of anyone's making, which nobody can have cancelled."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeVar

from runoff.errors import BadReply

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


def uncancelled(call: Callable[[], _T]) -> _T:
    """Call, and return the answer.

    A call that runs an event loop of its own may let that loop's `CancelledError` out. It is no
    `Exception`, and would end the caller's task as if the caller had been cancelled.

    Raises:
        BadReply: the call cancelled itself.
        Exception: any other error of the call.
    """
    try:
        return call()
    except Exception:
        raise
    except BaseException as error:
        asyncio = sys.modules.get("asyncio")  # importing it takes half of this package's time
        if asyncio is None or not isinstance(error, asyncio.CancelledError):
            raise
        msg = "the call cancelled itself"
        raise BadReply(msg) from None
