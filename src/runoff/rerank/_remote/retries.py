"""When a request is sent again: inside the deadline, or not at all."""

from __future__ import annotations

import random
from dataclasses import KW_ONLY, dataclass
from email.utils import parsedate_to_datetime
from time import time
from typing import TYPE_CHECKING

from runoff._util.arguments import count, seconds
from runoff.errors import ConnectionFailed, ServerFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

_SPREAD = 0.5  # of each pause is random, so that callers that failed together retry apart


@dataclass(frozen=True, slots=True)
class Retries:
    """How often and when to try again after a refused or reset connection, 408, 409, 429 or 5xx.

    The pause doubles each time; a server's Retry-After replaces it. If the pause does not fit into
    the time left, the error is raised at once.

    Attributes:
        attempts: requests sent at most, the first included, 1 or more.
        first_pause: seconds before the second attempt.
        longest_pause: seconds; if a server asks for more, the error is raised at once.

    Raises:
        InvalidArgument: an argument has an invalid value.
    """

    attempts: int = 3
    _: KW_ONLY
    first_pause: float = 0.05
    longest_pause: float = 10.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "attempts", count("attempts", self.attempts))
        seconds("first_pause", self.first_pause, zero=True)
        seconds("longest_pause", self.longest_pause, zero=True)

    def pause(self, failed: int, error: Exception, left: float) -> float | None:
        """Return the seconds to wait before the next attempt; None when there is no next one.

        Args:
            failed: attempts that failed so far, 1 or more.
            error: how the last one failed.
            left: seconds left of the deadline, infinity without one.
        """
        if failed >= self.attempts or not isinstance(error, ConnectionFailed | ServerFailed):
            return None
        asked = error.retry_after if isinstance(error, ServerFailed) else None
        if asked is not None:
            pause = asked
        else:
            pause = min(self.longest_pause, self.first_pause * 2 ** (failed - 1))
            pause *= 1 - _SPREAD * random.random()  # noqa: S311 - no secret is made of it
        return pause if pause <= self.longest_pause and pause < left else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds a server asks to wait, from `retry-after-ms` or `retry-after`.

    The latter may be seconds or an HTTP date (RFC 9110, 10.2.3). None when neither is there or
    valid.
    """
    known = {name.lower(): value for name, value in headers.items()}
    try:
        if "retry-after-ms" in known:
            return max(0.0, float(known["retry-after-ms"]) / 1000)
        if "retry-after" not in known:
            return None
        said = known["retry-after"].strip()
        try:
            return max(0.0, float(said))
        except ValueError:
            return max(0.0, parsedate_to_datetime(said).timestamp() - time())
    except (ValueError, TypeError):
        return None
