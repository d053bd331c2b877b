"""The tuning grid: the recorded system's own setting, and the others to try."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from runoff._recording.query import Stored
from runoff._recording.recording import Recording
from runoff._recording.replay import replay
from runoff._recording.setup import fusion_from_json, fusion_to_json, threshold_to_json
from runoff._util.arguments import count, is_share
from runoff._util.messages import visible
from runoff.errors import InvalidArgument
from runoff.fusion._as_fusion import as_fusion
from runoff.fusion._convex import Convex
from runoff.fusion._default import default_fusion
from runoff.fusion._rrf import RRF
from runoff.fusion._weights import Weights
from runoff.scores import Threshold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runoff._recording.replay import Runs
    from runoff._recording.setup import Setup
    from runoff.protocols import Fusion

NAMES = ("fusion", "weights", "depth", "window", "blend", "threshold")
"""The names that a grid may have."""

_WINDOWS = (0, 10, 20, 50, 100)
_HEAVY = 3.0  # the weight of a source that counts for more than another


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to run the recorded system: one point of the tuning grid.

    Attributes:
        sources: the sources in use; the others are left out, as if they did not exist.
        fusion: how their hits become one order; None for the recorded fusion, if it cannot be
            rebuilt.
        depth: hits of each source.
        window: candidates that the reranker reads; 0 leaves the second stage out.
        blend: the weight of the pair scores in the last stage; None leaves fusion out.
        threshold: of the last stage; None for none.
    """

    sources: tuple[str, ...]
    fusion: Fusion | None
    depth: int
    window: int
    blend: float | None = None
    threshold: Threshold | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the setting as plain values for JSON."""
        return {
            "sources": list(self.sources),
            "fusion": None if self.fusion is None else fusion_to_json(self.fusion),
            "depth": self.depth,
            "window": self.window,
            "blend": self.blend,
            "threshold": threshold_to_json(self.threshold),
        }

    def __str__(self) -> str:
        """Return the setting in one line."""
        parts = [f"{' + '.join(self.sources)}, depth {self.depth}"]
        if len(self.sources) > 1:
            parts.append("fused as recorded" if self.fusion is None else _fusion_text(self.fusion))
        if not self.window:
            return visible(", ".join([*parts, "no reranker"]))
        parts.append(f"window {self.window}")
        if self.blend is not None:
            parts.append(f"blend {self.blend:g}")
        if self.threshold is not None:
            parts.append(f"threshold {self.threshold.value:g}")
        return visible(", ".join(parts))


def _fusion_text(fusion: Fusion) -> str:
    name, weights = type(fusion).__name__, getattr(fusion, "weights", None) or {}
    parts = [f"{one} {weights[one]:g}" for one in weights]
    if isinstance(fusion, RRF) and fusion.rank_constant != RRF().rank_constant:
        parts.append(f"rank_constant {fusion.rank_constant:g}")
    if isinstance(fusion, Convex):
        parts.append(type(fusion.normalizer).__name__)
    if isinstance(fusion, Convex) and fusion.spreads:
        parts.append("weights by spread")
    return f"{name}({', '.join(parts)})" if parts else name


def own_setting(setup: Setup) -> Setting:
    """Return the setting that the recorded system has."""
    last = setup.steps[-1] if setup.steps else None
    return Setting(
        setup.sources,
        fusion_from_json(setup.fusion),
        setup.depth,
        setup.window if last else 0,
        last.blend if last else None,
        last.limit() if last else None,
    )


def default_grid(setup: Setup) -> dict[str, Sequence[Any]]:
    """Return the grid that is tried by default; it includes the configured values."""
    own = own_setting(setup)
    fusions: list[Fusion | None] = [own.fusion, default_fusion(), RRF()]
    widest = setup.recorded_window
    grid: dict[str, Sequence[Any]] = {
        "fusion": fusions if len(setup.sources) > 1 else [own.fusion],
        "weights": _weights(setup.sources),
        "depth": sorted({max(1, setup.depth // 2), setup.depth}),
        "window": [0],
        "blend": [own.blend],
        "threshold": [own.threshold],
    }
    if setup.steps:
        grid["window"] = sorted({*(one for one in _WINDOWS if one <= widest), own.window})
        if setup.steps[-1].pointwise:
            grid["blend"] = list(dict.fromkeys((own.blend, None, 0.5)))
    return grid


def _weights(sources: tuple[str, ...]) -> list[dict[str, float] | None]:
    """Return equal weights, every source alone, each above the others, and each left out."""
    if len(sources) == 1:
        return [None]
    alike = dict.fromkeys(sources, 1.0)
    alone = [dict.fromkeys(sources, 0.0) | {one: 1.0} for one in sources]
    above = [alike | {one: _HEAVY} for one in sources]
    without = [alike | {one: 0.0} for one in sources] if len(sources) > 2 else []  # noqa: PLR2004 - else the same
    return [None, alike, *alone, *above, *without]


def grid_settings(setup: Setup, grid: Mapping[str, Sequence[Any]] | None = None) -> list[Setting]:
    """Return the settings of a grid without repetitions, the configured one first.

    Args:
        setup: what was recorded.
        grid: name to values; names left out stay as configured. None takes `default_grid`.

    Raises:
        InvalidArgument: the grid has an unknown name or an invalid value.
    """
    own = own_setting(setup)
    given = default_grid(setup) if grid is None else grid
    if not isinstance(given, Mapping) or set(given) - set(NAMES):
        raise InvalidArgument("grid", grid, f"must map names among {list(NAMES)} to values")
    for name, values in given.items():
        if not isinstance(values, Sequence) or isinstance(values, str) or not values:
            raise InvalidArgument(f"grid[{name!r}]", values, "must list at least one value")
    _check(given)
    kept: dict[str, Any] = {"weights": None} | {
        name: getattr(own, name) for name in NAMES if name != "weights"
    }
    columns = [given.get(name, (kept[name],)) for name in NAMES]
    made = itertools.chain([own], _made(setup, own, columns))
    unlike: dict[str, Setting] = {}
    for one in made:
        unlike.setdefault(repr(one), one)
    return list(unlike.values())


def _check(grid: Mapping[str, Sequence[Any]]) -> None:
    for one in grid.get("fusion", ()):
        if one is not None:
            as_fusion(one)
    for one in grid.get("blend", ()):
        if one is not None and not is_share(one):
            raise InvalidArgument("blend", one, "must be within 0 and 1, or None")
    for one in grid.get("threshold", ()):
        if one is not None and not isinstance(one, Threshold):
            remedy = "must be a Threshold, which names the kind of score it was chosen on"
            raise InvalidArgument("threshold", one, remedy)


def _made(setup: Setup, own: Setting, columns: Sequence[Sequence[Any]]) -> Iterator[Setting]:
    for fusion, weights, depth, window, blend, threshold in itertools.product(*columns):
        sources, fused = sources_by(setup, fusion, weights)
        wide = window if window == 0 and not isinstance(window, bool) else count("window", window)
        if not wide:  # without a second stage, blend and threshold mean nothing
            yield Setting(sources, fused, count("depth", depth), 0)
        elif not setup.steps:
            raise InvalidArgument(
                "window", window, "needs a second stage, which the recorded system lacks"
            )
        else:
            yield replace(
                own,
                sources=sources,
                fusion=fused,
                depth=count("depth", depth),
                window=wide,
                blend=blend,
                threshold=threshold,
            )


def sources_by(
    setup: Setup, fusion: Fusion | None, weights: Mapping[str, float] | None
) -> tuple[tuple[str, ...], Fusion | None]:
    """Return the sources with a weight above 0 and how they are fused.

    Raises:
        InvalidArgument: a weight is not a number from 0 on, of an unknown source, or all are 0.
    """
    if weights is None or not isinstance(fusion, RRF | Convex):
        return setup.sources, fusion
    given = Weights(weights)
    given.check_names(dict.fromkeys(setup.sources))
    used = tuple(one for one in setup.sources if given.get(one, 1.0) > 0)
    if not used:
        raise InvalidArgument("weights", weights, "must be above 0 for at least one source")
    shares = {one: given.get(one, 1.0) for one in used}
    alike = len(set(shares.values())) == 1
    return used, replace(fusion, weights=None if alike else shares)


class Answers:
    """Answers of a recorded system with any setting, including those that leave sources out.

    Args:
        recording: what `record` returned.
        query_ids: the queries to answer.
    """

    def __init__(self, recording: Recording, query_ids: Sequence[str]) -> None:
        # one pass over the shards: asking for single queries would read them many times
        asked = set(query_ids)
        known = {one.query_id: one for one in recording if one.query_id in asked}
        self.queries = [known[one] for one in query_ids]
        self._setup = recording.setup
        self._held: tuple[tuple[str, ...], Recording] | None = None

    def to(self, setting: Setting, top_k: int | None) -> Runs:
        """Return the answers.

        Args:
            setting: how to run the system.
            top_k: results; None for all.

        Raises:
            InvalidArgument: the setting needs what was not recorded.
            ScoreKindMismatch: the threshold was made for other scores.
        """
        recording, given = self.asked(setting)
        return replay(recording, top_k=top_k, **given)

    def asked(self, setting: Setting) -> tuple[Recording, dict[str, Any]]:
        """Return the recording with the sources of a setting, and what `replay` takes for it."""
        given: dict[str, Any] = {"depth": setting.depth}
        if setting.fusion is not None:
            given["fusion"] = setting.fusion
        if not setting.window:
            given["reranker"] = None
        else:
            own = {"blend": setting.blend, "threshold": setting.threshold}
            given |= {"window": setting.window} | own
        return self._of(setting.sources), given

    def _of(self, sources: tuple[str, ...]) -> Recording:
        """Return the recording with these sources only; the scores stay as recorded.

        Only the last one is kept, since a replayed recording takes some hundred bytes a pair.
        """
        if self._held is None or self._held[0] != sources:
            setup, queries = self._setup, self.queries
            if sources != setup.sources:
                setup = replace(setup, sources=sources)
                queries = [
                    replace(one, origins={name: one.origins[name] for name in sources})
                    for one in queries
                ]
            self._held = sources, Recording(setup, Stored(queries))
        return self._held[1]
