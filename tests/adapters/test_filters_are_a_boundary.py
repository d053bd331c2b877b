"""No document outside any named filter comes back, or the filter is refused by name.

Each draw chooses a framework, a store, a composite and up to three places where filters are named,
and asks one question. The filters of all places hold together.
"""

import random
import warnings
from collections import Counter

import pytest

pytest.importorskip("langchain_core")
pytest.importorskip("llama_index.core")
pytest.importorskip("langchain_classic")
pytest.importorskip("langchain_community", reason="the peers group is not installed")

from boundary_langchain import LangChainDraw
from boundary_llama_index import LlamaIndexDraw

from runoff.errors import FilterNotSupported, InvalidArgument, RecallFailed
from runoff.filters import And, Eq, In, Not

TENANT = [Eq("tenant", "a"), Eq("tenant", "b")]
OTHERS = [
    Eq("grade", 1),
    In("grade", (0, 2)),
    Not(Eq("tenant", "c")),
    And(Eq("tenant", "a"), Eq("grade", 2)),
    In("tenant", ("a", "b")),
]


def draw(seed):
    """Ask one question, and return what came of it."""
    chance = random.Random(seed)
    kind = chance.choice([LangChainDraw, LlamaIndexDraw])
    made = kind(chance)
    names = chance.sample(made.places(), k=min(chance.choice([1, 1, 2, 3]), len(made.places())))
    named = {}
    for name in names:
        plain = name in made.takes_equality_alone or chance.random() < 0.6
        named[name] = chance.choice(TENANT if plain else OTHERS)
    shown = f"seed {seed}: {made} with {named}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = made.ask(named)
        except (FilterNotSupported, InvalidArgument) as error:
            refused = str(error)
        except RecallFailed:
            assert made.composite == "late", shown  # no source was in time
            refused, found = "", []
        else:
            refused = ""
    if refused:
        assert "filter" in refused, f"{shown}: {refused}"
        return f"{kind.__name__} refused"
    outside = [one for one in found if not all(wanted.matches(one) for wanted in named.values())]
    assert not outside, f"{shown} returned {outside}"
    return f"{kind.__name__} {'answered' if found else 'empty'}"


def _drawn(seeds):
    counted = Counter(map(draw, seeds))
    for kind in ("LangChainDraw", "LlamaIndexDraw"):
        of_kind = sum(count for name, count in counted.items() if name.startswith(kind))
        assert counted[f"{kind} answered"] > of_kind / 3, counted  # else nothing is proven
    return counted


def test_no_document_outside_any_filter_is_returned():
    """Five hundred draws return no document outside the filters that were named."""
    _drawn(range(500))


@pytest.mark.slow("240 s: ten thousand draws, for rare combinations")
@pytest.mark.timeout(1800)
def test_no_document_outside_any_filter_is_returned_in_many_draws():
    """Ten thousand draws return no document outside the filters that were named."""
    assert _drawn(range(1000, 11_000)).total() == 10_000
