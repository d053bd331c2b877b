"""A circuit breaker: a server that keeps failing gets no requests for a while.

While it is closed, requests pass. After several failures in a row it opens, and requests fail at
once in place of waiting for a server that is down. After a cooldown it is half open: one request
passes as a probe. If it succeeds the circuit closes; if it fails, it opens for twice as long.
(M. Nygard, Release It!, 2007.)
"""

from __future__ import annotations

import threading
import time
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING

from runoff._util.arguments import count, seconds
from runoff._util.fork import in_child
from runoff.errors import CircuitOpen, TransientError

if TYPE_CHECKING:
    from collections.abc import Callable

_PATIENCE = 2.0  # a request given up before so many times the usual latency proves nothing
_SHORTEST = 0.1  # seconds; nor does one given less than this, while no latency is known
_MEMORY = 0.2  # weight of the latest latency in the usual one


@dataclass(frozen=True, slots=True)
class Circuit:
    """When requests to a failing server stop.

    All callers in a process with the same URL, model, key and headers share the state: a limit that
    one key has reached stops no other.

    Attributes:
        failures: requests in a row that must fail: refused or reset connections, 408, 429, 5xx,
            broken replies, and timeouts, except of callers that allow less time than the server
            usually takes.
        cooldown: seconds until a probe may pass; doubled each time the probe fails.
        longest: seconds that the cooldown never exceeds.

    Raises:
        InvalidArgument: an argument has an invalid value.
    """

    failures: int = 5
    _: KW_ONLY
    cooldown: float = 5.0
    longest: float = 60.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "failures", count("failures", self.failures))
        seconds("cooldown", self.cooldown)
        seconds("longest", self.longest)


class Breaker:
    """The state of one server's circuit; safe in threads.

    Args:
        circuit: when it opens and for how long.
        who: the server, for the error.
        clock: a monotonic clock in seconds, replaceable in tests.
    """

    def __init__(
        self, circuit: Circuit, who: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._circuit = circuit
        self._who = who
        self._clock = clock
        self._lock = threading.Lock()
        self._failed = 0
        self._opened_at = 0.0
        self._cooldown = 0.0  # 0 while closed
        self._probing = False
        self._usual: float | None = None
        self._last = ""

    @property
    def state(self) -> str:
        """`"closed"`, `"open"` or `"half-open"`."""
        with self._lock:
            if not self._cooldown:
                return "closed"
            return "open" if self._clock() < self._opened_at + self._cooldown else "half-open"

    def enter(self) -> Permit:
        """Let a request pass, or refuse it.

        Raises:
            CircuitOpen: the circuit is open; says for how long, and why.
        """
        with self._lock:
            if not self._cooldown:
                return Permit(self, self._clock())
            left = self._opened_at + self._cooldown - self._clock()
            if left > 0 or self._probing:
                until = f"for another {left:.1f} s" if left > 0 else "until a probe succeeds"
                failed = f"{self._who} failed {self._failed} times in a row ({self._last})"
                raise CircuitOpen(f"{failed}: no requests {until}")
            self._probing = True
            return Permit(self, self._clock(), probe=True)

    def _settle(self, permit: Permit, outcome: str, why: str) -> None:
        with self._lock:
            took = self._clock() - permit.since
            proves = took >= max(_SHORTEST, _PATIENCE * (self._usual or 0.0))
            if permit.probe:
                self._probing = False
            if outcome == "answered":
                known = self._usual
                self._usual = took if known is None else known + _MEMORY * (took - known)
                self._failed, self._cooldown = 0, 0.0
            elif outcome == "failed" or (outcome == "left" and proves):
                self._failed += 1
                self._last = why
                if permit.probe or (not self._cooldown and self._failed >= self._circuit.failures):
                    doubled = self._cooldown * 2 or self._circuit.cooldown
                    self._cooldown = min(
                        doubled, max(self._circuit.longest, self._circuit.cooldown)
                    )
                    self._opened_at = self._clock()


class Permit:
    """One request that may pass; at its end, the first of its methods to be called counts."""

    __slots__ = ("_breaker", "_settled", "probe", "since")

    def __init__(self, breaker: Breaker, since: float, *, probe: bool = False) -> None:
        self._breaker = breaker
        self._settled = False
        self.since = since
        self.probe = probe

    def answered(self) -> None:
        """The server answered, even if it rejected the data."""
        self._settle("answered", "")

    def failed(self, error: TransientError) -> None:
        """The server failed."""
        self._settle("failed", error.reason)

    def left(self) -> None:
        """The caller gave up waiting."""
        self._settle("left", "timeout")

    def _settle(self, outcome: str, why: str) -> None:
        if not self._settled:
            self._settled = True
            self._breaker._settle(self, outcome, why)  # noqa: SLF001 - the two are one


_lock = threading.Lock()
_breakers: dict[tuple[str, str, Circuit], Breaker] = {}
_KEPT = 1000  # breakers; keys that are replaced every hour must not fill the memory


def breaker_of(url: str, circuit: Circuit | None, who: str, scope: str = "") -> Breaker | None:
    """Return the breaker that all callers of a URL share; None without a circuit.

    Args:
        url: of the server.
        circuit: when the breaker opens.
        who: the name of the server, for the error.
        scope: a digest of what else divides callers: see `scope_of`.
    """
    if circuit is None:
        return None
    place = (url, scope, circuit)
    with _lock:
        found = _breakers.pop(place, None) or Breaker(circuit, who)
        _breakers[place] = found  # the latest used is the last
        while len(_breakers) > _KEPT:
            del _breakers[next(iter(_breakers))]
        return found


@in_child
def _forget() -> None:
    global _lock  # noqa: PLW0603 - it may have been held when the process was forked
    _lock = threading.Lock()
    _breakers.clear()
