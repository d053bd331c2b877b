"""What is refused of an export, and the folder that appears whole: neither needs torch."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runoff._onnx.agreement import spearman
from runoff._onnx.files import checksum
from runoff._onnx.samples import sample_pairs
from runoff.errors import ExportFailed, InvalidArgument, MissingExtra, RunoffError
from runoff.export._agreement import check_fp32, check_int8
from runoff.export._folder import appearing, write_checksums

NUMBERS = st.lists(st.integers(-5, 5), min_size=2, max_size=12)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_difference_beyond_the_bound_is_refused():
    """1e-4 passes; more does not, nor does a difference that is no number."""
    check_fp32("model", 1e-4)
    for difference in (1.1e-4, float("nan")):
        with pytest.raises(ExportFailed, match="model: the scores of its ONNX graph differ"):
            check_fp32("model", difference)


def test_too_little_agreement_is_refused():
    """The bound itself passes; less does not, nor does a correlation that is no number."""
    check_int8("model", 0.99)
    check_int8("model", 0.95, 0.95)
    for agreement in (0.98, float("nan")):
        with pytest.raises(ExportFailed, match="correlation of int8 with fp32"):
            check_int8("model", agreement)


def test_spearman_of_known_ranks():
    """By hand: one swap of neighbours among four costs .2; a tie shares its ranks' mean."""
    assert spearman([1, 2, 3, 4], [10, 30, 20, 40]) == pytest.approx(0.8)
    assert spearman([1, 2, 3], [5, 5, 9]) == pytest.approx(np.sqrt(3) / 2)
    assert np.isnan(spearman([1, 1], [1, 2]))


@given(NUMBERS)
def test_spearman_minds_order_alone(values):
    """Any rising function of the values agrees fully, any falling one not at all."""
    if len(set(values)) > 1:
        assert spearman(values, [value**3 + value for value in values]) == pytest.approx(1)
        assert spearman(values, [-value for value in values]) == pytest.approx(-1)


def test_samples_are_short_and_long():
    """64 pairs, some of them clearly longer than what the model reads, the same every time."""
    pairs = sample_pairs(128)
    assert len(pairs) == len(set(pairs)) == 64
    assert pairs == sample_pairs(128)
    words = [len(document.split()) for _, document in pairs]
    assert min(words) < 16
    assert max(words) >= 128


def test_a_folder_appears_whole(tmp_path):
    """Nothing is under its name before the block has ended; then all of it is."""
    with appearing(tmp_path / "out") as folder:
        (folder / "file").write_text("whole")
        assert not (tmp_path / "out").exists()
        write_checksums(folder, ["file"])
    assert names(tmp_path) == ["out"]
    recorded = json.loads((tmp_path / "out/checksums.json").read_text())
    assert recorded == {"file": checksum(tmp_path / "out/file")}


def test_a_failed_block_leaves_nothing(tmp_path):
    """An error in the block is raised as it is, and the hidden folder goes."""

    def half(folder):
        (folder / "file").write_text("half")
        raise ExportFailed("no")

    with pytest.raises(ExportFailed, match="no"), appearing(tmp_path / "out") as folder:
        half(folder)
    assert names(tmp_path) == []


def test_what_is_there_is_not_replaced(tmp_path):
    """Neither a folder that exists nor one that comes into being meanwhile is written over."""
    (tmp_path / "out").mkdir()
    with pytest.raises(InvalidArgument, match="exists already"), appearing(tmp_path / "out"):
        pytest.fail("the block was entered")
    late = tmp_path / "late"
    with pytest.raises(InvalidArgument, match="exists already"), appearing(late):
        late.mkdir()
    assert names(tmp_path) == ["late", "out"]


def test_a_disk_that_cannot_be_written_is_named(tmp_path):
    """An error of the disk in the block tells the folder and the reason."""
    message = r"out: it cannot be written: No space left"
    with pytest.raises(RunoffError, match=message), appearing(tmp_path / "out"):
        raise OSError(28, "No space left on device")
    assert names(tmp_path) == []


def test_without_onnx_the_extra_is_named(tmp_path, monkeypatch):
    """Where onnx is not installed, the error names the pip command before anything is loaded."""
    from runoff.export import export_cross_encoder

    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(MissingExtra, match=r'pip install "runoff\[export\]"'):
        export_cross_encoder(tmp_path, tmp_path / "out")
