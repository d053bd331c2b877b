"""What a recording was made of: the system's configuration, how deep it went, and which queries."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from runoff._util.messages import short_repr
from runoff._util.moved import current
from runoff.errors import RecordingMismatch
from runoff.fusion._convex import Convex
from runoff.fusion._normalize import MinMax, TheoreticalMinMax, ZScore
from runoff.fusion._rrf import RRF
from runoff.scores import Threshold

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runoff.protocols import Fusion

__all__ = [
    "GroupSetup",
    "Setup",
    "StepSetup",
    "fusion_of",
    "queries_digest",
    "told_fusion",
    "told_threshold",
]

_NORMALIZERS = {"minmax": MinMax, "theoretical": TheoreticalMinMax, "zscore": ZScore}


@dataclass(frozen=True, slots=True)
class StepSetup:
    """One stage of the second stage, as configured.

    Attributes:
        name: the reranker's name.
        pointwise: whether it scores each pair by itself, so that every window can be replayed
            exactly; the order of any other reranker is that of its one reading of the whole.
        blend: the weight of the pair scores; None leaves fusion out.
        threshold: what it drops below, as value, kind and model; None for nothing.
        keep: how many the next stage reads; None for the last.
        margin: the lead at which later stages are skipped; None for never.
    """

    name: str
    pointwise: bool = True
    blend: float | None = None
    threshold: tuple[float, str, str] | None = None
    keep: int | None = None
    margin: float | None = None

    def limit(self) -> Threshold | None:
        """Return the threshold."""
        return None if self.threshold is None else Threshold(*self.threshold)  # type: ignore[arg-type] # by its name


@dataclass(frozen=True, slots=True)
class GroupSetup:
    """How candidates are grouped, as configured.

    Attributes:
        by: the metadata field, or the name of what decides; empty for none.
        duplicates: the similarity of duplicates; None where they are left alone.
        per_group: candidates of one group that stay.
    """

    by: str
    duplicates: float | None
    per_group: int


@dataclass(frozen=True, slots=True)
class Setup:
    """What was recorded, and how the system is configured.

    Attributes:
        sources: names of the sources, in the order declared.
        depth: hits the system asks of each source.
        window: candidates its reranker reads.
        top_k: results it returns.
        fusion: how it fuses, as `told_fusion` tells it.
        steps: the stages of its reranker; empty without one.
        group: how it groups; None where it does not.
        recorded_depth: hits that were asked of each source for the recording.
        recorded_window: candidates that were scored of each query at most.
        parts: what the sources and the reranker are, as sentences without secrets.
        queries: a digest of the queries' ids and texts.
        texts: whether the documents' texts were recorded.
    """

    sources: tuple[str, ...]
    depth: int
    window: int
    top_k: int
    fusion: Mapping[str, Any]
    steps: tuple[StepSetup, ...]
    group: GroupSetup | None
    recorded_depth: int
    recorded_window: int
    parts: Mapping[str, str]
    queries: str
    texts: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        told: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return told

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Setup:
        """Make it of what `to_json` returned.

        Raises:
            KeyError: something is missing.
            TypeError: something is of another form.
        """
        steps = [
            StepSetup(**{**one, "threshold": one["threshold"] and tuple(one["threshold"])})
            for one in told["steps"]
        ]
        group = told["group"] and GroupSetup(**told["group"])
        plain = {**told, "sources": tuple(told["sources"]), "steps": tuple(steps), "group": group}
        return cls(**plain)

    def check_same(self, other: Setup, where: str) -> None:
        """Refuse another setup.

        Raises:
            RecordingMismatch: names what differs first, with both values.
        """
        mine, theirs = _flat(self.to_json()), _flat(other.to_json())
        for name in mine | theirs:
            # an earlier version's parts name their modules as they were called then
            if current(str(mine.get(name))) != current(str(theirs.get(name))):
                what = "the queries differ" if name == "queries" else f"{name} differs"
                msg = (
                    f"{where} was recorded with another system or other queries: {what} "
                    f"({short_repr(mine.get(name))} there, {short_repr(theirs.get(name))} here); "
                    "record into another directory"
                )
                raise RecordingMismatch(msg)


def _flat(told: object, name: str = "") -> dict[str, object]:
    if isinstance(told, dict):
        pairs = told.items()
    elif isinstance(told, list):
        pairs = dict(enumerate(told)).items()
    else:
        return {name: told}
    found: dict[str, object] = {} if told else {name: "nothing"}
    for key, value in pairs:
        found |= _flat(value, f"{name}.{key}" if name else str(key))
    return found


def told_threshold(limit: Threshold | None) -> tuple[float, str, str] | None:
    """Return a threshold as value, kind and model; None for none."""
    return None if limit is None else (float(limit.value), str(limit.kind), limit.model)


def queries_digest(queries: Mapping[str, str]) -> str:
    """Return a digest of query ids and texts; their order does not matter."""
    digest = hashlib.sha256()
    for pair in sorted(queries.items()):
        digest.update(json.dumps(pair).encode())
    return digest.hexdigest()[:32]


def told_fusion(fusion: Fusion) -> dict[str, Any]:
    """Return what kind of fusion it is with its arguments, as JSON can hold it.

    `kind` is `rrf`, `convex`, or `own` for one that cannot be made again from what is recorded.
    """
    weights = getattr(fusion, "weights", None)
    weights = None if weights is None else dict(weights)
    if type(fusion) is RRF:
        return {"kind": "rrf", "weights": weights, "rank_constant": fusion.rank_constant}
    if type(fusion) is Convex:
        for name, kind in _NORMALIZERS.items():
            if type(fusion.normalizer) is kind:
                return {"kind": "convex", "weights": weights, "normalizer": name}
    return {"kind": "own", "is": f"{type(fusion).__module__}.{type(fusion).__qualname__}"}


def fusion_of(told: Mapping[str, Any]) -> RRF | Convex | None:
    """Return the fusion that `told_fusion` told; None for one that cannot be made again."""
    if told["kind"] == "rrf":
        return RRF(told["weights"], rank_constant=told["rank_constant"])
    if told["kind"] == "convex":
        return Convex(told["weights"], normalizer=told["normalizer"])
    return None
