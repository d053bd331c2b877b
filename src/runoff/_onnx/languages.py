"""Whether texts are in a script that an English model was not trained on."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

_SAMPLE = 256  # characters looked at from the start of each text
_NAMED = 3  # scripts named in a note
# where each block of scripts begins (Unicode 15), and what its letters are called
_BLOCKS = (
    (0x0000, "Latin"),
    (0x0370, "Greek"),
    (0x0400, "Cyrillic"),
    (0x0530, "Armenian"),
    (0x0590, "Hebrew"),
    (0x0600, "Arabic"),
    (0x0700, "other"),
    (0x0750, "Arabic"),
    (0x0780, "other"),
    (0x08A0, "Arabic"),
    (0x0900, "Indic"),
    (0x0E00, "Thai"),
    (0x0E80, "other"),
    (0x10A0, "Georgian"),
    (0x1100, "Hangul"),
    (0x1200, "other"),
    (0x1E00, "Latin"),
    (0x1F00, "Greek"),
    (0x2000, ""),  # punctuation and symbols
    (0x2E80, "Han"),
    (0x3000, ""),
    (0x3040, "Kana"),
    (0x3100, "Han"),
    (0x3130, "Hangul"),
    (0x3190, "Han"),
    (0xA000, "other"),
    (0xAC00, "Hangul"),
    (0xD800, ""),
    (0xF900, "Han"),
    (0xFB00, "Latin"),
    (0xFB1D, "Hebrew"),
    (0xFB50, "Arabic"),
    (0xFE00, ""),
    (0xFE70, "Arabic"),
    (0xFEFF, ""),
    (0xFF66, "Kana"),
    (0xFFA0, "Hangul"),
    (0xFFE0, ""),
    (0x10000, "other"),
    (0x1F000, ""),  # emoji
    (0x20000, "Han"),
    (0x40000, ""),
)
_STARTS = np.array([start for start, _ in _BLOCKS], np.uint32)
_NAMES = [name for _, name in _BLOCKS]
_LATIN_LETTERS = np.zeros(0x80, np.bool_)
_LATIN_LETTERS[[*range(ord("A"), ord("Z") + 1), *range(ord("a"), ord("z") + 1)]] = True

_logger = logging.getLogger("runoff._onnx")
_warned: set[str] = set()


def main_script(text: str) -> str:
    """Return the script that most of the first 256 characters of a text are in.

    `"Latin"` for a text with no letters. Kana and Han together count for Japanese as `"Kana"`
    where a tenth of them is Kana.
    """
    sample = text[:_SAMPLE]
    if sample.isascii():
        return "Latin"
    points = np.frombuffer(sample.encode("utf-32-le", "surrogatepass"), np.uint32)
    low = points < len(_LATIN_LETTERS)
    blocks = np.searchsorted(_STARTS, points[~low], "right") - 1
    counts: Counter[str] = Counter({"Latin": int(_LATIN_LETTERS[points[low]].sum())})
    for block, count in zip(*np.unique(blocks, return_counts=True), strict=True):
        counts[_NAMES[block]] += int(count)
    counts.pop("", None)
    if counts["Kana"] * 10 >= counts["Kana"] + counts["Han"] > 0:
        counts["Kana"] += counts.pop("Han", 0)
    script, most = counts.most_common(1)[0]
    return script if most else "Latin"


def note(model: str, texts: Iterable[str]) -> str:
    """Return one sentence when an English model is given texts in other scripts, else `""`."""
    scripts = Counter(main_script(text) for text in texts)
    total = scripts.total()
    scripts.pop("Latin", None)
    if not scripts:
        return ""
    named = ", ".join(name for name, _ in scripts.most_common(_NAMED))
    return (
        f"{model} reads English; {scripts.total()} of {total} texts are mostly in another script "
        f"({named}), which it was not trained for: use a multilingual model"
    )


def remarks(model: str, texts: Iterable[str]) -> tuple[str, ...]:
    """Return the note on these texts, if there is one, after `warn_once` has logged it."""
    sentence = note(model, texts)
    if not sentence:
        return ()
    warn_once(model, sentence)
    return (sentence,)


def warn_once(model: str, sentence: str) -> None:
    """Log a note as a WARNING, once per process and model."""
    if model not in _warned:
        _warned.add(model)
        _logger.warning("%s", sentence)
