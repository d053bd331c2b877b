"""Settings of a recorded system: the one it has, and the grid of others to try."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from runoff._util.arguments import count, is_share
from runoff.errors import InvalidArgument
from runoff.evaluation._recording import Recording, Stored
from runoff.evaluation._replay import replay
from runoff.evaluation._setup import fusion_of, told_fusion, told_threshold
from runoff.fusion._as_fusion import as_fusion
from runoff.fusion._convex import Convex
from runoff.fusion._rrf import RRF
from runoff.fusion._weights import Weights
from runoff.scores import Threshold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runoff.evaluation._replay import Runs
    from runoff.evaluation._setup import Setup
    from runoff.protocols import Fusion

__all__ = ["Answers", "Setting", "configured", "default_grid", "settings_of"]

NAMES = ("fusion", "weights", "depth", "window", "blend", "threshold")
"""What a grid may name."""

_WINDOWS = (0, 10, 20, 50, 100)
_HEAVY = 3.0  # the weight of a source that counts for more than another


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to run the recorded system.

    Attributes:
        sources: those that are asked; the others are left out, as if they did not exist.
        fusion: makes one order of their hits; None for the recorded one, where it cannot be made
            again.
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
        """Return it as plain values for JSON."""
        return {
            "sources": list(self.sources),
            "fusion": None if self.fusion is None else told_fusion(self.fusion),
            "depth": self.depth,
            "window": self.window,
            "blend": self.blend,
            "threshold": told_threshold(self.threshold),
        }

    def __str__(self) -> str:
        """Return it in a line."""
        parts = [f"{' + '.join(self.sources)}, depth {self.depth}"]
        if len(self.sources) > 1:
            parts.append("fused as recorded" if self.fusion is None else _called(self.fusion))
        if not self.window:
            return ", ".join([*parts, "no reranker"])
        parts.append(f"window {self.window}")
        if self.blend is not None:
            parts.append(f"blend {self.blend:g}")
        if self.threshold is not None:
            parts.append(f"threshold {self.threshold.value:g}")
        return ", ".join(parts)


def _called(fusion: Fusion) -> str:
    name, weights = type(fusion).__name__, getattr(fusion, "weights", None) or {}
    told = [f"{one} {weights[one]:g}" for one in weights]
    if isinstance(fusion, RRF) and fusion.rank_constant != RRF().rank_constant:
        told.append(f"rank_constant {fusion.rank_constant:g}")
    if isinstance(fusion, Convex) and fusion.normalizer != Convex().normalizer:
        told.append(type(fusion.normalizer).__name__)
    return f"{name}({', '.join(told)})" if told else name


def configured(setup: Setup) -> Setting:
    """Return the setting that the recorded system has."""
    last = setup.steps[-1] if setup.steps else None
    return Setting(
        setup.sources,
        fusion_of(setup.fusion),
        setup.depth,
        setup.window if last else 0,
        last.blend if last else None,
        last.limit() if last else None,
    )


def default_grid(setup: Setup) -> dict[str, Sequence[Any]]:
    """Return what is tried where nothing else is asked for; the configured values are among it."""
    own = configured(setup)
    fusions: list[Fusion | None] = [own.fusion]
    fusions += [kind() for kind in (RRF, Convex) if type(own.fusion) is not kind]
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
    """Return every source alone, all alike, each above the others, and each left out."""
    if len(sources) == 1:
        return [None]
    alike = dict.fromkeys(sources, 1.0)
    alone = [dict.fromkeys(sources, 0.0) | {one: 1.0} for one in sources]
    above = [alike | {one: _HEAVY} for one in sources]
    without = [alike | {one: 0.0} for one in sources] if len(sources) > 2 else []  # noqa: PLR2004 - else the same
    return [None, alike, *alone, *above, *without]


def settings_of(setup: Setup, grid: Mapping[str, Sequence[Any]] | None = None) -> list[Setting]:
    """Return the settings of a grid without repetition, the configured one first.

    Args:
        setup: of the recording.
        grid: values by name; what it leaves out stays as configured. None takes `default_grid`.

    Raises:
        InvalidArgument: the grid has an unknown name or a value that cannot be.
    """
    own = configured(setup)
    given = default_grid(setup) if grid is None else grid
    if not isinstance(given, Mapping) or set(given) - set(NAMES):
        raise InvalidArgument("grid", grid, f"must map names among {list(NAMES)} to values")
    for name, values in given.items():
        if not isinstance(values, Sequence) or isinstance(values, str) or not values:
            raise InvalidArgument(f"grid[{name!r}]", values, "must list a value or more")
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
            remedy = "must be a Threshold, which says what kind of score it was chosen on"
            raise InvalidArgument("threshold", one, remedy)


def _made(setup: Setup, own: Setting, columns: Sequence[Sequence[Any]]) -> Iterator[Setting]:
    for fusion, weights, depth, window, blend, threshold in itertools.product(*columns):
        sources, fused = _fused(setup, fusion, weights)
        wide = window if window == 0 and not isinstance(window, bool) else count("window", window)
        if not wide:  # nothing of the second stage matters
            yield Setting(sources, fused, count("depth", depth), 0)
        elif not setup.steps:
            raise InvalidArgument("window", window, "needs a second stage, and this has none")
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


def _fused(
    setup: Setup, fusion: Fusion | None, weights: Mapping[str, float] | None
) -> tuple[tuple[str, ...], Fusion | None]:
    """Return the sources that count and how they are fused."""
    if weights is None or not isinstance(fusion, RRF | Convex):
        return setup.sources, fusion
    given = Weights(weights)
    given.check_names(dict.fromkeys(setup.sources))
    used = tuple(one for one in setup.sources if given.get(one, 1.0) > 0)
    if not used:
        raise InvalidArgument("weights", weights, "must not be 0 for every source")
    shares = {one: given.get(one, 1.0) for one in used}
    alike = len(set(shares.values())) == 1
    return used, replace(fusion, weights=None if alike else shares)


class Answers:
    """Answers of a recorded system under any setting, a source left out included.

    Args:
        recording: what `record` made.
        query_ids: the queries to answer.
    """

    def __init__(self, recording: Recording, query_ids: Sequence[str]) -> None:
        # one pass, as queries one by one would have a shard read again and again
        asked = set(query_ids)
        known = {one.query_id: one for one in recording if one.query_id in asked}
        self.queries = [known[one] for one in query_ids]
        self._setup = recording.setup
        self._held: tuple[tuple[str, ...], Recording] | None = None

    def to(self, setting: Setting, top_k: int | None) -> Runs:
        """Return the answers.

        Args:
            setting: how to run it.
            top_k: results; None for all.

        Raises:
            InvalidArgument: it asks for what was not recorded.
            ScoreKindMismatch: the threshold was made for other scores.
        """
        given: dict[str, Any] = {"depth": setting.depth, "top_k": top_k}
        if setting.fusion is not None:
            given["fusion"] = setting.fusion
        if not setting.window:
            given["reranker"] = None
        else:
            own = {"blend": setting.blend, "threshold": setting.threshold}
            given |= {"window": setting.window} | own
        return replay(self._of(setting.sources), **given)

    def _of(self, sources: tuple[str, ...]) -> Recording:
        """Return the recording as it would be without the other sources; scores stay as read.

        One is held, since each that is replayed stays prepared, in some hundred bytes a pair.
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
