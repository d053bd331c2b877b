"""How a text becomes tokens."""

import subprocess
import sys
import threading
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runoff.errors import InvalidArgument
from runoff.recall._analyzers import Analyzer, analyzer_names, make_analyzer

CJK = ("cjk", "chinese", "japanese", "korean", "thai", "none")


def tokens(name, text):
    return make_analyzer(name)(text)


def test_english_folds_drops_stop_words_and_stems():
    """English text is lower-cased, loses its stop words and is stemmed."""
    assert tokens("english", "The cats were RUNNING in the gardens") == [
        "cat",
        "were",
        "run",
        "garden",
    ]


def test_identifiers_come_apart():
    """Punctuation and underscores separate, so identifiers are found by their words."""
    assert tokens("english", "csv.DictReader(read_csv)") == ["csv", "dictread", "read", "csv"]


def test_lone_letters_and_digits_are_words():
    """A word of one character is a word: C, R and 5 can be asked for."""
    assert tokens("english", "C and R 5") == ["c", "r", "5"]


def test_apostrophes_leave_nothing_behind():
    """What an apostrophe cuts off does not become a token."""
    assert tokens("english", "the dog's bone, they'll don't") == ["dog", "bone", "don"]


@pytest.mark.parametrize("name", ["english", "german", "unicode"])
def test_chinese_gives_characters_and_bigrams(name):
    """Chinese gives its characters and bigrams whatever the language of the analyzer."""
    assert tokens(name, "北京大学") == ["北", "京", "大", "学", "北京", "京大", "大学"]


def test_bigrams_stop_at_other_scripts():
    """No bigram spans two scripts or a separator."""
    assert tokens("unicode", "東京Tower。駅") == ["東", "京", "東京", "tower", "駅"]


def test_thai_keeps_its_vowel_signs():
    """Thai vowel signs are characters of the run, not separators."""
    found = tokens("unicode", "ที่นี่")
    assert "ท" in found
    assert all(len(one) <= 2 for one in found)
    assert "".join(one for one in found if len(one) == 1) == unicodedata.normalize("NFKC", "ที่นี่")


def test_marks_stay_within_words():
    """Hindi vowel signs and Arabic points do not cut words in two."""
    assert len(tokens("unicode", "हिन्दी भाषा")) == 2
    assert len(tokens("unicode", "الكِتَابُ")) == 1


def test_forms_of_one_character_meet():
    """Full-width, half-width, ligature and upper-case forms give the same tokens."""
    assert tokens("unicode", "\uff21\uff22\uff23 ﬁne ｶﾞｽ STRASSE") == tokens(
        "unicode", "abc fine ガス straße"
    )


def test_arabic_ignores_points_and_article():
    """Arabic words meet with and without points, and without their article."""
    assert tokens("arabic", "الكِتَابُ") == tokens("arabic", "كتاب")


def test_german_umlauts_and_endings():
    """German words meet across endings, and stop words go."""
    assert tokens("german", "Die Häuser") == tokens("german", "des Hauses") == ["haus"]


def test_turkish_i():
    """Turkish tells its dotted from its dotless i."""
    assert tokens("turkish", "DIŞ") != tokens("turkish", "DİŞ")
    assert tokens("turkish", "İSTANBUL") == tokens("turkish", "istanbul")


@pytest.mark.parametrize("alias", CJK)
def test_aliases_are_the_unicode_analyzer(alias):
    """Names of languages without stemmer mean the Unicode analyzer."""
    assert make_analyzer(alias) is make_analyzer("unicode")


@pytest.mark.parametrize("name", analyzer_names())
def test_every_name_works(name):
    """Every name makes an analyzer that reads text of every script and forgets none of it."""
    text = "Alpha Βήτα гамма גרסה كتاب हिन्दी 猫 ไทย 한국 x1"
    assert len(make_analyzer(name)(text)) >= 10


@pytest.mark.parametrize("name", ["klingon", "", "English"])
def test_unknown_names_are_refused(name):
    """An unknown name is refused with the list of those that are known."""
    with pytest.raises(InvalidArgument, match=r"analyzer=.*english.*unicode"):
        make_analyzer(name)


@pytest.mark.parametrize("given", [None, 3, ["english"]])
def test_what_is_neither_name_nor_callable_is_refused(given):
    """Anything but a name or a callable is refused."""
    with pytest.raises(InvalidArgument, match="callable"):
        make_analyzer(given)


def test_callables_are_named_by_where_they_live():
    """A callable is wrapped and known by its module and name."""
    made = make_analyzer(str.split)
    assert made("a b") == ["a", "b"]
    assert made.name.endswith(":str.split")
    assert not made.by_name
    assert repr(made) == f"Analyzer({made.name!r})"
    assert make_analyzer(made) is made


class Upper:
    def __call__(self, text):
        return text.upper().split()


def test_callable_objects_are_named_by_their_class():
    """An object that can be called is known by its class."""
    made = make_analyzer(Upper())
    assert made.name == f"{__name__}:Upper"
    assert made("a b") == ["A", "B"]


@pytest.mark.parametrize("result", [None, "a b", ["a", 1], ("a",)])
def test_callables_must_return_a_list_of_strings(result):
    """A callable that returns something else is refused by name."""
    with pytest.raises(InvalidArgument, match="must return a list of strings"):
        make_analyzer(lambda _: result)("text")


@pytest.mark.parametrize("name", ["english", "arabic", "unicode"])
@pytest.mark.parametrize("text", ["", " \n\t", "\0\0", "\ud800 \udfff", "...!?", "\u200b"])
def test_texts_without_words_have_no_tokens(name, text):
    """Blanks, NUL, lone surrogates and punctuation give no tokens and no error."""
    assert tokens(name, text) == []


def test_nul_and_surrogates_separate():
    """NUL and lone surrogates stand between words, not in them."""
    assert tokens("english", "alpha\0beta\ud800gamma") == ["alpha", "beta", "gamma"]


@pytest.mark.parametrize("name", ["english", "german", "arabic", "unicode", "turkish"])
@given(text=st.text())
def test_any_text_gives_clean_tokens(name, text):
    """Any text gives tokens that are not empty, hold no blanks and can be encoded."""
    for token in tokens(name, text):
        assert token
        assert not any(character.isspace() for character in token)
        token.encode()


@given(text=st.text())
def test_unicode_tokens_do_not_depend_on_case_or_form(text):
    """NFC and NFKD forms of one text give the same tokens."""
    expected = tokens("unicode", text)
    assert tokens("unicode", unicodedata.normalize("NFC", text)) == expected
    assert tokens("unicode", unicodedata.normalize("NFKD", text)) == expected


@given(text=st.text(alphabet=st.characters(max_codepoint=127)))
def test_the_short_way_for_ascii_is_the_long_way(text):
    """ASCII takes a shorter way to the same tokens: beside another script nothing changes."""
    assert tokens("unicode", text + " 猫") == [*tokens("unicode", text), "猫"]
    assert tokens("english", text + " 猫") == [*tokens("english", text), "猫"]


def test_long_words_are_not_cut():
    """A word of a million letters is one token."""
    assert len(tokens("english", "q" * 1_000_000)[0]) >= 999_999


def test_threads_agree():
    """Many threads that share an analyzer all get what one thread gets."""
    texts = [f"running{n} houses{n % 7} Straßen{n} 猫{n}" for n in range(300)]
    fresh = Analyzer("english", make_analyzer("english"), by_name=True)
    expected = [fresh(one) for one in texts]
    results = [None] * 64

    def work(place):
        results[place] = [fresh(one) for one in texts]

    threads = [threading.Thread(target=work, args=(place,)) for place in range(64)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert all(one == expected for one in results)


def test_importing_loads_no_stemmer():
    """The module loads neither PyStemmer nor bm25s until a language is asked for."""
    code = (
        "import sys, runoff.recall._analyzers\n"
        "assert not {'Stemmer', 'bm25s', 'rank_bm25'} & set(sys.modules)\n"
        "runoff.recall._analyzers.make_analyzer('english')('The text')\n"
        "assert 'bm25s' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
