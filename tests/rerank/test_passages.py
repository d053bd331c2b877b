"""Long documents: windows are pairs, their scores fold back, and nothing is lost unsaid."""

import dataclasses
import math
import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from parts import Listed

from runoff import TwoStage
from runoff._util.text import units
from runoff.deadline import Deadline
from runoff.errors import BadReply, InvalidArgument
from runoff.pipeline._stages import undo_threshold
from runoff.protocols import WindowedScorer
from runoff.rerank import CrossEncoder, Passages, Pointwise
from runoff.rerank._passages import plan, within
from runoff.scores import ModelIdentity, PairScores, Passage, ScoreKind, Threshold, Usage
from runoff.types import Candidate, Document, Dropped, Query, Ranked, Reranking

QUERY = Query("alpha beta")
LONG = " ".join(["alpha", "gamma", "kappa zeta", "rho", "beta mu"] * 60)


def candidates(*texts):
    return [
        Candidate(Document(f"d{rank}", text), f"d{rank}", 1 / rank, rank)
        for rank, text in enumerate(texts, 1)
    ]


def by_id(reranking):
    return {one.candidate.document.doc_id: one for one in reranking.ordered}


@dataclasses.dataclass
class Valued:
    """A scorer without a tokenizer; a pair's score is the number in its text, if any."""

    only: int | None = None  # how many pairs it has time for
    spans: bool = False
    seen: list = dataclasses.field(default_factory=list)

    def score(self, pairs, *, deadline=None):
        self.seen = list(pairs)
        values = [
            max((float(word) for word in text.split() if word.lstrip("-").isdigit()), default=0.0)
            for _, text in pairs
        ]
        values = [math.nan if value == 13 else value for value in values]
        scored = np.arange(len(pairs)) < (len(pairs) if self.only is None else self.only)
        passages = tuple((Passage(1, 2, 9.0),) for _ in pairs) if self.spans else ()
        return PairScores(
            np.array(values),
            scored,
            np.zeros(len(pairs), bool),
            ScoreKind.LOGIT,
            ModelIdentity("valued"),
            Usage(pairs=int(scored.sum())),
            reason="" if scored.all() else "timeout",
            passages=passages,
        )


def sections(*values, words=10):
    """A text of sections of that many words, each with one of the numbers in it."""
    return " ".join(" ".join([str(value), *["word"] * (words - 1)]) for value in values)


BY_TEN = Passages("max", length=10, overlap=0)


@pytest.fixture
def scorer(tiny, tmp_path):
    config = {"max_position_embeddings": 40, "model_type": "bert"}
    return CrossEncoder(tiny.save(tmp_path / "m", config=config))


def test_a_cross_encoder_parts_by_its_own_tokenizer(scorer):
    """Every window is read whole beside the query, and a text that fits is one window."""
    assert isinstance(scorer, WindowedScorer)
    spans, short = map(list, scorer.windows(QUERY.text, [LONG, "alpha"], overlap=4))
    assert (spans[0][0], spans[-1][1], short) == (0, len(LONG), [(0, 5)])
    assert len(spans) > 5
    read = scorer.score([(QUERY.text, LONG[start:end]) for start, end in spans])
    assert not read.truncated.any()
    assert scorer.score([(QUERY.text, LONG[: spans[0][1] + 20])]).truncated.all()


@pytest.mark.parametrize(
    ("passages", "fold"),
    [
        ("max", max),
        (Passages("top-m", m=2), lambda values: np.mean(sorted(values)[-2:])),
        (Passages("top-m", m=50), np.mean),
    ],
)
def test_a_folded_score_is_that_of_the_windows_the_scorer_gives(scorer, passages, fold):
    """Max and mean are of the scores the scorer gives the very windows by itself."""
    how = passages if isinstance(passages, Passages) else Passages(passages)
    how = dataclasses.replace(how, at_most=50)
    answer = Pointwise(scorer, passages=how).rerank(QUERY, candidates(LONG, "alpha beta"))
    ranked = by_id(answer)
    spans = next(iter(scorer.windows(QUERY.text, [LONG], overlap=how.overlap)))
    windows = list(spans)
    direct = scorer.score([(QUERY.text, LONG[start:end]) for start, end in windows]).values
    assert ranked["d1"].pair_score == pytest.approx(float(fold(direct)), abs=1e-6)
    best = np.argsort(-direct, kind="stable")
    kept = [(one.start, one.end) for one in ranked["d1"].passages]
    assert kept == [windows[at] for at in best[: how.m if how.fold == "top-m" else 1]]
    assert [one.score for one in ranked["d1"].passages] == direct[best[: len(kept)]].tolist()
    assert not ranked["d1"].truncated
    assert answer.usage.pairs == len(windows) + 1
    assert ranked["d2"].passages == ()
    assert ranked["d2"].pair_score == scorer.score([(QUERY.text, "alpha beta")]).values[0]


def test_first_reads_the_start_and_says_so(scorer):
    """Unless asked otherwise a document is one pair, cut and marked."""
    answer = Pointwise(scorer).rerank(QUERY, candidates(LONG))
    assert answer.usage.pairs == 1
    assert answer.ordered[0].truncated
    assert answer.ordered[0].passages == ()


def test_at_most_bounds_the_pairs_and_what_lies_beyond_is_marked(scorer):
    """Windows beyond the bound are not paid for, and the document is marked truncated."""
    answer = Pointwise(scorer, passages=Passages(at_most=2)).rerank(QUERY, candidates(LONG))
    assert (answer.usage.pairs, answer.ordered[0].truncated) == (2, True)
    one = Pointwise(scorer, passages=Passages(at_most=1)).rerank(QUERY, candidates(LONG))
    assert (one.usage.pairs, one.ordered[0].truncated) == (1, True)
    assert one.ordered[0].passages[0].start == 0
    assert one.ordered[0].passages[0].end < len(LONG)


async def test_awaiting_gives_the_same(scorer):
    """Awaited and called, the answers are equal."""
    reranker = Pointwise(scorer, passages="top-m")
    given = candidates(LONG, "gamma", LONG[200:])
    assert await reranker.arerank(QUERY, given) == reranker.rerank(QUERY, given)


def test_first_windows_come_first(scorer):
    """Pairs go round the candidates: every first window, then every second, as far as they go."""
    texts = [LONG, "alpha", LONG[:400]]
    planned = plan(Passages(overlap=4), scorer, QUERY.text, texts, Deadline(60))
    turns = [at for at, _, _ in planned.spans]
    assert turns[:5] == [0, 1, 2, 0, 2]
    for at in range(len(texts)):
        spans = [(start, end) for owner, start, end in planned.spans if owner == at]
        assert spans == sorted(spans)
        assert spans[0][0] == 0


@given(
    counts=st.lists(st.integers(1, 5), min_size=1, max_size=6), data=st.data(), fold=st.booleans()
)
def test_a_deadline_leaves_the_score_of_the_windows_there_was_time_for(counts, data, fold):
    """However few pairs were scored, each document has the fold of its own, marked if not all."""
    texts = [
        sections(*data.draw(st.lists(st.integers(-9, 9), min_size=many, max_size=many)))
        for many in counts
    ]
    time_for = data.draw(st.integers(0, sum(counts)))
    how = Passages("max" if fold else "top-m", m=2, length=10, overlap=0)
    scorer = Valued(only=time_for)
    answer = Pointwise(scorer, passages=how).rerank(QUERY, candidates(*texts))
    turns = sorted((turn, at) for at, many in enumerate(counts) for turn in range(many))
    done = turns[:time_for]
    ranked = by_id(answer)
    for at, many in enumerate(counts):
        mine = [turn for turn, owner in done if owner == at]
        if not mine:
            assert f"d{at + 1}" not in ranked
            continue
        values = sorted((float(texts[at].split()[turn * 10]) for turn in mine), reverse=True)
        one = ranked[f"d{at + 1}"]
        assert one.pair_score == pytest.approx(np.mean(values[: 1 if fold else 2]), abs=1e-6)
        assert one.truncated is (len(mine) < many)
    assert len(answer.unscored) == sum(
        all(owner != at for _, owner in done) for at in range(len(counts))
    )
    assert answer.reason == ("timeout" if answer.unscored else "")
    partly = sum(one.truncated for one in answer.ordered)
    assert any(f"{partly} long documents" in note for note in answer.notes) is (partly > 0)


def test_no_time_to_part_means_the_start_is_read(scorer):
    """When a fifth of the time is over, texts that were not reached are scored whole."""

    class Late(Deadline):
        asked = 0

        def remaining(self):
            self.asked += 1
            return 60.0 if self.asked < 4 else 40.0

    scorer.warmup()  # loading looks at the clock too
    planned = plan(Passages(), scorer, QUERY.text, [LONG] * 3, Late(60))
    assert planned.spans[0][2] < len(LONG)
    assert planned.spans[1:] == [(1, 0, len(LONG)), (2, 0, len(LONG))]


def test_an_expired_deadline_parts_nothing(tmp_path):
    """With no time left not even the model is looked for."""
    answer = Pointwise(CrossEncoder(tmp_path / "none"), passages="max", blend=None).rerank(
        QUERY, candidates(LONG), deadline=Deadline(0)
    )
    assert (len(answer.unscored), answer.reason) == (1, "timeout")


def test_a_window_without_a_finite_score_leaves_the_others(scorer):
    """A NaN for one window costs the document nothing but the mark."""
    answer = Pointwise(Valued(), passages=BY_TEN).rerank(
        QUERY, candidates(sections(2, 13, 1), sections(13, 13), sections(1))
    )
    ranked = by_id(answer)
    assert (ranked["d1"].pair_score, ranked["d1"].truncated) == (2.0, True)
    assert [one.document.doc_id for one in answer.unscored] == ["d2"]
    assert not ranked["d3"].truncated


def test_order_ties_blend_and_threshold_are_of_the_folded_score():
    """Equal folded scores keep fused order, and a threshold looks at the folded score."""
    given_candidates = candidates(sections(0, 3), sections(3), sections(1, 2), sections(5, 0))
    reranker = Pointwise(Valued(), passages=BY_TEN, threshold=Threshold(2.5, ScoreKind.LOGIT))
    answer = reranker.rerank(QUERY, given_candidates)
    assert [one.candidate.key for one in answer.ordered] == ["d4", "d1", "d2"]
    dropped = answer.dropped[0]
    assert (dropped.candidate.key, dropped.pair_score) == ("d3", 2.0)
    assert dropped.passages == by_id(undo_threshold(answer))["d3"].passages
    assert [one.score for one in dropped.passages] == [2.0]
    blended = Pointwise(Valued(), passages=BY_TEN, blend=0.0).rerank(QUERY, given_candidates)
    assert [one.candidate.key for one in blended.ordered] == ["d1", "d2", "d3", "d4"]


def test_what_a_threshold_dropped_comes_back_with_its_passages():
    """A degraded answer gets back every part of what was dropped."""
    one = candidates("a")[0]
    passages = (Passage(0, 1, 0.5),)
    back = undo_threshold(
        Reranking(
            (),
            dropped=(Dropped(one, "below threshold", 0.1, 0.2, truncated=True, passages=passages),),
        )
    )
    assert back.ordered == (Ranked(one, 0.2, 0.1, truncated=True, passages=passages),)


@given(text=st.text(st.sampled_from("ab  漢ก\n"), max_size=200), data=st.data())
def test_without_a_tokenizer_windows_are_words(text, data):
    """Windows by words cover the text, overlap as asked and have no more words than asked."""
    length = data.draw(st.integers(1, 12))
    overlap = data.draw(st.integers(0, 12))
    how = Passages(length=length, overlap=overlap, at_most=500)
    spans = [span[1:] for span in plan(how, Valued(), "q", [text]).spans]
    assert (spans[0][0], spans[-1][1]) == (0, len(text))
    kept = min(overlap, length // 2)
    for start, end in spans:
        assert len(list(units(text[start:end]))) <= length
    for (_, end), (again, _) in pairwise(spans):
        assert again <= end
        assert len(list(units(text[again:end]))) == kept


def test_windows_by_words_read_no_more_than_they_need():
    """The first windows of five million letters cost what those of a short text cost."""
    how = Passages(length=200, at_most=8)
    began = time.thread_time()
    plans = [plan(how, Valued(), "q", [text]) for text in ("漢" * 5_000_000, "漢" * 5_000)]
    assert time.thread_time() - began < 0.1  # it took over a second
    assert plans[0].spans == plans[1].spans


def test_a_scorer_without_a_tokenizer_gets_two_hundred_words():
    """Where nothing says what a scorer reads, windows have 200 words."""
    scorer = Valued()
    Pointwise(scorer, passages=Passages(overlap=0)).rerank(QUERY, candidates(sections(*range(50))))
    assert [len(text.split()) for _, text in scorer.seen] == [200, 200, 100]


def test_a_scorers_own_passages_pass_through():
    """Passages of the scorer are reported as offsets in the whole text."""
    long = sections(1, 2)
    start = long.index("2")
    answer = Pointwise(Valued(spans=True), passages=BY_TEN).rerank(QUERY, candidates(long, "5"))
    assert by_id(answer)["d1"].passages == (Passage(start + 1, start + 2, 9.0),)
    assert by_id(answer)["d2"].passages == (Passage(1, 2, 9.0),)
    first = Pointwise(Valued(spans=True)).rerank(QUERY, candidates(long))
    assert first.ordered[0].passages == (Passage(1, 2, 9.0),)


def test_passages_are_told_in_the_documents_own_text():
    """With a template, offsets count from the start of the document's text; else there are none."""
    given_candidates = candidates(sections(1, 7))
    own = given_candidates[0].document.text
    titled = Pointwise(Valued(), passages=BY_TEN, text=lambda one: f"My title: {one.text}")
    passage = titled.rerank(QUERY, given_candidates).ordered[0].passages[0]
    assert "7" in own[passage.start : passage.end]
    upper = Pointwise(Valued(), passages=BY_TEN, text=lambda one: one.text.upper())
    ranked = upper.rerank(QUERY, given_candidates).ordered[0]
    assert (ranked.pair_score, ranked.passages) == (7.0, ())


def test_within_moves_cuts_and_gives_up():
    """Passages move with the text, lose what is outside it, and vanish when it is not there."""
    found = [Passage(0, 3, 3.0), Passage(0, 8, 2.0), Passage(6, 20, 1.0)]
    assert within(found, "title: body of it", "body of it") == (
        Passage(0, 1, 2.0),
        Passage(0, 10, 1.0),
    )
    assert within([Passage(7, 11, 1.0)], "title: body", "  body ") == (Passage(2, 6, 1.0),)
    assert within(found, "abc", "xyz") == ()
    assert within(found, "abc", "abc") == tuple(found)


def test_a_wrong_number_of_scores_is_refused():
    """Scores are counted against windows, not candidates."""

    class Short(Valued):
        def score(self, pairs, *, deadline=None):
            return super().score(pairs[:1])

    with pytest.raises(BadReply, match="1 score for 2 pairs"):
        Pointwise(Short(), passages=BY_TEN).rerank(QUERY, candidates(sections(1, 2)))


def test_the_whole_search_tells_the_passage():
    """Results, trace and explanation show the winning passage, and usage counts windows."""
    long = sections(1, 2, 8)
    source = Listed(Document("long", long), Document("short", "4"))
    response = TwoStage({"s": source}, reranker=Pointwise(Valued(), passages=BY_TEN)).search("q")
    best = response[0].passages[0]
    assert (response[0].doc_id, long[best.start : best.end]) == ("long", sections(8))
    assert response.trace.fate("long").passages == response[0].passages
    assert response.trace.usage.pairs == 4
    assert f"best passage: characters {best.start} to {best.end}" in response.explain("long")


@pytest.mark.parametrize(
    ("argument", "make"),
    [
        ("passages", lambda: Pointwise(Valued(), passages="best")),
        ("passages", lambda: Pointwise(Valued(), passages=None)),
        ("passages", lambda: Passages(3)),
        ("m", lambda: Passages(m=0)),
        ("at_most", lambda: Passages(at_most=True)),
        ("length", lambda: Passages(length=0)),
        ("overlap", lambda: Passages(overlap=-1)),
        ("overlap", lambda: Passages(overlap=0.5)),
    ],
)
def test_wrong_arguments_are_refused_at_once(argument, make):
    """A wrong argument is named when the object is made."""
    with pytest.raises(InvalidArgument) as caught:
        make()
    assert caught.value.argument == argument
