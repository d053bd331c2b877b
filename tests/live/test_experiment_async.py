"""`Experiment` from asynchronous code: the rules of `search`, cancelled calls, full pools."""

import asyncio
import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from compared import GOOD, system

from runoff import Document, TwoStage
from runoff._waiting import workers
from runoff.errors import ConnectionFailed, InvalidArgument, PoolFull
from runoff.live import Experiment
from runoff.types import Hit

LATER = time.time() + 86_400.0


class Slow:
    """A source that answers asynchronously, after some turns of the event loop."""

    def __init__(self, ids, chance):
        self._hits = [Hit(Document(one, f"text {one}"), -float(at)) for at, one in enumerate(ids)]
        self._chance = chance
        self.running = 0

    def retrieve(self, query, *, depth, deadline=None):
        raise AssertionError

    async def aretrieve(self, query, *, depth, deadline=None):
        self.running += 1
        try:
            for _ in range(self._chance.randrange(8)):
                await asyncio.sleep(0)
            return self._hits
        finally:
            self.running -= 1


def slow(chance):
    sources = [Slow(GOOD[::-1], chance), Slow(GOOD, chance)]
    return sources, [TwoStage({"slow": one}, reranker=None) for one in sources]


async def test_it_answers_and_counts_as_search_does(tmp_path):
    """An interleaved list with an id; feedback counts."""
    experiment = Experiment(system(GOOD[::-1]), system(GOOD), tmp_path / "e", wait=60)
    answer = await experiment.asearch("tea", user="u", top_k=6)
    assert len(answer) == 6
    assert {one.doc_id for one in answer} <= set(GOOD)
    liked = next(one.doc_id for one in answer if one.doc_id == "d0")
    await experiment.afeedback(answer.response_id, liked, "click")
    found = experiment.result(now=LATER)
    assert (found.queries, found.difference > 0) == (1, True)


async def test_a_split_asks_the_users_own_system(tmp_path):
    """The same one as `search` does."""
    experiment = Experiment(system(["a"]), system(["b"]), tmp_path / "e", design="split")
    for at in range(8):
        found = [one.doc_id for one in await experiment.asearch("tea", user=f"u{at}")]
        assert found == [one.doc_id for one in experiment.search("tea", user=f"u{at}")]
    with pytest.raises(InvalidArgument, match="required by design"):
        await experiment.asearch("tea")


async def test_one_systems_failure_costs_no_answer(tmp_path, caplog):
    """The other answers, and it does not count; if both fail, the first one's error is raised."""
    failing = [system(GOOD, ConnectionFailed(f"{name} is down")) for name in "ab"]
    experiment = Experiment(system(GOOD), failing[1], tmp_path / "e")
    answer = await experiment.asearch("tea")
    assert (answer.response_id, len(answer)) == ("", 10)
    assert "system b failed" in caplog.text
    with pytest.raises(Exception, match="a is down"):
        await Experiment(*failing, tmp_path / "f").asearch("tea")


async def test_bots_are_answered_and_not_counted(tmp_path, caplog):
    """Also where `bot=` fails: nothing counts by mistake."""
    for name, bot in (("e", lambda user: user == "crawler"), ("f", lambda user: 1 / 0)):
        experiment = Experiment(system(["a"]), system(["b"]), tmp_path / name, bot=bot)
        answer = await experiment.asearch("tea", user="crawler")
        assert (answer.response_id, [one.doc_id for one in answer]) == ("", ["a"])
    assert "bot= failed" in caplog.text


async def test_a_full_pool_and_a_full_disk_cost_no_answer(tmp_path, monkeypatch, caplog):
    """The answer comes uncounted; feedback is kept where no thread is free."""

    def full(*_):
        raise PoolFull("no thread is free")

    _, both = slow(random.Random(0))
    experiment = Experiment(*both, tmp_path / "e")
    counted = await experiment.asearch("tea")
    with monkeypatch.context() as patch:
        patch.setattr(workers, "submit", full)
        patch.setattr(workers, "run_async", full)
        assert (await experiment.asearch("tea")).response_id == ""
        await experiment.afeedback(counted.response_id, counted.results[0].doc_id, "up")
    assert len(experiment._events.read(60).liked) == 1
    monkeypatch.setattr("os.write", lambda file, line: 1)
    assert (await experiment.asearch("tea")).response_id == ""
    with pytest.raises(OSError, match="disk is full"):
        await experiment.afeedback(counted.response_id, "d0", "up")
    assert "feedback is lost" in caplog.text


def test_a_full_pool_costs_search_no_answer(tmp_path, monkeypatch):
    """The first system answers alone."""

    def full(_):
        raise PoolFull("no thread is free")

    experiment = Experiment(system(["a"]), system(["b"]), tmp_path / "e")
    monkeypatch.setattr(workers, "submit", full)
    assert [one.doc_id for one in experiment.search("tea")] == ["a"]


def test_cancelled_calls_lose_and_double_nothing(tmp_path):
    """Three loops at once ask and cancel at random: each answer was noted, each click is kept."""
    experiment = Experiment(*slow(random.Random(0))[1], tmp_path / "e", wait=60)

    async def user(chance, sources):
        answered, clicked = [], 0

        async def visit(name):
            nonlocal clicked
            answer = await experiment.asearch(f"question {name}", user=name)
            answered.append(answer.response_id)
            click = asyncio.create_task(
                experiment.afeedback(answer.response_id, answer.results[0].doc_id, "click")
            )
            await asyncio.sleep(0)
            clicked += 1
            click.cancel()  # the user has left
            await asyncio.gather(click, return_exceptions=True)

        visits = [asyncio.create_task(visit(f"{id(chance)} {at}")) for at in range(60)]
        for one in chance.sample(visits, 30):
            for _ in range(chance.randrange(6)):
                await asyncio.sleep(0)
            one.cancel()
        ended = await asyncio.gather(*visits, return_exceptions=True)
        wrong = [one for one in ended if isinstance(one, Exception)]
        assert wrong == []
        assert any(isinstance(one, asyncio.CancelledError) for one in ended)
        assert [one.running for one in sources] == [0, 0]
        return answered, clicked

    def loop(seed):
        chance = random.Random(seed)
        return asyncio.run(user(chance, slow(chance)[0]))

    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(loop, range(3)))
    answered = [one for ids, _ in found for one in ids]
    assert len(set(answered)) == len(answered) >= 3 * 25
    clicked, until = sum(many for _, many in found), time.monotonic() + 10
    while len(experiment._events.read(60).liked) < clicked and time.monotonic() < until:
        time.sleep(0.01)  # a click whose user has left is still being written
    read = experiment._events.read(60)
    assert set(answered) <= {one.id for one in read.shown}
    assert len(read.shown) <= 180
    assert (read.unreadable, read.strange, read.late) == (0, 0, 0)
    assert len(read.liked) >= clicked
    assert not any(pool._left for pool in workers._pools)
