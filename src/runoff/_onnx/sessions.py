"""Loaded models: each is loaded once per process and shared by everything that names it.

A loaded model is identified by the checksum of its files and by how it is run. The cache is weak,
so a model is freed with its last user, but the two used last are kept: an object that is rebuilt on
every call finds its model again.
"""

from __future__ import annotations

import concurrent.futures
import threading
import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import numpy as np

from runoff._onnx import cpu, runtime
from runoff._onnx.external import is_linked
from runoff._onnx.inputs import Inputs
from runoff._onnx.slots import Interrupt
from runoff._util import optout
from runoff._util.fork import in_child
from runoff._util.messages import first_line
from runoff._waiting import exits
from runoff.errors import DeadlineExceeded, ModelDamaged, PoolFull

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from runoff._onnx.files import ModelFiles
    from runoff._onnx.tokens import Encoded
    from runoff.deadline import Deadline

_KEPT = 2
_PROBE_LEAST, _PROBE_MOST = 0.05, 60.0  # seconds
_QUIET = 4  # only fatal errors: every other one is raised as an exception anyway


class InProcess(Protocol):
    """A loaded model that can be shared; `generation` says in which process it was loaded."""

    @property
    def generation(self) -> int:
        """What `generation()` returned when it was loaded."""
        ...


_M = TypeVar("_M", bound=InProcess)


class Loaded:
    """A model that is ready to run, one text or pair at a time, from any thread.

    Attributes:
        digest: the checksum of its files (SHA-256, hex).
        tokenizer: with truncation and padding off; never changed again.
        outputs: the names of what the graph computes.
    """

    def __init__(
        self, files: ModelFiles, digest: str, threads: int = 1, graph: Path | None = None
    ) -> None:
        self.digest = digest
        self.generation = _generation
        self._name = files.name
        opened = _beside(lambda: _open_tokenizer(files))
        try:
            self._session = _open_session(files, threads, graph or files.onnx)
        finally:
            self.tokenizer = opened()
        self._inputs = Inputs.of(self._session, files.name)
        self.outputs: tuple[str, ...] = tuple(one.name for one in self._session.get_outputs())

    def run(
        self, encoded: Encoded, output: str, interrupt: Interrupt | None = None
    ) -> NDArray[Any]:
        """Compute one output for one input, in this thread.

        Returns:
            The output as the graph gives it, the leading dimension being 1.

        Raises:
            ModelDamaged: the graph cannot be computed.
        """
        return self.run_all(encoded, (output,), interrupt)[0]

    def run_all(
        self, encoded: Encoded, outputs: Sequence[str], interrupt: Interrupt | None = None
    ) -> list[NDArray[Any]]:
        """Do what `run` does for several outputs, in one run."""
        feeds = self._inputs.feeds(encoded)
        options = runtime.load().RunOptions()
        options.log_severity_level = _QUIET
        if interrupt is not None:
            interrupt.on_stop(lambda: setattr(options, "terminate", True))
        try:
            results = self._session.run([*outputs], feeds, options)
        except Exception as error:
            raise ModelDamaged(f"{self._name} cannot be run: {first_line(error)}") from error
        return [np.asarray(one) for one in results]

    def probe(self, encoded: Encoded, output: str, deadline: Deadline | None) -> NDArray[Any]:
        """Do what `run` does with a short input, once after loading, in limited time.

        Args:
            encoded: see `run`.
            output: see `run`.
            deadline: how long it may take, though 50 ms at least; without one, a minute. Its clock
                may be stopped.

        Raises:
            DeadlineExceeded: it did not finish within the time of the deadline.
            ModelDamaged: it did not finish within a minute, or cannot be computed.
            PoolFull: no thread can be started to end it in time.
        """
        finite = deadline is not None and deadline.finite
        seconds = max(_PROBE_LEAST, deadline.remaining()) if deadline and finite else _PROBE_MOST
        interrupt = Interrupt()
        timer = threading.Timer(seconds, interrupt.stop)
        timer.daemon = True
        try:
            timer.start()
        except RuntimeError as error:
            msg = f"{self._name}: no thread can be started for its first run: {error}"
            raise PoolFull(msg) from error
        try:
            return self.run(encoded, output, interrupt)
        except ModelDamaged as error:
            if not interrupt.stopped:
                raise
            msg = f"{self._name}: its first run, of a few tokens, took over {seconds:.2g} s"
            raise (DeadlineExceeded if finite else ModelDamaged)(msg) from error
        finally:
            timer.cancel()


def _beside(call: Callable[[], Any]) -> Callable[[], Any]:
    """Begin a call in a thread of its own, where there is one, and return what awaits its result.

    onnxruntime opens a session without the interpreter lock, and a tokenizer is opened meanwhile.
    """
    future: concurrent.futures.Future[Any] = concurrent.futures.Future()

    def work() -> None:
        try:
            with exits.Native():
                result = call()
        except BaseException as error:  # noqa: BLE001 - whoever awaits the result raises it
            future.set_exception(error)
        else:
            future.set_result(result)

    try:
        threading.Thread(target=work, name="runoff-tokenizer", daemon=True).start()
    except RuntimeError:  # no thread is left, or the interpreter is exiting
        return call
    return future.result


def _open_tokenizer(files: ModelFiles) -> Any:  # noqa: ANN401 - tokenizers is imported late
    optout.apply()
    from tokenizers import Tokenizer  # noqa: PLC0415 - imported where models are used

    try:
        tokenizer = Tokenizer.from_file(str(files.tokenizer))
        tokenizer.encode("a", "b")  # one that cannot encode panics, and that is no Exception
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise ModelDamaged(
            f"{files.name}: {files.tokenizer} cannot be read as a tokenizer ({first_line(error)}): "
            "fetch the model again"
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _open_session(files: ModelFiles, threads: int, graph: Path) -> Any:  # noqa: ANN401 - as above
    onnxruntime = runtime.load()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _QUIET
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if cpu.cuts_int8_sums() and not files.ours:  # ours stay within 7 bits, and load faster so
        options.add_session_config_entry("session.x64quantprecision", "1")
    try:
        with exits.Native(lambda: _cancel(options)):
            return onnxruntime.InferenceSession(
                str(graph),
                options,
                providers=["CPUExecutionProvider"],
                disabled_optimizers=[*runtime.SLOWER],
            )
    except Exception as error:  # onnxruntime's errors share no base below Exception
        remedy = "fetch the model again, or update onnxruntime if the file is newer than it"
        if is_linked(files.onnx, files.external()):
            remedy = (
                "its weights are a link to another folder, which this version of onnxruntime may "
                'not follow: update it, or copy the model with "hf download --local-dir"'
            )
        msg = f"{files.name}: {graph} cannot be loaded ({first_line(error)}): {remedy}"
        raise ModelDamaged(msg) from error


def _cancel(options: Any) -> None:  # noqa: ANN401 - as above
    if hasattr(options, "set_load_cancellation_flag"):  # since onnxruntime 1.21
        options.set_load_cancellation_flag(True)


class _Cache:
    """What is loaded in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loading: dict[object, threading.Lock] = {}
        self._weak: weakref.WeakValueDictionary[object, InProcess] = weakref.WeakValueDictionary()
        self._last: OrderedDict[object, InProcess] = OrderedDict()

    def get(self, key: object, make: Callable[[], InProcess]) -> InProcess:
        with self._lock:
            loading = self._loading.setdefault(key, threading.Lock())
        with loading:  # a second caller waits until the first has loaded the model
            with self._lock:
                loaded = self._weak.get(key)
            if loaded is None:
                loaded = make()
            with self._lock:
                self._weak[key] = loaded
                self._last[key] = loaded
                self._last.move_to_end(key)
                while len(self._last) > _KEPT:
                    self._last.popitem(last=False)
        return loaded


_cache = _Cache()
_generation = 0


def load(files: ModelFiles, *, threads: int = 1, graph: Path | None = None) -> Loaded:
    """Return a model, loading it unless this process has it.

    Args:
        files: of the model.
        threads: threads inside one run; the slots run one input per core, so 1 is right there.
        graph: the graph to run, where it is another of the same model; see `passes.kept`.

    Raises:
        ModelNotFound: a file is missing.
        ModelDamaged: the graph or the tokenizer cannot be read.
        InvalidArgument: the graph has inputs that are not made from texts.
    """
    digest = files.digest()
    key = (digest, files.precision, threads, graph)
    return shared(key, lambda: Loaded(files, digest, threads, graph))


def shared(key: object, make: Callable[[], _M]) -> _M:
    """Return the model that this process has under a key, made by `make` if it has none.

    Raises:
        Exception: any error of `make`; the next call tries again.
    """
    return cast("_M", _cache.get(key, make))


def generation() -> int:
    """Return how many forks lie between this process and the first; models do not survive one."""
    return _generation


def forget() -> None:
    """Free every model that is not in use."""
    global _cache  # noqa: PLW0603 - the cache is the process's
    _cache = _Cache()


@in_child
def _after_fork() -> None:
    global _generation  # noqa: PLW0603 - a run may have been in progress, its locks held for ever
    _generation += 1
    forget()
