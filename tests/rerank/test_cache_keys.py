"""What a cached score is kept under: everything it depends on."""

import dataclasses

import pytest
from counting import Counting, same

from runoff.deadline import Deadline
from runoff.errors import InvalidArgument
from runoff.rerank import Cached, CrossEncoder, MemoryCache
from runoff.rerank._cache import keys as cache_keys

PAIRS = [("why?", f"text {n}") for n in range(5)]


class TestWhatScoresDependOn:
    def test_everything_a_cross_encoder_can_be_told(self, tiny, tmp_path):
        """The model's bytes, its precision, length and activation all make other keys."""
        one = tiny.save(tmp_path / "one")
        keys = [
            CrossEncoder(one).cache_key,
            CrossEncoder(one, max_length=64).cache_key,
            CrossEncoder(one, activation="sigmoid").cache_key,
            CrossEncoder(tiny.save(tmp_path / "two", seed=1)).cache_key,
            CrossEncoder(tiny.save(tmp_path / "int8", file="model_int8.onnx")).cache_key,
        ]
        assert len(set(keys)) == len(keys)

    def test_the_key_is_the_same_before_and_after_loading(self, model):
        """A model need not be loaded to know its key, and loading it changes nothing."""
        scorer = CrossEncoder(model)
        before = scorer.cache_key
        assert scorer._state.current is None
        scorer.warmup()
        assert scorer._state.current is not None
        assert scorer.cache_key == before == CrossEncoder(model, local_files_only=True).cache_key

    def test_a_cached_answer_needs_no_model(self, model, store):
        """Where every pair is known the model is not loaded."""
        first = Cached(CrossEncoder(model), store=store).score(PAIRS)
        scorer = CrossEncoder(model)
        second = Cached(scorer, store=store).score(PAIRS)
        assert same(first, second)
        assert scorer._state.current is None

    def test_a_model_that_changes_under_its_name(self, tiny, tmp_path, store):
        """Other weights, or another length, under the same path are another model."""
        path = tiny.save(tmp_path / "model")
        pairs = [("alpha beta", "gamma delta " * 20)]
        answers = [Cached(CrossEncoder(path), store=store).score(pairs)]
        tiny.save(path, seed=1)
        answers.append(Cached(CrossEncoder(path), store=store).score(pairs))
        tiny.save(path, seed=1, config={"max_position_embeddings": 16})
        answers.append(Cached(CrossEncoder(path), store=store).score(pairs))
        assert [one.usage.cached for one in answers] == [0, 0, 0]
        assert len({float(one.values[0]) for one in answers}) == 3
        assert same(answers[2], CrossEncoder(path).score(pairs))

    def test_a_model_replaced_between_its_key_and_its_loading(self, tiny, tmp_path, store):
        """Scores of a model that took the place of the one whose key was asked are not kept."""
        path = tiny.save(tmp_path / "model")
        real = tiny.save(tmp_path / "other", seed=1)

        class Replaced(CrossEncoder):
            def score(self, pairs, *, deadline=None):
                for one in real.iterdir():
                    (path / one.name).write_bytes(one.read_bytes())
                return super().score(pairs, deadline=deadline)

        before = CrossEncoder(path).cache_key
        scores = Cached(Replaced(path), store=store).score(PAIRS)
        assert CrossEncoder(path).cache_key != before
        assert scores.values.tobytes() == CrossEncoder(real).score(PAIRS).values.tobytes()
        assert len(store) == 0

    def test_finding_a_model_is_part_of_loading_it(self, model, store, monkeypatch):
        """Finding a model takes nothing from the budget, and is not counted again later."""
        from runoff._onnx import resolve

        find, now = resolve.resolve, [0.0]

        def slowly(*arguments, **options):
            if not cache_keys._found:
                now[0] += 100
            return find(*arguments, **options)

        monkeypatch.setattr(cache_keys, "_found", set())
        monkeypatch.setattr(resolve, "resolve", slowly)
        cached = Cached(CrossEncoder(model), store=store)
        deadlines = [Deadline(1, clock=lambda: now[0]) for _ in range(2)]
        for deadline in deadlines:
            assert cached.score(PAIRS, deadline=deadline).scored.all()
        assert deadlines[0].paused_for == 100
        assert deadlines[1].paused_for == 0

    def test_a_hub_model_whose_revision_moved(self, tiny, tmp_path, store, monkeypatch):
        """A name on the Hub that leads to other files is another model."""
        from runoff._onnx import hub, resolve

        places = [tiny.save(tmp_path / "old"), tiny.save(tmp_path / "new", seed=1)]
        answers = []
        for place in places:
            monkeypatch.setattr(resolve, "_fetched", {})  # as in a new process
            monkeypatch.setattr(hub, "fetch", lambda *a, place=place, **k: place)
            answers.append(Cached(CrossEncoder("org/name"), store=store).score(PAIRS))
        assert [one.usage.cached for one in answers] == [0, 0]
        assert answers[0].values.tolist() != answers[1].values.tolist()


@dataclasses.dataclass(frozen=True)
class Plain:
    """A scorer without `cache_key`, frozen and plain."""

    seed: int = 0

    def score(self, pairs, *, deadline=None):
        return Counting(self.seed).score(pairs)


class TestScorersThatDoNotSay:
    def test_frozen_and_plain(self):
        """A frozen scorer is known by its arguments, in memory."""
        store = MemoryCache()
        answers = [Cached(Plain(seed), store=store).score(PAIRS) for seed in (0, 1, 0)]
        assert [one.usage.cached for one in answers] == [0, 0, 5]
        assert same(answers[1], Counting(1).score(PAIRS))

    def test_not_for_a_file(self, tmp_path):
        """A file outlives the class, so it needs a `cache_key`."""
        with pytest.raises(InvalidArgument, match=r"a cache on disk .* property cache_key"):
            Cached(Plain(), store=tmp_path / "scores.db")
        assert list(tmp_path.iterdir()) == []

    def test_others_are_refused(self):
        """A scorer that is mutable, has hidden fields or contains an object is refused."""

        def made(*fields, frozen=True):
            methods = {"score": Plain.score}
            return dataclasses.make_dataclass("Made", fields, frozen=frozen, namespace=methods)

        hidden = made(("url", str, dataclasses.field(repr=False)))
        refused = {
            "is not a frozen dataclass": made(frozen=False)(),
            "its api_key is secret": made("api_key")("k"),
            "its url is secret": hidden("x"),
            "its client is secret or not a plain value": made("client")(object()),
        }
        for why, scorer in refused.items():
            with pytest.raises(InvalidArgument, match=f"{why}.*property cache_key"):
                Cached(scorer)

    def test_a_key_that_is_none(self):
        """A `cache_key` that is not a text is an error that names it."""

        class Empty(Counting):
            cache_key = ""

        with pytest.raises(InvalidArgument, match="cache_key"):
            Cached(Empty()).score(PAIRS)
