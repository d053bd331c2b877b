"""Grouping: nothing is read twice, no one document fills the answer, and nothing is lost."""

import itertools
import json
import math
import random
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parts import Backwards, Listed, both, ids

from runoff import Document, TwoStage
from runoff._util.provenance import encode
from runoff.errors import InvalidArgument
from runoff.grouping import Grouping
from runoff.pipeline._stages import as_grouping
from runoff.types import Candidate

CHUNKS = [
    Document("a1", "first of a", {"parent": "a"}),
    Document("a2", "second of a", {"parent": "a"}),
    Document("b1", "first of b", {"parent": "b"}),
    Document("a3", "third of a", {"parent": "a"}),
    Document("c1", "alone"),
]
TEXT = " ".join(f"word{at}" for at in range(100))


def candidates(*documents):
    return [
        Candidate(
            one if isinstance(one, Document) else Document(f"d{rank}", one), f"d{rank}", 1, rank
        )
        for rank, one in enumerate(documents, 1)
    ]


def grouped(kept):
    return {one.document.doc_id: [other.document.doc_id for other in one.grouped] for one in kept}


def changed(text, words):
    """A text with its last words replaced."""
    found = text.split()
    return " ".join([*found[: len(found) - words], *[f"other{at}" for at in range(words)]])


def test_it_is_off_by_default():
    """Without group= every chunk is a candidate of its own."""
    response = TwoStage({"s": Listed(*CHUNKS)}, reranker=None).search("q")
    assert ids(response) == ["a1", "a2", "b1", "a3", "c1"]
    assert as_grouping(None) is None


@pytest.mark.parametrize(
    "group",
    ["parent", lambda document: document.metadata.get("parent"), Grouping("parent")],
)
def test_one_of_each_parent_is_read_and_the_window_holds_others(group):
    """The best-fused chunk stands for its parent, before the window is filled."""
    reranker = Backwards()
    pipeline = TwoStage({"s": Listed(*CHUNKS)}, reranker=reranker, window=2, group=group)
    response = both(pipeline, "q")
    assert reranker.read == [["a1", "b1"]] * 2
    assert ids(response) == ["b1", "a1", "c1"]
    assert grouped(one.candidate for one in response) == {"a1": ["a2", "a3"], "b1": [], "c1": []}


def test_nothing_is_dropped_silently():
    """Trace, explanation and provenance show grouped candidates and what stands for them."""
    pipeline = TwoStage({"s": Listed(*CHUNKS)}, reranker=Backwards(), group="parent")
    response = pipeline.search("q", top_k=2)
    fates = {
        one.candidate.key: (one.kind, one.scoring, one.grouped_under)
        for one in response.trace.fates
    }
    assert fates == {
        "c1": ("returned", "reranked", ""),
        "b1": ("returned", "reranked", ""),
        "a1": ("cut", "reranked", ""),
        "a2": ("grouped", "grouped", "a1"),
        "a3": ("grouped", "grouped", "a1"),
    }
    assert response.trace.fate("a2").rank is None
    assert "2 candidates are grouped" in response.explain()
    told = response.explain("a2")
    assert "a2: grouped under a1, which represents it: rank 3, below the 2 results" in told
    assert "rerank: the candidate that represents it was read instead" in told
    assert "represents: a2, a3" in response.explain("a1")
    whole = pipeline.search("q")
    assert json.loads(encode(whole, whole[2]))["grouped"] == ["a2", "a3"]
    assert "grouped" not in json.loads(encode(whole, whole[0]))
    assert (response.outcome.scored, response.outcome.total) == (3, 3)


def test_several_of_a_group_may_stay():
    """With per_group=2 the two best-fused stay, and the first stands for the rest."""
    kept = Grouping("parent", per_group=2).group(candidates(*CHUNKS))
    assert grouped(kept) == {"a1": ["a3"], "a2": [], "b1": [], "c1": []}


def test_documents_without_a_group_stay_apart():
    """None and an empty string are no group."""
    documents = [Document(f"x{at}", "t", {"p": value}) for at, value in enumerate([None, "", None])]
    assert len(Grouping("p").group(candidates(*documents, Document("y", "t")))) == 4


def test_a_group_that_cannot_be_compared_is_refused():
    """A list is no group; the message names the document."""
    with pytest.raises(InvalidArgument, match="x1"):
        Grouping("p").group(candidates(Document("x1", "t", {"p": ["a"]})))


def test_equal_texts_are_one_whatever_their_case_and_space():
    """Exact duplicates are those equal after folding case and white space; blank ones are not."""
    given_candidates = candidates("Some Text", "some\n text ", "some texts", " ", "", "SOME TEXT")
    kept = Grouping(duplicates=1).group(given_candidates)
    assert grouped(kept) == {"d1": ["d2", "d6"], "d3": [], "d4": [], "d5": []}


def test_near_duplicates_are_those_above_the_threshold():
    """Five words of a hundred changed: 93 of 103 three-word sequences are shared."""
    similar = changed(TEXT, 5)
    likeness = 93 / 103
    for threshold, stay in [(likeness, 1), (math.nextafter(likeness, 1), 2), (1, 2)]:
        kept = Grouping(duplicates=threshold).group(candidates(TEXT, similar))
        assert len(kept) == stay


def test_short_and_unspaced_texts():
    """Fewer than three words are duplicates only when equal; ideographs count one by one."""
    assert len(Grouping(duplicates=0.1).group(candidates("a b", "a b c", "a"))) == 3
    text = "検索拡張生成は文書を探して答えを作る方法です"
    assert len(Grouping(duplicates=0.7).group(candidates(text, f"{text}。"))) == 1


def test_a_duplicate_goes_under_one_that_stays():
    """A grouped candidate stands for nothing: one that is near it alone is kept."""
    texts = [TEXT, changed(TEXT, 8), changed(changed(TEXT, 8), 16)]
    kept = Grouping(duplicates=0.8).group(candidates(*texts))
    assert grouped(kept) == {"d1": ["d2"], "d3": []}


def test_duplicates_across_groups_take_their_group_along():
    """When the head of a group is a duplicate, its group goes under the text that is kept."""
    documents = [
        Document("b1", "the same text", {"p": "b"}),
        Document("a1", "The same  text", {"p": "a"}),
        Document("a2", "another text", {"p": "a"}),
    ]
    kept = Grouping("p", duplicates=1).group(candidates(*documents))
    assert grouped(kept) == {"b1": ["a1", "a2"]}


def test_what_is_compared_can_be_chosen():
    """A callable returns the text that is compared to find duplicates."""
    documents = [Document("a", "page 1: body"), Document("b", "page 2: body")]
    by_body = Grouping(duplicates=1, text=lambda one: one.text.partition(": ")[2])
    assert len(by_body.group(candidates(*documents))) == 1
    assert len(Grouping(duplicates=1).group(candidates(*documents))) == 2


words = st.lists(st.sampled_from("abcd"), max_size=12).map(" ".join)


@given(
    rows=st.lists(st.tuples(st.sampled_from(["p", "q", None]), words), max_size=12),
    threshold=st.none() | st.floats(0.05, 1),
    per_group=st.integers(1, 3),
)
def test_every_candidate_comes_back_once_and_similar_ones_do_not_stay(rows, threshold, per_group):
    """Those that stay and those under them partition the input, in order, by Jaccard's measure."""
    given_candidates = candidates(
        *(Document(f"x{at}", text, {"p": group}) for at, (group, text) in enumerate(rows))
    )
    kept = Grouping("p", duplicates=threshold, per_group=per_group).group(given_candidates)
    back = [one.fusion_rank for head in kept for one in (head, *head.grouped)]
    assert sorted(back) == list(range(1, len(rows) + 1))
    ranks = [one.fusion_rank for one in kept]
    assert ranks == sorted(ranks)
    for head in kept:
        below = [one.fusion_rank for one in head.grouped]
        assert below == sorted(below)
        assert all(not one.grouped for one in head.grouped)
    groups = [one.document.metadata["p"] for one in kept]
    assert all(groups.count(one) <= per_group for one in "pq")
    if threshold is not None:
        for at, one in enumerate(kept):
            for other in kept[:at]:
                assert not alike(one.document.text, other.document.text, threshold)


def alike(one, other, threshold):
    one, other = one.split(), other.split()
    if one == other:
        return bool(one)
    first, second = (set(zip(found, found[1:], found[2:], strict=False)) for found in (one, other))
    if not first or not second or threshold == 1:
        return False
    return len(first & second) / len(first | second) >= threshold


def test_images_keep_their_place_among_those_that_stay():
    """An image without text keeps its place among the candidates that are kept."""
    documents = [*CHUNKS[:2], Document("image", "", image=True), *CHUNKS[2:]]
    pipeline = TwoStage({"s": Listed(*documents)}, reranker=Backwards(), group="parent")
    assert ids(pipeline.search("q")) == ["c1", "image", "b1", "a1"]


async def test_awaited_duplicates_are_compared_off_the_event_loop():
    """Comparing many texts is slow, so it runs outside the event loop's thread."""
    threads = set()

    def text(document):
        threads.add(threading.current_thread())
        return document.text

    grouping = Grouping(duplicates=0.9, text=text)
    response = await TwoStage({"s": Listed(*CHUNKS)}, reranker=None, group=grouping).asearch("q")
    assert len(response) == len(CHUNKS)
    assert threads
    assert threading.current_thread() not in threads


@pytest.mark.parametrize(("many", "head", "share"), [(200, 0, 1.0), (1000, 100, 0.1)])
def test_comparing_takes_a_share_of_the_time_of_comparing_every_pair(many, head, share):
    """Of 200 words each, 100 of which all may share: no time goes to pairs that cannot be near."""
    chosen = random.Random(0)
    vocabulary = [f"word{at}" for at in range(20_000)]
    shared = chosen.choices(vocabulary, k=head)
    texts = [" ".join(shared + chosen.choices(vocabulary, k=200 - head)) for _ in range(many)]
    grouping, given_candidates = Grouping(duplicates=0.5), candidates(*texts)
    sequences = [set(zip(one, one[1:], one[2:], strict=False)) for one in map(str.split, texts)]
    took, took_pairwise = [], []
    for _ in range(3):
        began = time.process_time()
        grouping.group(given_candidates)
        took.append(time.process_time() - began)
        began = time.process_time()
        pairs = [len(one & other) for one, other in itertools.combinations(sequences[:100], 2)]
        took_pairwise.append((time.process_time() - began) / len(pairs) * math.comb(many, 2))
    assert min(took) < share * min(took_pairwise)


@pytest.mark.parametrize(
    ("argument", "make"),
    [
        ("group", Grouping),
        ("group", lambda: Grouping("")),
        ("group", lambda: Grouping(3)),
        ("group", lambda: TwoStage({"s": Listed("a")}, reranker=None, group=3)),
        ("duplicates", lambda: Grouping(duplicates=0)),
        ("duplicates", lambda: Grouping(duplicates=1.1)),
        ("duplicates", lambda: Grouping(duplicates=math.nan)),
        ("duplicates", lambda: Grouping(duplicates=True)),
        ("per_group", lambda: Grouping("p", per_group=0)),
        ("text", lambda: Grouping("p", text="text")),
    ],
)
def test_wrong_arguments_are_refused_at_once(argument, make):
    """A wrong argument is named when the object is made."""
    with pytest.raises(InvalidArgument) as caught:
        make()
    assert caught.value.argument == argument
