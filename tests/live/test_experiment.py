"""`Experiment`: users compare two systems, and no answer fails for it."""

import json
import os
import random
import time
from dataclasses import replace

import pytest
from compared import GOOD, system

from runoff.errors import ConnectionFailed, InvalidArgument
from runoff.filters import Eq
from runoff.live import Experiment
from runoff.live._feedback import Events
from runoff.live._interleaving import credit, team_draft
from runoff.live._outcomes import Rules, kept

DAY = 86_400.0
LATER = time.time() + 3 * DAY


@pytest.fixture
def experiment(tmp_path):
    return Experiment(system(GOOD[::-1]), system(GOOD), tmp_path / "experiment", wait=60)


def use(experiment, many, chance, likes=GOOD[:3]):
    """Ask and click as a user does who likes some documents and looks at the top most."""
    for at in range(many):
        answer = experiment.search(f"question {at}", user=f"user {at}")
        for rank, one in enumerate(answer, 1):
            if chance.random() < 1 / rank and chance.random() < (
                0.6 if one.doc_id in likes else 0.1
            ):
                experiment.feedback(answer.response_id, one.doc_id, "click")


def coins(seed=0):
    chance = random.Random(seed)
    return lambda: chance.random() < 0.5


def test_the_draft_has_each_document_once_and_alternates():
    """After each round both systems have as many of their own."""
    for seed in range(50):
        drafted = team_draft(list("abcdef"), list("fgbhia"), 8, coins(seed))
        ids = [one for one, _ in drafted]
        assert len(ids) == len(set(ids)) == 8
        owned = [team for _, team in drafted if team]
        assert abs(owned.count("a") - owned.count("b")) <= 1


def test_what_both_would_pick_belongs_to_neither():
    """A common start is shown as it is, and its clicks count for none."""
    drafted = team_draft(list("abcd"), list("abdc"), 4, coins())
    assert drafted[:2] == [("a", ""), ("b", "")]
    assert sorted(team for _, team in drafted[2:]) == ["a", "b"]
    assert {team for _, team in team_draft(list("abcd"), list("abcd"), 4, coins())} == {""}
    assert team_draft(list("ab"), list("ab"), 2, coins(), plain=True)[0][1]


def test_a_short_list_lets_the_other_fill_up():
    """Nothing is lost where one system found less."""
    drafted = team_draft(["a"], list("bcdef"), 5, coins())
    assert len(drafted) == 5


def test_blind_clicks_favour_neither():
    """A user who clicks by position alone prefers none, whatever the lists are."""
    chance, coin, wins = random.Random(1), coins(1), 0
    for _ in range(4000):
        drafted = team_draft(list("abcdefgh"), list("hbacgdxy"), 5, coin)
        liked = {
            doc_id: 1 for rank, (doc_id, _) in enumerate(drafted, 1) if chance.random() < 0.8 / rank
        }
        wins += credit(drafted, liked)
    assert abs(wins) < 4 * 4000**0.5


def test_a_short_list_loses_nothing_to_blind_clicks():
    """What follows the end of one list belongs to neither, or whoever returns more would win."""
    chance, coin, wins = random.Random(1), coins(1), 0
    for _ in range(1000):
        drafted = team_draft(list("ab"), list("bcdefghij"), 8, coin)
        liked = {doc_id: 1 for doc_id, _ in drafted if chance.random() < 0.3}
        wins += credit(drafted, liked)
    assert abs(wins) < 4 * 1000**0.5
    assert {team for _, team in team_draft([], list("abc"), 3, coin)} == {""}


def test_the_better_system_wins(experiment):
    """Users who like what it has on top prefer it, and the statement says so."""
    use(experiment, 150, random.Random(0))
    found = experiment.result(now=LATER)
    assert found.decision == "helps"
    assert found.queries == 150
    assert found.unit == "answers"


def test_the_same_system_twice_is_no_difference(tmp_path):
    """Every result belongs to both."""
    experiment = Experiment(system(GOOD), system(GOOD), tmp_path / "e", wait=60)
    use(experiment, 150, random.Random(0))
    found = experiment.result(now=LATER)
    assert found.difference == 0
    assert found.changed == 0


def test_a_split_finds_the_better_system(tmp_path):
    """A hash of the user decides who answers, always the same."""
    likes = GOOD[:1]
    experiment = Experiment(system(GOOD[5:]), system(GOOD[:5]), tmp_path / "e", "split", wait=60)
    arms = {tuple(one.doc_id for one in experiment.search("q", user="u")) for _ in range(5)}
    assert len(arms) == 1
    use(experiment, 250, random.Random(0), likes)
    found = experiment.result(now=LATER)
    assert found.decision == "helps"
    assert found.unit == "users"
    # the user u has a value, too
    assert found.queries == 251


def test_users_in_their_first_day_are_said_to_wait(tmp_path):
    """Until it is over nobody counts, and the statement says why."""
    experiment = Experiment(system(GOOD[5:]), system(GOOD[:5]), tmp_path / "e", "split", wait=60)
    use(experiment, 10, random.Random(0))
    assert "10 users will count one day after their first answer" in str(
        experiment.result(now=time.time() + 3600)
    )
    found = experiment.result(now=LATER)
    assert found.queries == 10
    assert "one day after" not in str(found)
    assert f"{found.changed:.0%} of them with a result that was liked" in found.sentence


def test_answers_wait_for_feedback(experiment):
    """What users may still do something with does not count yet."""
    use(experiment, 10, random.Random(0))
    found = experiment.result()
    assert found.queries == 0
    assert "10 answers are too recent" in str(found)


def test_before_any_answer_counts_nothing_is_claimed(experiment):
    """Without an answer to count there is no figure, in words and in JSON."""
    found = experiment.result()
    assert found.sentence == "Undecided: there are no answers to count yet."
    plain = json.dumps(found.to_dict(), allow_nan=False)
    assert json.loads(plain)["difference"] is None


def test_late_feedback_does_not_count(experiment):
    """It would change what was stated before."""
    answer = experiment.search("q", user="u")
    path = next(experiment._events.path.glob("events-*.jsonl"))
    late = {"event": "feedback", "response": answer.response_id, "doc_id": answer.results[0].doc_id,
            "kind": "click", "time": time.time() + 61}  # fmt: skip
    with path.open("a") as stream:
        stream.write(json.dumps(late) + "\n")
    found = experiment.result(now=LATER)
    assert found.labels == 0
    assert "1 time feedback came more than 60 s later" in str(found)


def test_repeats_and_bots_are_left_out(experiment):
    """One question of one user counts once an hour, and a user has a limit a day."""
    for _ in range(3):
        experiment.search("the same", user="u")
    for at in range(9):
        experiment.search(f"q{at}", user="robot")
    shown, notes = kept(experiment._events.read(60), Rules(60, 3600, 5), LATER)
    assert len(shown) == 1 + 5
    assert len(notes) == 2


def test_known_bots_are_answered_and_not_counted(tmp_path):
    """By the first system."""
    experiment = Experiment(
        system(GOOD[::-1]), system(GOOD), tmp_path / "e", bot=lambda user: "bot" in user
    )
    answer = experiment.search("q", user="googlebot")
    assert answer.response_id == ""
    assert [one.doc_id for one in answer] == GOOD[::-1]


def test_thumbs_down_count_against(experiment):
    """And outweigh a click on the same result."""
    answer = experiment.search("q", user="u")
    (first, team) = experiment._events.read(60).shown[0].teams[0]
    experiment.feedback(answer.response_id, first, "click")
    experiment.feedback(answer.response_id, first, "down")
    found = experiment.result(now=LATER)
    assert found.difference == (1 if team == "a" else -1)


def test_feedback_on_what_was_not_shown_is_counted_as_strange(experiment):
    """It changes nothing."""
    answer = experiment.search("q", user="u", top_k=3)
    experiment.feedback(answer.response_id, "elsewhere", "click")
    experiment.feedback("unknown", "d1", "click")
    found = experiment.result(now=LATER)
    assert found.labels == 0
    assert "2 times feedback named" in str(found)


def test_one_systems_failure_costs_no_answer(tmp_path):
    """The other's results are returned, and do not count."""
    failing = system(GOOD, ConnectionFailed("refused"))
    for a, b in ((failing, system(GOOD)), (system(GOOD), failing)):
        experiment = Experiment(a, b, tmp_path / "e")
        answer = experiment.search("q", user="u")
        assert [one.doc_id for one in answer] == GOOD
        assert answer.response_id == ""


def test_a_disk_that_cannot_be_written_costs_no_answer(experiment, monkeypatch):
    """The answer is not counted."""

    def full(self, event):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Events, "add", full)
    answer = experiment.search("q", user="u")
    assert len(answer) == 10
    assert answer.response_id == ""


def test_a_line_cut_by_a_full_disk_spoils_none_after_it(experiment, monkeypatch):
    """Once there is room again, the next answer counts."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, line: write(file, line[:40]))
    assert experiment.search("q", user="u").response_id == ""
    monkeypatch.undo()
    assert experiment.search("another", user="u").response_id
    assert experiment.result(now=LATER).queries == 1


def test_a_torn_line_is_left_out(experiment):
    """As a killed process leaves it."""
    experiment.search("q", user="u")
    (path,) = experiment._events.path.glob("events-*.jsonl")
    with path.open("ab") as stream:
        stream.write(b'{"event":"shown","id":"x","ti')
    found = experiment.result(now=LATER)
    assert found.queries == 1
    assert "1 line cannot be read" in str(found)


def test_users_and_questions_are_kept_as_hashes(experiment):
    """Neither name nor text is on disk, and hashes differ between experiments."""
    experiment.search("my secret question", user="alice@example.com")
    held = b"".join(path.read_bytes() for path in experiment._events.path.iterdir())
    assert b"secret" not in held
    assert b"alice" not in held


def test_a_directory_of_another_design_is_refused(experiment):
    """Answers of both would be mixed."""
    with pytest.raises(InvalidArgument, match="another experiment"):
        Experiment(system(GOOD), system(GOOD), experiment.path, "split")
    again = Experiment(system(GOOD), system(GOOD), experiment.path)
    assert again._events.hashed("x") == experiment._events.hashed("x")


def test_a_dry_run_says_what_it_takes(experiment, tmp_path):
    """Larger effects need less, interleaving less than a split, and nothing is kept."""
    queries = [f"q{at}" for at in range(20)]
    large = experiment.dry_run(queries, effect=0.4, clicked=0.5)
    small = experiment.dry_run(queries, effect=0.2, clicked=0.5)
    assert large.changed == 1
    assert large.answers < small.answers <= small.likely
    assert not list(experiment._events.path.glob("events-*.jsonl"))
    split = Experiment(system(GOOD[::-1]), system(GOOD), tmp_path / "s", "split")
    assert "users decide" in str(split.dry_run(queries, effect=0.4, clicked=0.5))


@pytest.mark.parametrize(
    ("argument", "value"),
    [("design", "ab"), ("bound", 0), ("level", 2), ("wait", -1), ("daily", "many"), ("bot", "x")],
)
def test_wrong_arguments_are_refused(tmp_path, argument, value):
    """Each names itself."""
    with pytest.raises(InvalidArgument, match=f"^{argument}"):
        Experiment(system(GOOD), system(GOOD), tmp_path / "e", **{argument: value})
    with pytest.raises(InvalidArgument, match=r"^b=5: must be one of: a TwoStage"):
        Experiment(system(GOOD), 5, tmp_path / "e")


def test_wrong_feedback_is_refused(experiment):
    """Kinds are few."""
    with pytest.raises(InvalidArgument, match=r"^kind"):
        experiment.feedback("x", "d", "like")
    with pytest.raises(InvalidArgument, match="must be a string"):
        experiment.feedback("x", 3, "click")


def test_a_split_needs_a_user(tmp_path):
    """Without a name nobody stays with a system."""
    experiment = Experiment(system(GOOD), system(GOOD), tmp_path / "e", "split")
    with pytest.raises(InvalidArgument, match=r"^user"):
        experiment.search("q")


def test_systems_with_other_filters_are_not_compared(tmp_path):
    """Users whose answers have a boundary would see the other system's documents."""
    mine = replace(system(GOOD), filters=Eq("tenant", "a"))
    for a, b in ((mine, system(GOOD)), (system(GOOD), mine)):
        with pytest.raises(InvalidArgument, match="filters of b"):
            Experiment(a, b, tmp_path / "refused")
    assert not (tmp_path / "refused").exists()
    Experiment(mine, replace(mine, window=5), tmp_path / "alike")
