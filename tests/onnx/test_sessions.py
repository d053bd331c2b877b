import gc
import os
import subprocess
import sys
import textwrap
import threading
import weakref

import numpy as np
import onnxruntime
import pytest

from onnx import TensorProto
from runoff._onnx import sessions
from runoff._onnx.resolve import resolve
from runoff._onnx.slots import Interrupt
from runoff._onnx.tokens import TextEncoder
from runoff.errors import InvalidArgument, ModelDamaged


@pytest.fixture(autouse=True)
def empty():
    sessions.forget()
    yield
    sessions.forget()


@pytest.fixture
def opened(monkeypatch):
    """Count how many sessions are opened."""
    paths = []
    session = onnxruntime.InferenceSession

    def counting(path, *args, **options):
        paths.append(path)
        return session(path, *args, **options)

    monkeypatch.setattr(onnxruntime, "InferenceSession", counting)
    return paths


def test_a_model_is_loaded_once(model, opened):
    """Naming a model again gives the loaded one."""
    assert sessions.load(resolve(model)) is sessions.load(resolve(str(model)))
    assert len(opened) == 1


def test_a_copy_of_the_files_is_the_same_model(tiny, tmp_path, opened):
    """Models are known by checksum, not by path."""
    first, second = tiny.save(tmp_path / "a"), tiny.save(tmp_path / "b")
    assert sessions.load(resolve(first)) is sessions.load(resolve(second))
    assert len(opened) == 1


def test_changed_files_are_another_model(tiny, model):
    """A model that was exported again is loaded again."""
    first = sessions.load(resolve(model))
    tiny.save(model, seed=1)
    assert sessions.load(resolve(model)) is not first


def test_threads_are_part_of_the_key(model):
    """A session with other threads is another session."""
    files = resolve(model)
    assert sessions.load(files) is not sessions.load(files, threads=2)


def test_many_threads_load_once(model, opened):
    """Threads that want a model at the same time wait for one of them to load it."""
    files, found = resolve(model), []
    barrier = threading.Barrier(8)

    def want():
        barrier.wait()
        found.append(sessions.load(files))

    threads = [threading.Thread(target=want) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 1
    assert len({id(one) for one in found}) == 1


def test_the_two_used_last_are_kept(tiny, tmp_path):
    """An unused model is kept while it is one of the last two used, and then freed."""
    models = [tiny.save(tmp_path / str(seed), seed=seed) for seed in range(3)]
    references = [weakref.ref(sessions.load(resolve(path))) for path in models]
    gc.collect()
    assert [reference() is None for reference in references] == [True, False, False]


def test_a_held_model_stays(tiny, tmp_path, opened):
    """A model in use is never loaded twice, however many others come."""
    models = [tiny.save(tmp_path / str(seed), seed=seed) for seed in range(4)]
    held = sessions.load(resolve(models[0]))
    for path in models[1:]:
        sessions.load(resolve(path))
    assert sessions.load(resolve(models[0])) is held
    assert len(opened) == 4


def test_a_corrupt_graph_is_damaged(model):
    """A file that is not an ONNX graph is ModelDamaged with file and remedy."""
    (model / "model.onnx").write_bytes(b"not a graph" * 100)
    with pytest.raises(ModelDamaged, match=r"model\.onnx cannot be loaded .*fetch the model again"):
        sessions.load(resolve(model))


@pytest.mark.parametrize("size", [0, 1000])
def test_a_cut_graph_is_damaged(model, size):
    """A graph whose download broke off is ModelDamaged."""
    path = model / "model.onnx"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ModelDamaged):
        sessions.load(resolve(model))


@pytest.mark.parametrize("text", ["", "{}", "[", '{"model": 1}'])
def test_a_corrupt_tokenizer_is_damaged(model, text):
    """A tokenizer that cannot be read is ModelDamaged with its file named."""
    (model / "tokenizer.json").write_text(text)
    with pytest.raises(ModelDamaged, match=r"tokenizer\.json cannot be read as a tokenizer"):
        sessions.load(resolve(model))


def test_a_failed_load_is_not_remembered(tiny, model):
    """After the files are mended the same name works."""
    (model / "model.onnx").write_bytes(b"broken")
    with pytest.raises(ModelDamaged):
        sessions.load(resolve(model))
    tiny.save(model)
    assert sessions.load(resolve(model)).outputs == ("logits",)


def test_a_graph_with_foreign_inputs_is_refused(tiny, tmp_path):
    """A graph that wants more than text is named with what it wants."""
    directory = tiny.save(tmp_path / "m", extra_input="pixel_values")
    with pytest.raises(InvalidArgument, match="pixel_values"):
        sessions.load(resolve(directory))


def run(loaded, text="alpha beta"):
    return loaded.run(TextEncoder(loaded.tokenizer, 64).text(text), loaded.outputs[0])


@pytest.mark.parametrize(
    "inputs", [("input_ids",), ("input_ids", "attention_mask"), ("input_ids", "position_ids")]
)
def test_a_graph_is_fed_what_it_asks_for(tiny, tmp_path, inputs):
    """Inputs that a graph does not declare are not given to it."""
    assert np.isfinite(run(sessions.load(resolve(tiny.save(tmp_path / "m", inputs=inputs))))).all()


def test_inputs_have_the_declared_type(tiny, tmp_path):
    """A graph with 32-bit inputs gets them, and computes the same."""
    wide = run(sessions.load(resolve(tiny.save(tmp_path / "wide"))))
    narrow = run(sessions.load(resolve(tiny.save(tmp_path / "narrow", dtype=TensorProto.INT32))))
    assert wide.tolist() == narrow.tolist()


def test_a_run_that_fails_is_damaged(tiny, tmp_path):
    """A tokenizer that does not belong to the graph fails as ModelDamaged, by name."""
    directory = tiny.save(tmp_path / "m")
    tokenizer = tiny.tokenizer()
    tokenizer.add_tokens(["foreign"])
    tokenizer.save(str(directory / "tokenizer.json"))
    with pytest.raises(ModelDamaged, match="cannot be run"):
        run(sessions.load(resolve(directory)), "foreign")


def test_an_interrupted_run_ends(tiny, tmp_path):
    """A run that was interrupted stops instead of computing to the end."""
    loaded = sessions.load(resolve(tiny.save(tmp_path / "m", work=1)))
    interrupt = Interrupt()
    interrupt.stop()
    encoded = TextEncoder(loaded.tokenizer, 64).text("alpha")
    with pytest.raises(ModelDamaged, match="terminate"):
        loaded.run(encoded, "logits", interrupt)


def test_the_tokenizers_own_truncation_and_padding_are_off(tiny, model):
    """What a tokenizer.json says about truncation and padding is not applied."""
    tokenizer = tiny.tokenizer()
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=64)
    tokenizer.save(str(model / "tokenizer.json"))
    loaded = sessions.load(resolve(model))
    assert len(loaded.tokenizer.encode("alpha beta gamma delta epsilon").ids) == 7


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_loads_for_itself(model):
    """A model loaded before a fork is not run in the child, and nothing is printed."""
    code = f"""
        import os, threading
        from runoff.rerank import CrossEncoder
        scorer = CrossEncoder({str(model)!r})
        expected = scorer.score([("alpha", "beta gamma")]).values[0]
        child = os.fork()
        if child == 0:
            scores = scorer.score([("alpha", "beta gamma")])
            os._exit(7 if scores.values[0] == expected and scores.load_ms > 0 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert scorer.score([("alpha", "beta gamma")]).load_ms == 0
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
