"""Pair scores and thresholds: what they contain and refuse."""

import numpy as np
import pytest

from runoff.errors import InvalidArgument
from runoff.scores import ModelIdentity, PairScores, ScoreKind, Threshold


def scores(values, scored=None):
    values = np.array(values)
    flags = np.ones(len(values), np.bool_)
    return PairScores(
        values,
        flags if scored is None else np.array(scored),
        ~flags,
        ScoreKind.LOGIT,
        ModelIdentity("model"),
    )


@pytest.mark.parametrize("unfit", [float("nan"), float("inf"), -float("inf"), 1e300, -1e39])
def test_what_is_no_finite_float32_is_unscored(unfit):
    """A number beyond float32 counts as unscored, like NaN and infinity."""
    made = scores([1.0, unfit])
    assert made.scored.tolist() == [True, False]
    assert made.values.dtype == np.float32
    assert np.isnan(made.values[1])


def test_what_is_marked_unscored_has_no_value():
    """Its value becomes NaN; what the caller passed in is left as it was."""
    given = np.array([1.0, 2.0], np.float32)
    made = scores(given, [1, 0])
    assert made.scored.dtype == np.bool_
    assert np.isnan(made.values[1])
    assert given.tolist() == [1.0, 2.0]


def test_scores_have_one_shape():
    """The error shows the three shapes."""
    with pytest.raises(InvalidArgument, match=r"\(2,\), \(1,\), \(2,\)"):
        scores([1.0, 2.0], [True])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "0.5", None])
def test_a_threshold_is_a_finite_number(value):
    """Everything else is refused by name."""
    with pytest.raises(InvalidArgument, match=r"value=.*must be a finite number"):
        Threshold(value, ScoreKind.LOGIT)
