import json

import numpy as np
import pytest

from runoff._onnx.files import ModelDirectory
from runoff._tokens.settings import read_settings
from runoff.errors import ModelDamaged


def settings(folder, **said):
    (folder / "late.json").write_text(json.dumps({"version": 1} | said))
    return read_settings(ModelDirectory("tiny", folder))


def array(folder, name, shape, value=0.5):
    np.full(shape, value, "<f4").tofile(folder / name)
    return {"file": name, "shape": list(shape)}


def test_without_a_file_any_encoder_is_read(tmp_path):
    """Without `late.json`, special tokens and punctuation are left out and nothing is projected."""
    found = read_settings(ModelDirectory("tiny", tmp_path))
    assert found.projection is found.mean is found.weights is None
    assert found.digest == ""
    for side in (found.query, found.document):
        assert (side.prefix, side.special, side.skip, side.expansion) == ("", False, None, None)


def test_everything_stated_is_read(tmp_path):
    """Arrays have their shapes, and sides what they say."""
    found = settings(
        tmp_path,
        output="vectors",
        ordered=True,
        projection=array(tmp_path, "late_projection.bin", (4, 2)),
        mean=array(tmp_path, "late_mean.bin", (4,)),
        weights=array(tmp_path, "late_weights.bin", (9,)),
        query={
            "prefix": "q ",
            "special": True,
            "skip": [],
            "max_length": 32,
            "expansion": {"id": 4, "length": 32, "attend": False},
        },
        document={"skip": [1, 2]},
    )
    assert found.output == "vectors"
    assert found.ordered
    assert found.projection.shape == (4, 2)
    assert (found.mean.shape, found.weights.shape) == ((4,), (9,))
    assert (found.query.prefix, found.query.special, found.query.max_length) == ("q ", True, 32)
    assert found.query.expansion.token == 4
    assert found.document.skip == {1, 2}


def test_the_digest_follows_what_is_said_and_the_arrays(tmp_path):
    """Another entry or another number in an array gives another digest."""
    one = settings(tmp_path, mean=array(tmp_path, "late_mean.bin", (4,))).digest
    same = settings(tmp_path, mean=array(tmp_path, "late_mean.bin", (4,))).digest
    value = settings(tmp_path, mean=array(tmp_path, "late_mean.bin", (4,), 0.75)).digest
    entry = settings(tmp_path, ordered=True, mean=array(tmp_path, "late_mean.bin", (4,))).digest
    assert one == same
    assert len({one, value, entry}) == 3


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ({"version": 2}, "update runoff"),
        ({"version": "1"}, "states no version"),
        ({"pooling": "mean"}, "unknown entries: pooling"),
        ({"output": 3}, "give its output"),
        ({"ordered": "yes"}, "true or false for ordered"),
        ({"query": {"color": 1}}, "may have only prefix"),
        ({"query": {"skip": "nouns"}}, 'must have ids or "punctuation" as skip for query'),
        (
            {"document": {"max_length": 0}},
            "must have a number of tokens as max_length for document",
        ),
        (
            {"document": {"expansion": {"id": 1, "length": 2, "attend": True}}},
            "which only queries have",
        ),
        ({"mean": {"file": "../late_mean.bin", "shape": [4]}}, "in the model's own folder"),
        ({"mean": {"file": "late_mean.bin", "shape": [4, 4]}}, "a shape of 1 numbers"),
        ({"mean": {"file": "absent.bin", "shape": [4]}}, "absent.bin cannot be read"),
        ({"mean": {"file": "late_mean.bin", "shape": [5]}}, "differ in size"),
        ({"mean": {"file": "nan.bin", "shape": [4]}}, "not finite"),
        ({"weights": {"file": "zero.bin", "shape": [4]}}, "some above 0"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, said, match):
    """A wrong entry, version, path or array is damage, and the message says which."""
    array(tmp_path, "late_mean.bin", (4,))
    array(tmp_path, "nan.bin", (4,), np.nan)
    array(tmp_path, "zero.bin", (4,), 0.0)
    with pytest.raises(ModelDamaged, match=match):
        settings(tmp_path, **said)
