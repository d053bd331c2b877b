"""A rerank server that misbehaves on demand, to test the clients of such servers.

It serves real HTTP on 127.0.0.1 from daemon threads, speaks the APIs of TEI, vLLM, Jina, infinity
and Cohere, and needs only the standard library:

```python
from runoff.testing.chaos import FAULTS, ChaosServer

with ChaosServer() as server:
    server.fault = FAULTS["503"]
    ...  # call server.url + "/rerank", "/v1/rerank" or "/v2/rerank"
```
"""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING, Self

from runoff.errors import DeadlineExceeded, InvalidArgument
from runoff.testing._chaos.faults import FAULTS, Fault
from runoff.testing._chaos.listener import Listener, Received, Traffic
from runoff.testing._chaos.replies import Dialect, expected_score

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["FAULTS", "ChaosServer", "Fault", "expected_score"]

_DIALECTS = ("tei", "vllm", "jina", "infinity", "cohere", "nvidia")
_CLOSING = 5.0


class ChaosServer:
    """A rerank server on 127.0.0.1 that runs inside a `with` block.

    `POST /rerank` speaks TEI if the body has `texts` and infinity if it has `documents`,
    `/v1/rerank` speaks Jina, `/v2/rerank` Cohere, and `GET /info` is TEI's. A text's score is
    `expected_score(query, text)`; each word between blanks counts as a token. Faults apply only to
    requests for scores: those of `script` first, then those of `faults`, then `fault`.

    Args:
        dialect: which API to speak on every path that it has; `"vllm"` has all three.
        key: the only key to accept. Without it Cohere's API requires any key, and the others
            require none.
        token_limit: words to read of query and text together: vLLM refuses longer pairs, TEI and
            infinity truncate the text.

    Attributes:
        fault: the fault of every request; None for good replies.
        latency: seconds before every good reply.

    Raises:
        InvalidArgument: the dialect is unknown.
    """

    def __init__(
        self, *, dialect: Dialect | None = None, key: str | None = None, token_limit: int = 512
    ) -> None:
        if dialect is not None and dialect not in _DIALECTS:
            raise InvalidArgument("dialect", dialect, f"must be one of {', '.join(_DIALECTS)}")
        self.dialect = dialect
        self.token_limit = token_limit
        self.latency = 0.0
        self.fault: Fault | None = None
        self._key = key
        self._script: list[Fault | None] = []
        self._share: tuple[float, random.Random, tuple[Fault, ...]] | None = None
        self._traffic = Traffic()
        self._elsewhere: ChaosServer | None = None
        self._listener: Listener | None = None

    def __enter__(self) -> Self:
        if self._traffic.closing.is_set() or self._listener is not None:
            raise InvalidArgument(
                "server", self, "can serve in one `with` block only: make another server"
            )
        self._listener = Listener(self, self._traffic, self._key, self._next_fault)
        self._accepting = threading.Thread(
            target=self._listener.serve_forever, args=(0.01,), name="chaos-server", daemon=True
        )
        self._accepting.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"ChaosServer(dialect={self.dialect!r}, fault={self.fault!r})"

    @property
    def url(self) -> str:
        """The server's URL, without a path."""
        return f"http://127.0.0.1:{self._serving().server_address[1]}"

    @property
    def elsewhere(self) -> ChaosServer:
        """The second server, at `localhost` and another port, to which `redirect` points."""
        with self._traffic.lock:
            if self._elsewhere is None:
                self._serving()
                self._elsewhere = ChaosServer(
                    dialect=self.dialect, token_limit=self.token_limit
                ).__enter__()
            return self._elsewhere

    @property
    def requests(self) -> list[Received]:
        """The requests received so far, in order."""
        return self._traffic.requests

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        return len(self._traffic.open)

    @property
    def total_connections(self) -> int:
        """How many connections were opened so far."""
        return self._traffic.connections

    @property
    def most_requests(self) -> int:
        """The highest number of requests in progress at one time."""
        return self._traffic.most

    def faults(self, *, rate: float, seed: int = 0, among: Iterable[str | Fault] = FAULTS) -> None:
        """Apply one of these faults to a random share of the requests.

        The n-th request after this call always gets the same fault for the same seed.

        Args:
            rate: the share, from 0 to 1.
            seed: the seed of the random choice.
            among: faults or their names.

        Raises:
            InvalidArgument: the rate is out of range, no fault is given, or a name is unknown.
        """
        if not 0 <= rate <= 1:
            raise InvalidArgument("rate", rate, "must be between 0 and 1")
        chosen = tuple(_fault(one) for one in among)
        if not chosen:
            raise InvalidArgument("among", among, "must name at least one fault")
        with self._traffic.lock:
            self._share = (rate, random.Random(seed), chosen)  # noqa: S311 - no secret

    def script(self, steps: Sequence[str | Fault | None]) -> None:
        """Set the fault of each of the next requests, in the order of their arrival.

        Args:
            steps: faults, their names, or None for a good reply.

        Raises:
            InvalidArgument: a name is unknown.
        """
        checked = [None if step is None else _fault(step) for step in steps]
        with self._traffic.lock:
            self._script = checked

    def clear(self) -> None:
        """Answer without faults from now on and forget past requests; connections stay open."""
        with self._traffic.lock:
            self.fault, self._share, self._script, self.latency = None, None, [], 0.0
            self._traffic.requests, self._traffic.most = [], self._traffic.in_hand

    def close(self) -> None:
        """End every connection, even hanging ones, and wait for their threads.

        Raises:
            DeadlineExceeded: a custom fault still runs after five seconds.
        """
        with self._traffic.lock:
            self._traffic.closing.set()
            listener, self._listener = self._listener, None
        if listener is not None:
            listener.shutdown()
            listener.server_close()
            self._accepting.join(_CLOSING)
        stuck = self._traffic.end(within=_CLOSING)
        if self._elsewhere is not None:
            self._elsewhere.close()
        if stuck:
            names = ", ".join(thread.name for thread in stuck)
            msg = f"still answering {_CLOSING:g} s after the server closed: {names}"
            raise DeadlineExceeded(msg)

    def _serving(self) -> Listener:
        if self._listener is None:
            raise InvalidArgument("server", self, "is running only inside its `with` block")
        return self._listener

    def _next_fault(self) -> Fault | None:
        """Choose the fault of the request that just arrived; called with the lock held."""
        if self._script:
            return self._script.pop(0)
        if self._share is not None:
            rate, dice, among = self._share
            if dice.random() < rate:
                return dice.choice(among)
        return self.fault


def _fault(named: str | Fault) -> Fault:
    if isinstance(named, Fault):
        return named
    if named not in FAULTS:
        raise InvalidArgument("fault", named, f"must be one of {', '.join(FAULTS)}")
    return FAULTS[named]
