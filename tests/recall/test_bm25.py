"""What BM25 finds, in which order, and what it refuses."""

import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from index_directory import point, pointer

from runoff import Document, Query
from runoff.deadline import Deadline
from runoff.errors import DuplicateId, InvalidArgument
from runoff.filters import And, Eq, In, Not, Or, Range
from runoff.protocols import RecallSource, Warmable
from runoff.recall import BM25
from runoff.recall._bm25.snapshot import _hits
from runoff.types import Hit

PLANETS = [
    Document("mercury", "Mercury is the closest planet to the sun", {"rings": False, "moons": 0}),
    Document("mars", "Mars is a cold red planet", {"rings": False, "moons": 2}),
    Document(
        "saturn", "Saturn is a planet with rings of ice and rock", {"rings": True, "moons": 2}
    ),
    Document("pluto", "Pluto is not counted any more"),
]


def ids(index, text, depth=10, filters=None):
    return [hit.doc_id for hit in index.retrieve(Query(text, filters=filters), depth=depth)]


@pytest.fixture
def planets():
    return BM25(PLANETS)


def test_fits_the_seams(planets):
    """BM25 is a recall source that can be warmed up."""
    assert isinstance(planets, RecallSource)
    assert isinstance(planets, Warmable)
    planets.warmup()


def test_scores_follow_the_formula(planets):
    """The score of a word is its weight times its saturated count, as the docstring has it."""
    (hit,) = planets.retrieve(Query("red"), depth=5)
    lengths = [len(planets._current().analyzer(one.text)) for one in PLANETS]
    norm = 1.2 * (1 - 0.75 + 0.75 * lengths[1] / np.mean(lengths))
    assert hit.score == pytest.approx(np.log(1 + 3.5 / 1.5) / (1 + norm), rel=1e-6)
    assert hit.score_range == (0.0, None)
    assert hit.document == PLANETS[1]
    assert hit.key == hit.doc_id == "mars"


def test_hits_are_like_any_other():
    """Hits made a column at a time equal hits made one by one."""
    made = _hits(PLANETS[:2], [2.0, 1.0], (0.0, None), ["mercury", "mars"])
    assert made == [Hit(PLANETS[0], 2.0, (0.0, None)), Hit(PLANETS[1], 1.0, (0.0, None))]
    assert list(map(hash, made)) == [
        hash(Hit(one.document, one.score, (0.0, None))) for one in made
    ]
    with pytest.raises(AttributeError):
        made[0].score = 3.0


def test_only_documents_that_share_a_token(planets):
    """Documents without a word of the query are not hits, whatever the depth."""
    assert ids(planets, "rings of ice", depth=100) == ["saturn"]
    assert ids(planets, "galaxy", depth=100) == []
    assert ids(planets, "the galaxy", depth=100) == []


@pytest.mark.parametrize("engine", ["bm25s", "rank-bm25"])
def test_stop_words_count_when_nothing_else_is_left(engine, tmp_path):
    """A query of stop words alone finds the documents that have them, also once saved."""
    index = BM25([("play", "To be, or not to be: that is the question"), ("other", "A cold day")])
    index = BM25(index.documents(), engine=engine)
    index.add([("dept", "Call IT when it fails"), ("late", "Nothing of that")])
    index.add([("gone", "to be or not to be")])
    index.delete(["gone"])
    index.save(tmp_path / "index")
    for one in (index, BM25.load(tmp_path / "index"), BM25.load(tmp_path / "index", mmap=False)):
        assert ids(one, "IT") == ["dept"]
        assert ids(one, "to be or not to be")[0] == "play"
        assert ids(one, "of") == ["late"]
        assert ids(one, "IT fails") == ids(one, "fails") == ["dept"]  # nothing but "fails" counts


def test_stop_words_change_no_score_of_another_query():
    """Documents are as long as without their stop words, so other scores stay as they were."""
    texts = [("a", "cold river"), ("b", "a river that is to be the longest")]
    bare = [("a", "cold river"), ("b", "river longest")]
    question = Query("the river")
    found = [hit.score for hit in BM25(texts).retrieve(question, depth=5)]
    assert found == [hit.score for hit in BM25(bare).retrieve(question, depth=5)]


def test_an_index_saved_without_stop_words_opens(tmp_path):
    """An index of version 0.1 has no counts of stop words: it opens, and finds the rest."""
    BM25([("a", "call it today")]).save(tmp_path)
    files = {name: size for name, size in pointer(tmp_path)["files"].items() if "stop" not in name}
    point(tmp_path, files=files)
    index = BM25.load(tmp_path)
    assert ids(index, "it") == []
    assert ids(index, "today") == ["a"]
    index.add([("b", "it is late")])
    assert ids(index, "it") == ["b"]


def test_rare_words_weigh_more(planets):
    """The document with the rarer word comes first."""
    assert ids(planets, "red planet")[0] == "mars"


def test_repeated_query_words_count_each_time(planets):
    """A word asked for twice scores twice."""
    (once,) = planets.retrieve(Query("red"), depth=1)
    (twice,) = planets.retrieve(Query("red red"), depth=1)
    assert twice.score == pytest.approx(2 * once.score)


def test_equal_scores_are_ordered_by_id():
    """Ties are ordered by id, even at the cut."""
    index = BM25([(f"d{n:02}", "same words here") for n in (7, 3, 11, 1, 5, 9, 2)])
    everything = ids(index, "words", depth=7)
    assert everything == sorted(everything)
    for depth in range(1, 8):
        assert ids(index, "words", depth=depth) == everything[:depth]


def test_word_in_every_document_still_hits():
    """A word in all documents keeps a weight above zero, and finds them all."""
    index = BM25(["a common word", "one common thing"])
    assert len(index.retrieve(Query("common"), depth=5)) == 2


def test_strings_and_pairs_are_documents():
    """A string's id is a hash of its text; a pair has its own id."""
    index = BM25(["first text", ("b", "second text")])
    (first,) = index.retrieve(Query("first"), depth=1)
    assert first.document == Document.without_id("first text")
    assert ids(index, "second") == ["b"]


def test_documents_are_kept_as_given(planets):
    """The index holds the documents that were added, and does not copy their texts."""
    assert planets.get("mars") == PLANETS[1]
    assert planets.get("mars").text is PLANETS[1].text
    assert [one.doc_id for one in planets.documents()] == ["mars", "mercury", "pluto", "saturn"]
    assert planets.documents()[1:3][0] == PLANETS[0]
    assert planets.get("venus") is None


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Eq("rings", value=True), {"saturn"}),
        (Eq("moons", 2), {"saturn", "mars"}),
        (Eq("moons", 0), {"mercury"}),
        (Eq("moons", value=False), set()),
        (Not(Eq("rings", value=True)), {"mercury", "mars"}),
        (And(Eq("rings", value=False), Range("moons", gte=1)), {"mars"}),
        (Or(Eq("rings", value=True), In("moons", (0,))), {"saturn", "mercury"}),
    ],
)
def test_filters_are_exact(planets, filters, expected):
    """A filter returns the documents it keeps and no other, at every depth, twice over."""
    for depth in (1, 2, 3, 100, 3):
        found = ids(planets, "planet", depth, filters)
        assert set(found) <= expected
        assert len(found) == min(depth, len(expected))


def test_equal_looking_filters_are_told_apart(planets):
    """Zero and False, which Python holds equal, are remembered as two filters."""
    assert ids(planets, "planet", filters=Eq("moons", 0)) == ["mercury"]
    assert ids(planets, "planet", filters=Eq("moons", value=False)) == []


def test_many_filters_are_not_all_remembered():
    """Masks of filters used long ago are evicted, and computed again when needed."""
    index = BM25([Document(str(n), "word", {"n": n}) for n in range(300)])
    for n in (*range(300), 0):
        assert ids(index, "word", filters=Eq("n", n)) == [str(n)]
    assert len(index._current().main._masks) < 100


def test_filters_see_changes():
    """A cached mask is not used after the documents change."""
    index = BM25([Document("a", "word", {"n": 1})])
    assert ids(index, "word", filters=Eq("n", 1)) == ["a"]
    index.add([Document("b", "word", {"n": 1})])
    assert ids(index, "word", filters=Eq("n", 1)) == ["a", "b"]


@given(
    corpus=st.lists(st.tuples(st.text("abcd ", max_size=12), st.integers(0, 3)), max_size=25),
    asked=st.text("abcde ", min_size=1, max_size=8).filter(str.strip),
    kept=st.integers(0, 3),
    depth=st.integers(1, 30),
)
def test_filters_and_cut_against_brute_force(corpus, asked, kept, depth):
    """At every depth the answer is the head of all matching documents, sorted by score and id."""
    documents = [
        Document(f"{n:02}", text, {"n": n % 4, "of": of}) for n, (text, of) in enumerate(corpus)
    ]
    index = BM25(documents, analyzer="unicode")
    everything = index.retrieve(Query(asked), depth=1000)
    words = set(asked.split())
    assert {hit.doc_id for hit in everything} == {
        one.doc_id for one in documents if words & set(one.text.split())
    }
    condition = Or(Eq("of", kept), Eq("n", kept))
    expected = sorted(
        (hit for hit in everything if condition.matches(hit.document.metadata)),
        key=lambda hit: (-hit.score, hit.doc_id),
    )
    assert index.retrieve(Query(asked, filters=condition), depth=depth) == expected[:depth]


@pytest.mark.parametrize("depth", [0, -1, 1.5, "3", None, True])
def test_depth_must_be_a_whole_number(planets, depth):
    """A depth that is not a whole number of 1 or more is refused."""
    with pytest.raises(InvalidArgument, match="depth="):
        planets.retrieve(Query("planet"), depth=depth)


@pytest.mark.parametrize("query", ["planet", None, 3])
def test_query_must_be_a_query(planets, query):
    """Anything but a Query is refused with the remedy."""
    with pytest.raises(InvalidArgument, match=r"query=.*Query"):
        planets.retrieve(query, depth=3)


@pytest.mark.parametrize(
    "documents", [(), [], [""], [("a", " \n")], ["\0"], ["\ud800"], ["of the"]]
)
def test_nothing_to_find(documents):
    """An index without documents or without words answers with nothing."""
    index = BM25(documents)
    index.warmup()
    assert index.retrieve(Query("anything"), depth=10) == []
    assert len(index) == len(documents)


def test_query_without_text_of_its_own(planets):
    """A query with only an embedding finds nothing in BM25."""
    assert planets.retrieve(Query("", embedding=(0.1, 0.2)), depth=3) == []


def test_odd_characters():
    """NUL and lone surrogates in documents and queries separate words and raise nothing."""
    index = BM25([("a", "alpha\0beta \ud800gamma"), ("\udfff", "delta")])
    assert ids(index, "beta\0\ud800") == ["a"]
    assert ids(index, "gamma") == ["a"]
    assert ids(index, "delta") == ["\udfff"]


def test_chinese_with_the_default_analyzer():
    """The default analyzer finds Chinese, by words and by one character, in mixed text."""
    index = BM25([("a", "黑猫在屋顶上"), ("b", "狗在花园里"), ("c", "The 猫 sat")])
    assert ids(index, "猫") == ["c", "a"]
    assert ids(index, "花园") == ["b"]


def test_megabyte_query():
    """A query of a megabyte is answered in full, not cut."""
    index = BM25([("a", "needle"), ("b", "straw")])
    text = "hay " * 250_000 + "needle"
    assert ids(index, text) == ["a"]
    words = BM25([(str(n), f"word{n}") for n in range(20_000)])
    asked = Query(" ".join(f"word{n}" for n in range(100_000)))
    assert len(asked.text) > 900_000
    assert len(words.retrieve(asked, depth=30_000)) == 20_000


def test_ten_megabyte_document():
    """A document of ten megabytes is indexed to its last word."""
    index = BM25([("long", "filler words " * 800_000 + "zebra"), ("short", "zebra")])
    assert len(index.get("long").text) > 10_000_000
    assert ids(index, "zebra") == ["short", "long"]


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ("one text", "documents="),
        (b"bytes", "documents="),
        ({"a": "text"}, "documents="),
        (None, "documents="),
        ([3], "must be a Document"),
        ([("a", "b", "c")], "must be a Document"),
        ([(1, "text")], "doc_id=1"),
        ([("", "text")], "doc_id=''"),
        ([("a", None)], "text=None"),
        ([["a", "text"]], "must be a Document"),
    ],
)
def test_what_is_no_document_is_refused(documents, message):
    """Anything that is not a list of documents is refused, and nothing is added."""
    index = BM25(["kept"])
    for refuse in (BM25, index.add, index.update):
        with pytest.raises(InvalidArgument, match=message):
            refuse(documents)
    assert len(index) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"engine": "lucene"},
        {"analyzer": "klingon"},
        {"method": "bm26"},
        {"method": "lucene", "engine": "rank-bm25"},
        {"k1": -0.1},
        {"k1": float("nan")},
        {"k1": float("inf")},
        {"k1": "1"},
        {"k1": True},
        {"k1": 0, "method": "bm25+"},
        {"b": 1.1},
        {"b": -0.1},
        {"delta": -1},
    ],
)
def test_wrong_options_are_refused(options):
    """Every option out of its range is refused by name."""
    with pytest.raises(InvalidArgument, match=f"{next(iter(options))}="):
        BM25(["text"], **options)


def test_repr_shows_the_configuration(planets):
    """The repr shows everything a score depends on."""
    expected = (
        "BM25(4 documents, engine='bm25s', analyzer='english', k1=1.2, b=0.75, method='lucene')"
    )
    assert repr(planets) == expected
    assert "delta=0.5" in repr(BM25(method="bm25+", analyzer=str.split))
    assert "str.split" in repr(BM25(method="bm25+", analyzer=str.split))


def test_same_id_twice():
    """One id with two texts is an error that names it; with one text it is one document."""
    with pytest.raises(DuplicateId, match="'a'"):
        BM25([("a", "one"), ("a", "two")])
    index = BM25([Document("a", "one", {"n": 1}), Document("a", "one", {"n": 2}), "x", "x"])
    assert len(index) == 2
    assert index.get("a").metadata == {"n": 1}


def test_expired_deadline_is_answered(planets):
    """BM25 ignores the deadline: an expired one gets the whole answer."""
    assert planets.retrieve(Query("red"), depth=1, deadline=Deadline(0.0))


def test_threads_agree_with_one():
    """64 threads that search one index get what one thread gets."""
    index = BM25([(str(n), f"alpha{n % 13} beta{n % 7} 猫{n % 3} running") for n in range(500)])
    asked = [
        Query(f"alpha{n % 13} beta{n % 5} 猫", filters=Not(Eq("n", n % 90))) for n in range(40)
    ]
    expected = [index.retrieve(one, depth=20) for one in asked]
    fresh = BM25(index.documents())
    results = [None] * 64

    def work(place):
        results[place] = [fresh.retrieve(one, depth=20) for one in asked]

    threads = [threading.Thread(target=work, args=(place,)) for place in range(64)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert all(one == expected for one in results)


def test_searches_see_whole_states():
    """While documents are added and deleted, every search sees one state of the index, unmixed."""
    index = BM25([("base", "word")])
    group = [(f"g{n}", "word word") for n in range(20)]
    states = {("base",), (*sorted(one for one, _ in group), "base")}
    seen, wrong = set(), set()
    done = threading.Event()

    def search():
        while not done.is_set():
            found = tuple(ids(index, "word", 50))
            (seen if found in states else wrong).add(found)

    threads = [threading.Thread(target=search) for _ in range(8)]
    for one in threads:
        one.start()
    least, most = time.monotonic() + 0.5, time.monotonic() + 60
    while time.monotonic() < least or (seen != states and time.monotonic() < most):
        index.add(group)
        assert len(ids(index, "word", 50)) == 21
        index.delete([one for one, _ in group])
        assert ids(index, "word", 50) == ["base"]
    done.set()
    for one in threads:
        one.join()
    assert not wrong
    assert seen


def test_importing_is_cheap():
    """Importing BM25 loads no third-party package but NumPy; the engine loads when it is used."""
    code = (
        "import sys\n"
        "from runoff.recall import BM25\n"
        "heavy = {'bm25s', 'Stemmer', 'rank_bm25', 'scipy', 'numba', 'jax', 'tqdm', 'chromadb'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "BM25()\n"
        "assert 'bm25s' not in sys.modules\n"
        "BM25(['text']).warmup()\n"
        "assert 'bm25s' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
