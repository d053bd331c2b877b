"""The end of the interpreter: no thread is left inside native code.

CPython before 3.14 ends a daemon thread when it next asks for the interpreter lock, by unwinding
its stack. C++ and Rust code that the thread returns from then aborts the process. So calls into
native code are counted. At exit, what runs is interrupted and the exit waits shortly for it to
return. Every thread but the exiting one that would enter native code then ends with `SystemExit`,
in silence.

The hook is an `atexit` function, so functions registered after this module was imported run before
it and find everything as usual. Those that run after it can search too: what needs another thread
is refused at once, and the answer is degraded.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

from runoff._util.fork import in_child

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST_WAIT = 0.3  # seconds that native calls get to return
_THREADS_HANG_SINCE = (3, 14)  # instead of being unwound


class _State(threading.local):
    """How deep this thread is in native sections."""

    depth = 0


class _Gate:
    """The native sections of one process."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.Lock())
        self.here = _State()
        self.inside = 0  # threads
        self.interrupts: dict[object, Callable[[], None]] = {}
        self.hooks: list[Callable[[], None]] = []
        self.closer: int | None = None  # the thread that ends the interpreter

    def enter(self) -> None:
        """Count this thread.

        Raises:
            SystemExit: the interpreter is exiting, by another thread.
        """
        with self.changed:
            self.check()
            self.inside += 1

    def leave(self) -> None:
        """Count this thread no more."""
        with self.changed:
            self.inside -= 1
            if self.closer is not None:
                self.changed.notify_all()

    def check(self) -> None:
        """Raise `SystemExit` in any thread but the one that ends the interpreter."""
        if self.closer is not None and self.closer != threading.get_ident():
            raise SystemExit("the interpreter is exiting")

    def close(self) -> bool:
        """Interrupt what runs, and wait for it; return whether all of it returned."""
        with self.changed:
            self.closer = threading.get_ident()
            stops = [*self.hooks, *self.interrupts.values()]
        for stop in stops:
            stop()
        until = time.monotonic() + _LONGEST_WAIT
        with self.changed:
            while self.inside > 0:
                left = until - time.monotonic()
                if left <= 0:
                    return False
                self.changed.wait(left)
        return True


_gate = _Gate()


class Native:
    """A context in which this thread may be inside native code; contexts may be nested.

    Args:
        interrupt: called by the exiting thread to make the native code return.

    Raises:
        SystemExit: at either end, in all threads but the exiting one, once the interpreter exits.
    """

    __slots__ = ("_gate", "_interrupt")

    def __init__(self, interrupt: Callable[[], None] | None = None) -> None:
        self._interrupt = interrupt

    def __enter__(self) -> None:
        gate = self._gate = _gate
        if not gate.here.depth:
            gate.enter()
        gate.here.depth += 1
        if self._interrupt is not None:
            with gate.changed:
                gate.interrupts[self] = self._interrupt
                late = gate.closer is not None
            if late:
                self._interrupt()

    def __exit__(self, *error: object) -> None:
        gate = self._gate
        if gate is not _gate:
            return  # in a child, forked meanwhile
        if self._interrupt is not None:
            with gate.changed:
                gate.interrupts.pop(self, None)
        gate.here.depth -= 1
        if not gate.here.depth:
            gate.leave()
            gate.check()


class Waiting:
    """A context in which this thread only waits: it is not counted, whatever it is within.

    Raises:
        SystemExit: as `Native`, at the end.
    """

    __slots__ = ("_depth", "_gate")

    def __enter__(self) -> None:
        gate = self._gate = _gate
        self._depth = gate.here.depth
        if self._depth:
            gate.here.depth = 0
            gate.leave()

    def __exit__(self, *error: object) -> None:
        gate = self._gate
        if self._depth and gate is _gate:
            with gate.changed:
                gate.inside += 1
            gate.here.depth = self._depth
            gate.check()


def at_exit(stop: Callable[[], None]) -> None:
    """Have a function called when the interpreter exits, before native calls are waited for."""
    with _gate.changed:
        _gate.hooks.append(stop)


def begun() -> bool:
    """Whether the interpreter is exiting, so that no other thread will run any more."""
    return _gate.closer is not None


def check() -> None:
    """Raise `SystemExit` in any thread but the one that ends the interpreter."""
    _gate.check()


def close() -> None:
    """End native work, as the interpreter does at exit."""
    if not _gate.close():
        _hang_instead_of_aborting()
    _remember_interrupt()


def _remember_interrupt() -> None:
    """Have a program that Ctrl-C ended die of the signal, as shells and supervisors expect.

    CPython notes that while it unwinds the main program, and forgets it when any thread evaluates
    source afterwards, as the threads do here that still import a model's packages: dataclasses and
    named tuples are made of source. Raising the interrupt from source notes it again.
    """
    trace = getattr(sys, "last_traceback", None)
    if trace is None or sys.last_type is not KeyboardInterrupt:
        return
    frame = trace.tb_frame
    named = frame.f_globals.get("__name__")  # runpy runs the module of `python -m`
    of_program = named in {"__main__", "runpy"} and frame.f_back is None
    if of_program and not sys.flags.interactive and not hasattr(sys, "ps1"):
        with contextlib.suppress(KeyboardInterrupt):
            exec("raise KeyboardInterrupt")  # noqa: S102 - a constant


def _hang_instead_of_aborting() -> None:
    """Let a thread that would abort the process sleep instead, until the process ends.

    For native code that neither returns in time nor can be interrupted, such as a matrix product of
    seconds in a user's own source. Nothing milder is left: Python 3.14 does the same to its daemon
    threads, older ones cannot be told to, and the exit code is not known yet, so that the process
    cannot simply be ended here. Three steps, each needed:

    - `abort()` and `std::terminate` end in `pause()`; the latter would print that it was called.
    - The process then ends by `_exit`, with its own code: the native code still runs, so that
      destructors of C++ libraries would take its data from under it.
    - What C libraries have buffered for output is written first, as `_exit` does not.

    The price: a process whose exiting thread itself aborts after this, a second fault, hangs.
    """
    if sys.platform != "linux" or sys.version_info >= _THREADS_HANG_SINCE:
        return  # no other system unwinds native frames
    try:
        import ctypes  # noqa: PLC0415 - only here
    except ImportError:
        return  # a Python built without libffi

    libc = ctypes.CDLL(None)
    pause, end = (ctypes.cast(one, ctypes.c_void_p) for one in (libc.pause, libc["_exit"]))
    libc.signal(signal.SIGABRT, pause)
    try:
        cpp = ctypes.CDLL("libstdc++.so.6", mode=os.RTLD_NOW | os.RTLD_NOLOAD)
        cpp._ZSt13set_terminatePFvvE(pause)  # noqa: SLF001 - the name of std::set_terminate
    except (OSError, AttributeError):
        pass  # no C++ is loaded
    libc.fflush(None)
    if hasattr(libc, "on_exit"):  # of glibc; musl does not unwind threads
        libc.on_exit(end, None)  # called with the exit code, before anything registered earlier


@in_child
def _after_fork() -> None:
    global _gate  # noqa: PLW0603 - no other thread, and no native call of one, crosses a fork
    _gate = _Gate()


atexit.register(close)
