"""The grade in a cell: a whole number, or a word such as yes or no."""

from __future__ import annotations

import operator
import re
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from runoff.errors import InvalidArgument, MalformedData

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST = 1_000_000
"""The largest size of a grade: trec_eval counts every grade up to the highest."""

# spreadsheets and pandas write 1.0 in a column of whole numbers with gaps
_WHOLE = re.compile(r"\s*([+-]?\d{1,9})(?:\.0*)?\s*")
_FRACTION = re.compile(r"\s*[+-]?\d{0,9}[.,]\d+\s*%?\s*|\s*\d{1,9}\s*%\s*")
_DECIMAL_COMMA = re.compile(r"([+-]?\d{1,9}),0*")
_NO = (
    *("no", "n", "false", "f", "irrelevant", "not relevant", "nonrelevant", "non relevant"),
    *("nein", "falsch", "nicht relevant", "non", "faux", "non pertinent", "falso", "nee", "nej"),
    *("no relevante", "non rilevante", "нет", "ложь", "いいえ", "否", "✗", "✘", "❌"),
)
_YES = (
    *("yes", "y", "true", "t", "relevant", "ja", "j", "wahr", "richtig", "oui", "vrai", "si"),
    *("sí", "sì", "pertinent", "verdadero", "vero", "sim", "tak", "relevante", "rilevante"),
    *("да", "истина", "はい", "是", "✓", "✔", "✅"),
)
_NONE = frozenset({"n/a", "#n/a", "?", "-", "–", "—"})  # noqa: RUF001 - dashes, as people type
_WORDS = dict.fromkeys(_NO, 0) | dict.fromkeys(_YES, 1)


def whole_grade(value: object) -> int | None:
    """Return a grade given as a whole number; None if it is something else."""
    grade: int | None = None
    if type(value) is int:  # as most are
        grade = value
    elif isinstance(value, str):
        found = _WHOLE.fullmatch(value)
        grade = None if found is None else int(found[1])
    elif isinstance(value, float):
        grade = int(value) if value.is_integer() else None
    elif not isinstance(value, bool):
        with suppress(TypeError):
            grade = operator.index(cast("int", value))
    return None if grade is None or abs(grade) > MOST else grade


class Grades:
    """Reads the grades of one table and remembers which words it met.

    Args:
        own: the user's words or numbers, and their grades; they come before those known here.

    Raises:
        InvalidArgument: `own` does not map words to whole numbers.
    """

    def __init__(self, own: Mapping[str, int] | None = None) -> None:
        self._words = dict(_WORDS)
        self._numbers: dict[int, int] = {}
        self._met: dict[str, int] = {}
        self._commas = False
        if own is not None and not isinstance(own, Mapping):
            raise InvalidArgument("grades", own, "must map words to whole numbers")
        for word, given in (own or {}).items():
            grade = whole_grade(given)
            if not isinstance(word, str) or not word.strip() or grade is None:
                remedy = "must map words to whole numbers, such as {'partly': 1}"
                raise InvalidArgument("grades", {word: given}, remedy)
            self._words[_folded(word)] = grade
            if (number := whole_grade(word)) is not None:
                self._numbers[number] = grade

    def absent(self, value: object) -> bool:
        """Return whether a cell is empty or says that nobody gave a grade, such as "n/a"."""
        if not isinstance(value, str):
            return value is None
        return value.casefold() in _NONE and _folded(value) not in self._words

    def known(self, value: object) -> int | None:
        """Return the grade in a cell; None if there is none."""
        number = _number(value)
        if number is not None:
            return self._numbers.get(number, number)
        text = _word(value)
        return None if text is None else self._words.get(_folded(text))

    def read(self, where: str, value: object) -> int:
        """Return the grade in a cell that is not empty.

        Raises:
            MalformedData: it is neither a whole number nor a word with a known grade.
        """
        grade = self.known(value)
        if grade is None:
            remedy = f"the grade must be a whole number from -{MOST:,} to {MOST:,}"
            if _FRACTION.fullmatch(str(value)):
                remedy += f"; say what it counts as, such as grades={{{str(value).strip()!r}: 1}}"
            if isinstance(value, str) and any(map(str.isalpha, value)):
                remedy += ", or a word such as yes or no; pass grades= to give other words a grade"
            raise MalformedData(where, value, remedy)
        number = _number(value)
        if number is None:
            self._met.setdefault(_folded(str(_word(value))), grade)
        elif number in self._numbers:
            self._met.setdefault(str(number), grade)
        if isinstance(value, str) and "," in value:
            self._commas = True
        return grade

    def told(self) -> Iterator[str]:
        """Yield how words and decimal commas were read."""
        if self._met:
            pairs = [f"{word!r} is {grade}" for word, grade in self._met.items()]
            more = f" and {len(pairs) - 6} more" if len(pairs) > 6 else ""  # noqa: PLR2004 - a line
            yield f"as grades, {', '.join(pairs[:6])}{more}"
        if self._commas:
            yield "a comma in a grade is a decimal point"


def _number(value: object) -> int | None:
    if isinstance(value, str) and (found := _DECIMAL_COMMA.fullmatch(value.strip())):
        return int(found[1])
    return whole_grade(value)


def _word(value: object) -> str | None:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return str(value)
    return value if isinstance(value, str) else None


def _folded(word: str) -> str:
    plain = unicodedata.normalize("NFKC", word).casefold()
    return " ".join(plain.replace("_", " ").replace("-", " ").strip(" .!\u200b").split())
