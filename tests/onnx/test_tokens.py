import os
import subprocess
import sys
import textwrap
import threading
import time
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import processors

from runoff._onnx.tokens import TextEncoder
from runoff.errors import InvalidArgument

LIMIT = 32


@pytest.fixture(scope="module")
def tokenizer(tiny):
    return tiny.tokenizer()


@pytest.fixture(scope="module")
def encoder(tokenizer):
    return TextEncoder(tokenizer, LIMIT)


def encode(encoder, query, document):
    return encoder.pair(encoder.query(query), document)


words = st.sampled_from(["alpha", "beta", "x", "中", "文字", "émigré", "a1", "!", "unbekannt"])
texts = st.lists(words, max_size=120).flatmap(
    lambda parts: st.sampled_from([" ", "  ", "\n", ""]).map(lambda gap: gap.join(parts))
)


@given(text=texts)
def test_ids_are_the_start_of_the_whole_encoding(encoder, tokenizer, text):
    """Cutting characters first changes neither the kept tokens nor whether any were lost."""
    whole = tokenizer.encode(text, add_special_tokens=False).ids
    assert encoder.ids(text, LIMIT) == (whole[:LIMIT], len(whole) > LIMIT)


@given(query=texts, document=texts)
def test_pairs_that_fit_are_what_the_tokenizer_makes(encoder, tokenizer, query, document):
    """A pair within the limit has exactly the ids and types of the tokenizer's own encoding."""
    expected = tokenizer.encode(query, document)
    made = encode(encoder, query, document)
    if len(expected.ids) <= LIMIT:
        assert made.ids.tolist() == [expected.ids]
        assert made.type_ids.tolist() == [expected.type_ids]
        assert (made.truncated, made.query_cut) == (False, False)
    else:
        assert len(made) == LIMIT
        assert made.truncated or made.query_cut


def test_the_document_is_cut_first(encoder, tokenizer):
    """A query within half of the limit is kept whole and the document takes the rest."""
    query, document = "alpha beta", " ".join(["gamma", "delta"] * 40)
    made = encode(encoder, query, document)
    tokens = [tokenizer.id_to_token(number) for number in made.ids[0]]
    assert tokens[:4] == ["[CLS]", "alpha", "beta", "[SEP]"]
    assert tokens[4:-1] == ["gamma", "delta"] * 13 + ["gamma"]
    assert tokens[-1] == "[SEP]"
    assert made.truncated


def test_a_long_query_leaves_half_to_the_document(encoder, tokenizer):
    """A query that takes all is cut to half of the limit where the document needs the room."""
    made = encode(encoder, "alpha " * 100, "beta " * 100)
    tokens = [tokenizer.id_to_token(number) for number in made.ids[0]]
    assert (tokens.count("alpha"), tokens.count("beta")) == (16, 13)
    assert made.truncated


def test_a_long_query_keeps_the_room_a_short_document_leaves(encoder, tokenizer):
    """Text is lost only where there is no room for it."""
    made = encode(encoder, "alpha " * 25, "beta " * 3)
    tokens = [tokenizer.id_to_token(number) for number in made.ids[0]]
    assert (tokens.count("alpha"), tokens.count("beta")) == (25, 3)
    assert not made.truncated


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_blank_texts_are_special_tokens_alone(encoder, tokenizer, text):
    """A blank text has no tokens of its own and nothing is truncated."""
    made = encoder.text(text)
    assert [tokenizer.id_to_token(number) for number in made.ids[0]] == ["[CLS]", "[SEP]"]
    assert not made.truncated


@pytest.mark.parametrize("text", ["a\x00b", "alpha\ud800beta", "\udfff", "\ud83d\ude00 alpha"])
def test_control_characters_and_lone_surrogates_are_read(encoder, text):
    """NUL and lone surrogates are text like any other."""
    assert len(encoder.text(text)) >= 2


def test_a_lone_surrogate_is_a_replacement_character(encoder):
    """A lone surrogate gives the tokens of U+FFFD."""
    made, expected = encoder.text("alpha \ud800 beta"), encoder.text("alpha \ufffd beta")
    assert made.ids.tolist() == expected.ids.tolist()


@pytest.mark.parametrize("text", ["alpha beta " * 1_000_000, "a" * 10_000_000, " " * 10_000_000])
def test_ten_megabytes_cost_no_more_than_pages(tiny, text):
    """Of 10 MB of text only the start is made into tokens, and the rest counts as truncated."""

    class Counted:
        read, inner = 0, tiny.tokenizer()

        def encode(self, *texts, **options):
            self.read += sum(len(one) for one in texts if one)
            return self.inner.encode(*texts, **options)

        def encode_batch(self, texts, **options):
            return [self.encode(one, **options) for one in texts]

    tokenizer = Counted()
    encoder = TextEncoder(tokenizer, 512)
    made = encoder.text(text)
    assert tokenizer.read < 200_000
    assert len(made) <= 512
    assert made.truncated


def test_a_megabyte_query_is_cut(encoder):
    """A 1 MB query leaves room for the document, and only the query counts as cut."""
    made = encode(encoder, "alpha " * 200_000, "beta")
    assert len(made) == LIMIT
    assert (made.query_cut, made.truncated) == (True, False)


@pytest.mark.parametrize("length", [1, 3, 4])
def test_a_limit_without_room_is_refused(tokenizer, length):
    """There must be room for a token of each text beside the special ones."""
    with pytest.raises(InvalidArgument, match="must be 5 or more"):
        TextEncoder(tokenizer, length)


def test_the_smallest_limit_keeps_a_token_of_each(tokenizer):
    """With the least room, query and document have a token each."""
    made = encode(TextEncoder(tokenizer, 5), "alpha alpha", "beta beta")
    tokens = [tokenizer.id_to_token(number) for number in made.ids[0]]
    assert tokens == ["[CLS]", "alpha", "[SEP]", "beta", "[SEP]"]


@pytest.mark.parametrize(
    "processor",
    [
        processors.RobertaProcessing(("[SEP]", 3), ("[CLS]", 2)),
        processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2)),
        processors.TemplateProcessing(
            single="$A [SEP]",
            pair="[CLS] $A:1 [SEP] $B",
            special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
        ),
        processors.ByteLevel(),
    ],
    ids=["roberta", "bert", "template", "none"],
)
def test_the_tokenizers_own_template_is_honoured(tiny, processor):
    """Special tokens stand where the tokenizer's post-processor puts them."""
    tokenizer = tiny.tokenizer()
    tokenizer.post_processor = processor
    expected = tokenizer.encode("alpha beta", "gamma delta x")
    made = encode(TextEncoder(tokenizer, LIMIT), "alpha beta", "gamma delta x")
    assert made.ids.tolist() == [expected.ids]
    assert made.type_ids.tolist() == [expected.type_ids]


def test_a_template_that_repeats_a_text_is_refused(tiny):
    """A tokenizer that joins texts in an unknown way is refused and not guessed at."""
    tokenizer = tiny.tokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A", pair="$A [SEP] $B [SEP] $A", special_tokens=[("[SEP]", 3)]
    )
    with pytest.raises(InvalidArgument, match="joins texts in a way"):
        TextEncoder(tokenizer, LIMIT)


@pytest.mark.slow("4 s: how often another thread wakes, by the clock")
def test_other_threads_run_while_a_long_text_is_encoded(encoder):
    """The interpreter's lock is free meanwhile, so that a deadline is noticed."""
    done = threading.Event()

    def encode():
        encoder.ids("각" * 800_000, 8000)
        done.set()

    thread = threading.Thread(target=encode)
    thread.start()
    woken = 0
    while not done.is_set():
        time.sleep(0.001)
        woken += 1
    thread.join()
    assert woken > 12  # it was 4: once or twice for each length that is tried


FORKED = """
    import os, sys
    sys.path[:0] = sys.argv[1:]
    import tiny
    from runoff._onnx.tokens import TextEncoder

    encoder = TextEncoder(tiny.tokenizer(), 32)
    text = "alpha beta " * 2000
    expected = encoder.ids(text, 4000)
    child = os.fork()
    if child == 0:
        os._exit(0 if encoder.ids(text, 4000) == expected else 1)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_long_text_is_encoded_after_a_fork(tiny):
    """The child neither hangs nor is warned about threads that it lacks.

    tokenizers 0.15 warns at every fork after a batch, also of a program that needs no batch again.
    """
    # Python 3.12 warns at the fork of any process with threads
    python = [sys.executable, "-W", "ignore:This process:DeprecationWarning"]
    command = [*python, "-c", textwrap.dedent(FORKED), str(Path(tiny.__file__).parent)]
    variables = {k: v for k, v in os.environ.items() if k != "TOKENIZERS_PARALLELISM"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, env=variables
    )
    assert done.returncode == 0, done.stderr
    if not version("tokenizers").startswith("0.15."):
        assert done.stderr == ""
