"""Near duplicates are exactly those of the plain definition."""

import random
from itertools import accumulate, product

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runoff._util.duplicates import _numbers, alike, near_pairs
from runoff._util.text import words


def plain(texts, least):
    """The definition, word for word: each text against the earlier ones that stay."""
    split = [tuple(words(text.casefold())) for text in texts]
    sets = [set(zip(found, found[1:], found[2:], strict=False)) for found in split]
    equal, heads = {}, {}
    for place, found in enumerate(split):
        if found and (head := split.index(found)) != place:
            equal[place] = head
    for place, own in enumerate(sets):
        if least == 1 or not own or place in equal:
            continue
        for other in range(place):
            if other in equal or other in heads or not sets[other]:
                continue
            if len(own & sets[other]) / len(own | sets[other]) >= least:
                heads[place] = other
                break
    return {place: heads.get(head, head) for place, head in equal.items()} | heads


PIECES = [
    "a b c d e f",
    "g h",
    "a b c",
    "b c d",
    "A  B c",
    "検索拡張生成",
    "は文書。x",
    "é ß a b",
    " ",
    "z",
]
pieced = st.lists(st.sampled_from(PIECES), max_size=8).map(" ".join)
spelled = st.lists(st.sampled_from("abc"), max_size=40).map(" ".join)


@given(
    texts=st.lists(pieced | spelled, max_size=25),
    least=st.floats(0.01, 1) | st.sampled_from([1 / 3, 0.5, 0.75, 0.9, 93 / 103]),
)
@example(texts=["a b c", "b c d", "a b c d"], least=0.5)
@example(texts=[], least=0.5)
def test_they_are_those_of_the_definition(texts, least):
    """For any texts and similarity, each duplicate is assigned to the first text it is like."""
    assert alike(texts, least) == (plain(texts, least), 0)


@given(texts=st.lists(pieced | spelled, max_size=25), least=st.floats(0.01, 0.99))
def test_all_near_pairs_are_found(texts, least):
    """A recording holds every pair, so that it can be replayed in any order."""
    split = [words(text.casefold()) for text in texts]
    sets = [set(zip(found, found[1:], found[2:], strict=False)) for found in split]
    expected = [
        (other, place)
        for place, own in enumerate(sets)
        for other, theirs in enumerate(sets[:place])
        if own and theirs and len(own & theirs) / len(own | theirs) >= least
    ]
    assert near_pairs(texts, least) == expected


def edited(chosen, found, share):
    """A copy with some of its words replaced."""
    return [chosen.choice("xyz") if chosen.random() < share else word for word in found]


@pytest.mark.parametrize(("seed", "least"), [*product(range(4), [0.3, 0.6, 0.9])])
def test_they_are_those_of_the_definition_among_many(seed, least):
    """Families of copies, a page head that all share, and words as common as in a language."""
    chosen = random.Random(seed)
    weights = list(accumulate(1 / rank for rank in range(1, 301)))
    head = [f"head{at}" for at in range(10 * seed)]
    families = [
        [f"w{at}" for at in chosen.choices(range(300), cum_weights=weights, k=size)]
        for size in chosen.choices([3, 20, 60], k=25)
    ]
    texts = [
        " ".join(head + edited(chosen, chosen.choice(families), chosen.choice([0, 0.03, 0.1])))
        for _ in range(120)
    ]
    found, _ = alike(texts, least)
    assert found == plain(texts, least)
    assert len(found) > len(texts) / 3


def test_every_letter_parts_words_as_it_does_in_a_split():
    """Where a code point begins a word or ends one is the same whether a text is split or not."""
    texts = [f"a{chr(at)}b" for at in range(0x11000)]
    found = np.bincount(_numbers(texts)[1], minlength=len(texts))
    assert found.tolist() == [len(words(text)) for text in texts]


@given(st.lists(st.text() | pieced, max_size=5))
def test_the_same_words_look_the_same(texts):
    """However they are spaced, texts of the same words have the same numbers, word by word."""
    numbers, owner = _numbers(texts)
    spaced, theirs = _numbers([" ".join(words(text)) for text in texts])
    assert numbers.tolist() == spaced.tolist()
    assert owner.tolist() == theirs.tolist()
