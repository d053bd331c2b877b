"""The fixture that fails a user's test when retrieval got worse."""

import pytest

pytest.importorskip("ir_measures", reason="the eval extra is not installed")

from runoff.evaluation import Collection

pytest_plugins = ["runoff.testing.pytest_plugin"]


@pytest.fixture
def judged():
    """A hundred queries with one relevant document each, half of them German."""
    ids = [f"q{at}" for at in range(100)]
    labels = {one: {"language": "de" if at % 2 else "en"} for at, one in enumerate(ids)}
    return Collection(
        {one: f"{one}?" for one in ids}, {one: {"good": 1} for one in ids}, labels=labels
    )


def run(judged, wrong=()):
    """A run that is right except for the queries in `wrong`."""
    return {one: ["bad", "good"] if one in wrong else ["good", "bad"] for one in judged.queries}


def test_what_is_not_worse_passes_with_its_verdict(assert_no_harm, judged):
    """The verdict is returned; few queries that are alike, or one that is worse, prove nothing."""
    assert assert_no_harm(run(judged), run(judged), judged).decision == "undecided"
    assert not assert_no_harm(run(judged), run(judged, {"q1"}), judged).harms
    better = assert_no_harm(run(judged, judged.queries), run(judged), judged)
    assert better.decision == "keep"


def test_a_proven_harm_fails_and_says_why(assert_no_harm, judged):
    """The failure has the verdict's reason."""
    with pytest.raises(pytest.fail.Exception, match=r"got worse\nremove: nDCG@10 -0\.3691"):
        assert_no_harm(run(judged), run(judged, judged.queries), judged)


def test_a_harmed_slice_fails_although_the_whole_gains(assert_no_harm, judged):
    """A language proven worse fails the test, whatever the other one gains."""
    german = {one for one, name in judged.slices("language").items() if name == "de"}
    before = run(judged, set(judged.queries) - german)
    after = run(judged, german)
    slices = {"language": judged.slices("language")}
    with pytest.raises(pytest.fail.Exception, match="it harms language=de"):
        assert_no_harm(before, after, judged, slices=slices)
