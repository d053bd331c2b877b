"""A listwise order is replayed exactly, or a replay is refused."""

import pytest
from listwise import Asked, shown
from recorded import Hashed, digest, pipeline, questions

from runoff.errors import InvalidArgument, RecordingMismatch
from runoff.evaluation import Collection, Recording, record, replay, tune
from runoff.fusion import RRF
from runoff.grouping import Grouping
from runoff.rerank import Cascade, Fallback, ListwiseLLM, Pointwise
from runoff.scores import ScoreKind, Threshold

QUESTIONS = questions()


def by_hash(prompt):
    """Order documents by a hash of their text and of how many stand beside them."""
    texts = shown(prompt)
    return " > ".join(
        f"[{at}]" for at in sorted(texts, key=lambda at: digest(texts[at], str(len(texts))))
    )


def llm(**options):
    return ListwiseLLM(Asked(by_hash), **{"at_once": 8, "step": 3, **options})


def recorded(reranker, path=None, **options):
    return record(
        pipeline(reranker), QUESTIONS, 30, window=20, path=path, progress=False, **options
    )


@pytest.mark.parametrize(
    "reranker",
    [llm(), Cascade([(Hashed(), 12), llm()]), Fallback([llm(), Hashed()]),
     Fallback([Cascade([(Hashed(), 12), llm()])])],
    ids=["alone", "cascade", "fallback", "both"],
)  # fmt: skip
def test_the_recorded_order_is_replayed(reranker, tmp_path):
    """Id for id what the pipeline answers, from memory and from a file."""
    made = recorded(reranker, tmp_path / "recording")
    live = pipeline(reranker)
    for one in (made, Recording.open(tmp_path / "recording")):
        runs = replay(one, top_k=100)
        for query_id, text in QUESTIONS.queries.items():
            assert list(runs[query_id]) == [two.doc_id for two in live.search(text, top_k=100)]


def test_a_window_beyond_all_candidates_is_no_obstacle():
    """Two sources of 8 find 16 at most: then all are read, while recording too."""
    system = pipeline(llm(), depth=8, window=50)
    runs = replay(record(system, QUESTIONS, 8, progress=False))
    for query_id, text in QUESTIONS.queries.items():
        assert list(runs[query_id]) == [one.doc_id for one in system.search(text)]


@pytest.mark.parametrize(
    "settings",
    [{"window": 19}, {"window": 40}, {"depth": 10}, {"fusion": RRF(rank_constant=0)},
     {"weights": {"bm25": 0.0, "noise": 1.0}}],
)  # fmt: skip
def test_what_it_did_not_read_is_refused(settings):
    """Another window, depth or fusion gives it other candidates, whose order nobody knows."""
    made = recorded(llm())
    with pytest.raises(InvalidArgument, match="orders several candidates at once"):
        replay(made, **settings)
    assert replay(made, reranker=None, **settings)


def test_it_is_no_reranker_for_another_recording():
    """Neither by its own recording nor now."""
    plain = recorded(Hashed(), texts=True)
    for reranker in (recorded(llm()), llm(), Cascade([(Hashed(), 12), llm()])):
        with pytest.raises(InvalidArgument, match="record the system with it"):
            replay(plain, reranker=reranker)


def test_a_recording_that_could_not_be_replayed_is_refused_before_it_costs_a_call():
    """The message says which depth and window will do."""
    asked = Asked(by_hash)
    system = pipeline(ListwiseLLM(asked))
    with pytest.raises(InvalidArgument, match="depth=200: must be 30"):
        record(system, QUESTIONS, progress=False)
    with pytest.raises(InvalidArgument, match="window=60: must be 20"):
        record(system, QUESTIONS, 30, progress=False)
    grouped = pipeline(ListwiseLLM(asked), group=Grouping("parent"))
    with pytest.raises(InvalidArgument, match="group"):
        record(grouped, QUESTIONS, 30, window=20, progress=False)
    limit = Threshold(0.5, ScoreKind.LOGIT)
    with pytest.raises(InvalidArgument, match="threshold"):
        recorded(Cascade([(ListwiseLLM(asked), 5), Pointwise(Hashed(), threshold=limit)]))
    assert not asked.prompts


def test_a_recording_resumes_only_with_the_same_model_and_prompt(tmp_path):
    """Another model, prompt or number of documents at once is another system."""
    recorded(llm(), tmp_path / "recording")
    recorded(llm(), tmp_path / "recording")
    file = tmp_path / "prompt.txt"
    file.write_text("{query} {documents}")
    for other in (llm(at_once=9), llm(prompt=file)):
        with pytest.raises(RecordingMismatch):
            recorded(other, tmp_path / "recording")


def test_it_is_measured(tmp_path):
    """Verdict, losses, curve, tuning and report take a recording of it, without other windows."""
    made = recorded(llm())
    qrels = {
        query_id: dict.fromkeys(made[query_id].doc_ids[at : at + 6 : 3], 1)
        for at, query_id in enumerate(QUESTIONS.queries)
    }
    judged = Collection(QUESTIONS.queries, qrels)
    assert made.verdict(judged).decision
    assert made.losses(judged)
    curve = made.curve(judged)
    assert [one.window for one in curve.points] == [0, 20]
    assert "left out" in curve.notes[0]
    tuned = tune(made, judged)
    assert {one.setting.window for one in tuned.front} <= {0, 20}
    assert "left out" in " ".join(tuned.notes)
    made.report(tmp_path / "report.html", judged)
    assert (tmp_path / "report.html").stat().st_size
