"""Spreads work over the processes of a Ray cluster, by Ray Data."""

from __future__ import annotations

import logging
import os
import pickle
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from runoff._util import optout
from runoff._util.arguments import is_one_of
from runoff.errors import ConnectionFailed, InvalidArgument, MissingExtra, RunoffError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_REACH = 5.0  # seconds
Executor: TypeAlias = Literal["local", "ray"]
_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


def check_executor(executor: object) -> None:
    """Refuse an executor that does not exist.

    Raises:
        InvalidArgument: names the argument.
    """
    if not is_one_of(executor, {"local", "ray"}):
        raise InvalidArgument("executor", executor, "must be 'local' or 'ray'")


class _Worker:
    """A worker in a process of the cluster; it makes the function that does the work once."""

    def __init__(self, make: Callable[[], Callable[[Any], Any]]) -> None:
        self._work = make()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        # bytes, as Ray Data would make columns of anything else
        item = pickle.loads(row["item"])  # noqa: S301 - this process's own, not from a file
        made: tuple[Any, RunoffError | None]
        try:
            made = self._work(item), None
        except RunoffError as error:
            made = None, error
        return {"made": pickle.dumps(made)}


def each(
    make: Callable[[], Callable[[_Item], _Made]],
    items: Sequence[_Item],
    workers: int | None,
) -> Iterator[_Made]:
    """Yield what is made of each item, in the order in which they are ready.

    It runs on the cluster that this process is connected to, else on that of `RAY_ADDRESS`, else on
    one that is started on this machine until the iterator ends. The items of a worker that dies are
    given to another.

    Args:
        make: is called once in each worker, and returns what an item is passed to. It, the items
            and the results are pickled, and what they need must be installed on every machine.
        items: one task each.
        workers: processes, each on one core; None is as many as the cluster has cores.

    Raises:
        MissingExtra: Ray is not installed.
        ConnectionFailed: there is no cluster at `RAY_ADDRESS`.
        RunoffError: what a worker raised.
    """
    if not items:
        return
    optout.apply()
    try:
        import ray  # noqa: PLC0415 - an extra
        import ray.data  # noqa: PLC0415 - as above
    except ImportError as error:
        raise MissingExtra("ray", "ray") from error
    with _connected(ray):
        known = int(ray.cluster_resources().get("CPU", 1))
        size = min(workers or known, len(items))
        rows = [{"item": pickle.dumps(item)} for item in items]
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.WARNING)
        data = ray.data.from_items(rows, override_num_blocks=len(rows))
        pool = ray.data.ActorPoolStrategy(size=size)
        done = data.map(_Worker, fn_constructor_args=(make,), compute=pool, num_cpus=1)
        for row in done.iter_rows():
            made, failed = pickle.loads(row["made"])  # noqa: S301 - a worker of ours made it
            if failed is not None:
                raise failed
            yield made


@contextmanager
def _connected(ray: Any) -> Iterator[None]:  # noqa: ANN401 - ray is optional
    """Connect to a cluster, and leave it again if this process was not connected."""
    if ray.is_initialized():
        yield
        return
    where = os.environ.get("RAY_ADDRESS") or "this machine"
    local = {"include_dashboard": False} if where in {"local", "this machine"} else {}
    try:
        _reach(where)
        ray.init(log_to_driver=False, logging_level=logging.WARNING, **local)
    except (OSError, RuntimeError, ValueError) as error:
        raise ConnectionFailed(f"no Ray cluster answers at {where}: {error}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Connect once, as Ray itself tries for minutes; other addresses than `host:port` pass."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH).close()
