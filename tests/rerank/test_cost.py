"""Prices, caps on one search, and what a call is predicted to use."""

import asyncio
import dataclasses
import math

import pytest
from counting import Counting, value
from hypothesis import given
from hypothesis import strategies as st

from runoff import TwoStage
from runoff.errors import CapExceeded, InvalidArgument, ServerFailed
from runoff.recall import BM25
from runoff.rerank import Cap, CrossEncoder, MemoryCache, Metered, Pointwise, Price
from runoff.rerank._amounts import pair_tokens
from runoff.scores import ScoreKind, Threshold, Usage

PAIRS = [("why?", f"text {n}") for n in range(250)]


class Vendor(Counting):
    """Bills one unit for each hundred documents, or as many as a test sets."""

    def __init__(self, billed=None, **options):
        super().__init__(**options)
        self.billed = billed

    def estimate(self, pairs):
        return Usage(pairs=len(pairs), billed_units=math.ceil(len(pairs) / 100))

    def _answer(self, pairs, *, late=False):
        scores = super()._answer(pairs, late=late)
        billed = self.estimate(pairs).billed_units if self.billed is None else self.billed
        told = None if self.billed == "nothing" else billed
        return dataclasses.replace(
            scores, usage=dataclasses.replace(scores.usage, billed_units=told, requests=1)
        )


def both(metered, pairs):
    """Score synchronously and asynchronously, which must agree."""
    first = metered.score(pairs)
    second = asyncio.run(metered.ascore(pairs))
    assert first.values.tobytes() == second.values.tobytes()
    assert (first.usage, first.notes, first.reason) == (second.usage, second.notes, second.reason)
    return first


class TestPrice:
    def test_parts_add_up(self):
        """Units, pairs and tokens are priced apart and summed."""
        price = Price(per_search_unit=0.002, per_1k_pairs=0.05, per_million_tokens=2.0)
        usage = Usage(pairs=100, tokens=50_000, billed_units=3)
        assert price.of(usage) == pytest.approx(0.006 + 0.005 + 0.1)

    def test_what_is_not_told_has_no_cost(self):
        """Where a priced quantity is unknown so is the cost; others do not matter."""
        assert Price(per_search_unit=0.002).of(Usage(pairs=5)) is None
        assert Price(per_1k_pairs=1).of(Usage(pairs=5)) == 0.005
        assert Price(per_million_tokens=0.0).of(Usage(tokens=9)) == 0.0

    @pytest.mark.parametrize(
        "parts",
        [{}, {"per_1k_pairs": -1}, {"per_1k_pairs": math.nan}, {"per_search_unit": "2"},
         {"per_1k_pairs": True}, {"per_1k_pairs": 1, "currency": ""}],
    )  # fmt: skip
    def test_prices_that_are_none(self, parts):
        """A price is at least one number of 0 or more, and a currency."""
        with pytest.raises(InvalidArgument):
            Price(**parts)


class TestCost:
    def test_it_is_computed_from_what_was_billed(self):
        """The cost is computed from the billed units; a note says where they were not predicted."""
        metered = Metered(Vendor(billed=7), price=Price(per_search_unit=0.002))
        scores = both(metered, PAIRS)
        assert scores.usage.cost == pytest.approx(0.014)
        assert scores.notes == ("counting billed 7 search units; 3 were predicted",)

    def test_what_was_expected_is_not_worth_a_note(self):
        """A bill as predicted is only shown as cost."""
        scores = both(Metered(Vendor(), price=Price(per_search_unit=0.002)), PAIRS)
        assert scores.usage == Usage(250, 2500, 3, requests=1, cost=pytest.approx(0.006))
        assert scores.notes == ()

    def test_a_server_that_does_not_say(self):
        """Where a server reports no units, the predicted ones are priced, and a note says so."""
        metered = Metered(Vendor(billed="nothing"), price=Price(per_search_unit=0.002))
        scores = both(metered, PAIRS)
        assert scores.usage.cost == pytest.approx(0.006)
        assert scores.usage.billed_units is None
        assert "the cost is an estimate" in scores.notes[0]

    def test_tokens_are_predicted_roughly(self):
        """A quarter of the characters, and 3; a note only where that was off by more than 25 %."""
        assert pair_tokens(("four", "eight888")) == 6
        price = Price(per_million_tokens=1.0)
        close = [("12345678901234", "12345678901234")]  # 10 tokens, as the scorer counts
        assert Metered(Counting(), price=price).score(close).notes == ()
        scores = Metered(Counting(), price=price).score([("a", "b" * 100)])
        assert scores.usage.cost == 10 / 1_000_000
        assert scores.notes == ("counting read 10 tokens; 29 were predicted",)

    def test_a_failure_has_no_cost(self):
        """The scorer's own error is raised as it is."""
        with pytest.raises(ServerFailed):
            Metered(Vendor(error=ServerFailed("503")), price=Price(per_1k_pairs=1)).score(PAIRS)

    def test_no_pairs_cost_nothing(self):
        """No pairs, no cost."""
        metered = Metered(Vendor(billed=0), price=Price(per_search_unit=0.002))
        assert metered.score([]).usage.cost == 0.0


class TestCap:
    @pytest.mark.parametrize(
        ("cap", "sent"),
        [
            (Cap(pairs=250), 250),
            (Cap(pairs=120), 120),
            (Cap(billed_units=2), 200),
            (Cap(billed_units=0.5), 0),
            (Cap(cost=0.0041), 200),
            (Cap(pairs=150, billed_units=1), 100),
        ],
    )
    def test_only_what_fits_is_sent(self, cap, sent):
        """The first pairs that the cap allows are scored; the others are marked and not sent."""
        vendor = Vendor()
        scores = both(Metered(vendor, cap=cap, price=Price(per_search_unit=0.002)), PAIRS)
        assert vendor.calls == [PAIRS[:sent]] * 2
        assert scores.scored.tolist() == [True] * sent + [False] * (250 - sent)
        assert scores.kind is ScoreKind.LOGIT, "known even where nothing was sent"
        assert scores.reason == ("" if sent == 250 else "cap")
        assert scores.usage.cost == pytest.approx(math.ceil(sent / 100) * 0.002)
        if sent < 250:
            assert f"{250 - sent} of 250 pairs were not sent" in scores.notes[-1]

    @given(
        st.lists(st.tuples(st.text(max_size=30), st.text(max_size=90)), max_size=30),
        st.integers(1, 300),
    )
    def test_as_many_as_fit(self, pairs, most):
        """The pairs sent fit under the cap, and one more would not."""
        counting = Counting()
        scores = Metered(counting, cap=Cap(tokens=most)).score(pairs)
        sent = counting.asked
        assert sent == pairs[: len(sent)]
        assert sum(map(pair_tokens, sent)) <= most
        if len(sent) < len(pairs):
            assert sum(map(pair_tokens, pairs[: len(sent) + 1])) > most
            assert scores.reason == "cap"

    def test_it_may_raise(self):
        """With `on_exceed="raise"` nothing is sent, and the error names the predicted usage."""
        vendor = Vendor()
        metered = Metered(vendor, cap=Cap(billed_units=2, on_exceed="raise"))
        with pytest.raises(
            CapExceeded, match="250 pairs would use 3 search units, but the cap is 2"
        ):
            metered.score(PAIRS)
        with pytest.raises(CapExceeded):
            asyncio.run(metered.ascore(PAIRS))
        assert vendor.calls == []
        assert metered.score(PAIRS[:200]).scored.all()

    def test_a_bill_above_the_cap_is_said(self):
        """Where the server bills more than was predicted and allowed, the note says so."""
        scores = Metered(Vendor(billed=9), cap=Cap(billed_units=3)).score(PAIRS)
        assert scores.notes == (
            "counting billed 9 search units; 3 were predicted, and it is above the cap",
        )

    def test_what_cannot_be_predicted_cannot_be_capped(self):
        """A cap on units needs a scorer that predicts them; the error names another way."""
        with pytest.raises(InvalidArgument, match=r"cap\.billed_units=2.*cap pairs instead"):
            Metered(Counting(), cap=Cap(billed_units=2)).score(PAIRS)

    def test_what_the_scorer_left_out_keeps_its_reason(self):
        """Where the scorer failed on some pairs, its reason is reported and not the cap's."""
        scorer = Counting(unscored={"text 1"})
        scores = Metered(scorer, cap=Cap(pairs=5)).score(PAIRS[:9])
        assert (int(scores.scored.sum()), scores.reason) == (4, "bad_reply")

    @pytest.mark.parametrize(
        "limits",
        [{}, {"pairs": 0}, {"tokens": -1}, {"cost": math.inf}, {"pairs": True},
         {"pairs": 5, "on_exceed": "stop"}],
    )  # fmt: skip
    def test_caps_that_are_none(self, limits):
        """A cap is at least one number above 0, and one of two ways to keep it."""
        with pytest.raises(InvalidArgument):
            Cap(**limits)

    def test_arguments(self):
        """A cap on cost needs a price; a price is a Price and a cap a Cap."""
        with pytest.raises(InvalidArgument, match="needs a price"):
            Metered(Counting(), cap=Cap(cost=1))
        for wrong in ({"price": 0.002}, {"cap": 50}):
            with pytest.raises(InvalidArgument, match=r"such as (Price|Cap)\("):
                Pointwise(Counting(), **wrong)
        with pytest.raises(InvalidArgument, match="scorer"):
            Metered(object())


class TestPipeline:
    documents = tuple(f"dough and text {n}" for n in range(8))

    def pipeline(self, scorer, **options):
        bm25 = BM25(list(self.documents))
        return TwoStage({"bm25": bm25}, reranker=Pointwise(scorer, **options))

    def test_a_cap_degrades_and_says_so(self):
        """The best fused candidates are reranked, the rest follow in fused order, reason `cap`."""
        vendor = Vendor()
        response = self.pipeline(vendor, cap=Cap(pairs=3)).search("dough", top_k=8)
        assert [one.reason for one in response.outcome.degraded] == ["cap"]
        assert "scored 3 of 8 within its cap" in response.outcome.degraded[0].detail
        assert (response.outcome.scored, response.outcome.total) == (3, 8)
        assert {one.fusion_rank for one in response.results[:3]} == {1, 2, 3}
        assert [one.fusion_rank for one in response.results[3:]] == [4, 5, 6, 7, 8]
        expected = sorted((value("dough", text) for _, text in vendor.asked), reverse=True)
        assert [one.pair_score for one in response.results[:3]] == expected

    def test_a_cap_with_a_threshold(self):
        """A threshold is not applied to an answer that a cap cut, even when nothing was sent."""
        for cap in (Cap(pairs=3), Cap(billed_units=0.5)):
            threshold = Threshold(100.0, ScoreKind.LOGIT, "counting")
            pipeline = self.pipeline(Vendor(), cap=cap, threshold=threshold)
            assert len(pipeline.search("dough", top_k=8)) == 8

    def test_strict_pipelines_raise(self):
        """`on_exceed="raise"` raises in any pipeline, and `on_error="raise"` makes a cap raise."""
        strict = self.pipeline(Vendor(), cap=Cap(pairs=3, on_exceed="raise"))
        with pytest.raises(CapExceeded):
            strict.search("dough")
        degrading = self.pipeline(Vendor(), cap=Cap(pairs=3))
        with pytest.raises(CapExceeded, match="scored 3 of 8"):
            dataclasses.replace(degrading, on_error="raise").search("dough")

    def test_what_is_cached_is_free(self):
        """Cached pairs cost nothing and leave the cap for new ones: each search reads further."""
        vendor = Vendor()
        price, store = Price(per_search_unit=0.002), MemoryCache()
        pipeline = self.pipeline(vendor, cap=Cap(pairs=3), price=price, cache=store)
        responses = [pipeline.search("dough", top_k=8) for _ in range(4)]
        usages = [one.trace.usage for one in responses]
        assert [one.pairs for one in usages] == [3, 3, 2, 0]
        assert [one.cached for one in usages] == [0, 3, 6, 8]
        assert [one.cost for one in usages] == [0.002, 0.002, 0.002, 0.0]
        assert [one.outcome.complete for one in responses] == [False, False, True, True]
        assert "3 from the cache, 30 tokens, 1 units billed, cost 0.002" in responses[1].explain()
        assert "8 from the cache, cost 0" in responses[3]._repr_html_()


def test_a_cross_encoder_estimates_no_more_than_it_reads(model):
    """Its prediction knows the model's token limit, before the model is loaded by default 512."""
    pairs = [("alpha", "beta " * 1000), ("alpha", "beta")]
    assert CrossEncoder(model, max_length=50).estimate(pairs) == Usage(pairs=2, tokens=50 + 6)
    scorer = CrossEncoder(model)
    assert scorer.estimate(pairs).tokens == 512 + 6
    scorer.warmup()
    assert scorer.estimate(pairs).tokens == 128 + 6
    assert scorer.score(pairs[:1]).usage.tokens == 128
