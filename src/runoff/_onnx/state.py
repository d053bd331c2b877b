"""The loaded model of a frozen configuration, and the time that loading it took."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from runoff._onnx import sessions
from runoff._waiting import exits

if TYPE_CHECKING:
    from runoff._onnx.sessions import InProcess
    from runoff.deadline import Deadline


class _Ready(Protocol):
    @property
    def loaded(self) -> InProcess: ...


_R = TypeVar("_R", bound=_Ready)


class State(Generic[_R]):
    """A model in use; it is never compared or shown, and a copy or pickle starts without one."""

    __slots__ = ("_ready",)

    def __init__(self) -> None:
        self._ready: _R | None = None

    @property
    def current(self) -> _R | None:
        """The model, unless there is none or it was loaded before this process was forked."""
        ready = self._ready
        usable = ready is not None and ready.loaded.generation == sessions.generation()
        return ready if usable else None

    @current.setter
    def current(self, ready: _R) -> None:
        self._ready = ready

    def __reduce__(self) -> tuple[type[State[_R]], tuple[()]]:
        return State, ()


class Loading:
    """Stops a deadline's clock while a model loads, and measures how long that takes.

    Loading is native work: see `runoff._waiting.exits`.
    """

    def __init__(self, deadline: Deadline | None) -> None:
        self.deadline = deadline
        self._pause = nullcontext() if deadline is None else deadline.paused()
        self._native = exits.Native()
        self._began = 0.0
        self.took_ms = 0.0

    def __enter__(self) -> None:
        self._native.__enter__()
        self._pause.__enter__()
        self._began = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        self.took_ms = (time.perf_counter() - self._began) * 1000
        self._pause.__exit__(None, None, None)
        self._native.__exit__(None, None, None)
