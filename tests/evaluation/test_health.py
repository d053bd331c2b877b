"""Health reports what is odd, without judgments, and nothing else."""

import json
from dataclasses import replace

import numpy as np
import pytest
from ledgers import Listed, Told
from recorded import Hashed, Questions, digest, pipeline, questions

from runoff import Document, TwoStage
from runoff._recording.query import Stored
from runoff._recording.recording import Recording
from runoff.errors import InvalidArgument
from runoff.evaluation import Collection, Health, evaluate, health, record
from runoff.evaluation._health.drift import drifts
from runoff.evaluation._health.observations import Finding, observations, signals
from runoff.rerank import Cascade, Pointwise, Step
from runoff.scores import ScoreKind, Threshold
from runoff.types import Hit

IDS = " ".join(f"d{at:02}" for at in range(40))
MANY = Questions({f"q{at}": f"text number {at}" for at in range(25)})
SPREAD = {one: ((at * 17) % 40) / 4 - 5 for at, one in enumerate(IDS.split())}  # logits, no ties


def seen(scorer, *, ids=IDS, questions=MANY, **options):
    """Record 25 questions that all find the same 40 documents."""
    system = TwoStage({"s": Listed(ids)}, reranker=scorer, depth=40, window=40, **options)
    return record(system, questions, 40, progress=False, workers=1)


def sigmoid(values):
    return {one: 1 / (1 + np.exp(-value)) for one, value in values.items()}


def test_a_sound_second_stage_is_fine():
    """Untied scores of the declared kind that change the order moderately are not odd."""
    ids, answers = IDS.split(), []
    for at, text in enumerate(MANY.queries.values()):
        lifted = {one: 5 - n / 4 + (3.1 if n % 3 == at % 2 else 0) for n, one in enumerate(ids)}
        system = TwoStage({"s": Listed(IDS)}, reranker=Told(lifted), depth=40, window=40)
        answers.append(system.search(text))
    found = health(answers)
    assert found.odd == ()
    assert repr(found) == "Health(25 queries: nothing odd)"


def odd(recording, **options):
    return {one.check for one in health(recording, **options).odd}


@pytest.mark.parametrize(
    ("scores", "kind", "check", "words"),
    [
        (SPREAD, ScoreKind.PROBABILITY, "kind", "are not probabilities"),
        (sigmoid(SPREAD), ScoreKind.LOGIT, "kind", "look like probabilities"),
        (sigmoid(sigmoid(SPREAD)), ScoreKind.PROBABILITY, "kind", "sigmoid of a probability"),
        (dict.fromkeys(SPREAD, 0.3), ScoreKind.LOGIT, "constant", "100.0% of the queries"),
        (
            {one: float(round(value / 3)) for one, value in SPREAD.items()},
            ScoreKind.LOGIT, "ties", "100.0% of the candidates",
        ),
        (
            sigmoid({one: value * 3 for one, value in SPREAD.items()}),
            ScoreKind.PROBABILITY, "saturation", "the best two scores",
        ),
    ],
)  # fmt: skip
def test_odd_scores(scores, kind, check, words):
    """Each fault of the scores is reported by its check, with the figure in the sentence."""
    found = seen(Told(scores, kind=kind)).health()
    assert found[check].odd
    assert words in found[check].sentence
    assert found[check].advice
    sound = seen(Told(SPREAD)).health()
    assert not sound[check].odd
    assert not sound[check].advice


@pytest.mark.parametrize("kind", [ScoreKind.LOGIT, ScoreKind.PROBABILITY])
def test_scores_of_their_kind_are_fine(kind):
    """Logits declared as logits and probabilities as probabilities are not odd."""
    scores = SPREAD if kind is ScoreKind.LOGIT else sigmoid(SPREAD)
    assert seen(Told(scores, kind=kind)).health()["kind"].odd is False


def test_truncation_is_a_share_of_what_was_read():
    """Five of 40 texts cut are 12.5%, and odd; four are 10%, and fine."""
    ids = IDS.split()
    five = seen(Told(SPREAD, truncated=" ".join(ids[:5]))).health()["truncation"]
    assert (five.figure, five.odd) == (0.125, True)
    four = seen(Told(SPREAD, truncated=" ".join(ids[:4]))).health()["truncation"]
    assert (four.figure, four.odd) == (0.1, False)


def test_agreement_with_the_first_stage():
    """Scores in the fused order agree by 1 and never flip the first; reversed ones by -1."""
    falling = {one: -float(at) for at, one in enumerate(IDS.split())}
    same = seen(Told(falling)).health()
    assert same["agreement"].figure == pytest.approx(1)
    assert same["flips"].figure == 0
    assert {one.check for one in same.odd} == {"agreement", "flips"}
    against = seen(Told({one: -value for one, value in falling.items()})).health()
    assert against["agreement"].figure == pytest.approx(-1)
    assert "the sign" in against["agreement"].advice
    assert against["flips"].figure == 1
    # the ten results are the last ten of 40, that is of the last quarter
    assert against["promoted"].figure == 1
    assert "250 results were promoted, the median one from fused rank 36" in (
        against["promoted"].sentence
    )


def test_promoted_documents_name_their_source():
    """The share of promoted results that only one source found is reported with its name."""
    scores = {one: float(at) for at, one in enumerate(IDS.split())}
    sources = {"s": Listed(IDS), "other": Listed(" ".join(IDS.split()[:20]))}
    system = TwoStage(sources, reranker=Told(scores), depth=40, window=40)
    found = record(system, MANY, 40, progress=False).health()
    assert "100.0% found by s alone" in found["promoted"].sentence


def test_phantom_hits_need_texts():
    """A first result from far below that shares no word with its question is a phantom."""
    scores = {one: float(at) for at, one in enumerate(IDS.split())}
    system = TwoStage({"s": Listed(IDS)}, reranker=Told(scores), depth=40, window=40)
    strange = Questions({"q": "who wrote it", "r": "which text is it"})  # "text" is in each
    told = record(system, strange, 40, progress=False, texts=True).health()["phantoms"]
    assert (told.figure, told.odd) == (0.5, True)
    bare = record(system, strange, 40, progress=False)
    without = bare.health()["phantoms"]
    assert (without.figure, without.odd) == (None, None)
    lent = {hit.doc_id: hit.text for hit in system.search("text", top_k=40)}
    assert health(bare, texts=lent)["phantoms"] == told
    assert health(bare, texts={"unknown": "text"})["phantoms"] == without
    assert "texts=True" in without.sentence
    near = replace(system, reranker=Told({"d01": 3.0, "d02": 2.0, "d03": 1.0}))
    found = record(near, strange, 40, progress=False, texts=True).health()["phantoms"]
    assert found.figure == 0


def test_degraded_answers():
    """With a failing reranker every answer is degraded, and the reason is reported."""
    found = seen(Told(SPREAD, fails=True)).health()
    assert found["degraded"].figure == 1
    assert "mostly rerank told connection" in found["degraded"].sentence
    assert found["agreement"].odd is None


@pytest.mark.parametrize(
    ("scorer", "options"),
    [
        (Hashed(31), {}),
        (Hashed(31), {"group": "parent"}),
        (Pointwise(Hashed(31), blend=0.5, threshold=Threshold(0.3, ScoreKind.LOGIT)), {}),
        (Cascade([Step(Hashed(5), keep=6), Hashed(31)]), {}),
    ],
    ids=["plain", "grouped", "threshold", "cascade"],
)
def test_a_recording_and_the_live_answers_are_as_healthy(scorer, options):
    """A recording has the same health as the live responses and traces of the same system."""
    system, asked = pipeline(scorer, depth=20, window=12, **options), questions(8)
    recording = record(system, asked, 40, progress=False, texts=True)
    live = [system.search(text) for text in asked.queries.values()]
    assert health(live).findings == recording.health().findings
    traces = health([one.trace for one in live])
    assert traces["ties"] == health(live)["ties"]
    assert traces["phantoms"].odd is None  # a trace does not hold the question


def test_drift_is_told_where_there_is_some():
    """Nothing drifts against itself; changed scores, cuts, faults and answers are each reported."""
    before = seen(Told(SPREAD))
    assert not [one for one in odd(before, reference=before) if one.startswith("drift")]
    other = {one: -value - 4 for one, value in SPREAD.items()}
    moved = odd(seen(Told(other, truncated=IDS)), reference=before)
    assert {"drift scores", "drift truncation", "drift answers"} <= moved
    failed = odd(seen(Told(SPREAD, fails=True)), reference=before)
    assert "drift degraded" in failed
    renamed = health(seen(Told(SPREAD, name="new")), reference=before)
    assert "was told (logit) and is now new (logit)" in renamed["drift model"].sentence
    empty = seen(Told(SPREAD), ids="")
    assert "drift empty" in odd(empty, reference=before)


def test_a_degraded_answer_is_no_other_model():
    """Answers without scores are not a model change, and the other answers' scores are compared."""
    before, (failed, *_) = seen(Told(SPREAD)), list(seen(Told(SPREAD, fails=True)))
    made = Recording(before.setup, Stored([failed, *list(before)[1:]]))
    assert not made.health(reference=before)["drift scores"].odd
    assert not [one for one in odd(made, reference=before) if one.startswith("drift")]


@pytest.mark.parametrize(
    ("now", "then", "drifted"),
    [((1, 1), (0, 25), False), ((2, 2), (0, 25), True), ((6, 25), (0, 25), False),
     ((8, 25), (0, 25), True), ((310, 5000), (240, 5000), True), ((260, 5000), (240, 5000), False)],
)  # fmt: skip
def test_shares_drift_as_fishers_exact_test_has_it(now, then, drifted):
    """One degraded answer beside 25 whole ones may be chance (p 1/26); two of two are not."""
    (one, *_) = observations("seen", seen(Told(SPREAD)))

    def sample(some, many):
        late, whole = replace(one, degraded=("late",)), replace(one, degraded=())
        return [late] * some + [whole] * (many - some)

    found = {each.check: each for each in drifts(sample(*now), sample(*then))}
    assert found["drift degraded"].odd is drifted


def test_how_far_an_order_is_that_of_its_scores():
    """It is the correlation of the two rankings: 1 in order, -1 in reverse, in between else."""
    (one, *_) = observations("seen", seen(Told(SPREAD)))
    for scores, correlation in (([3, 2, 1], 1), ([1, 2, 3], -1), ([9, 4, 6, 5], 0.4)):
        told = signals(replace(one, answer_score=np.array(scores, np.float32)))
        assert told["drift ranks", "order by score"] == pytest.approx(correlation)


def test_drift_of_scores_is_seldom_seen_in_noise():
    """Of 200 pairs of samples of one distribution, at most 5 are called drift of scores."""
    (one, *_) = observations("seen", seen(Told(SPREAD)))
    draw = np.random.default_rng(0)

    def sample():
        return [replace(one, score=draw.normal(size=3)) for _ in range(60)]

    found = [next(drifts(sample(), sample())).odd for _ in range(200)]
    assert sum(found) <= 5


LIBRARY = {f"d{at:03}": f"text of d{at:03}" for at in range(300)}


class Library:
    """A source of 300 documents, of which each question has a best one and 20 near ones."""

    def __init__(self, lost=frozenset(), flaky=0.0, seed=0):
        self.lost, self.flaky = lost, flaky
        self.draw = np.random.default_rng(seed)

    def retrieve(self, query, *, depth, deadline=None):
        rng = np.random.default_rng([3, int(query.text.rpartition(" ")[2])])
        ids = rng.choice(list(LIBRARY), 40, replace=False).tolist()
        scores = np.sort(rng.exponential(2, 40))[::-1] + 10
        kept = [
            Hit(Document(one, LIBRARY[one]), float(score))
            for one, score in zip(ids, scores, strict=True)
            if one not in self.lost and self.draw.random() >= self.flaky
        ]
        return kept[:depth]


def asked(numbers, *, blend=None, **library):
    """Return the answers to questions of these numbers."""
    scores = {one: float(digest("score", one) % 1000) for one in LIBRARY}
    reranker = Pointwise(Told(scores), blend=blend)
    system = TwoStage({"s": Library(**library)}, reranker=reranker, depth=20, window=20)
    return [system.search(f"question {at}") for at in numbers]


def drifted(now, then, **options):
    """Return the checks of drift that are odd."""
    found = health(now, reference=then, **options)
    return {one.check for one in found.odd if one.check.startswith("drift")}


LOST = frozenset(list(LIBRARY)[::3])
OLD, NEW = range(60), range(60, 120)


def test_lost_documents_are_found_on_other_questions():
    """A third of the documents lost shows on 60 new questions; the same index shows nothing."""
    reference = asked(OLD)
    assert "drift documents" in drifted(asked(NEW, lost=LOST), reference)
    assert drifted(asked(NEW), reference) == set()


def test_another_blend_is_found_on_other_questions():
    """A blend with fusion changes the places of answers, which the scores alone do not show."""
    reference = asked(OLD)
    found = health(asked(NEW, blend=0.4), reference=reference)
    assert found["drift ranks"].odd
    assert "order by score" in found["drift ranks"].sentence
    assert not found["drift documents"].odd


def test_canaries_find_losses_with_few_questions():
    """The same twenty questions show a loss in the first stage, and nothing if nothing changed."""
    canaries = range(20)
    reference = asked(canaries)
    assert drifted(asked(canaries), reference) == set()
    found = health(asked(canaries, lost=LOST), reference=reference)
    assert found["drift first stage"].odd
    assert "mean of ten scores of s" in found["drift first stage"].sentence


def test_repeats_calibrate_what_a_flaky_system_may_do():
    """Where answers vary by themselves, only what varies more than the repeats do is odd."""
    canaries = range(25)
    reference, *repeats = (asked(canaries, flaky=0.1, seed=at) for at in range(3))
    same = health(asked(canaries, flaky=0.1, seed=9), reference=reference, repeats=repeats)
    assert same["drift answers"].odd is False
    worse = asked(canaries, flaky=0.1, seed=9, lost=LOST)
    found = health(worse, reference=reference, repeats=repeats)["drift answers"]
    assert found.odd
    assert found.figure < same["drift answers"].figure


def test_drift_is_the_same_in_a_recording_and_live():
    """A recording compared with another has the findings of the live answers."""
    system, others = (pipeline(Hashed(31), depth=at, window=8) for at in (20, 12))
    questions_ = questions(8)
    recordings = [
        record(one, questions_, 40, progress=False, texts=True) for one in (system, others)
    ]
    live = [[one.search(text) for text in questions_.queries.values()] for one in (system, others)]
    assert (
        health(live[1], reference=live[0]).findings
        == recordings[1].health(reference=recordings[0]).findings
    )


def test_repeats_need_a_reference_and_its_questions():
    """Repeats without a reference, or of other questions, are refused."""
    answers = asked(range(8))
    with pytest.raises(InvalidArgument, match="only with a `reference`"):
        health(answers, repeats=[answers])
    with pytest.raises(InvalidArgument, match="questions of `reference`"):
        health(answers, reference=answers, repeats=[asked(range(20, 28))])


def test_one_common_question_is_no_drift_of_answers():
    """A single question of both sides, answered otherwise, does not make the answers odd."""
    found = health(asked([0, *NEW], lost=LOST), reference=asked(OLD))["drift answers"]
    assert (found.odd, found.figure < 1) == (False, True)


def test_health_is_told_as_text_and_json():
    """Each finding is one line with its advice, odd ones first; `to_dict` survives JSON."""
    found = seen(Told(dict.fromkeys(SPREAD, 0.3))).health()
    first = str(found).splitlines()[1]
    assert first.startswith("look")
    assert "Try: " in first
    back = json.loads(json.dumps(found.to_dict()))
    assert back["findings"][0]["check"] == found.findings[0].check
    with pytest.raises(KeyError):
        found["weather"]


@pytest.mark.parametrize("given", [7, [], ["text"]])
def test_something_else_is_refused(given):
    """Only a recording, responses or traces are accepted, and at least one."""
    with pytest.raises(InvalidArgument, match="seen"):
        health(given)


def test_sentences_stand_below_one_another():
    """A long name of a check, such as those of drift, moves the sentences of all of them."""
    names = ("ties", "drift first stage")
    found = [Finding(name, 0.0, odd=False, sentence="Few of them.") for name in names]
    _, *lines = str(Health(2, tuple(found))).splitlines()
    assert len({line.index("Few of them.") for line in lines}) == 1
    assert str(found[0]) == "fine  ties Few of them."


def test_long_names_of_measures_are_in_one_column():
    """The means of a result stand below one another."""
    runs = {"1": ["a"]}
    judged = Collection({"1": "?"}, {"1": {"a": 1}})
    found = evaluate(runs, judged, ["AP(rel=1)@1000", "P@1"])
    first, second = str(found).splitlines()[:2]
    assert first.index("1.0000") == second.index("1.0000")
