"""The views on a recording: its queries as a table, any of them in detail, and the losses."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from runoff._labels.remarks import degraded
from runoff._recording.response import as_response
from runoff._util.messages import number_of
from runoff.errors import InvalidArgument
from runoff.evaluation._ledger import ENTRIES, Gains
from runoff.evaluation._losses import losses, query_ledger
from runoff.evaluation._verdict.slices import by_length, by_script
from runoff.report._explorer.fitted import fitted
from runoff.report._explorer.items import CUT, SHOWN, answer_of, document_of
from runoff.report._explorer.judged import CUTOFF, MEASURE, Judgments
from runoff.report._explorer.kept import Kept
from runoff.report._explorer.params import NotThere
from runoff.report._explorer.replays import Replays
from runoff.report._explorer.settings import parsed_key
from runoff.report._explorer.table import Table, known

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runoff._labels.collection import Collection
    from runoff._recording.recording import Recording
    from runoff.report._explorer.labels import Labels
    from runoff.report._explorer.params import Params
    from runoff.report._explorer.settings import Settings
    from runoff.types import Document, Response


_EXAMPLES = 20  # lost documents shown of each stage


class Recorded:
    """A recording, with the judgments of its queries, if there are any.

    Args:
        recording: what `record` returned.
        collection: judgments, documents and labels; None for none.
        labels: the grades given on the page.
        documents: texts of the documents by id, where the collection has none.
    """

    def __init__(
        self,
        recording: Recording,
        collection: Collection | None,
        labels: Labels,
        documents: Mapping[str, Document] | None = None,
    ) -> None:
        self.recording, self._fitted = fitted(recording)
        self.documents = documents if collection is None else collection.documents or documents
        self._collection = collection
        texts = {one.query_id: one.text for one in self.recording}
        self.judgments = Judgments(collection, labels, texts)
        self.replays = Replays(self.recording, self.judgments)
        self.queries = self.replays.queries
        self._tables, self._ledgers = Kept(4), Kept(4)

    @property
    def title(self) -> str:
        """What is looked at."""
        return "recording" if self._collection is None else self._collection.name

    @property
    def has_texts(self) -> bool:
        """Whether the texts of the documents are there."""
        return self.recording.setup.texts or bool(self.documents)

    def settings(self, key: str | None) -> Settings:
        """Return the settings that a key names."""
        return parsed_key(key, self.recording.setup)

    def table(self, asked: Settings) -> Table:
        """Return the queries as a table."""
        with self.replays.lock:
            place = asked, self.judgments.version
            return self._tables.get(place, lambda: self._made_table(asked))

    @cached_property
    def _described(self) -> tuple[list[str], list[tuple[str, ...]]]:
        """The language and the slices of every query."""
        texts = {one.query_id: one.text for one in self.queries.values()}
        labels = {} if self._collection is None else self._collection.labels
        scripts, lengths = by_script(texts), by_length(texts)
        languages, slices = [], []
        for one in texts:
            own = labels.get(one, {})
            languages.append(own.get("language", scripts[one]))
            pairs = {"length": lengths[one], "script": scripts[one], **own}
            slices.append(tuple(f"{name}={value}" for name, value in pairs.items()))
        return languages, slices

    def _made_table(self, asked: Settings) -> Table:
        queries, judged = list(self.queries.values()), self.judgments.collection
        texts = {one.query_id: one.text for one in queries}
        languages, slices = self._described
        size = len(queries)
        columns = {name: np.full(size, np.nan) for name in ("before", "after", "ideal", "unjudged")}
        graded = np.zeros(size, np.bool_)
        measured = self.replays.measured(asked)
        fused = self.replays.measured(asked, fused=True)
        if judged is not None and measured is not None and fused is not None:
            place = {one: at for at, one in enumerate(texts)}
            rows = np.array([place[one] for one in measured.query_ids], np.int64)
            graded[rows] = True
            columns["before"][rows] = fused.values[MEASURE]
            columns["after"][rows] = measured.values[MEASURE]
            columns["unjudged"][rows] = 1 - measured.judged[MEASURE]
            columns["ideal"][rows] = [
                float(any(grade > 0 for grade in judged.qrels[one].values()))
                for one in measured.query_ids
            ]
        return Table(
            list(texts),
            list(texts.values()),
            languages,
            slices,
            np.array([len(one.split()) for one in texts.values()], np.float64),
            columns["before"],
            columns["after"],
            columns["ideal"],
            columns["unjudged"],
            graded,
            np.array([one.degraded for one in queries], np.bool_),
            self.replays.latency(asked),
        )

    def rows(self, params: Params) -> dict[str, Any]:
        """Answer api/queries."""
        asked = self.settings(params.get("settings"))

        def stages(ids: Sequence[str]) -> dict[str, str]:
            return self._lost_most(ids, asked)

        return self.table(asked).answer(params, stages)

    def _lost_most(self, ids: Sequence[str], asked: Settings) -> dict[str, str]:
        """Return query id to the stage in which most was lost, for those that lost anything."""
        view = self.judgments.view
        found: dict[str, str] = {}
        if view is None:
            return found
        for query_id in ids:
            one, _ = self.replays.traversed(query_id, asked)
            try:
                entries = query_ledger(one, Gains(one.query, view, CUTOFF)).entries
            except InvalidArgument:  # a document is twice among the candidates: the losses say so
                continue
            worst = max(entries, key=lambda name: entries[name])
            if entries[worst] > 0:
                found[query_id] = worst
        return found

    def response(self, query_id: str, asked: Settings) -> Response:
        """Return what the system answers to a query with some settings.

        Raises:
            NotThere: the query was not recorded.
        """
        one, plan = self.replays.traversed(query_id, asked, self.recording.setup.top_k)
        return as_response(one, plan, self.documents)

    def query(
        self, query_id: str, key: str | None, *, shown: int = SHOWN, cut: int = CUT
    ) -> dict[str, Any]:
        """Answer api/query; see `answer_of` for the last two."""
        asked = self.settings(key)
        response = self.response(query_id, asked)
        ids = [one.candidate.document.doc_id for one in response.trace.fates]
        table = self.table(asked)
        at = table.ids.index(query_id)
        before, after = known(table.before[at]), known(table.after[at])
        measure = None
        if before is not None and after is not None:
            measure = {"before": before, "after": after, "gain": after - before}
        made = answer_of(response, self.judgments.grades(query_id, ids), shown, cut)
        return {
            "query_id": query_id,
            **made,
            "language": table.languages[at] or None,
            "measure": measure,
            "relevant_missing": self._missing(query_id, response),
        }

    def _missing(self, query_id: str, response: Response) -> list[dict[str, Any]]:
        """Return the relevant documents that are not among the first results, with where."""
        judged, view = self.judgments.collection, self.judgments.view
        grades = {} if judged is None else judged.qrels.get(query_id, {})
        if view is None or not grades:
            return []
        chunks: dict[str, str] = {}
        for fate in response.trace.fates:
            doc_id = fate.candidate.document.doc_id
            for counted in view.documents([doc_id]):
                chunks.setdefault(counted, doc_id)
        first = set(view.documents(one.doc_id for one in response.results[:CUTOFF]))
        wanted = sorted(
            (one for one, grade in grades.items() if grade > 0 and one not in first),
            key=lambda one: -grades[one],
        )
        return [
            {
                "doc_id": one,
                "grade": grades[one],
                "where": document_of(response, chunks.get(one, one), None)["sentence"],
            }
            for one in wanted
        ]

    def text_of(self, query_id: str, doc_id: str) -> str | None:
        """Return the text of a document; None if unknown."""
        document = (self.documents or {}).get(doc_id)
        if document is not None:
            return document.text
        query = self.queries.get(query_id)
        if query is None or not query.texts or doc_id not in query.doc_ids:
            return None
        return query.texts[list(query.doc_ids).index(doc_id)]

    def document(self, query_id: str, doc_id: str, key: str | None) -> dict[str, Any]:
        """Answer api/document."""
        response = self.response(query_id, self.settings(key))
        found = document_of(response, doc_id, self.text_of(query_id, doc_id))
        return {**found, "grade": self.judgments.grades(query_id, [doc_id]).get(doc_id)}

    def losses(self, key: str | None) -> dict[str, Any]:
        """Answer api/losses."""
        judged, asked = self.judgments.collection, self.settings(key)
        if judged is None:
            raise NotThere("losses need judgments: grade some results, or give --collection")
        with self.replays.lock:
            place = asked, self.judgments.version
            return self._ledgers.get(place, lambda: self._made_losses(judged, asked))

    def _made_losses(self, judged: Collection, asked: Settings) -> dict[str, Any]:
        recording, given = self.replays.asked(asked)
        found = losses(recording, judged, cutoff=CUTOFF, **given)
        total = found.ideal - found.achieved
        stages = []
        for name, loss in found.entries.items():
            lost = found.documents(name)
            if not loss and not lost:
                continue
            stages.append(
                {
                    "stage": name,
                    "label": ENTRIES[name],
                    "loss": loss,
                    "share": loss / total if total else 0.0,
                    "documents": len(lost),
                    "examples": [
                        {
                            "query_id": one.query_id,
                            "text": self.queries[one.query_id].text,
                            "doc_id": one.doc_id,
                            "loss": one.loss,
                            "where": one.where,
                        }
                        for one in lost[:_EXAMPLES]
                    ],
                }
            )
        said = f"{found.measure} is {found.achieved:.3f} of {found.ideal:.3f} that is possible."
        if found.moves:
            first = found.moves[0]
            brings = (
                f"could gain up to {first.at_most:.3f}"
                if first.brings is None
                else f"gains {first.brings:+.3f} on these queries"
            )
            said += f" First to try: {first.action}, which {brings}."
        return {
            "total": total,
            "ideal": found.ideal,
            "achieved": found.achieved,
            "stages": stages,
            "sentence": said,
            "notes": list(found.notes),
        }

    def state(self) -> dict[str, Any]:
        """Return what api/state says of a recording; nothing is replayed for it."""
        judged, evaluator = self.judgments.collection, self.judgments.evaluator
        languages, slices = self._described
        notes = [*self._fitted] if judged is None else [*self._fitted, *judged.notes]
        notes += degraded(self.recording)
        given = () if self._collection is None else self._collection.qrels
        if lost := sum(one not in self.queries for one in given):
            notes.append(
                f"{lost} of {number_of(len(given), 'judged query')} "
                f"{'was' if lost == 1 else 'were'} not recorded."
            )
        if judged is None:
            notes.append("There are no judgments: gains and losses are not known.")
        if not self.has_texts:
            notes.append(
                "The texts of the documents were not recorded: give --collection with documents."
            )
        return {
            "title": self.title,
            "has_texts": self.has_texts,
            "sources": list(self.recording.setup.sources),
            "measure": MEASURE,
            "counts": {
                "queries": len(self.queries),
                "judged": 0 if evaluator is None else len(evaluator.query_ids),
                "degraded": sum(one.degraded for one in self.queries.values()),
            },
            "slices": sorted({one for row in slices for one in row}),
            "languages": sorted({one for one in languages if one}),
            "settings": self.replays.sliders(),
            "notes": notes,
        }
