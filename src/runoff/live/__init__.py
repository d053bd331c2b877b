"""Does the second stage still help? Watch live traffic, without labels and off the serving path.

Names are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runoff._util.lazy import lazily

if TYPE_CHECKING:
    from runoff.live._answers import Answer
    from runoff.live._experiment import Experiment
    from runoff.live._judge import judge
    from runoff.live._judging.found import Judging
    from runoff.live._observation import Observation
    from runoff.live._observations import Observations
    from runoff.live._signals import signals
    from runoff.live._statement import Statement
    from runoff.live._watch import watch

__all__ = [
    "Answer",
    "Experiment",
    "Judging",
    "Observation",
    "Observations",
    "Statement",
    "judge",
    "signals",
    "watch",
]

_HOMES = {
    "Answer": "_answers",
    "Experiment": "_experiment",
    "Judging": "_judging.found",
    "Observation": "_observation",
    "Observations": "_observations",
    "Statement": "_statement",
    "judge": "_judge",
    "signals": "_signals",
    "watch": "_watch",
}

if not TYPE_CHECKING:  # a type checker then knows the names above, and no others
    __getattr__, __dir__ = lazily(__name__, _HOMES)
