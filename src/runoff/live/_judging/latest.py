"""The setup that answers were made with; only those of the latest setup are compared."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from runoff._util.messages import number_of
from runoff.errors import InvalidArgument, MissingExtra
from runoff.live._judging.differences import orders
from runoff.live._tally import Lists, whole
from runoff.scores import ModelIdentity
from runoff.trace import FateKind

try:
    import pyarrow as pa
    import pyarrow.compute as pc
except ModuleNotFoundError as missing:
    raise MissingExtra("pyarrow", "eval") from missing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from runoff.live._observation import Observation
    from runoff.live._reader import Reader

_COLUMNS = ("time", "pipeline", "top_k", "ranks", "fates", "degraded", "model")


class Latest(NamedTuple):
    """The setup of the latest answer that counts.

    Attributes:
        setup: what it was made with.
        models: the names of the models behind what is compared.
        usual: its usual `top_k`.
        notes: how many answers are left out, as sentences.
    """

    setup: str
    models: Sequence[str]
    usual: int
    notes: Sequence[str]


def counts(seen: Observation, against: str) -> bool:
    """Whether an answer is complete and has what is compared."""
    before, after = orders(seen, against)
    told = against != "shadow" or (seen.shadow is not None and seen.shadow.complete)
    return told and seen.outcome.complete and bool(before or after)


def setup_of(seen: Observation, against: str) -> str:
    """Return what an answer was made with; answers of another setup say nothing about it."""
    shadow = [seen.shadow.model] if against == "shadow" and seen.shadow is not None else []
    return _setup(seen.pipeline, [seen.model, *shadow])


def _setup(pipeline: str, models: Iterable[ModelIdentity]) -> str:
    return " ".join([pipeline, *(f"{one.name} {one.revision}".rstrip() for one in models)])


def latest(reader: Reader, since: float, against: str) -> Latest:
    """Return the setup of the latest answer that counts; no object is made of an answer.

    Args:
        reader: of the directory.
        since: only answers from this time on.
        against: as in `differences.orders`.

    Raises:
        InvalidArgument: no answer counts.
        RecordingDamaged, RecordingTooNew: a shard cannot be read.
    """
    last: tuple[float, str, Sequence[ModelIdentity]] | None = None
    many: Counter[str] = Counter()
    results: defaultdict[str, Counter[int]] = defaultdict(Counter)
    degraded = 0
    columns = (*_COLUMNS, "shadow") if against == "shadow" else _COLUMNS
    for shard, table in reader.tables(columns):
        with reader.intact(shard):
            found = table.filter(pc.greater_equal(table["time"], since))
            for time, pipeline, top_k, models, counted in _rows(found):
                setup = _setup(pipeline, models)
                results[setup][top_k] += 1
                degraded += not counted
                many[setup] += counted
                if counted and (last is None or time > last[0]):
                    last = time, setup, models
    if last is None:
        remedy = "has no complete answer to compare"
        raise InvalidArgument("path", reader.path, remedy)
    _, setup, models = last
    notes = []
    if degraded:
        one = "answer is left out: it is degraded or lacks an order."
        several = "answers are left out: they are degraded or lack an order."
        notes.append(number_of(degraded, one, several))
    if other := many.total() - many[setup]:
        one = "answer is left out: it is of another configuration or model."
        several = "answers are left out: they are of another configuration or model."
        notes.append(number_of(other, one, several))
    usual = results[setup].most_common(1)[0][0]
    return Latest(setup, [one.name for one in models], usual, notes)


def _rows(table: pa.Table) -> Iterator[tuple[float, str, int, Sequence[ModelIdentity], bool]]:
    """Yield of each answer its time, pipeline, `top_k` and models, and whether it counts."""
    for batch in table.combine_chunks().to_batches():
        column = dict(zip(batch.schema.names, batch.columns, strict=True))
        models = [_models(whole(column["model"]))]
        complete = whole(column["degraded"]).value_lengths().to_numpy() == 0
        ranks = Lists(column["ranks"])
        some = ranks.each(ranks.values != 0) > 0
        if "shadow" in column:
            shadow = column["shadow"].to_pylist()
            some |= [bool(one and any(one["rank"])) for one in shadow]
            complete &= [bool(one and one["complete"]) for one in shadow]
            models.append([one and ModelIdentity(**one["model"]) for one in shadow])
        else:
            fates = Lists(column["fates"])
            some |= fates.each(fates.values != FateKind.GROUPED) > 0
        yield from zip(
            *(whole(column[name]).to_pylist() for name in _COLUMNS[:3]),
            ([one for one in each if one is not None] for each in zip(*models, strict=True)),
            (complete & some).tolist(),
            strict=True,
        )


def _models(column: pa.StructArray) -> list[ModelIdentity]:
    """Return the model of each answer; few differ, and of these one object is made."""
    made: dict[tuple[Any, ...], ModelIdentity] = {}
    parts = zip(*(whole(one).to_pylist() for one in column.flatten()), strict=True)
    return [made.get(one) or made.setdefault(one, ModelIdentity(*one)) for one in parts]
