"""What is to be explored, opened: recordings, observations and live systems as an `Explorer`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from runoff._labels.collection import Collection
from runoff._util.stored import path_of
from runoff.errors import InvalidArgument
from runoff.report._explorer.compared import Compared
from runoff.report._explorer.explorer import Explorer
from runoff.report._explorer.judged import Judgments
from runoff.report._explorer.labels import Labels
from runoff.report._explorer.live import Live
from runoff.report._explorer.recorded import Recorded

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    from runoff._recording.recording import Recording
    from runoff.live._observations import Observations
    from runoff.pipeline._systems import System
    from runoff.types import Document


def opened(  # noqa: PLR0913 - all by name, and every one has a default
    *,
    recording: Recording | None = None,
    observations: Observations | None = None,
    system: System | None = None,
    collection: Collection | None = None,
    documents: Mapping[str, Document] | None = None,
    other: Recording | None = None,
    names: tuple[str, str] = ("a", "b"),
    labels: Path | None = None,
    timeout: float | None = 30.0,
) -> Explorer:
    """Return an explorer of what is given.

    Args:
        recording: a recording.
        observations: observations of live traffic, instead of a recording.
        system: a system that can be asked.
        collection: judgments, documents and labels of the queries.
        documents: the documents, where the collection has none.
        other: another recording of the same queries.
        names: what the two recordings are called.
        labels: where grades are saved; None keeps them in memory.
        timeout: seconds for one question to the system; None for no limit.

    Raises:
        InvalidArgument: nothing is given to explore, or things that do not go together.
        MalformedData: the file of labels cannot be read.
    """
    if recording is None and observations is None and system is None:
        remedy = "must be given, or observations or a system"
        raise InvalidArgument("recording", recording, remedy)
    if recording is not None and observations is not None:
        raise InvalidArgument("observations", observations, "cannot be combined with a recording")
    if other is not None and recording is None:
        raise InvalidArgument("compare", names[1], "needs a recording to compare with")
    kept = Labels(labels)
    parts: dict[str, Any] = {}
    known = {} if collection is None else dict(collection.queries)
    if recording is not None:
        first = Recorded(recording, collection, kept, documents)
        parts["recorded"], known = first, {one: it.text for one, it in first.queries.items()}
        if other is not None:
            second = Recorded(other, collection, kept, documents)
            parts["compared"] = Compared(first, second, names)
    if observations is not None:
        from runoff.report._explorer.observed import Observed  # noqa: PLC0415 - pyarrow is an extra

        parts["observed"] = Observed(observations)
    if system is not None:
        parts["live"] = live = Live(system, known, timeout, apart=recording is not None)
        if recording is None:
            parts["judgments"] = Judgments(collection, kept, live.texts)
    return Explorer(kept, **parts)


def explore(
    recording: Recording,
    path: str | PathLike[str] | None = None,
    collection: Collection | None = None,
    labels: str | PathLike[str] | None = None,
) -> Any:  # noqa: ANN401 - a widget, which has no types, or a path
    """Show a recording in a notebook, or write it to a file; see `Recording.explore`."""
    if collection is not None and not isinstance(collection, Collection):
        raise InvalidArgument("collection", collection, "must be a Collection, or None")
    saved = None if labels is None else Path(path_of("labels", labels))
    explorer = opened(recording=recording, collection=collection, labels=saved)
    if path is None:
        from runoff.report._explorer.widget import widget  # noqa: PLC0415 - anywidget is an extra

        return widget(explorer)
    from runoff.report._explorer.offline import write_offline  # noqa: PLC0415 - few need it

    file = Path(path_of("path", path))
    write_offline(explorer, file)
    return file
