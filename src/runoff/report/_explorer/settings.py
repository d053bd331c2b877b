"""The settings that the sliders move, and the key that names them in an address."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runoff._util.arguments import is_share
from runoff.errors import InvalidArgument
from runoff.evaluation._grid import Setting, own_setting, sources_by
from runoff.fusion._convex import Convex
from runoff.fusion._rrf import RRF
from runoff.scores import Threshold

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runoff._recording.setup import Setup
    from runoff.scores import ScoreKind


_LONGEST = 2000  # characters of a key


@dataclass(frozen=True, slots=True)
class Settings:
    """What the sliders say.

    Attributes:
        window: candidates that the second stage reads; 0 without one.
        blend: the weight of the rerank score; None leaves fusion out.
        weights: (source, weight) pairs in the order of the sources; empty where the fusion takes
            none.
        threshold: the pair score below which candidates are dropped; None for none.
    """

    window: int
    blend: float | None
    weights: tuple[tuple[str, float], ...]
    threshold: float | None

    @property
    def key(self) -> str:
        """The key that names these settings in an address."""
        parts = [str(self.window), _shown(self.blend), _shown(self.threshold)]
        return ";".join([*parts, *(_shown(weight) for _, weight in self.weights)])

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values for JSON."""
        return {
            "window": self.window,
            "blend": self.blend,
            "weights": dict(self.weights),
            "threshold": self.threshold,
        }


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def own_settings(setup: Setup) -> Settings:
    """Return the settings of the recorded system."""
    own = own_setting(setup)
    given = getattr(own.fusion, "weights", None)
    weights: tuple[tuple[str, float], ...] = ()
    if weighable(setup):
        weights = tuple((one, float((given or {}).get(one, 1.0))) for one in setup.sources)
    limit = None if own.threshold is None else float(own.threshold.value)
    return Settings(own.window, own.blend, weights, limit)


def fusion_name(setup: Setup) -> str:
    """Return what the recorded fusion is called."""
    fusion = own_setting(setup).fusion
    return str(setup.fusion["is"]).rpartition(".")[2] if fusion is None else type(fusion).__name__


def weighable(setup: Setup) -> bool:
    """Return whether the weights of the sources can be changed."""
    return len(setup.sources) > 1 and isinstance(own_setting(setup).fusion, RRF | Convex)


def parsed_settings(given: object, setup: Setup) -> Settings:
    """Return the settings that a request asks for; what it leaves out is as recorded.

    Raises:
        InvalidArgument: a name is unknown, or a value is one that the slider cannot have.
    """
    own = own_settings(setup)
    known = {"window", "blend", "weights", "threshold"}
    if not isinstance(given, dict) or not given.keys() <= known:
        remedy = "must be an object with window, blend, weights and threshold"
        raise InvalidArgument("settings", given, remedy)
    window = given.get("window", own.window)
    last = setup.steps[-1] if setup.steps else None
    whole = isinstance(window, int) and not isinstance(window, bool)
    if last is None and window != own.window:
        raise InvalidArgument("window", window, "needs a second stage, which the system lacks")
    if last is not None and not (whole and 1 <= window <= setup.recorded_window):
        remedy = f"must be a whole number from 1 to {setup.recorded_window}, the recorded window"
        raise InvalidArgument("window", window, remedy)
    blend, threshold = given.get("blend", own.blend), given.get("threshold", own.threshold)
    for name, value, its in (("blend", blend, own.blend), ("threshold", threshold, own.threshold)):
        if value != its and (last is None or not last.pointwise):
            remedy = "can be changed only where a scorer is the second stage"
            raise InvalidArgument(name, value, remedy)
    if blend is not None and not is_share(blend):
        raise InvalidArgument("blend", blend, "must be from 0 to 1, or null")
    if threshold is not None and not _finite(threshold):
        raise InvalidArgument("threshold", threshold, "must be a number, or null")
    return Settings(
        window,
        None if blend is None else float(blend),
        _weights(given.get("weights"), own),
        None if threshold is None else float(threshold),
    )


def _finite(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)  # type: ignore[arg-type] # as checked


def _weights(given: object, own: Settings) -> tuple[tuple[str, float], ...]:
    if given is None or given == {}:
        return own.weights
    known = dict(own.weights)
    if not isinstance(given, dict) or not given.keys() <= known.keys():
        remedy = f"must map sources to numbers; the sources with a weight are {list(known)}"
        raise InvalidArgument("weights", given, remedy)
    for name, value in given.items():
        if not _finite(value) or value < 0:
            raise InvalidArgument(f"weights[{name!r}]", value, "must be a number, 0 or more")
    made = {one: float(given.get(one, weight)) for one, weight in known.items()}
    if not any(made.values()):
        raise InvalidArgument("weights", given, "must be above 0 for at least one source")
    return tuple(made.items())


def parsed_key(key: str | None, setup: Setup) -> Settings:
    """Return the settings that a key names; None names those of the recorded system.

    Raises:
        InvalidArgument: no answer to api/replay had this key.
    """
    own = own_settings(setup)
    if not key or key == own.key:
        return own
    remedy = "must be a key that api/replay returned"
    if len(key) > _LONGEST:
        raise InvalidArgument("settings", key, remedy)
    try:
        window, blend, threshold, *weights = key.split(";")
        if len(weights) != len(own.weights):
            raise InvalidArgument("settings", key, remedy)
        asked: dict[str, Any] = {
            "window": int(window),
            "blend": float(blend) if blend else None,
            "threshold": float(threshold) if threshold else None,
        }
        if weights:
            names = (name for name, _ in own.weights)
            asked["weights"] = dict(zip(names, map(float, weights), strict=True))
    except ValueError:
        raise InvalidArgument("settings", key, remedy) from None
    return parsed_settings(asked, setup)


def setting_of(
    asked: Settings, setup: Setup, kind: ScoreKind | None, model: str, *, window: int | None = None
) -> Setting:
    """Return settings as the `Setting` that is replayed.

    Args:
        asked: the settings.
        setup: what was recorded.
        kind: the scale of the pair scores, which a threshold is bound to; None without scores.
        model: the model that made them.
        window: another window; 0 leaves the second stage out.
    """
    own = own_setting(setup)
    sources, fusion = setup.sources, own.fusion
    if asked.weights and asked != own_settings(setup):
        weights: Mapping[str, float] = dict(asked.weights)
        sources, fusion = sources_by(setup, own.fusion, weights)
    limit = None
    if asked.threshold is not None and kind is not None:
        limit = Threshold(asked.threshold, kind, model)
    if limit is not None and own.threshold is not None and limit.value == own.threshold.value:
        limit = own.threshold
    return Setting(
        sources,
        fusion,
        setup.depth,
        asked.window if window is None else window,
        asked.blend,
        limit,
    )
