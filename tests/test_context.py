"""`pack`: what fits into a budget, in which order, and what is left out and why."""

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document as LangChainDocument
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import Document as LlamaDocument
from llama_index.core.schema import NodeRelationship, NodeWithScore, RelatedNodeInfo, TextNode
from tokenizers import Tokenizer, models, pre_tokenizers

from runoff import Document, TwoStage
from runoff.context import pack
from runoff.errors import InvalidArgument
from runoff.recall import BM25


def count(text):
    """Count words, which are tokens here."""
    return len(text.split())


def chunk(key, text, document=None, start=None, **metadata):
    """A LangChain document as a splitter makes it."""
    given = {"source": document, "start_index": start, **metadata}
    kept = {name: one for name, one in given.items() if one is not None}
    return LangChainDocument(id=key, page_content=text, metadata=kept)


def ids(packed):
    return ["+".join(one.ids) for one in packed]


def reasons(packed):
    return {one.id: one.reason for one in packed.left_out}


STORY = " ".join(f"word{at}" for at in range(100))


def part(start, end):
    """Words of the story, from the first to before the second."""
    return " ".join(STORY.split()[start:end])


def test_best_first_and_smaller_ones_after_one_that_does_not_fit():
    """A result is whole or left out, and what is left out is told."""
    some = [chunk("a", "one two"), chunk("b", "x " * 50), chunk("c", "three")]
    packed = pack(some, budget=6, count=count)
    assert packed.text == "[1] one two\n\n[2] three"
    assert (ids(packed), reasons(packed)) == (["a", "c"], {"b": "budget"})
    assert (packed.tokens, packed.budget, packed.estimated) == (5, 6, False)
    assert packed.left_out[0].item is some[1]
    assert packed.left_out[0].rank == 2


def test_what_is_taken_in_its_several_forms():
    """Responses, LangChain's documents and LlamaIndex's nodes keep their ids and scores."""
    answer = TwoStage({"bm25": BM25([("a", "green tea"), ("b", "black tea leaf")])}).search("tea")
    for some in (answer, answer.results, list(answer)):
        packed = pack(some, budget=100, count=count)
        assert ids(packed) == [one.doc_id for one in answer]
        assert [one.scores for one in packed] == [(one.rerank_score,) for one in answer]
        assert [one.items[0] for one in packed] == list(answer)
    document = LangChainDocument(page_content="tea", metadata={"relevance_score": 0.5})
    node = NodeWithScore(node=TextNode(id_="n", text="leaf"), score=0.25)
    bare = TextNode(id_="m", text="milk")
    packed = pack([document, node, bare, Document("d", "sugar")], budget=100, count=count)
    assert ids(packed)[1:] == ["n", "m", "d"]
    assert ids(packed)[0].startswith("text:")
    assert [one.scores[0] for one in packed] == [0.5, 0.25, None, None]
    assert [one.text for one in packed] == ["tea", "leaf", "milk", "sugar"]


@pytest.mark.parametrize("results", ["text", {"a": 1}, None, 7, [1], ["text"], [{"text": "a"}]])
def test_anything_else_is_refused(results):
    """With its position."""
    with pytest.raises(InvalidArgument, match="results"):
        pack(results, budget=10)


@pytest.mark.parametrize(
    "wrong",
    [{"budget": 0}, {"budget": 1.5}, {"count": 3}, {"count": lambda text: None},
     {"count": lambda text: -1}, {"count": lambda text: True}, {"per_document": 0},
     {"duplicates": 0}, {"duplicates": 2}, {"order": "best"}, {"per_document": 1},
     {"order": "document"}, {"by": "tags"}],
)  # fmt: skip
def test_a_wrong_argument_is_refused(wrong):
    """With its name; a limit per document needs to know the document."""
    some = [LangChainDocument(page_content="tea", metadata={"tags": ["a"]})]
    with pytest.raises(InvalidArgument, match=next(iter(wrong))):
        pack(some, **{"budget": 10, **wrong})


def test_an_estimate_is_said_to_be_one():
    """A third of the bytes, of every script."""
    packed = pack([chunk("a", "tea"), chunk("b", "茶" * 10)], budget=1000)
    assert packed.estimated
    assert packed.tokens == -(-len(packed.text.encode()) // 3)
    assert any("estimated" in one for one in packed.notes)
    assert pack([], budget=1, count=count).notes == ()


def test_tokens_are_counted_in_several_ways():
    """A number, a list of tokens, or a tokenizer of Hugging Face without its special tokens."""
    made = Tokenizer(models.WordLevel({"[1]": 0, "one": 1, "two": 2, "?": 3}, unk_token="?"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    for way in (count, str.split, made, lambda text: made.encode(text).ids):
        assert pack([chunk("a", "one two")], budget=3, count=way).tokens == 3
        assert pack([chunk("a", "one two")], budget=2, count=way).pieces == ()
    made.enable_truncation(2)
    with pytest.raises(InvalidArgument, match="no_truncation"):
        pack([chunk("a", "one two")], budget=2, count=made)


def test_duplicates_are_left_out_with_the_one_that_stays():
    """Equal but for case and space, and near ones; the better stays."""
    some = [chunk("a", part(0, 60)), chunk("b", f"  {part(0, 60).upper()}"),
            chunk("c", part(0, 61)), chunk("d", part(30, 90))]  # fmt: skip
    packed = pack(some, budget=1000, count=count)
    assert ids(packed) == ["a", "d"]
    assert [(one.id, one.reason, one.instead) for one in packed.left_out] == [
        ("b", "duplicate", "a"), ("c", "duplicate", "a"),
    ]  # fmt: skip
    assert ids(pack(some, budget=1000, count=count, duplicates=1)) == ["a", "c", "d"]
    assert ids(pack(some, budget=1000, count=count, duplicates=None)) == ["a", "b", "c", "d"]


def test_a_duplicate_of_what_was_left_out_is_none():
    """It is judged by itself: here its document is another."""
    text = part(20, 29)
    some = [
        chunk("a", part(0, 9), "x"),
        *(chunk(*one) for one in zip("bcd", [text] * 3, "xyz", strict=True)),
    ]
    packed = pack(some, budget=100, count=count, per_document=1, by="source")
    assert ids(packed) == ["a", "c"]
    assert reasons(packed) == {"b": "per_document", "d": "duplicate"}


def test_overlapping_chunks_of_a_document_become_one_piece():
    """What they share is there once, whichever comes first, and a third may join two pieces."""
    places = {"b": (30, 50), "d": (65, 90), "c": (45, 70), "in": (66, 80)}
    some = [chunk(key, part(*at), "x") for key, at in places.items()]
    some.insert(2, chunk("other", "tea", "y"))
    packed = pack(some, budget=1000, count=count, by="source")
    assert ids(packed) == ["b+d+c", "other"]
    assert packed.pieces[0].text == part(30, 90)
    assert packed.pieces[0].ranks == (1, 2, 4)
    assert packed.pieces[0].items == (some[0], some[1], some[3])
    assert reasons(packed) == {"in": "duplicate"}
    apart = pack(some, budget=1000, count=count, by="source", duplicates=None, per_document=2)
    assert ids(apart) == ["b", "d", "other"]
    assert reasons(apart) == {"c": "per_document", "in": "duplicate"}


@pytest.mark.parametrize(("shared", "pieces"), [(19, 2), (20, 1)])
def test_a_short_overlap_is_chance(shared, pieces):
    """Chunks are joined by 20 characters or more; the longest overlap counts."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    some = [chunk("a", "1" + letters[:shared], "x"), chunk("b", letters[:shared] + "2", "x")]
    assert len(pack(some, budget=1000, count=count, by="source")) == pieces
    again = [chunk("a", "-" * 30, "x"), chunk("b", "-" * 25 + "+", "x")]
    (piece,) = pack(again, budget=1000, count=count, by="source", duplicates=1)
    assert piece.text == "-" * 30 + "+"


def test_a_cut_piece_is_not_joined():
    """Its mark stays at the end of a piece that says that it is cut."""
    letters = "abcdefghijklmnopqrst"
    some = [chunk("a", f"{letters} {'w' * 40}", "x"), chunk("b", f"12345 {letters}", "x")]
    packed = pack(some, budget=38, count=len, cut=True, by="source")
    assert [(one.ids, one.cut) for one in packed] == [(("a",), True)]
    assert reasons(packed) == {"b": "budget"}


def test_chunks_of_two_documents_are_never_joined():
    """However much they overlap; nor are those of which nobody knows the document."""
    some = [chunk("a", part(0, 50), "x"), chunk("b", part(30, 90), "y")]
    assert ids(pack(some, budget=1000, count=count, by="source")) == ["a", "b"]
    assert ids(pack(some, budget=1000, count=count)) == ["a", "b"]


def test_a_larger_chunk_replaces_the_better_one_within_it():
    """The piece has both ids and the larger text, if that fits."""
    some = [chunk("a", part(10, 20), "x"), chunk("b", part(0, 50), "x")]
    packed = pack(some, budget=100, count=count, by="source")
    assert [(one.ids, one.text) for one in packed] == [(("a", "b"), part(0, 50))]
    packed = pack(some, budget=20, count=count, by="source")
    assert (ids(packed), reasons(packed)) == (["a"], {"b": "budget"})


def test_chunks_of_llama_index_are_joined_to_the_text_they_were_cut_from():
    """Its splitter's overlaps are found by the text, its documents by `ref_doc_id`."""
    text = " ".join(f"Sentence number {at} is about subject {at * 7}." for at in range(60))
    splitter = SentenceSplitter(chunk_size=80, chunk_overlap=30, tokenizer=str.split)
    nodes = splitter.get_nodes_from_documents([LlamaDocument(text=text, id_="doc")])
    assert len(nodes) > 5
    found = [NodeWithScore(node=one, score=1.0) for one in reversed(nodes)]
    packed = pack(found, budget=10_000, count=count)
    assert [one.text for one in packed] == [text]
    assert len(packed.pieces[0].ids) == len(nodes)


@pytest.mark.parametrize(
    ("order", "expected"),
    [("rank", "abcdef"), ("document", "cafbde"), ("ends", "acefdb")],
)
def test_the_order_for_the_model(order, expected):
    """Best first; by document and place in it; or the best at both ends."""
    some = [
        chunk("a", "tea", "x", 50, page=1),
        chunk("b", "milk", "y", 9),
        chunk("c", "leaf", "x", 70, page=0),
        chunk("d", "sugar", "y", 30),
        chunk("e", "water"),
        chunk("f", "cup", "x", 0, page=2),
    ]
    packed = pack(some, budget=100, count=count, by="source", order=order)
    assert "".join(ids(packed)) == expected
    assert packed.notes == ()
    lines = packed.text.split("\n\n")
    assert lines == [f"[{at}] {one.text}" for at, one in enumerate(packed, 1)]


def test_documents_that_do_not_tell_places_stay_in_rank_order_and_a_note_says_so():
    """Nothing is guessed from the text."""
    some = [chunk("a", "tea", "x"), chunk("b", "milk", "y"), chunk("c", "leaf", "x", 3)]
    packed = pack(some, budget=100, count=count, by="source", order="document")
    assert ids(packed) == ["a", "c", "b"]
    assert any("1 document has parts without a position" in one for one in packed.notes)


def test_nodes_tell_their_document_and_place():
    """By `ref_doc_id` and `start_char_idx`, without `by=`."""
    source = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id="doc")}
    nodes = [
        TextNode(id_=key, text=key * 3, start_char_idx=at, relationships=source)
        for key, at in (("b", 90), ("a", 10), ("c", 200))
    ]
    assert ids(pack(nodes, budget=100, count=count, order="document")) == ["a", "b", "c"]
    packed = pack(nodes, budget=100, count=count, per_document=2)
    assert reasons(packed) == {"c": "per_document"}


def test_the_first_that_does_not_fit_is_cut_at_a_word_on_request():
    """It is marked, the budget holds, and only one is cut."""
    some = [chunk("a", "one"), chunk("b", part(0, 50)), chunk("c", part(60, 99))]
    packed = pack(some, budget=12, count=count, cut=True)
    assert ids(packed) == ["a", "b"]
    assert packed.pieces[1].cut
    assert packed.pieces[1].text == f"{part(0, 8)} […]"
    assert packed.tokens == 12
    assert reasons(packed) == {"c": "budget"}
    assert not any(one.cut for one in pack(some, budget=12, count=count))
    tiny = pack([chunk("a", part(0, 50))], budget=2, count=count, cut=True)
    assert (tiny.pieces, tiny.tokens, tiny.text) == ((), 0, "")


def test_a_long_word_is_not_cut():
    """Neither after 16 letters nor elsewhere."""
    some = [chunk("a", "tea internationalization-of-everything milk")]
    (piece,) = pack(some, budget=35, count=len, cut=True)
    assert piece.text == "tea […]"


def test_blank_results_are_left_out():
    """With the reason."""
    assert reasons(pack([chunk("a", " \n")], budget=9, count=count)) == {"a": "empty"}


TEXTS = st.lists(
    st.tuples(
        st.one_of(
            st.tuples(st.integers(0, 60), st.integers(1, 40)).map(lambda at: part(at[0], sum(at))),
            st.text("ab \n茶", max_size=30),
        ),
        st.sampled_from(["x", "y", None]),
        st.integers(0, 50),
    ),
    max_size=12,
)


@settings(max_examples=100, deadline=None)
@given(
    TEXTS, st.integers(1, 120), st.sampled_from(["rank", "document", "ends"]),
    st.sampled_from([None, 1, 2]), st.sampled_from([None, 0.5, 0.9, 1]), st.booleans(),
    st.sampled_from([count, len, lambda text: 7 * len(text) % 90 + 1]),
)  # fmt: skip
def test_whatever_is_given(texts, budget, order, per_document, duplicates, cut, way):
    """The budget holds for any way to count, every result is in one place, and nothing changes."""
    some = [chunk(f"{at}", text, *rest) for at, (text, *rest) in enumerate(texts)]
    before = copy.deepcopy(some)
    asked = {"by": lambda one: one.metadata.get("source", f"own {one.id}"), "order": order,
             "per_document": per_document, "duplicates": duplicates, "cut": cut}  # fmt: skip
    packed = pack(some, budget=budget, count=way, **asked)
    assert some == before
    assert packed == pack(iter(some), budget=budget, count=way, **asked)
    assert packed.tokens <= budget
    assert packed.tokens == (way(packed.text) if packed.pieces else 0)
    taken = [key for one in packed for key in one.ids]
    assert sorted([*taken, *reasons(packed)]) == sorted(one.id for one in some)
    assert [one.rank for one in packed.left_out] == sorted(one.rank for one in packed.left_out)
    for one in packed:
        assert list(one.ranks) == sorted(one.ranks)
        assert [str(rank - 1) for rank in one.ranks] == list(one.ids)
        assert one.items == tuple(some[rank - 1] for rank in one.ranks)
        whole = one.text.removesuffix(" […]") if one.cut else one.text
        for item in one.items:
            assert whole in item.page_content if one.cut else item.page_content in whole
    assert sum(one.cut for one in packed) <= cut
    if per_document:
        owners = [some[int(key)].metadata.get("source", key) for key in taken]
        assert all(owners.count(one) <= per_document for one in owners)
    if order == "rank":
        assert [one.ranks[0] for one in packed] == sorted(one.ranks[0] for one in packed)


class Bare:
    """A document of a framework's kind with nothing but a text."""

    page_content = "oil and gold"


def test_a_document_without_metadata_is_read():
    """Its text identifies it, and it is a part of no document."""
    [piece] = pack([Bare()], budget=50)
    assert piece.text == "oil and gold"


@pytest.mark.parametrize("reply", ["three", b"three", 3.0, None, -1, np.array(3), float("nan")])
def test_a_count_that_is_none_is_refused(reply):
    """A text is no list of tokens, and a number of tokens is whole."""
    with pytest.raises(InvalidArgument, match=r"^count="):
        pack([Bare()], budget=50, count=lambda _: reply)


def test_numpy_counts_and_awaited_ones():
    """NumPy's whole numbers and arrays of tokens count; a coroutine is refused and closed."""
    assert pack([Bare()], budget=50, count=lambda _: np.int64(7)).tokens == 7
    assert pack([Bare()], budget=50, count=lambda _: np.arange(7)).tokens == 7

    async def count(text):
        return len(text)

    with pytest.raises(InvalidArgument, match="must not be async"):
        pack([Bare()], budget=50, count=count)
