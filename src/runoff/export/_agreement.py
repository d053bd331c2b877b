"""Checks that an exported model scores as the original does."""

from __future__ import annotations

from runoff.errors import ExportFailed

LARGEST_DIFFERENCE = 1e-4  # between torch and fp32 ONNX
SMALLEST_AGREEMENT = 0.99  # Spearman, between fp32 and int8


def check_fp32(name: str, difference: float) -> None:
    """Refuse an fp32 graph whose scores differ from the network's.

    Raises:
        ExportFailed: by more than `LARGEST_DIFFERENCE`, or by NaN.
    """
    if not difference <= LARGEST_DIFFERENCE:  # false for NaN, too
        raise ExportFailed(
            f"{name}: the scores of its ONNX graph differ from torch's by up to {difference:.2g}, "
            f'above {LARGEST_DIFFERENCE:g}: run it with CrossEncoder(..., backend="torch")'
        )


def check_int8(name: str, agreement: float, least: float = SMALLEST_AGREEMENT) -> None:
    """Refuse an int8 graph that orders texts differently from fp32.

    Raises:
        ExportFailed: their correlation is below `least`, or NaN.
    """
    if not agreement >= least:
        raise ExportFailed(
            f"{name}: Spearman's correlation of int8 with fp32 is {agreement:.4f}, less than "
            f'{least:g}: export fp32 alone (precision="fp32"), or lower agreement='
        )
