"""`judge` on many queries: pages and texts that are read again change nothing but the memory."""

import random
import tracemalloc
from collections import Counter
from dataclasses import replace

import pytest
from traffic import graded, keep, observation, stream

from runoff.errors import InvalidArgument
from runoff.live import Observations, judge
from runoff.live._judging import asking, store, work
from runoff.live._judging.latest import counts, latest, setup_of
from runoff.live._observation import Shadow
from runoff.live._store import Store
from runoff.rerank import Cap
from runoff.scores import ModelIdentity
from runoff.types import Degradation, Outcome


@pytest.fixture
def in_turn(monkeypatch):
    """Ask one question at a time, with the same draws in every directory."""
    monkeypatch.setattr(asking, "_WORKERS", 1)
    monkeypatch.setattr(store.secrets, "randbits", lambda _: 1)


def pages_of(monkeypatch, many):
    for module in (store, work):
        monkeypatch.setattr(module, "PAGE", many)


def repeated(many, questions, first=0):
    """Return answers to a few questions, each asked again and again."""
    chance, asked = random.Random(1), stream(questions, better=0.8)
    every = [replace(chance.choice(asked), time=float(at)) for at in range(first, first + many)]
    return [replace(one, id=f"{int(one.time):032x}") for one in every]


@pytest.mark.parametrize("measure", ["SDCG", "nDCG"])
def test_pages_change_no_question_and_no_statement(tmp_path, monkeypatch, in_turn, measure):
    """Small pages and one for all give the same questions in the same order, and statement."""

    def rounds(name, page):
        pages_of(monkeypatch, page)
        folder, asked, heard = keep(tmp_path / name, repeated(260, 90)), [], []

        def by(query, text):
            asked.append((query, text))
            if random.Random(f"{query} {text} {len(asked) // 40}").random() < 0.2:
                raise TimeoutError
            return graded(query, text)

        said = []
        for cap in (Cap(pairs=150), None, None):
            found = judge(
                folder,
                by,
                people=graded,
                labels=40,
                measure=measure,
                cap=cap,
                progress=lambda *told: heard.append(told),
            )
            said.append((found.to_dict(), found.statement, found.grades, found.queries))
        return asked, heard, said

    small, whole = rounds("small", 50), rounds("whole", 1000)
    assert small[0] == whole[0]
    assert small[1] == whole[1]
    assert str(small[2]) == str(whole[2])
    assert max(Counter(small[0]).values()) > 1  # failed, and asked again


@pytest.mark.slow("3 s: the memory that 600 long texts take")
def test_texts_are_not_held(tmp_path, monkeypatch):
    """Of texts that are kept with the observations, a page and a shard are in memory at most."""
    pages_of(monkeypatch, 50)
    folder, long, many = tmp_path / "obs", "x" * 20_000, 600
    for first in range(0, many, 50):
        seen = [
            observation(f"q{at}", [f"{at} a {long}", f"{at} b"], [f"{at} b", f"{at} a {long}"])
            for at in range(first, first + 50)
        ]
        keep(folder, [replace(one, time=float(first), doc_ids=("a", "b")) for one in seen])
    judge(folder, lambda _query, _text: 1, cap=Cap(pairs=1))  # what is imported late
    asked = []
    tracemalloc.start()
    try:
        found = judge(folder, lambda _, text: asked.append(len(text)) or 1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.statement.queries == many
    assert sum(asked) > many * len(long) * 0.99
    assert peak < sum(asked) / 2


def test_a_text_is_found_where_its_question_was_asked_again(tmp_path, monkeypatch):
    """Where an observation is gone, another of the same question has the text."""
    pages_of(monkeypatch, 50)
    seen = repeated(120, 5)
    folder = keep(keep(tmp_path / "obs", seen[:60]), seen[60:])
    judge(folder, graded, cap=Cap(pairs=4))
    min(folder.glob("obs-*.parquet")).unlink()
    found = judge(folder, graded)
    assert found.failed == 0
    assert found.for_judge == 0
    assert found.statement.queries == len(seen)


def test_without_any_text_left_a_document_has_no_grade(tmp_path):
    """What nobody can read any more is not waited for."""
    first, later = stream(30, better=0.8), stream(30, better=0.8, first=100)
    folder = keep(tmp_path / "obs", first)
    judge(folder, graded, cap=Cap(pairs=4))
    next(folder.glob("obs-*.parquet")).unlink()
    found = judge(keep(folder, later), graded)
    assert found.for_judge == 0
    assert found.failed > 0


@pytest.mark.parametrize("against", ["fused", "shadow"])
def test_the_latest_setup_is_that_of_the_objects(tmp_path, against):
    """Columns say the same of setups, degraded answers and `top_k` as observations do."""
    chance, seen = random.Random(2), []
    for one in stream(200, better=0.5):
        models = [ModelIdentity("m", chance.choice(("", "1"))) for _ in range(2)]
        complete, dropped = chance.random() < 0.9, chance.random() < 0.2
        ranks = (0,) * 10 if dropped else one.ranks
        shadow = Shadow("s", models[1], ranks, (0.5,) * 10, complete=chance.random() < 0.9)
        seen.append(
            replace(
                one,
                time=float(chance.randrange(100)),
                pipeline=chance.choice("ab"),
                top_k=chance.choice((3, 5)),
                model=models[0],
                ranks=(0,) * 10 if chance.random() < 0.2 else one.ranks,
                shadow=shadow if chance.random() < 0.8 else None,
                outcome=Outcome(() if complete else (Degradation("rerank", "", "timeout", ""),)),
            )
        )
    folder = keep(tmp_path / "obs", seen)
    since = 20.0
    every = list(Observations(folder, since=since))
    counted = [one for one in every if counts(one, against)]
    last = max(counted, key=lambda one: one.time)
    same = [one for one in every if setup_of(one, against) == setup_of(last, against)]
    others = sum(setup_of(one, against) != setup_of(last, against) for one in counted)
    found = latest(Store(folder), since, against)
    assert found.setup == setup_of(last, against)
    assert found.models[0] == last.model.name
    assert len(found.models) == (2 if against == "shadow" else 1)
    assert found.usual == Counter(one.top_k for one in same).most_common(1)[0][0]
    assert [int(one.split()[0]) for one in found.notes] == [len(every) - len(counted), others]


def test_a_wrong_order_is_refused(tmp_path):
    """`against` names what is compared; there are two such orders."""
    with pytest.raises(InvalidArgument, match="against"):
        judge(keep(tmp_path / "obs", stream(2, better=0.5)), graded, against="bm25")
