"""The weights of sources: checked when they are given, immutable afterwards."""

from __future__ import annotations

import math
import numbers
from collections.abc import Collection, Iterator, Mapping

from runoff.errors import InvalidArgument


class Weights(Mapping[str, float]):
    """An immutable, hashable mapping from the name of a source to its weight.

    Args:
        given: one weight for each name, finite and 0 or more.

    Raises:
        InvalidArgument: `given` is not a mapping, a name is not a string, a weight is not a finite
            number of 0 or more, or the weights are too large to add up.
    """

    __slots__ = ("_by_name",)
    _by_name: dict[str, float]

    def __init__(self, given: Mapping[str, float]) -> None:
        if not isinstance(given, Mapping):
            raise InvalidArgument(
                "weights",
                given,
                'must map source names to weights, such as {"bm25": 2}, or be None',
            )
        object.__setattr__(
            self, "_by_name", {_name(name): _weight(name, given[name]) for name in given}
        )
        try:
            math.fsum(self._by_name.values())
        except OverflowError:
            raise InvalidArgument("weights", given, "are too large: their sum overflows") from None

    def check_names(self, sources: Collection[str]) -> None:
        """Refuse a weight for a source that does not exist.

        Raises:
            InvalidArgument: lists the sources that exist.
        """
        unknown = [name for name in self._by_name if name not in sources]
        if unknown:
            known = ", ".join(map(repr, sources)) or "none"
            raise InvalidArgument(
                "weights", unknown, f"must name sources of the pipeline, which are: {known}"
            )

    def __getitem__(self, name: str) -> float:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def __hash__(self) -> int:
        return hash(frozenset(self._by_name.items()))

    def __repr__(self) -> str:
        return repr(self._by_name)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("weights are immutable: make a new mapping instead")

    def __reduce__(self) -> tuple[type[Weights], tuple[dict[str, float]]]:
        return type(self), (dict(self._by_name),)


def rrf_weights(weights: Mapping[str, float] | None, sources: Collection[str]) -> dict[str, float]:
    """Return the weight of each source; a source without one weighs 1.

    Raises:
        InvalidArgument: a weight is for an unknown source, or the weights of all sources are 0.
    """
    given = Weights(weights or {})
    given.check_names(sources)
    each = {source: given.get(source, 1.0) for source in sources}
    if each and not any(each.values()):
        raise InvalidArgument("weights", each, "must not be 0 for every source")
    return each


def shares(weights: Mapping[str, float] | None, sources: Collection[str]) -> dict[str, float]:
    """Return the weight of each source divided by their sum; without weights, equal shares.

    Raises:
        InvalidArgument: a weight is for an unknown source, a source has no weight, or the weights
            of all sources are 0.
    """
    if weights is None:
        return dict.fromkeys(sources, 1 / max(1, len(sources)))
    given = Weights(weights)
    given.check_names(sources)
    missing = ", ".join(repr(source) for source in sources if source not in given)
    if missing:
        raise InvalidArgument("weights", given, f"must have a weight for {missing} too")
    total = math.fsum(given.values())
    if sources and total == 0:
        raise InvalidArgument("weights", given, "must not be 0 for every source")
    return {source: given[source] / total for source in sources}


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise InvalidArgument("weights", name, "every key must be the name of a source, a string")
    return name


def _weight(name: str, value: object) -> float:
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        try:
            weight = float(value)
        except OverflowError:
            weight = math.inf
        if math.isfinite(weight) and weight >= 0:
            return weight
    argument = f"weights[{name!r}]"
    raise InvalidArgument(argument, value, "must be a finite number, 0 or more")
