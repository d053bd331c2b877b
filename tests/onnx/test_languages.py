import logging

import pytest

from runoff._onnx import languages


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("plain English, 1999!", "Latin"),
        ("Größe und Übermut, émigré, naïve", "Latin"),
        ("tiếng Việt có dấu", "Latin"),
        ("机器学习是人工智能的一个分支", "Han"),
        ("これは日本語の文章です", "Kana"),
        ("한국어 문장입니다", "Hangul"),
        ("هذا نص باللغة العربية", "Arabic"),
        ("это русский текст", "Cyrillic"),
        ("αυτό είναι ελληνικό κείμενο", "Greek"),
        ("זה טקסט בעברית", "Hebrew"),
        ("यह हिन्दी पाठ है", "Indic"),
        ("นี่คือข้อความภาษาไทย", "Thai"),
        ("use the API 接口", "Latin"),
        ("接口文档说明 API", "Han"),
        ("", "Latin"),
        ("12345 🎉🎉 …", "Latin"),
        ("\ud800\udfff", "Latin"),
        ("text “quoted” — with dashes…", "Latin"),
    ],
)
def test_the_main_script_of_a_text(text, script):
    """A text counts for the script most of its letters are in."""
    assert languages.main_script(text) == script


def test_only_the_start_of_a_text_is_looked_at():
    """A long text is judged by its first characters, so that the check stays cheap."""
    assert languages.main_script("a" * 256 + "文" * 10_000) == "Latin"


def test_the_note_counts_and_names():
    """The sentence says how many of how many texts, and in which scripts."""
    sentence = languages.note("m", ["one", "中文文本", "русский", "текст", "two"])
    assert sentence.startswith("m reads English; 3 of 5 texts are mostly in another script")
    assert "Cyrillic, Han" in sentence


@pytest.mark.parametrize("texts", [[], ["English", "déjà vu"]])
def test_english_needs_no_note(texts):
    """Latin script, and no text at all, cause no sentence."""
    assert languages.note("m", texts) == ""


def test_a_warning_comes_once_per_model(caplog, monkeypatch):
    """The log has one WARNING for each model, however often it is asked."""
    monkeypatch.setattr(languages, "_warned", set())
    with caplog.at_level(logging.WARNING, "runoff"):
        for model in ("a", "a", "b", "a"):
            languages.warn_once(model, f"note on {model}")
    assert [record.getMessage() for record in caplog.records] == ["note on a", "note on b"]
    assert {record.levelname for record in caplog.records} == {"WARNING"}
