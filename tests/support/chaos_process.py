"""A chaos server in a process of its own, so that its work takes nothing from the client's."""

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
    """What a test sees of it: the URL, and the fault, set by name."""

    def __init__(self, pipe):
        self._pipe = pipe
        self.url = pipe.recv()

    def fault(self, named):
        """Misbehave in this way from now on; None behaves."""
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
