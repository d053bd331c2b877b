"""`judge`: what differs is graded blind, people correct the judge, nothing is paid for twice."""

import csv
import random
from dataclasses import replace
from types import SimpleNamespace

import pytest
from traffic import graded, keep, observation, stream

from runoff.errors import AuthenticationFailed, InvalidArgument, MalformedData
from runoff.evaluation import verdict
from runoff.live import Observations, judge
from runoff.live._observation import Shadow
from runoff.live._state import state
from runoff.rerank import Cap, Price
from runoff.scores import ModelIdentity
from runoff.types import Degradation, Outcome


@pytest.fixture(scope="module")
def helped():
    """Return answers whose second stage helps."""
    return stream(150, better=0.8)


def noisy(query, text):
    chance = random.Random(text)
    return graded(query, text) if chance.random() < 0.8 else chance.randrange(4)


def fill(path, grade=graded):
    """Grade every row of a table without a grade, as a person would."""
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    for row in rows[1:]:
        row[3] = row[3] or str(grade(row[1], row[4]))
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return rows


def test_help_is_found_and_nothing_is_asked_twice(tmp_path, helped):
    """A second call gives the same statement without a question."""
    folder, asked, heard = keep(tmp_path / "obs", helped), [], []

    def by(query, text):
        asked.append((query, text))
        return graded(query, text)

    found = judge(folder, by, progress=lambda *told: heard.append(told))
    assert heard == [(at, len(asked)) for at in range(1, len(asked) + 1)]
    assert found.statement.decision == "helps"
    assert "nobody checked" in str(found)
    assert "wait for people" not in str(found)
    assert len(asked) == len(set(asked)) == found.usage.pairs
    again = judge(folder, by)
    assert again.statement == found.statement
    assert len(asked) == found.usage.pairs
    assert state(folder).statement == found.statement


def test_harm_is_an_alarm(tmp_path):
    """A second stage that orders worse harms."""
    found = judge(keep(tmp_path / "obs", stream(150, better=-0.8)), graded)
    assert found.statement.decision == "harms"
    assert found.alarm


def test_the_same_order_makes_no_difference(tmp_path):
    """Answers that the second stage left as they were prove that there is no difference."""
    seen = [observation(f"q{at}", ["a", "b"], ["a", "b"], at=at) for at in range(300)]
    found = judge(keep(tmp_path / "obs", seen), graded)
    assert found.statement.decision == "no difference"
    assert found.statement.changed == 0


def test_only_what_differs_is_asked_and_no_rank_is_shown(tmp_path):
    """A document at the same rank in both lists, or below the cutoff in both, is not graded."""
    seen = observation("q", ["same", "b", "c", "d", "e"], ["same", "c", "b", "e", "d"], top_k=3)
    asked = []
    judge(keep(tmp_path / "obs", [seen]), lambda query, text: asked.append((query, text)) or 1)
    assert sorted(asked) == [("q", "b"), ("q", "c")]


def test_documents_are_asked_in_random_order(tmp_path, helped):
    """Neither in the order of time nor of ranks."""
    asked = []
    judge(keep(tmp_path / "obs", helped[:50]), lambda _, text: asked.append(text) or 1)
    places = [int(one.split()[1]) for one in asked]
    assert sorted(places) != places
    assert len({*places[:20]}) > 10


def test_people_correct_a_judge_by_a_table(tmp_path, helped):
    """The table is written, filled in, read, and extended by later answers."""
    folder, table = keep(tmp_path / "obs", helped), tmp_path / "labels.csv"
    first = judge(folder, noisy, people=table, labels=80)
    assert first.for_people
    assert f"{first.for_people} documents wait for people" in str(first)
    assert str(state(folder)) == str(first)
    rows = fill(table)
    assert len(rows) - 1 == first.for_people
    found = judge(folder, noisy, people=table, labels=80)
    assert found.for_people == 0
    assert found.statement.labels == found.quality.documents == first.for_people
    assert found.statement.of.startswith("people's grades")
    assert 0.5 < found.quality.kappa < 1
    assert found.alone is not None
    keep(folder, stream(150, better=0.8, seed=1, first=1000))
    later = judge(folder, noisy, people=table, labels=80)
    assert later.for_people
    assert fill(table)[: len(rows)] == rows
    assert judge(folder, noisy, people=table, labels=80).statement.queries == 300


def test_queries_wait_for_people(tmp_path, helped):
    """Those before the first document without a grade count, and are not changed by later ones."""
    folder, table = keep(tmp_path / "obs", helped), tmp_path / "labels.csv"
    judge(folder, noisy, people=table, labels=100)
    with table.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    rows[1][3], rows[2][3] = "?", "2"
    with table.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(rows)
    found = judge(folder, noisy, people=table, labels=100)
    waits = int(rows[3][1].split()[1])
    assert found.statement.queries == waits
    assert found.statement.labels == 1
    assert "wait for people" in str(found)


def test_people_alone_need_no_judge(tmp_path, helped):
    """Without a judge people's sample is all there is."""
    found = judge(keep(tmp_path / "obs", helped), people=graded, labels=100)
    assert found.statement.of == "people's grades"
    assert found.judge == ""
    assert found.quality is None


def test_a_biased_judge_is_corrected_and_its_bias_is_shown(tmp_path):
    """A judge that likes what was moved up sees a gain where there is none."""
    seen = stream(250, better=0.0)
    risen = {
        text
        for one in seen
        for text in one.texts
        if one.ranks[one.texts.index(text)] < one.texts.index(text) + 1
    }

    def partial(query, text):
        return 3 if text in risen else graded(query, text)

    found = judge(keep(tmp_path / "obs", seen), partial, people=graded, labels=150)
    assert found.alone.decision == "helps"
    assert found.statement.decision != "helps"
    low, high = found.statement.interval
    assert low < 0 < high
    assert found.quality.biases["origin"].proven


def test_a_cap_ends_the_questions_and_the_next_call_goes_on(tmp_path, helped):
    """What was graded before the cap counts, up to the first query that waits."""
    folder = keep(tmp_path / "obs", helped)
    price = Price(per_1k_pairs=1.0)
    found = judge(folder, graded, price=price, cap=Cap(pairs=600))
    assert 597 <= found.usage.pairs <= 600
    assert found.usage.cost == pytest.approx(found.usage.pairs / 1000)
    assert 0 < found.for_judge <= 100
    assert "cap" in str(found)
    rest = judge(folder, graded, price=price)
    assert rest.for_judge == 0
    assert rest.statement == judge(folder, graded).statement


def test_a_reply_without_a_grade_is_counted(tmp_path, helped):
    """It is not guessed: the judge's estimate allows for any grade of the document."""

    def by(query, text):
        return "I cannot say." if text.split()[2] == "1" else f"grade: {graded(query, text)}"

    found = judge(keep(tmp_path / "obs", helped), by)
    plain = judge(keep(tmp_path / "plain", helped), graded)
    assert found.failed > 30
    assert f"{found.failed} replies" in str(found)
    assert found.statement.interval[0] < plain.statement.interval[0]
    assert found.statement.interval[1] > plain.statement.interval[1]


def test_a_failed_call_is_repeated_once(tmp_path, helped):
    """Errors that may pass leave the query waiting; a second one counts as no grade."""
    folder, calls = keep(tmp_path / "obs", helped[:60]), []

    def by(query, text):
        calls.append(text)
        if text.split()[1] == "7":
            raise ConnectionError("reset")
        return graded(query, text)

    first = judge(folder, by)
    assert first.for_judge == 1
    assert first.statement.queries == 7
    second = judge(folder, by)
    assert second.for_judge == 0
    assert second.statement.queries == 60
    asked = len(calls)
    judge(folder, by)
    assert len(calls) == asked


def test_an_error_that_cannot_pass_is_raised(tmp_path, helped):
    """A wrong key is no reply without a grade."""

    def by(query, text):
        raise AuthenticationFailed("no key")

    with pytest.raises(AuthenticationFailed):
        judge(keep(tmp_path / "obs", helped), by)


def test_a_judge_that_never_answers_is_refused(tmp_path, helped):
    """Not every document is tried in vain."""
    calls = []

    def by(query, text):
        calls.append(text)
        raise TimeoutError("late")

    with pytest.raises(InvalidArgument, match="late"):
        judge(keep(tmp_path / "obs", helped), by)
    assert len(calls) < 20


def test_a_judge_of_the_rerankers_family_is_refused_or_marked(tmp_path):
    """It shares the reranker's mistakes."""
    folder = keep(tmp_path / "obs", stream(30, better=0.5, model="gpt-5-mini"))

    def by(query, text):
        return graded(query, text)

    by.model_name = "openai/gpt-4o"
    with pytest.raises(InvalidArgument, match="same family as the reranker 'gpt-5-mini'"):
        judge(folder, by)
    assert "own family (OpenAI)" in str(judge(folder, by, own_model="mark"))


def test_a_model_change_starts_anew(tmp_path):
    """Answers of an earlier model say nothing about this one."""
    folder = keep(tmp_path / "obs", stream(150, better=0.8))
    assert judge(folder, graded).statement.decision == "helps"
    keep(folder, stream(150, better=-0.8, first=500, model="another-reranker", seed=1))
    found = judge(folder, graded)
    assert found.statement.decision == "harms"
    assert found.statement.queries == 150
    assert "150 answers are left out" in str(found)


def test_a_shadow_is_compared_with_the_answer(tmp_path):
    """What it would have made of the same candidates, and a judge of its family is refused."""
    seen = []
    for one in stream(150, better=0.0):
        best = sorted(range(len(one)), key=lambda at, one=one: -graded("", one.doc_ids[at]))
        ranks = tuple(best.index(at) + 1 for at in range(len(one)))
        shadow = Shadow("good", ModelIdentity("gpt-5"), ranks, (0.0,) * len(one))
        seen.append(replace(one, shadow=shadow))
    folder = keep(tmp_path / "obs", seen)
    assert judge(folder, graded, against="shadow").statement.decision == "helps"
    assert judge(folder, graded).statement.decision != "helps"
    by = SimpleNamespace(invoke=lambda prompt: "1", ainvoke=None, model_name="gpt-4o")
    with pytest.raises(InvalidArgument, match="same family"):
        judge(folder, by, against="shadow")


def test_degraded_answers_are_left_out(tmp_path, helped):
    """They say nothing about a second stage that answers."""
    missing = Outcome(degraded=(Degradation("rerank", "x", "timeout"),))
    seen = [*helped[:20], *stream(5, better=1, first=900, outcome=missing)]
    found = judge(keep(tmp_path / "obs", seen), graded)
    assert found.statement.queries == 20
    assert "5 answers are left out: they are degraded" in str(found)


def test_a_harm_to_one_language_is_found(tmp_path):
    """A slice is tested by itself."""
    seen = stream(300, better=0.8, slices={"language": "en"})
    seen += stream(300, better=-0.8, first=1000, seed=2, slices={"language": "de"})
    found = judge(keep(tmp_path / "obs", seen), graded).statement
    assert found.slices["language=de"].decision == "harms"
    assert found.slices["language=en"].decision == "helps"
    assert found.alarm


def test_texts_may_come_from_elsewhere(tmp_path):
    """Questions are asked for by hash, documents by id; what has no text is left out."""
    seen = stream(40, better=0.8, texts=False)
    known = {one.query_hash: f"question {at}" for at, one in enumerate(seen)}
    folder = keep(tmp_path / "obs", seen)
    known |= {doc_id: doc_id for one in seen[:30] for doc_id in one.doc_ids}
    found = judge(folder, graded, texts=known.get)
    assert found.statement.queries == 30
    assert "10 queries are left out" in str(found)


def test_grades_flow_into_a_collection(tmp_path, helped):
    """A verdict on other orders of the same queries uses them."""
    found = judge(keep(tmp_path / "obs", helped), graded)
    collection = found.collection()
    assert len(collection) == len({one.query for one in helped})
    runs = [
        {one.query_hash: [one.doc_ids[at] for at in getattr(one, order)[:5]] for one in helped}
        for order in ("fused", "reranked")
    ]
    from runoff.evaluation import evaluate

    before, after = (evaluate(run, collection, ["nDCG@5"]) for run in runs)
    assert verdict(before, after, rounds=200).main.difference > 0


def test_forgotten_queries_leave_the_estimate(tmp_path, helped):
    """A document is no longer named, and its grade stays where it was."""
    folder = keep(tmp_path / "obs", helped)
    before, seen = judge(folder, graded), Observations(folder)
    doc_id = next(iter(before.grades[helped[0].query_hash]))
    seen.forget(doc_id=doc_id)
    assert state(folder).statement == before.statement
    assert doc_id.encode() not in (folder / "judged" / "grades.sqlite").read_bytes()
    seen.forget(query=helped[1].query)
    assert state(folder).statement.queries == len(helped) - 1


def test_a_document_forgotten_before_it_was_graded_is_not_asked_about(tmp_path, helped):
    """A query whose answers differ in it is left out, and the report says so."""
    folder = keep(tmp_path / "obs", helped)
    asked = []

    def by(query, text):
        asked.append(text)
        return graded(query, text)

    gone = helped[0].doc_ids[helped[0].reranked[0]]
    Observations(folder).forget(doc_id=gone)
    found = judge(folder, by)
    assert asked
    assert "" not in asked
    assert found.statement.queries == len(helped) - 1
    assert "1 query is left out" in str(found)


def test_a_table_with_other_columns_is_refused(tmp_path, helped):
    """Nothing is added to a file that is not ours."""
    table = tmp_path / "labels.csv"
    table.write_text("query_id;doc_id;grade\nq;d;1\n")
    with pytest.raises(InvalidArgument, match="name a new file"):
        judge(keep(tmp_path / "obs", helped[:30]), graded, people=table)
    assert table.read_text() == "query_id;doc_id;grade\nq;d;1\n"


def test_a_wrong_grade_of_people_names_its_line(tmp_path, helped):
    """Grades are 0 to 3, or that they cannot say."""
    folder, table = keep(tmp_path / "obs", helped[:60]), tmp_path / "labels.csv"
    judge(folder, graded, people=table)
    fill(table, lambda query, text: 7)
    with pytest.raises(MalformedData, match="line 2"):
        judge(folder, graded, people=table)


def test_a_text_is_no_formula_of_a_spreadsheet(tmp_path):
    """A document may begin with an equals sign."""
    seen = [
        observation(f"=q{at}", ["=1+1", "+2"], ["+2", "=1+1"], at=at, top_k=2) for at in range(4)
    ]
    table = tmp_path / "labels.csv"
    judge(keep(tmp_path / "obs", seen), lambda query, text: 1, people=table)
    with table.open(newline="") as stream:
        cells = [
            cell for row in list(csv.DictReader(stream)) for cell in (row["query"], row["text"])
        ]
    assert cells
    assert all(cell.startswith(" ") for cell in cells)


@pytest.mark.parametrize(
    ("argument", "value"),
    [("labels", 0), ("bound", 0), ("level", 1), ("cutoff", 0), ("own_model", "ask"),
     ("against", "before"), ("people", 3), ("by", "gpt"), ("prompt", "missing.txt")],
)  # fmt: skip
def test_wrong_arguments_are_refused(tmp_path, helped, argument, value):
    """Each names itself."""
    model = SimpleNamespace(invoke=lambda prompt: "grade: 1", ainvoke=None, model_name="m")
    given = {"by": model if argument == "prompt" else graded} | {argument: value}
    with pytest.raises(InvalidArgument, match=f"^{argument}"):
        judge(keep(tmp_path / "obs", helped[:5]), given.pop("by"), **given)


def test_a_damaged_file_of_grades_is_named(tmp_path, helped):
    """And nothing is overwritten."""
    folder = keep(tmp_path / "obs", helped[:5])
    judge(folder, graded)
    file = folder / "judged" / "grades.sqlite"
    file.write_bytes(b"something else" * 400)
    with pytest.raises(InvalidArgument, match="is damaged"):
        state(folder)
    assert file.read_bytes() == b"something else" * 400


def test_nothing_graded_is_said(tmp_path, helped):
    """There is no state before `judge`."""
    assert state(keep(tmp_path / "obs", helped[:5])) is None


def test_a_difference_that_changed_over_time_is_not_called_none(tmp_path):
    """Helping first and harming later leaves no mean that fits, and no count of more labels."""
    traffic = stream(150, better=3.0) + stream(150, better=-3.0, first=150)
    found = judge(keep(tmp_path / "obs", traffic), graded, people=graded, labels=300).statement
    low, high = found.interval
    assert high < 0 < low
    assert found.decision == "undecided"
    assert found.more is None
    assert "it changed over time" in found.sentence
