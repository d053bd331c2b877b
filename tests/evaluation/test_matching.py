"""Answers given as text, and documents whose ids changed, are found by their words."""

import pytest
from parts import Listed

from runoff import Document, TwoStage
from runoff._util.text import text_key
from runoff.errors import InvalidArgument
from runoff.evaluation import Collection, evaluate, record

CHUNKS = {
    "c1": "Yeast makes dough rise in a warm place. It takes an hour or two, and it cannot be "
    "rushed.",
    "c2": "It takes an hour or two, and it cannot be rushed. Then shape the loaf.",
    "c3": "The sea rises twice a day: that is high tide, and six hours later it is low tide.",
    "c4": "The baker gets up before dawn.",
}


@pytest.fixture
def answered(tmp_path):
    """Write a table of questions and answers."""

    def write(*rows):
        lines = ["Question;Answer", *(f'{query};"{answer}"' for query, answer in rows)]
        (tmp_path / "faq.csv").write_text("\n".join(lines), encoding="utf-8")
        return Collection.from_csv(tmp_path / "faq.csv")

    return write


def test_answers_as_texts_are_matched_to_chunks(answered):
    """Exact, in whatever case and punctuation; then nearly; the rest is told with examples."""
    found = answered(
        ("why rise?", "yeast makes dough RISE, in a warm  place"),
        ("how long?", "It takes an hour or two, and it cannot be rushed"),
        ("tide?", "The sea rises twice a day, that is called high tide, and six hours later low"),
        ("who?", "Nobody knows who it was in the end of all that"),
    )
    assert "call match_by_text()" in found.notes[-1]
    made = found.match_by_text(CHUNKS, least=0.6)
    assert {made.queries[one]: dict(grades) for one, grades in made.qrels.items()} == {
        "why rise?": {"c1": 1},
        "how long?": {"c1": 1, "c2": 1},
        "tide?": {"c3": 1},
    }
    assert set(made.documents) == set(CHUNKS)
    notes = " ".join(made.notes)
    assert "3 of 4 judged texts (75%), 2 word by word and 1 nearly" in notes
    assert "left out: 'Nobody knows who it was in the end of all that' (0%)" in notes
    assert "1 judged text is in several documents" in notes
    assert "Left out, since they are not judged: 1 query ('who?')" in notes
    assert "call match_by_text()" not in notes
    assert evaluate({text_key("tide?"): ["c3"]}, made).by_query("RR@10")[text_key("tide?")] == 1
    strict = found.match_by_text(CHUNKS, least=0.9)
    assert "2 of 4 judged texts (50%)" in " ".join(strict.notes)


def test_ids_that_changed_are_found_again():
    """Chunks that were cut anew get the judgments of the old ones that they hold or are part of."""
    old = {
        "old1": Document("old1", f"{CHUNKS['c3']} {CHUNKS['c4']}"),
        "old2": Document("old2", "Then shape the loaf"),
        "c1": Document("c1", "other words under an id that is in use again, to be sure"),
    }
    qrels = {"q": {"old1": 2, "old2": 1, "c1": 0}}
    made = Collection({"q": "tide"}, qrels, old).match_by_text(CHUNKS)
    assert dict(made.qrels["q"]) == {"c3": 2, "c4": 2, "c2": 1}


def test_text_without_spaces_is_matched(answered):
    """In Chinese and Japanese, each letter counts as a word."""
    chunks = {"a": "酵母使面团在温暖的地方发酵。", "b": "大海每天涨潮两次。"}
    made = answered(("为什么?", "面团在温暖的地方")).match_by_text(chunks)
    assert [dict(one) for one in made.qrels.values()] == [{"a": 1}]


def test_a_short_answer_that_is_everywhere_is_not_matched(answered):
    """Two words that are in many documents do not say which is meant."""
    chunks = {f"c{at}": f"page {at} of the guide to bread" for at in range(9)}
    found = answered(("what?", "the guide"), ("which page?", "page 3"))
    made = found.match_by_text(chunks)
    assert [dict(one) for one in made.qrels.values()] == [{"c3": 1}]
    assert "1 judged text is so short" in " ".join(made.notes)


def test_a_recording_with_texts_has_the_documents():
    """The texts that a recording kept are those to match."""
    pipeline = TwoStage({"list": Listed("a", "b")}, reranker=None)
    asked = Collection({"q": "one"}, {"q": {"old": 1}}, {"old": Document("old", "text of b")})
    made = record(pipeline, asked, progress=False, texts=True)
    texts = dict(zip(made["q"].doc_ids, made["q"].texts, strict=True))
    other = Collection({"q": "one"}, {"q": {"old": 1}}, {"old": Document("old", texts["b"])})
    assert dict(other.match_by_text(made).qrels["q"]) == {"b": 1}
    bare = record(pipeline, asked, progress=False)
    with pytest.raises(InvalidArgument, match="made without texts"):
        other.match_by_text(bare)


def test_what_cannot_be_matched_is_refused(answered):
    """Without any match, without texts, and with wrong arguments, the error says what to do."""
    found = answered(("why?", "something that is in none of the documents here"))
    with pytest.raises(InvalidArgument, match="none of 1 judged text is in these documents"):
        found.match_by_text(CHUNKS)
    with pytest.raises(InvalidArgument, match="has no texts for its judged documents"):
        Collection({"q": "one"}, {"q": {"a": 1}}).match_by_text(CHUNKS)
    for wrong in ([], ["c1"], None, "c1"):
        with pytest.raises(InvalidArgument, match="documents="):
            found.match_by_text(wrong)
    with pytest.raises(InvalidArgument, match="least=0"):
        found.match_by_text(CHUNKS, least=0)
