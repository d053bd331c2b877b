"""Which column of a table holds what, by its name in any usual case and spelling."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runoff.errors import MalformedData

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

JUDGMENTS = ("query", "doc_id")
"""The columns of a table of judgments; texts of answers may stand in place of ids."""

IMPRESSIONS = ("query", "doc_id", "position", "clicked")
"""The columns of a log of what was shown and clicked."""

RETURNED = ("query_id", "doc_id", "grade")
"""The columns of a table that was sent out for judging and has returned."""

BESIDE = ("text", "rank_before", "rank_after", "effect")
"""What such a table shows beside them, of the document and not of the query: no labels."""

# the first name of each is the one that the documentation shows, and wins over the others
_NAMES = {
    "query": "query|question|queries|questions|query text|question text|search query|search term|"
    "user query|user question|frage|anfrage|suchanfrage|suchbegriff|requête|consulta|pregunta|"
    "domanda|vraag|вопрос|запрос|質問|クエリ|问题|查询",
    "query_id": "query id|queryid|qid|q id|question id|questionid|topic id|frage id|fragen id",
    "doc_id": "doc id|docid|document id|documentid|doc ids|document ids|doc|document|documents|"
    "docs|docno|corpus id|passage id|chunk id|node id|dokument|dokument id|dokumente|"
    "relevant doc|relevant docs|relevant document|relevant documents|relevant doc id|"
    "relevant doc ids|relevant ids|文書id|文档id",
    "grade": "grade|relevance|score|rel|rating|judgment|judgement|relevance grade|"
    "relevance score|relevance label|is relevant|relevanz|bewertung|pertinence|relevancia|"
    "rilevanza|relevant|label",
    "judge": "judge|annotator|rater|assessor|labeler|labeller|grader|judge id|annotator id|"
    "rater id|judged by|graded by|rated by|bewerter|prüfer",
    "answer": "answer|answers|answer text|snippet|expected answer|correct answer|reference|"
    "reference answer|ground truth|gold answer|relevant text|relevant passage|passage|"
    "passage text|antwort|réponse|respuesta|risposta|ответ|回答|答案",
    "position": "position|rank|pos|place|slot",
    "clicked": "clicked|click|clicks|was clicked|is clicked|geklickt",
    "shown": "shown|impressions|impression count|views",
}
_ROLES = {name: role for role, names in _NAMES.items() for name in names.split("|")}
_PLAIN = {role: names.partition("|")[0] for role, names in _NAMES.items()}
_SEPARATORS = re.compile(r"[\s_\-./:?*#()\[\]\u200b\ufeff]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_TABLE = ("query_id", "query", "doc_id", "grade", "judge", "answer")
_CLICKS = ("query_id", "query", "doc_id", "position", "clicked", "shown")


@dataclass(frozen=True, slots=True)
class Columns:
    """Where the columns of a table are.

    Attributes:
        role: role to the index of its column.
        judges: index of a column to the judge whose grades it holds.
        labels: name to the index of its column.
        renamed: role to the name that its column has, where that is another.
    """

    role: dict[str, int]
    judges: dict[int, str] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)

    def told(self) -> Iterator[str]:
        """Yield which columns were read as what."""
        if self.renamed:
            yield ", ".join(f"column {name!r} is {role}" for role, name in self.renamed.items())
        if self.judges:
            judges = ", ".join(map(repr, self.judges.values()))
            yield f"a column of grades from each of {judges}"


def columns_of(where: str, cells: Sequence[object], needed: Sequence[str]) -> Columns:
    """Return where the columns are.

    Args:
        where: the place of the header.
        cells: the header.
        needed: the columns that such a table has.

    Raises:
        MalformedData: two columns have one name, or could have one role, or clicks stand in the
            place of grades.
    """
    names = ["" if cell is None else " ".join(str(cell).split()) for cell in cells]
    given = [name for name in names if name]
    if len(set(given)) < len(given):
        raise MalformedData(where, given, "names a column twice")
    folded = [_folded(name) for name in names]
    clicks = needed == IMPRESSIONS
    roles = _CLICKS if clicks else _TABLE
    places: dict[str, list[int]] = {}
    for at, name in enumerate(folded):
        known = _ROLES.get(name)
        if known in roles:
            places.setdefault(known, []).append(at)
    role = {one: _only(where, one, found, names, folded) for one, found in places.items()}
    if "relevant" in folded and "doc_id" not in role and "answer" not in role and not clicks:
        at = folded.index("relevant")  # beside a question and nothing else, it lists documents
        role = {name: place for name, place in role.items() if place != at} | {"doc_id": at}
    if "answer" in role and "doc_id" in role:
        del role["answer"]  # ids need no matching
    judges = {} if clicks or "grade" in role or "judge" in role else _judges(names, folded)
    if needed == JUDGMENTS and not judges and "grade" not in role and not _absent(role, needed):
        _check_no_clicks(where, names, folded)
    used = {*role.values(), *judges}
    return Columns(
        role,
        judges,
        {
            name: at
            for at, name in enumerate(names)
            if name and at not in used and name not in BESIDE
        },
        {one: names[at] for one, at in role.items() if folded[at] != _PLAIN[one]},
    )


def missing(columns: Columns, needed: Sequence[str]) -> list[str]:
    """Return the needed columns that a table lacks."""
    found = _absent(columns.role, needed)
    return [name for name in found if name != "grade" or not columns.judges]


def _absent(role: Mapping[str, int], needed: Sequence[str]) -> list[str]:
    absent = [name for name in needed if name not in role]
    if "answer" in role and "doc_id" in absent:
        absent.remove("doc_id")
    return absent


def _check_no_clicks(where: str, names: Sequence[str], folded: Sequence[str]) -> None:
    """Raise if a table has a column of clicks, which would turn every row into a judgment."""
    for name, plain in zip(names, folded, strict=True):
        if _ROLES.get(plain) == "clicked":
            remedy = (
                "are not judgments, and there is no column of grades: read clicks with positions "
                "by from_impressions() or --clicks, and clicks without positions, which prove "
                "nothing, by from_clicks()"
            )
            raise MalformedData(where, name, remedy)


def _only(
    where: str, role: str, places: Sequence[int], names: Sequence[str], folded: Sequence[str]
) -> int:
    exact = [at for at in places if names[at] == role]
    plain = [at for at in places if folded[at] == _PLAIN[role]]
    for found in (exact, plain):
        if len(found) == 1:
            return found[0]
    if role == "grade":  # the last two names mean other things, too
        strict = [at for at in places if folded[at] not in {"relevant", "label"}]
        places = strict or places
    if len(places) > 1:
        rivals = [names[at] for at in places]
        raise MalformedData(where, rivals, f"could each be the {role}: name one of them {role!r}")
    return places[0]


def _judges(names: Sequence[str], folded: Sequence[str]) -> dict[int, str]:
    """Return the columns such as "grade Anna" and "grade Ben", if there are several."""
    found = {
        at: names[at]
        for at, name in enumerate(folded)
        if (parts := re.fullmatch(r"(\D+?) ?(\d+|(?<= ).+)", name))
        and _ROLES.get(parts[1]) in {"grade", "judge"}
    }
    return found if len(found) > 1 else {}


def _folded(name: str) -> str:
    plain = unicodedata.normalize("NFKC", _CAMEL.sub(" ", name))
    return _SEPARATORS.sub(" ", plain).strip().casefold()
