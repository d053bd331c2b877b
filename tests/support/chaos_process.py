"""A chaos server in a process of its own, so that it takes no processor time from the client."""

from __future__ import annotations

import multiprocessing
from contextlib import contextmanager


def _serve(pipe, dialect):
    from runoff.testing.chaos import FAULTS, ChaosServer

    with ChaosServer(dialect=dialect) as server:
        pipe.send(server.url)
        while (named := pipe.recv()) != "end":
            server.fault = FAULTS[named] if named else None
            pipe.send(named)


class Remote:
    """The server as a test sees it: its URL, and the fault to show, set by name."""

    def __init__(self, pipe):
        self._pipe = pipe
        self.url = pipe.recv()

    def fault(self, named):
        """Show this fault from now on; None shows none."""
        self._pipe.send(named)
        assert self._pipe.recv() == named


@contextmanager
def serving(dialect):
    """Start a server and stop it at the end."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, dialect), daemon=True)
    process.start()
    try:
        yield Remote(here)
        here.send("end")
        process.join(10)
    finally:
        process.kill()
        process.join()
        here.close()
        there.close()
