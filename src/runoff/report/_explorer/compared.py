"""Two recordings of the same queries side by side."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any

from runoff._util.messages import number_of
from runoff.errors import InvalidArgument
from runoff.evaluation._grid import own_setting
from runoff.evaluation._health.overlap import rank_biased_overlap
from runoff.evaluation._verdict.verdict import verdict
from runoff.report._explorer.judged import LEVEL, MEASURE
from runoff.report._explorer.table import known

if TYPE_CHECKING:
    from runoff.report._explorer.recorded import Recorded


_SAID = {
    "keep": "B is better",
    "remove": "B is worse",
    "no effect": "No difference",
    "undecided": "Undecided",
}


class Compared:
    """Two recordings, the first of which is the older or the simpler one.

    Args:
        a: one.
        b: the other.
        names: what they are called.

    Raises:
        InvalidArgument: they have no query in common.
    """

    def __init__(self, a: Recorded, b: Recorded, names: tuple[str, str]) -> None:
        self.sides = {"a": a, "b": b}
        self.names = names
        self.common = [one for one in a.queries if one in b.queries]
        if not self.common:
            remedy = "must be a recording of the same queries: no query id is in both"
            raise InvalidArgument("compare", names[1], remedy)
        self._lock = Lock()
        self._made: tuple[int, dict[str, Any]] | None = None

    def answer(self) -> dict[str, Any]:
        """Answer api/compare."""
        version = self.sides["a"].judgments.version
        with self._lock:
            if self._made is None or self._made[0] != version:
                self._made = version, self._compared()
            return self._made[1]

    def _compared(self) -> dict[str, Any]:
        runs, values, texts = {}, {}, {}
        for name, side in self.sides.items():
            own = side.replays.own
            runs[name] = side.replays.runs(own)
            measured = side.replays.measured(own)
            values[name] = {} if measured is None else measured.by_query(MEASURE)
            texts[name] = side.queries
        rows: list[dict[str, Any]] = []
        for one in self.common:
            first, second = (values[name].get(one) for name in ("a", "b"))
            rows.append(
                {
                    "query_id": one,
                    "text": self.sides["a"].queries[one].text,
                    "a": first,
                    "b": second,
                    "difference": None if first is None or second is None else second - first,
                    "overlap": known(
                        rank_biased_overlap(list(runs["a"][one]), list(runs["b"][one]))
                    ),
                }
            )
        rows.sort(key=lambda row: -abs(row["difference"] or 0.0))
        return {
            **{
                name: {"title": title, "settings": str(own_setting(side.recording.setup))}
                for (name, side), title in zip(self.sides.items(), self.names, strict=True)
            },
            "summary": self._summary(values),
            "rows": rows,
            "notes": self._notes(),
        }

    def _notes(self) -> list[str]:
        left = {name: len(side.queries) - len(self.common) for name, side in self.sides.items()}
        return [
            f"{number_of(many, 'query is', 'queries are')} only in {self.names[at]} and left out."
            for at, many in enumerate(left.values())
            if many
        ]

    def _summary(self, values: dict[str, dict[str, float]]) -> dict[str, Any]:
        judged = [one for one in self.common if one in values["a"] and one in values["b"]]
        none = dict.fromkeys(("a", "b", "difference", "low", "high"))
        if not judged:
            return {"measure": MEASURE, **none, "sentence": "There are no judgments to compare by."}
        whole = [side.replays.measured(side.replays.own) for side in self.sides.values()]
        if all(one is not None and set(one.query_ids) == set(judged) for one in whole):
            found = verdict(*whole, level=LEVEL)  # type: ignore[arg-type] # as checked
        else:  # only some queries are in both
            a, b = ({MEASURE: {one: values[name][one] for one in judged}} for name in ("a", "b"))
            found = verdict(a, b, level=LEVEL)
        main = found.main
        reason = found.reason.removeprefix("judge these first: ")  # none are listed here
        said = f"{_SAID.get(found.decision, 'It depends')}: {reason}"
        if main.ties == main.queries:
            said = f"No judged query differs in {MEASURE}."
        return {
            "measure": MEASURE,
            "a": main.before,
            "b": main.after,
            "difference": main.difference,
            "low": main.interval[0],
            "high": main.interval[1],
            "decision": found.decision,
            "sentence": said,
        }
