import math

import pytest

from runoff.fusion import MinMax, Normalizer, TheoreticalMinMax, ZScore

INF, NAN = math.inf, math.nan
ALL = [MinMax(), TheoreticalMinMax(), ZScore()]


def values(normalizer, ranking, *scores, low=None):
    return normalizer.normalize(ranking(*((str(i), s) for i, s in enumerate(scores)), low=low))


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ((), []),
        ((7,), [1]),
        ((0,), [1]),
        ((-3, -3), [1, 1]),
        ((4, 3, 2), [1, 0.5, 0]),
        ((-1, -2, -5), [1, 0.75, 0]),
        ((NAN,), [0]),
        ((-INF,), [0]),
        ((INF,), [1]),
        ((INF, INF, NAN), [1, 1, 0]),
        ((5, NAN), [1, 0]),
        ((4, INF, 3, NAN, 2, -INF), [1, 1, 0.5, 0, 0, 0]),
        ((1e308, 0, -1e308), [1, 0.5, 0]),
        ((5e-324, 0), [1, 0]),
    ],
)
def test_min_max(ranking, scores, expected):
    """The arithmetic of min-max, odd lists included; a lone or constant list is worth 1."""
    assert values(MinMax(), ranking, *scores) == expected
    assert MinMax().missing(expected) == 0


@pytest.mark.parametrize(
    ("low", "scores", "expected"),
    [
        (0.0, (4, 3, 2), [1, 0.75, 0.5]),
        (-1.0, (0.5, 0.125), [1, 0.75]),
        (0.0, (7,), [1]),
        (0.0, (0, 0), [1, 1]),
        (0.0, (3, NAN), [1, 0]),
        (0.0, (), []),
        (0.0, (NAN,), [0]),
        (None, (4, 3, 2), [1, 0.5, 0]),
        (-INF, (4, 3, 2), [1, 0.5, 0]),
        (NAN, (4, 3, 2), [1, 0.5, 0]),
        (3.0, (4, 3, 2), [1, 0.5, 0]),
    ],
)
def test_theoretical_min_max(ranking, low, scores, expected):
    """Scores are counted from the lowest possible one; from the lowest seen where none is known."""
    assert values(TheoreticalMinMax(), ranking, *scores, low=low) == expected
    assert TheoreticalMinMax().missing(expected) == 0


@pytest.mark.parametrize(
    ("scores", "expected", "missing"),
    [
        ((), [], -1),
        ((7,), [0], -1),
        ((0.1, 0.1, 0.1), [0, 0, 0], -1),
        ((3, 1), [1, -1], -1),
        ((3, 2, 1), [1.5**0.5, 0, -(1.5**0.5)], -(1.5**0.5)),
        ((1, 0, 0, 0, 0), [2, -0.5, -0.5, -0.5, -0.5], -0.5),
        ((1e308, -1e308), [1, -1], -1),
        ((5e-324, 0), [1, -1], -1),
        ((INF,), [0], -1),
        ((NAN, -INF), [-1, -1], -1),
        ((5, NAN), [0, -1], -1),
        ((INF, 3, 1, NAN), [0.5**0.5, 0.5**0.5, -(2**0.5), -(2**0.5)], -(2**0.5)),
    ],
)
def test_z_score(ranking, scores, expected, missing):
    """The arithmetic of z-scores; what was found is never below what was not."""
    got = values(ZScore(), ranking, *scores)
    assert got == pytest.approx(expected, abs=1e-12)
    assert ZScore().missing(got) == pytest.approx(missing)


@pytest.mark.parametrize("normalizer", ALL, ids=repr)
def test_lone_hit_beats_missing(ranking, normalizer):
    """The lone hit of a source is worth more than a document the source did not find."""
    (lone,) = values(normalizer, ranking, 0.2)
    assert lone > normalizer.missing([lone])
    assert isinstance(normalizer, Normalizer)
