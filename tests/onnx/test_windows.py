"""Windows over a text: they cover it, overlap as asked, and fit the model."""

from itertools import islice, pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from runoff._onnx.tokens import TextEncoder
from runoff._onnx.windows import windows

pytest.importorskip("onnx", reason="the test group is not installed")
import tiny

WORDS = st.sampled_from(
    [*tiny.WORDS.split(), "gammadelta", "zzzzzzzzz", "x" * 130, "漢字", "\ud83d"]
)
TEXTS = st.lists(WORDS | st.sampled_from([" ", "\n\n", "  "]), max_size=60).map(" ".join)
ENCODER = TextEncoder(tiny.tokenizer(), 64)


def tokens(encoder, text):
    return len(encoder.head(text, 10_000)[0])


def tokens_between(start, again, end, text, room):
    """Count the tokens of the window from `start` to `end` that begin at `again` or later."""
    found = ENCODER.head(text[start:], room)[0]
    return sum(again <= start + begin < end for begin, _ in found.offsets)


@given(
    text=TEXTS | st.text(max_size=300),
    sizes=st.integers(1, 20).flatmap(
        lambda room: st.tuples(st.just(room), st.integers(0, room // 2))
    ),
)
# the second window begins inside a word, whose end alone is a single token
@example(text="gammadelta gammadelta", sizes=(10, 5))
def test_windows_cover_overlap_and_fit(text, sizes):
    """Every character is in a window, each overlaps the last as asked, none has too many tokens."""
    room, overlap = sizes
    spans = list(windows(ENCODER, text, room, overlap))
    assert spans[0][0] == 0
    assert spans[-1][1] == len(text)
    for (start, end), (again, _) in pairwise(spans):
        assert start < again <= end
        assert tokens_between(start, again, end, text, room) >= overlap
    for start, end in spans:
        assert tokens(ENCODER, text[start:end]) <= room


def test_a_text_that_fits_is_one_window():
    """Nothing is parted that need not be, an empty text included."""
    assert list(windows(ENCODER, "alpha beta gamma", 3, 1)) == [(0, 16)]
    assert list(windows(ENCODER, "", 3, 1)) == [(0, 0)]


def test_windows_begin_and_end_between_words():
    """A word that fits a window is never split."""
    text = " ".join(["alpha", "gammadelta", "b4", "zzzz"] * 20)
    for start, end in windows(ENCODER, text, 12, 4):
        assert start == 0 or text[start - 1] == " "
        assert end == len(text) or text[end - 1] == " "


def test_a_word_longer_than_a_window_is_split():
    """A window never grows beyond the model for the sake of a word."""
    text = "alpha " + "z" * 90
    spans = list(windows(ENCODER, text, 10, 2))
    assert len(spans) > 8
    assert all(tokens(ENCODER, text[start:end]) <= 10 for start, end in spans)


def test_the_first_windows_of_a_huge_text_cost_no_more_than_they_hold(monkeypatch):
    """Tokens are made window by window: the rest of ten million characters is never looked at."""
    read = []
    encode = ENCODER._encode
    monkeypatch.setattr(ENCODER, "_encode", lambda text: read.append(len(text)) or encode(text))
    assert len(list(islice(windows(ENCODER, "alpha " * 1_700_000, 60, 10), 3))) == 3
    assert sum(read) < 10_000


def byte_level():
    """A tokenizer that makes a token of each byte, so one character can be several."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate([*alphabet, "<s>", "</s>"])}
    made = Tokenizer(models.BPE(vocabulary, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> $B:1 </s>:1",
        special_tokens=[("<s>", vocabulary["<s>"]), ("</s>", vocabulary["</s>"])],
    )
    return TextEncoder(made, 64)


BYTES = byte_level()


@given(text=st.text("ab é🙂漢", max_size=80), room=st.integers(4, 20))
def test_characters_of_several_tokens_stay_whole(text, room):
    """With a token for each byte, windows still cover the text; they exceed by one character."""
    spans = list(windows(BYTES, text, room, room // 2))
    assert (spans[0][0], spans[-1][1]) == (0, len(text))
    for (start, end), (again, _) in pairwise(spans):
        assert start < again <= end
    assert all(tokens(BYTES, text[start:end]) <= room + 3 for start, end in spans)


@pytest.mark.parametrize("words", [1, 10, 100])
def test_room_beside_a_query_is_what_a_pair_reads(words):
    """A window of that many tokens is read whole beside the query, and one more token is not."""
    query = ENCODER.query("beta " * words)
    room = ENCODER.room(query)
    reads_query = words <= 32
    assert ENCODER.pair(query, "alpha " * room).query_cut is not reads_query
    assert not ENCODER.pair(query, "alpha " * room).truncated
    assert ENCODER.pair(query, "alpha " * (room + 1)).truncated
    assert len(ENCODER.pair(query, "alpha " * room)) == 64
