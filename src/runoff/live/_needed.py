"""What traffic an experiment needs, by simulation: nothing is shown to anybody."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from runoff.live._betting import first_proof

Design = Literal["interleave", "split"]

_LONGEST, _STREAMS = 200_000, 40
_FIRST_TRY = 4_000


@dataclass(frozen=True, slots=True)
class Needed:
    """What traffic an experiment needs, by simulation.

    Attributes:
        answers: how many answers, or users of a split, prove the effect in half of the cases; None
            if 200,000 are not enough.
        likely: the same in nine of ten cases.
        changed: the share of the questions for which the two systems differ in what they show.
        design: `"interleave"` or `"split"`.
    """

    answers: int | None
    likely: int | None
    changed: float
    design: Design

    def __str__(self) -> str:
        """Return it as a sentence."""
        unit = "answers" if self.design == "interleave" else "users"
        shown = [f"more than {_LONGEST:,}" if one is None else f"{one:,}" for one in self._both]
        return (
            f"The two systems differ for {self.changed:.0%} of the questions. {shown[0]} {unit} "
            f"decide in half of the cases, {shown[1]} in nine of ten."
        )

    @property
    def _both(self) -> tuple[int | None, int | None]:
        return self.answers, self.likely


def needed(
    design: Design, changed: float, effect: float, clicked: float, level: float, seed: int
) -> tuple[int | None, int | None]:
    """Return after how many values an effect is proven, in half and in nine tenths of the cases."""
    rng = np.random.default_rng(seed)
    many = _FIRST_TRY
    while many <= _LONGEST:
        shape = (_STREAMS, many)
        if design == "interleave":
            won = rng.random(shape) < clicked * changed
            values = won * np.where(rng.random(shape) < (1 + effect) / 2, 1.0, -1.0)
        else:
            sides = np.where(rng.random(shape) < 1 / 2, 1.0, -1.0)
            liked = rng.random(shape) < np.clip(clicked + (sides > 0) * effect, 0, 1)
            values = 2 * sides * (liked - (clicked + effect / 2))
        worst = float(-max(1.0, 2 * max(clicked + effect / 2, 1 - clicked - effect / 2)))
        found = first_proof(values, worst, 0.0, level=level / 2).astype(np.float64)
        found[found == 0] = math.inf
        half, most = np.quantile(found, [0.5, 0.9], method="higher").tolist()
        if math.isfinite(most) or many == _LONGEST:
            return tuple(None if math.isinf(one) else int(one) for one in (half, most))  # type: ignore[return-value] # two
        many = min(_LONGEST, many * 4)
    return None, None
