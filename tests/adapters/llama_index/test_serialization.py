import copy
import json
import pickle
from inspect import signature

import pytest
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import (
    MetadataMode,
)
from reranked import fields

from runoff.errors import InvalidArgument
from runoff.llama_index import RunoffRerank
from runoff.rerank import (
    Cap,
    Cascade,
    CrossEncoder,
    DiskCache,
    Fallback,
    LateInteraction,
    Pointwise,
    Price,
    Step,
    TokenStore,
)
from runoff.scores import Threshold

QUERY = "sort dictionaries by value"


def ids(nodes):
    return [one.node_id for one in nodes]


class TestSerialization:
    @pytest.mark.parametrize(
        "reranker",
        [
            "runoff-mini",
            "late",
            LateInteraction("some/model", store="tokens", weights="equal", max_windows=2),
            Cascade([(LateInteraction(store=TokenStore(max_bytes=2_000_000)), 9), "some/model"]),
            CrossEncoder("some/model", precision="fp32", max_length=128),
            Pointwise(CrossEncoder("some/model"), blend=0.3, threshold=Threshold(1.5, "logit")),
            Pointwise(
                CrossEncoder("some/model"),
                cache=DiskCache("scores.db"),
                price=Price(per_1k_pairs=0.05),
                cap=Cap(pairs=50, on_exceed="raise"),
            ),
            Cascade([Step("some/model", keep=9, margin=1.5), CrossEncoder("other/model")]),
            Fallback([CrossEncoder("some/model"), "other/model"], share=0.3),
        ],
    )
    @pytest.mark.parametrize("way", ["dict", "json", "pickle", "copy", "deepcopy"])
    def test_it_comes_back_as_it_was(self, reranker, way):
        """to_dict, JSON, pickle and copies keep every argument."""
        rerank = RunoffRerank(
            top_n=3,
            reranker=reranker,
            window=20,
            timeout=0.5,
            on_error="degrade",
            metadata_mode=MetadataMode.NONE,
            text_template="{title} {text}",
        )
        back = {
            "dict": lambda: RunoffRerank.from_dict(rerank.to_dict()),
            "json": lambda: RunoffRerank.from_json(rerank.to_json()),
            "pickle": lambda: pickle.loads(pickle.dumps(rerank)),
            "copy": lambda: copy.copy(rerank),
            "deepcopy": lambda: copy.deepcopy(rerank),
        }[way]()
        assert fields(back) == fields(rerank)
        assert back.to_dict()["class_name"] == "RunoffRerank"

    def test_a_threshold_and_a_blend_come_back(self):
        """They are tagged configuration too."""
        rerank = RunoffRerank(threshold=Threshold(0.5, "probability", "m"), blend=0.25)
        assert fields(RunoffRerank.from_json(rerank.to_json())) == fields(rerank)

    def test_the_fields_are_what_the_constructor_takes(self):
        """Nothing that from_dict hands over can get lost."""
        fields = set(RunoffRerank.model_fields)
        taken = signature(RunoffRerank.__init__).parameters.keys() - {"self"}
        assert fields == taken

    def test_an_object_of_ones_own_is_named_and_asked_for(self, overlap, scored):
        """to_dict never fails; from_dict says what it needs and takes it."""
        data = RunoffRerank(reranker=overlap(), top_n=2).to_dict()
        json.dumps(data)
        with pytest.raises(InvalidArgument, match="reranker=") as caught:
            RunoffRerank.from_dict(data)
        assert "Overlap" in str(caught.value)
        back = RunoffRerank.from_dict(data, reranker=overlap())
        assert ids(back.postprocess_nodes(scored, query_str=QUERY)) == ["sort", "csv-dict"]

    def test_what_cannot_be_pickled_raises(self, overlap):
        """No attribute is dropped with a mere warning."""
        with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
            pickle.dumps(RunoffRerank(reranker=overlap()))

    def test_it_is_a_component_of_llama_index(self):
        """It derives from LlamaIndex's class and has a name of its own."""
        assert issubclass(RunoffRerank, BaseNodePostprocessor)
        assert RunoffRerank.class_name() == "RunoffRerank"
