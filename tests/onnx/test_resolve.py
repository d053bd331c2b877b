import sys
import types
from pathlib import Path

import pytest

from runoff._onnx import resolve
from runoff.errors import InvalidArgument, MissingExtra, ModelDamaged, ModelNotFound


class DamagedError(RuntimeError):
    pass


@pytest.fixture
def embedded(monkeypatch, tiny, tmp_path):
    """A stand-in for the distribution of embedded models, with one tiny model."""
    config = {
        "kind": "cross-encoder",
        "max_length": 48,
        "score_kind": "logit",
        "default_blend": 0.5,
        "language": "en",
        "precision": "int8",
    }
    directory = tiny.save(tmp_path / "embedded" / "small", config=config)
    package = types.ModuleType("runoff_models")
    package.ModelDamagedError = DamagedError
    package.names = lambda: ("small", "broken")

    def path(name):
        if name == "broken":
            msg = "model.onnx is damaged: reinstall it"
            raise DamagedError(msg)
        return directory

    package.path = path
    monkeypatch.setitem(sys.modules, "runoff_models", package)
    return directory


def test_a_path_is_a_directory(model):
    """A `Path` and a text with a separator name a directory."""
    assert resolve.resolve(model).onnx == model / "model.onnx"
    assert resolve.resolve(str(model)).name == str(model)


def test_a_home_directory_is_expanded(monkeypatch, model):
    """`~` is the user's home."""
    monkeypatch.setenv("HOME", str(model.parent))
    monkeypatch.setenv("USERPROFILE", str(model.parent))
    assert resolve.resolve("~/model").directory == model


def test_an_existing_directory_comes_before_a_hub_name(monkeypatch, model):
    """A text of the form org/name that is a directory is that directory."""
    monkeypatch.chdir(model.parent.parent)
    name = f"{model.parent.name}/{model.name}"
    assert not resolve.needs_hub(name)
    assert resolve.resolve(name).onnx.is_file()


def test_a_word_is_an_embedded_model(embedded):
    """A plain word names an embedded model, with the precision its config states."""
    files = resolve.resolve("small")
    assert (files.directory, files.precision, files.max_length) == (embedded, "int8", 48)


@pytest.mark.usefixtures("embedded")
def test_a_directory_never_stands_in_for_an_embedded_model(monkeypatch, tmp_path):
    """What a plain word means does not depend on the working directory."""
    (tmp_path / "small").mkdir()
    monkeypatch.chdir(tmp_path)
    assert resolve.resolve("small").directory.parent.name == "embedded"


@pytest.mark.usefixtures("embedded")
def test_an_unknown_word_lists_what_there_is():
    """An unknown embedded model is an error that lists the known ones."""
    with pytest.raises(ModelNotFound, match="there are small, broken"):
        resolve.resolve("smal")


@pytest.mark.usefixtures("embedded")
def test_a_damaged_embedded_model_is_an_error():
    """A checksum that differs is a ModelDamaged with the package's own words."""
    with pytest.raises(ModelDamaged, match="reinstall"):
        resolve.resolve("broken")


@pytest.mark.usefixtures("embedded")
def test_an_embedded_model_has_one_precision():
    """Asking for another precision than the embedded model has is an error."""
    assert resolve.resolve("small", precision="int8").precision == "int8"
    with pytest.raises(ModelNotFound, match="is int8, not fp32"):
        resolve.resolve("small", precision="fp32")


def test_without_the_distribution_the_pip_command_is_named(monkeypatch):
    """An embedded model without its distribution raises MissingExtra."""
    monkeypatch.setitem(sys.modules, "runoff_models", None)
    with pytest.raises(MissingExtra, match=r'pip install "runoff\[models\]"'):
        resolve.resolve("runoff-mini")


@pytest.mark.parametrize("model", ["./absent", "/absent/model", "a/b/c", Path("absent")])
def test_a_path_that_is_not_there_is_named(model):
    """A path that does not exist is an error, not a download."""
    with pytest.raises(ModelNotFound, match="there is no directory"):
        resolve.resolve(model)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("model", ""),
        ("model", "  "),
        ("model", 3),
        ("model", None),
        ("precision", "int4"),
        ("precision", None),
        ("precision", ["auto"]),
        ("revision", ""),
        ("revision", 1),
        ("cache_dir", 5),
        ("local_files_only", "yes"),
    ],
)
def test_arguments_that_cannot_name_a_model(argument, value):
    """Each wrong argument is refused by name."""
    given = {
        "model": "m",
        "precision": "auto",
        "revision": None,
        "cache_dir": None,
        "local_files_only": False,
    }
    with pytest.raises(InvalidArgument, match=f"^{argument}="):
        resolve.check(**{**given, argument: value})


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "512"])
def test_a_limit_is_a_number_of_tokens(value):
    """A `max_length` that is not a positive integer is refused."""
    with pytest.raises(InvalidArgument, match="must be a number of tokens"):
        resolve.check_length(value)


def test_a_limit_beyond_the_positions_is_refused(model):
    """More tokens than the model has positions would fail inside it, so they are refused."""
    files = resolve.resolve(model)
    assert resolve.length(files, 128) == 128
    with pytest.raises(InvalidArgument, match="reads at most 128 tokens"):
        resolve.length(files, 129)
