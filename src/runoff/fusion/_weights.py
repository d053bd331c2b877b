"""The weights of sources: checked once, then never changed."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterator, Mapping

from runoff.errors import InvalidArgument

__all__ = ["Weights"]


class Weights(Mapping[str, float]):
    """An immutable, hashable mapping from the name of a source to its weight.

    Args:
        given: one weight for each name, finite and 0 or more.

    Raises:
        InvalidArgument: `given` is no mapping, a name is no string, a weight is negative, NaN,
            infinite or no number, or the weights are too large to add up.
    """

    __slots__ = ("_by_name",)
    _by_name: dict[str, float]

    def __init__(self, given: Mapping[str, float]) -> None:
        if not isinstance(given, Mapping):
            raise InvalidArgument(
                "weights", given, "must map the name of a source to its weight, or be None"
            )
        object.__setattr__(
            self, "_by_name", {_name(name): _weight(name, given[name]) for name in given}
        )
        try:
            math.fsum(self._by_name.values())
        except OverflowError:
            raise InvalidArgument("weights", given, "are too large to add up") from None

    def check_names(self, sources: Mapping[str, object]) -> None:
        """Refuse a weight for a source that does not exist.

        Raises:
            InvalidArgument: lists the names that are known.
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
        msg = "weights cannot be changed: make new ones"
        raise AttributeError(msg)

    def __reduce__(self) -> tuple[type[Weights], tuple[dict[str, float]]]:
        return type(self), (dict(self._by_name),)


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise InvalidArgument("weights", name, "must have names of sources as keys")
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
