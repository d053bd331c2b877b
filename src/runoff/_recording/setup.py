"""What was recorded: the system's configuration, the recorded depth and window, and the queries."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from runoff._util.arguments import is_share
from runoff._util.messages import short_repr
from runoff._util.renamed import current
from runoff._util.stored import is_count, is_finite, is_text
from runoff.errors import RecordingMismatch
from runoff.fusion._convex import Convex
from runoff.fusion._normalize import MinMax, TheoreticalMinMax, ZScore
from runoff.fusion._rrf import RRF
from runoff.fusion._weights import Weights
from runoff.scores import ScoreKind, Threshold

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runoff.protocols import Fusion

_NORMALIZERS = {"minmax": MinMax, "theoretical": TheoreticalMinMax, "zscore": ZScore}
_MOST = 2**31 - 1
_THRESHOLD = 3  # value, kind and model


@dataclass(frozen=True, slots=True)
class StepSetup:
    """One stage of the second stage, as configured.

    Attributes:
        name: the reranker's name.
        pointwise: whether it is a scorer of pairs. Replays of others keep the order it gave when it
            read every candidate, which is that of every window unless it is `listwise`.
        blend: the weight of the pair scores; None leaves fusion out.
        threshold: the score below which it drops candidates, as (value, kind, model); None for no
            threshold.
        keep: how many candidates the next stage reads; None for the last stage.
        margin: the lead at which later stages are skipped; None for never.
        listwise: whether it reads several candidates at once, so that its order holds only for the
            very candidates that it read, in the order in which it read them.
    """

    name: str
    pointwise: bool = True
    blend: float | None = None
    threshold: tuple[float, str, str] | None = None
    keep: int | None = None
    margin: float | None = None
    listwise: bool = False

    def possible(self, *, last: bool) -> bool:
        """Whether every value, as read from a file, is one that a stage can have."""
        limit, margin = self.threshold, self.margin
        return (
            is_text(self.name)
            and isinstance(self.pointwise, bool)
            and isinstance(self.listwise, bool)
            and (self.blend is None or is_share(self.blend))
            and (self.keep is None if last else is_count(self.keep, 1, _MOST))
            and (margin is None or (is_finite(margin) and margin > 0))
            and (
                limit is None
                or (
                    len(limit) == _THRESHOLD
                    and is_finite(limit[0])
                    and limit[1] in {*ScoreKind}
                    and is_text(limit[2])
                )
            )
        )

    def limit(self) -> Threshold | None:
        """Return the threshold as `Pointwise` takes it."""
        return None if self.threshold is None else Threshold(*self.threshold)  # type: ignore[arg-type] # by its name


@dataclass(frozen=True, slots=True)
class GroupSetup:
    """How candidates are grouped, as configured.

    Attributes:
        by: the metadata field, or the name of the function that groups; empty for neither.
        duplicates: the similarity from which texts are duplicates; None keeps duplicates.
        per_group: how many candidates of one group stay.
    """

    by: str
    duplicates: float | None
    per_group: int

    def possible(self) -> bool:
        """Whether every value, as read from a file, is one that a grouping can have."""
        shares = self.duplicates is None or is_share(self.duplicates)
        return is_text(self.by) and shares and is_count(self.per_group, 1, _MOST)


@dataclass(frozen=True, slots=True)
class Setup:
    """What was recorded, and how the system is configured.

    Attributes:
        sources: names of the sources, in the order declared.
        depth: hits the system asks of each source.
        window: candidates its reranker reads.
        top_k: results it returns.
        fusion: its fusion, as `fusion_to_json` returns it.
        steps: the stages of its reranker; empty without one.
        group: how it groups candidates; None if it does not.
        recorded_depth: hits asked of each source while recording.
        recorded_window: the most candidates of one query that were scored.
        parts: descriptions of the sources, rerankers, filters and `id_of`, without secrets.
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
        """Return plain values for JSON."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        for step in plain["steps"]:
            if not step["listwise"]:  # as earlier recordings have it
                del step["listwise"]
        return plain

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Setup:
        """Rebuild a setup from what `to_json` returned.

        Raises:
            KeyError: a field is missing.
            TypeError: a field is unknown or has the wrong type.
            ValueError: a field has a value that it cannot have.
        """
        if not all(isinstance(stored[name], list) for name in ("steps", "sources")):
            msg = "the steps and sources must be lists"
            raise TypeError(msg)
        steps = [
            StepSetup(**{**one, "threshold": one["threshold"] and tuple(one["threshold"])})
            for one in stored["steps"]
        ]
        group = None if stored["group"] is None else GroupSetup(**stored["group"])
        sources = tuple(stored["sources"])
        made = cls(**{**stored, "sources": sources, "steps": tuple(steps), "group": group})
        made._check()
        return made

    def _check(self) -> None:
        """Check every value of a setup that was stored.

        Raises:
            KeyError: the fusion lacks a field.
            TypeError: a value has the wrong type.
            ValueError: a value is out of its range.
        """
        "".join(self.sources).encode()  # they name columns
        sizes = (self.depth, self.window, self.top_k, self.recorded_depth, self.recorded_window)
        parts, group = self.parts, self.group
        whole = (
            all(is_count(one, 1, _MOST) for one in sizes)
            and is_text(*self.sources, self.queries)
            and 0 < len(set(self.sources)) == len(self.sources)
            and isinstance(parts, dict)
            and is_text(*parts.values())
            and isinstance(self.texts, bool)
            and all(
                one.possible(last=at == len(self.steps)) for at, one in enumerate(self.steps, 1)
            )
            and (group is None or group.possible())
        )
        if not whole:
            msg = "a value is out of its range"
            raise ValueError(msg)
        if not isinstance(self.fusion, dict) or not is_text(self.fusion["kind"]):
            msg = "the fusion is not described"
            raise TypeError(msg)
        fusion = fusion_from_json(self.fusion)
        if isinstance(fusion.weights if fusion else None, Weights):
            fusion.weights.check_names(self.sources)  # type: ignore[union-attr] # as checked

    def check_same(self, other: Setup, where: str) -> None:
        """Raise unless the other setup is the same.

        Args:
            other: the setup of the system at hand.
            where: the recording's path, for the message.

        Raises:
            RecordingMismatch: names the first difference, with both values.
        """
        mine, theirs = _flat(self.to_json()), _flat(other.to_json())
        for name in mine | theirs:
            # version 0.1.0 stored the module paths of its time
            if current(str(mine.get(name))) != current(str(theirs.get(name))):
                what = "the queries differ" if name == "queries" else f"{name} differs"
                msg = (
                    f"{where} was recorded with a different system or different queries: {what} "
                    f"(recorded: {short_repr(mine.get(name))}, now: {short_repr(theirs.get(name))})"
                    "; record into another directory"
                )
                raise RecordingMismatch(msg)


def _flat(value: object, name: str = "") -> dict[str, object]:
    """Return nested JSON values by dotted name."""
    if isinstance(value, dict):
        pairs = value.items()
    elif isinstance(value, list):
        pairs = dict(enumerate(value)).items()
    else:
        return {name: value}
    found: dict[str, object] = {} if value else {name: "nothing"}
    for key, inner in pairs:
        found |= _flat(inner, f"{name}.{key}" if name else str(key))
    return found


def threshold_to_json(limit: Threshold | None) -> tuple[float, str, str] | None:
    """Return a threshold as (value, kind, model); None for no threshold."""
    return None if limit is None else (float(limit.value), str(limit.kind), limit.model)


def queries_digest(queries: Mapping[str, str]) -> str:
    """Return a digest of query ids and texts that does not depend on their order."""
    digest = hashlib.sha256()
    for pair in sorted(queries.items()):
        digest.update(json.dumps(pair).encode())
    return digest.hexdigest()[:32]


def fusion_to_json(fusion: Fusion) -> dict[str, Any]:
    """Return a fusion's kind and arguments as plain values for JSON.

    `kind` is `rrf`, `convex`, or `own` for a fusion that cannot be rebuilt from what is stored.
    """
    weights = getattr(fusion, "weights", None)
    weights = None if weights is None else dict(weights)
    if type(fusion) is RRF:
        return {"kind": "rrf", "weights": weights, "rank_constant": fusion.rank_constant}
    if type(fusion) is Convex:
        for name, kind in _NORMALIZERS.items():
            if type(fusion.normalizer) is kind:
                stored = {"kind": "convex", "weights": weights, "normalizer": name}
                return stored | ({"spreads": dict(fusion.spreads)} if fusion.spreads else {})
    return {"kind": "own", "is": f"{type(fusion).__module__}.{type(fusion).__qualname__}"}


def fusion_from_json(stored: Mapping[str, Any]) -> RRF | Convex | None:
    """Rebuild a fusion from `fusion_to_json`; None if it cannot be rebuilt."""
    if stored["kind"] == "rrf":
        return RRF(stored["weights"], rank_constant=stored["rank_constant"])
    if stored["kind"] == "convex":
        return Convex(
            stored["weights"], normalizer=stored["normalizer"], spreads=stored.get("spreads")
        )
    return None
