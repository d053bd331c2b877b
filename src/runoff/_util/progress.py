"""Progress of long work, with one meaning of `progress=` everywhere.

True shows a bar where somebody can see it: in a terminal on standard error (by rich, or as a line
where rich is not installed), or in a notebook. Elsewhere, such as in a log, True shows nothing. A
callable gets (done, total) instead. False and None show nothing.
"""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Protocol, TypeAlias, TypeVar

from runoff.errors import InvalidArgument

Wanted: TypeAlias = bool | Callable[[int, int], None] | None
"""True for a bar, a callable that gets (done, total), or False or None for nothing."""

_T = TypeVar("_T")
_EVERY = 0.1  # seconds between two updates
_WIDTH = 78


class Shown(Protocol):
    """What shows several steps, each by its name."""

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show how much of a step is done."""


def check_progress(progress: object) -> None:
    """Refuse anything but a bool, None or a callable.

    Raises:
        InvalidArgument: it is something else.
    """
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        remedy = "must be True, False or a callable (done, total)"
        raise InvalidArgument("progress", progress, remedy)


@contextmanager
def counted(progress: object, what: str) -> Iterator[Callable[[int, int], None] | None]:
    """Yield what to call with (done, total); None if nobody wants to know.

    Args:
        progress: as `Wanted`.
        what: the work, as the bar names it, such as `"embedding"`.

    Raises:
        InvalidArgument: `progress` is something else.
    """
    check_progress(progress)
    if callable(progress):
        yield progress
    elif not progress or not (_notebook() or _terminal()):
        yield None
    else:
        with bars() as show:
            yield lambda done, total: show(what, done, total)


def counting(
    progress: object, what: str, items: Iterable[_T], total: int, done: int = 0
) -> Iterator[_T]:
    """Yield items, and count each one when the next is asked for.

    Args:
        progress: as `Wanted`.
        what: the work.
        items: what is worked on.
        total: how many there are in all.
        done: how many of them were done before.
    """
    with counted(progress, what) as step:
        for one in items:
            yield one
            done += 1
            if step is not None:
                step(done, max(done, total))


@contextmanager
def stepwise(progress: object, total: int) -> Iterator[Callable[[str], None]]:
    """Yield what to call with the name of each step as it begins; the bar shows the names.

    Args:
        progress: as `Wanted`; a callable gets the steps that are done, and all.
        total: how many steps there are.

    Raises:
        InvalidArgument: `progress` is something else.
    """
    check_progress(progress)
    begun: list[str] = []
    if callable(progress):
        tell = progress

        def say(name: str) -> None:
            tell(len(begun), total)
            begun.append(name)

        yield say
        tell(total, total)
        return
    with bars() if progress else nullcontext(_nothing) as show:

        def name_it(name: str) -> None:
            if begun:
                show(begun[-1], 1, 1)
            begun.append(name)
            show(name, 0, 1)

        yield name_it


@contextmanager
def bars() -> Iterator[Shown]:
    """Yield what shows steps, at most ten times a second; it shows nothing outside a terminal."""
    if _notebook():
        yield _seldom(_in_notebook())
    elif not _terminal():
        yield _nothing
    else:
        try:
            import rich.progress  # noqa: F401, PLC0415 - of an extra
        except ModuleNotFoundError:
            try:
                yield _seldom(_as_line)
            finally:
                sys.stderr.write(f"\r{'':{_WIDTH}}\r")
        else:
            with _rich() as show:
                yield _seldom(show)


def _nothing(what: str, done: int, total: int) -> None:
    """Show nothing, where nobody would see it."""


def _seldom(show: Shown) -> Shown:
    """Return what leaves out updates that follow another one at once."""
    last: dict[str, float] = {}

    def seldom(what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done >= total or now - last.get(what, -_EVERY) >= _EVERY:
            last[what] = now
            show(what, done, total)

    return seldom


@contextmanager
def _rich() -> Iterator[Shown]:
    """Show bars that vanish at the end."""
    from rich.console import Console  # noqa: PLC0415 - of an extra
    from rich.progress import (  # noqa: PLC0415 - as above
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars  # noqa: PLC0415 - as above

    parts = (
        TextColumn("{task.description:<10}", markup=False),
        BarColumn(bar_width=40),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Bars(*parts, console=Console(stderr=True), transient=True) as shown:
        tasks: dict[str, Any] = {}

        def step(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = shown.add_task(what, total=total)
            shown.update(tasks[what], completed=done, total=total)

        yield step


def _as_line(what: str, done: int, total: int) -> None:
    sys.stderr.write(f"\r{f'{what}: {done:,} of {total:,}'[:_WIDTH]:{_WIDTH}}")
    sys.stderr.flush()


class _Bar:
    """A bar of a notebook."""

    def __init__(self, what: str, done: int, total: int) -> None:
        self._said = f"{what}: {done:,} of {total:,}"
        self._value, self._most = done, max(total, 1)

    def __repr__(self) -> str:
        return self._said

    def _repr_html_(self) -> str:
        return (
            f'<progress value="{self._value}" max="{self._most}" style="vertical-align: middle">'
            f"</progress> <span>{html.escape(self._said)}</span>"
        )


def _in_notebook() -> Shown:
    """Return what shows each step as a bar in the output of the cell."""
    from IPython.display import display  # noqa: PLC0415 - a notebook has it

    handles: dict[str, Any] = {}

    def step(what: str, done: int, total: int) -> None:
        bar = _Bar(what, done, total)
        if what in handles:
            handles[what].update(bar)
        else:
            handles[what] = display(bar, display_id=True)

    return step


def _notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


def _terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()
