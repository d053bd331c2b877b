"""A reranker that reads candidates together is found by asking it, and replayed exactly or not."""

from dataclasses import dataclass, field

import pytest
from recorded import Hashed, digest, pipeline, questions

from runoff.errors import ConnectionFailed, InvalidArgument
from runoff.evaluation import Recording, record, replay
from runoff.fusion import RRF
from runoff.rerank import Cascade, Fallback, Pointwise
from runoff.types import Dropped, Ranked, Reranking

QUESTIONS = questions()


def _value(query, candidate):
    return digest(query.text, candidate.document.text) % 1000 / 1000


def _falling(pairs):
    ordered = sorted(pairs, key=lambda pair: -pair[1])
    return Reranking(tuple(Ranked(one, score) for one, score in ordered))


def alone(query, candidates):
    """Score each text by itself."""
    return _falling([(one, _value(query, one)) for one in candidates])


def normalised(query, candidates):
    """Scale the scores to 0 and 1: the order is that of `alone`."""
    values = [_value(query, one) for one in candidates]
    low, high = min(values), max(values)
    return _falling([(one, (_value(query, one) - low) / (high - low)) for one in candidates])


def diverse(query, candidates):
    """Take the best next one that is least like the last one taken."""
    left, taken = list(candidates), []
    while left:
        last = taken[-1].document.text if taken else ""
        one = max(left, key=lambda one: (len({*last} ^ {*one.document.text}), _value(query, one)))
        taken.append(one)
        left.remove(one)
    return Reranking(tuple(Ranked(one, 1 / rank) for rank, one in enumerate(taken, 1)))


def best_three(query, candidates):
    """Keep three, whatever they are."""
    ordered = alone(query, candidates).ordered
    left = tuple(Dropped(one.candidate, "not among the best") for one in ordered[3:])
    return Reranking(ordered[:3], dropped=left)


def mixed(query, candidates):
    """Mix the scores with the fusion scores, which depend on the settings."""
    return _falling([(one, _value(query, one) + 5 * one.fusion_score) for one in candidates])


def placed(query, candidates):
    """Put the best three first and leave the others in the order in which they came."""
    best = [one.candidate for one in alone(query, candidates).ordered[:3]]
    order = [*best, *(one for one in candidates if one not in best)]
    return Reranking(tuple(Ranked(one, 1 / rank) for rank, one in enumerate(order, 1)))


def ranked(query, candidates):
    """Give the order of `alone` without its scores."""
    ordered = alone(query, candidates).ordered
    return Reranking(tuple(Ranked(one.candidate, 1 / at) for at, one in enumerate(ordered, 1)))


@dataclass
class Users:
    """A reranker of a user's that counts its calls."""

    how: object
    broken: int = 0  # calls that fail, from the first on
    calls: list = field(default_factory=list)

    @property
    def name(self):
        return self.how.__name__

    def rerank(self, query, candidates, *, deadline=None):
        self.calls.append(len(candidates))
        if len(self.calls) <= self.broken:
            raise ConnectionFailed("out of order")
        return self.how(query, candidates)


TOGETHER = [normalised, diverse, best_three, mixed, placed]


def recorded(reranker, path=None, depth=30, window=20):
    return record(pipeline(reranker), QUESTIONS, depth, window=window, path=path, progress=False)


def same(runs, live):
    for query_id, text in QUESTIONS.queries.items():
        assert list(runs[query_id]) == [one.doc_id for one in live.search(text)]


@pytest.mark.parametrize("window", [20, 7])
def test_an_order_alone_is_replayed_with_its_scores(window, tmp_path):
    """They are 1 / rank among what a window reads, whatever else was recorded."""
    recorded(Users(ranked), tmp_path / "recording", depth=60, window=60)
    runs = replay(Recording.open(tmp_path / "recording"), window=window)
    live = pipeline(Users(ranked), window=window)
    same(runs, live)
    for query_id, text in QUESTIONS.queries.items():
        scores = [float(one.rerank_score or "nan") for one in live.search(text)]
        assert runs[query_id].rerank_score.tolist() == pytest.approx(scores, nan_ok=True)


@pytest.mark.parametrize("how", TOGETHER)
def test_one_that_reads_candidates_together(how, tmp_path):
    """It is recorded at the system's own depth and window, and replayed id for id there only."""
    with pytest.raises(
        InvalidArgument, match=f"depth=40: must be 30, and window=20.*{how.__name__}"
    ):
        recorded(Users(how), depth=40)
    with pytest.raises(InvalidArgument, match="window=25: must be 20"):
        recorded(Users(how), window=25)
    made = recorded(Users(how), tmp_path / "recording")
    for one in (made, Recording.open(tmp_path / "recording")):
        same(replay(one), pipeline(Users(how)))
        for settings in ({"window": 7}, {"depth": 9}, {"fusion": RRF(rank_constant=0)}):
            with pytest.raises(InvalidArgument, match="orders several candidates at once"):
                replay(one, **settings)
    with pytest.raises(InvalidArgument, match="record the system with it"):
        replay(record(pipeline(), QUESTIONS, 30, texts=True, progress=False), reranker=Users(how))


def test_one_that_reads_each_alone():
    """It is asked twice for three queries more, and replayed in every window."""
    reranker = Users(alone)
    made = recorded(reranker, depth=40, window=80)
    assert len(reranker.calls) == len(made) + 6
    for window in (3, 20):
        same(replay(made, window=window), pipeline(Users(alone), window=window))
    plain = record(pipeline(), QUESTIONS, 30, texts=True, progress=False)
    same(replay(plain, reranker=Users(alone)), pipeline(Users(alone)))


@pytest.mark.parametrize(
    "wrapped", [lambda one: Fallback([one]), lambda one: Cascade([(Hashed(), 5), one])]
)
def test_one_inside_another(wrapped):
    """A fallback or a cascade with one in it reads candidates together as a whole."""
    with pytest.raises(InvalidArgument, match="must be 30"):
        recorded(wrapped(Users(diverse)), depth=40)
    same(replay(recorded(wrapped(Users(diverse)))), pipeline(wrapped(Users(diverse))))


@pytest.mark.parametrize(
    "reranker",
    [Fallback([Pointwise(Hashed(), blend=0.5)]), Fallback([Cascade([(Hashed(), 12), Hashed(3)])])],
    ids=["blended", "cascade"],
)
def test_ours_that_are_known_to(reranker):
    """Blended scores, and what a cascade reads, depend on the other candidates."""
    with pytest.raises(InvalidArgument, match="must be 30"):
        recorded(reranker, depth=40)
    same(replay(recorded(reranker)), pipeline(reranker))


def test_a_few_candidates_are_enough():
    """A system that reads two is asked about more."""
    with pytest.raises(InvalidArgument, match="depth=40: must be 1, and window=2"):
        record(pipeline(Users(normalised), depth=1, window=2), QUESTIONS, 40, progress=False)


def test_a_probe_that_fails_changes_nothing():
    """The recording goes on as if the reranker had not been asked."""
    reranker = Users(alone, broken=3)
    made = recorded(reranker, depth=40)
    assert not made.setup.steps[0].listwise
    assert not made.degraded


def test_an_interrupted_recording_resumes(tmp_path):
    """What a reranker was found to be stands; of a complete recording nobody is asked."""
    path = tmp_path / "recording"

    def stop(done, every):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record(
            pipeline(Users(diverse)), QUESTIONS, 30, window=20, path=path, workers=1, progress=stop
        )
    assert Recording.open(path).setup.steps[0].listwise
    resumed = Users(diverse)
    made = recorded(resumed, path)
    assert len(resumed.calls) == len(made) - 2 == len(QUESTIONS.queries) - 2
    same(replay(made), pipeline(Users(diverse)))
    again = Users(diverse)
    recorded(again, path)
    other = Users(alone)
    recorded(other, tmp_path / "other")
    counted = len(other.calls)
    recorded(other, tmp_path / "other")
    assert not again.calls
    assert len(other.calls) == counted


@pytest.mark.parametrize("options", [{}, {"group": "parent"}], ids=["plain", "grouped"])
def test_what_the_system_reads_is_scored_beside_a_window(options, tmp_path):
    """Its own candidates need not be the first of a deeper search, or of one without groups."""
    system = pipeline(depth=10, window=12, **options)
    made = record(system, QUESTIONS, 30, window=12, path=tmp_path / "made", progress=False)
    for one in (made, Recording.open(tmp_path / "made")):
        same(replay(one), system)
        assert not one.degraded
        for query in one:
            scored = int((query.fate == 0).sum())
            assert query.outcome.scored == query.outcome.total == scored < len(query)
            assert query.stages[-1].entered == query.stages[-1].usage.pairs == scored
            assert not any(query.why)
        with pytest.raises(InvalidArgument, match="not scored"):
            replay(one, depth=30, window=40)
