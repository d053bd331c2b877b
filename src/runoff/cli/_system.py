"""The system that a command line argument names, and what it answers to a collection's queries."""

from __future__ import annotations

import importlib
import inspect
import operator
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runoff._labels.remarks import check_recorded
from runoff._recording.record import record
from runoff._recording.recording import Recording
from runoff._recording.runs import RERANKED, by_stage, read_run
from runoff.errors import InvalidArgument
from runoff.pipeline._systems import System, as_system

if TYPE_CHECKING:
    from collections.abc import Callable

    from runoff._labels.collection import Collection
    from runoff.evaluation._measures.measures import Run

NamedSystem = Recording | dict[str, "Run"] | object
"""A saved recording, a run by its name, or a system that can be asked."""


def named_system(argument: str, name: str) -> NamedSystem:
    """Return what a name refers to: a recording's folder, a run file, or `module:attribute`.

    An attribute that is not a system itself is called without arguments and must return one.

    Raises:
        InvalidArgument: there is no such file, folder, module or attribute, or it is not a system.
    """
    path = Path(name)
    if path.is_dir():
        return Recording.open(path)
    if path.is_file():
        return {path.name: read_run(path)}
    found = attribute(argument, name)
    try:
        return as_system(found)
    except InvalidArgument:
        if not callable(found):
            raise
    return as_system(call(argument, name, found))


def answering(name: str) -> System:
    """Return the system that `--system` names, where questions are to be asked.

    Raises:
        InvalidArgument: as `named_system`, or it is a recording or a run file.
    """
    found = named_system("system", name)
    if not isinstance(found, System):
        remedy = "is a recording or a run file, which cannot answer a question: name a system"
        raise InvalidArgument("system", name, remedy)
    return found


def saved(argument: str, path: Path | None) -> Recording | None:
    """Return the recording that an option names.

    Raises:
        InvalidArgument: it is something else.
    """
    found = None if path is None else named_system(argument, str(path))
    if found is None or isinstance(found, Recording):
        return found
    raise InvalidArgument(argument, str(path), "must be the folder of a saved recording")


def attribute(argument: str, name: str) -> object:
    """Import what `module:attribute` names; the current folder is on the import path.

    Raises:
        InvalidArgument: there is no such module or attribute.
    """
    module, _, path = name.partition(":")
    if not module or not path:
        remedy = "must be a saved recording's folder, a run file, or module:attribute"
        raise InvalidArgument(argument, name, remedy)
    if str(Path.cwd()) not in sys.path:  # as `python -m` does
        sys.path.insert(0, str(Path.cwd()))
    try:
        return operator.attrgetter(path)(importlib.import_module(module))
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the user's module imports something that is missing
        raise InvalidArgument(argument, name, f"there is no module {error.name!r}") from None
    except AttributeError as error:
        raise InvalidArgument(argument, name, str(error)) from None


def call(argument: str, name: str, function: Callable[..., object]) -> object:
    """Call a user's function without arguments and return what it returns.

    Raises:
        InvalidArgument: it needs arguments.
    """
    try:
        inspect.signature(function).bind()
    except TypeError as error:
        remedy = f"is not a system and cannot be called without arguments: {error}"
        raise InvalidArgument(argument, name, remedy) from None
    except ValueError:  # some functions written in C have no signature
        pass
    return function()


@dataclass(frozen=True, slots=True)
class Answers:
    """What a system answers to a collection's queries.

    Attributes:
        recording: the recorded answers; None for a run file.
        runs: name to run, one for each stage; the system's final results are last.
    """

    recording: Recording | None
    runs: dict[str, Run]

    @classmethod
    def of(
        cls,
        system: NamedSystem,
        collection: Collection,
        *,
        depth: int,
        window: int,
        save: Path | None = None,
        texts: bool = False,
        workers: int = 4,
    ) -> Answers:
        """Return a recording's or a run file's answers, or record those of a system.

        Args:
            system: what to ask; its own depth and window apply where they are larger.
            collection: the queries.
            depth: hits to ask of each source.
            window: candidates to rerank.
            save: folder for the recording.
            texts: whether to keep the documents' texts in memory where the collection lacks them;
                a saved recording never has them.
            workers: queries asked at a time.

        Raises:
            InvalidArgument: a judged query was not recorded, or the queries have no texts.
        """
        if isinstance(system, Recording):
            check_recorded(system, collection)
            return cls(system, by_stage(system))
        if isinstance(system, dict):
            return cls(None, system)
        if all(query_id == text for query_id, text in collection.queries.items()):
            remedy = "the queries have no texts to ask: name their file with --topics"
            raise InvalidArgument("topics", None, remedy)
        asked = as_system(system)
        recording = record(
            asked,
            collection,
            max(depth, asked.pipeline.depth),
            path=save,
            window=max(window, asked.pipeline.window),
            texts=texts and save is None and collection.documents is None,
            workers=workers,
        )
        return cls(recording, by_stage(recording))

    @property
    def after(self) -> str:
        """The name of the system's final results."""
        return list(self.runs)[-1]

    @property
    def before(self) -> str | None:
        """The name of its first stage; None where it has no second."""
        return list(self.runs)[-2] if self.after == RERANKED else None

    def recorded(self, argument: str) -> Recording:
        """Return the recording.

        Raises:
            InvalidArgument: there are only the results of a run file.
        """
        if self.recording is None:
            remedy = "needs a recording or a system: a run file has results only"
            raise InvalidArgument(argument, self.after, remedy)
        return self.recording
