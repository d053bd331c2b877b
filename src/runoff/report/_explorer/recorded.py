"""The views on a recording: its queries, any of them in detail, replays and losses."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np

from runoff.errors import InvalidArgument
from runoff.evaluation._collection import Collection
from runoff.evaluation._grid import Answers
from runoff.evaluation._labels.relevance import View
from runoff.evaluation._ledger import ENTRIES
from runoff.evaluation._losses import losses, query_ledger
from runoff.evaluation._measures.measures import Evaluator
from runoff.evaluation._remarks import degraded
from runoff.evaluation._replay.first_stage import Prepared
from runoff.evaluation._replay.replay import plan_replay
from runoff.evaluation._replay.response import as_response
from runoff.evaluation._replay.traverse import traverse
from runoff.evaluation._trials import Costs
from runoff.evaluation._verdict.slices import by_length, by_script
from runoff.report._explorer.items import answer_of, document_of
from runoff.report._explorer.params import NotThere
from runoff.report._explorer.settings import own_settings, parsed_key, parsed_settings, setting_of
from runoff.report._explorer.table import Table, known

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from runoff.evaluation._measures.measures import Measured
    from runoff.evaluation._recording.recording import Recording
    from runoff.evaluation._replay.replay import Runs
    from runoff.report._explorer.labels import Labels
    from runoff.report._explorer.params import Params
    from runoff.report._explorer.settings import Settings
    from runoff.types import Document, Response

__all__ = ["MEASURE", "Recorded"]

MEASURE = "nDCG@10"
_CUTOFF = 10
_KEPT = 8  # settings whose replays are kept
_EXAMPLES = 20  # lost documents shown of each stage


@dataclass(frozen=True, eq=False)
class Replayed:
    """The answers with some settings.

    Attributes:
        runs: of the whole system.
        fused: of its first stage.
        measured: of `runs`; None without judgments.
        measured_fused: of `fused`.
    """

    runs: Runs
    fused: Runs
    measured: Measured | None
    measured_fused: Measured | None


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
        self.recording = recording
        self.setup = recording.setup
        self.labels = labels
        self._collection = collection
        self.documents = documents if collection is None else collection.documents or documents
        self._lock = RLock()
        self.answers = Answers(recording, recording.query_ids)
        self.queries = {one.query_id: one for one in self.answers.queries}
        self._kept: OrderedDict[tuple[str, int], Replayed] = OrderedDict()
        self._fused: OrderedDict[object, Runs] = OrderedDict()
        self._tables: OrderedDict[tuple[str, int], Table] = OrderedDict()
        self._ledgers: OrderedDict[tuple[str, int], dict[str, Any]] = OrderedDict()
        self._judged: tuple[int, Collection | None] | None = None
        self._evaluators: tuple[int, Evaluator] | None = None
        self._costs = Costs(self.answers.queries, self.setup.steps)
        scored = [one for one in self.answers.queries if one.model.name]
        self._kind = scored[0].kind if scored else None
        self._model = scored[0].model.name if scored else ""

    @property
    def title(self) -> str:
        """What is looked at."""
        return "recording" if self._collection is None else self._collection.name

    @property
    def has_texts(self) -> bool:
        """Whether the texts of the documents are there."""
        return self.setup.texts or bool(self.documents)

    @property
    def judged(self) -> Collection | None:
        """The judgments of recorded queries, with the grades given on the page; None for none."""
        with self._lock:
            version = self.labels.version
            if self._judged is None or self._judged[0] != version:
                self._judged = version, self._merged()
            return self._judged[1]

    def _merged(self) -> Collection | None:
        given = self._collection
        qrels = {
            one: dict(grades)
            for one, grades in (given.qrels if given is not None else {}).items()
            if one in self.queries
        }
        for query_id, grades in self.labels.qrels.items():
            if query_id in self.queries:
                qrels[query_id] = qrels.get(query_id, {}) | grades
        if not qrels:
            return None
        texts = {one: self.queries[one].text for one in qrels}
        if given is None:
            return Collection(texts, qrels, name="labels")
        labels = {one: dict(found) for one, found in given.labels.items() if one in qrels}
        # the documents are looked up elsewhere: checking them takes a while in a large collection
        return replace(given, queries=texts, qrels=qrels, labels=labels, documents=None)

    def _evaluator(self) -> Evaluator | None:
        judged = self.judged
        if judged is None:
            return None
        version = self.labels.version
        if self._evaluators is None or self._evaluators[0] != version:
            self._evaluators = version, Evaluator(judged, [MEASURE])
        return self._evaluators[1]

    def settings(self, key: str | None) -> Settings:
        """Return the settings that a key names."""
        return parsed_key(key, self.setup)

    def _setting(self, asked: Settings, window: int | None = None) -> Any:  # noqa: ANN401 - a `Setting`
        kind = self._kind
        if asked.threshold is not None and kind is None:
            raise InvalidArgument("threshold", asked.threshold, "no candidate has a score")
        return setting_of(asked, self.setup, kind, self._model, window=window)  # type: ignore[arg-type] # as checked

    def replayed(self, asked: Settings) -> Replayed:
        """Return the answers with some settings; the last ones are kept."""
        with self._lock:
            place = asked.key, self.labels.version
            if place in self._kept:
                self._kept.move_to_end(place)
                return self._kept[place]
            fused = self._first_stage(asked)
            runs = self.answers.to(self._setting(asked), _CUTOFF) if self.setup.steps else fused
            evaluator = self._evaluator()
            made = Replayed(
                runs,
                fused,
                None if evaluator is None else evaluator.evaluate(runs),
                None if evaluator is None else evaluator.evaluate(fused),
            )
            self._kept[place] = made
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
            return made

    def _first_stage(self, asked: Settings) -> Runs:
        weights = asked.weights
        if weights not in self._fused:
            self._fused[weights] = self.answers.to(self._setting(asked, window=0), _CUTOFF)
            while len(self._fused) > _KEPT:
                self._fused.popitem(last=False)
        return self._fused[weights]

    def table(self, asked: Settings) -> Table:
        """Return the queries as a table."""
        with self._lock:
            place = asked.key, self.labels.version
            if place not in self._tables:
                self._tables[place] = self._made_table(asked)
                while len(self._tables) > _KEPT:
                    self._tables.popitem(last=False)
            return self._tables[place]

    def _made_table(self, asked: Settings) -> Table:
        queries, found, judged = self.answers.queries, self.replayed(asked), self.judged
        texts = {one.query_id: one.text for one in queries}
        labels = {} if self._collection is None else self._collection.labels
        scripts, lengths = by_script(texts), by_length(texts)
        languages, slices = [], []
        for one in queries:
            own = labels.get(one.query_id, {})
            languages.append(own.get("language", scripts[one.query_id]))
            pairs = {"length": lengths[one.query_id], "script": scripts[one.query_id], **own}
            slices.append(tuple(f"{name}={value}" for name, value in pairs.items()))
        size = len(queries)
        columns = {name: np.full(size, np.nan) for name in ("before", "after", "ideal", "unjudged")}
        graded = np.zeros(size, np.bool_)
        measured, fused = found.measured, found.measured_fused
        if judged is not None and measured is not None and fused is not None:
            place = {one.query_id: at for at, one in enumerate(queries)}
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
            [one.query_id for one in queries],
            [one.text for one in queries],
            languages,
            slices,
            np.array([len(one.text.split()) for one in queries], np.float64),
            columns["before"],
            columns["after"],
            columns["ideal"],
            columns["unjudged"],
            graded,
            np.array([one.degraded for one in queries], np.bool_),
            self._latency(found.runs),
        )

    def _latency(self, runs: Runs) -> NDArray[np.float64]:
        pairs = [runs[one.query_id].pairs for one in self.answers.queries]
        return self._costs.of(self.setup.sources, pairs).ms

    def rows(self, params: Params) -> dict[str, Any]:
        """Answer api/queries."""
        asked = self.settings(params.get("settings"))

        def stages(ids: Sequence[str]) -> dict[str, str]:
            return self._lost_most(ids, asked)

        return self.table(asked).answer(params, stages)

    def _lost_most(self, ids: Sequence[str], asked: Settings) -> dict[str, str]:
        """Return query id to the stage in which most was lost, for those that lost anything."""
        judged = self.judged
        if judged is None or not ids:
            return {}
        view, found = View(judged), {}
        for query_id in ids:
            with self._lock:
                one, _ = self._traversed(query_id, asked)
            try:
                entries = query_ledger(one, view, _CUTOFF).entries
            except InvalidArgument:  # a document is twice among the candidates: the losses say so
                continue
            worst = max(entries, key=lambda name: entries[name])
            if entries[worst] > 0:
                found[query_id] = worst
        return found

    def _traversed(self, query_id: str, asked: Settings, top_k: int | None = None) -> Any:  # noqa: ANN401 - a traversal and its plan
        if query_id not in self.queries:
            raise NotThere(f"there is no query {query_id!r} in this recording")
        recording, given = self.answers.asked(self._setting(asked))
        if not self.setup.steps:
            given["reranker"] = None
        plan = plan_replay(recording, top_k=top_k, **given)
        return traverse(Prepared(recording[query_id]), plan), plan

    def response(self, query_id: str, asked: Settings) -> Response:
        """Return what the system answers to a query with some settings.

        Raises:
            NotThere: the query was not recorded.
        """
        with self._lock:
            one, plan = self._traversed(query_id, asked, self.setup.top_k)
        return as_response(one, plan, self.documents)

    def grades(self, query_id: str, doc_ids: Sequence[str]) -> dict[str, int]:
        """Return the grades of documents of a query."""
        judged = self.judged
        return {} if judged is None else dict(View(judged).graded(query_id, doc_ids))

    def query(self, query_id: str, key: str | None) -> dict[str, Any]:
        """Answer api/query."""
        asked = self.settings(key)
        response = self.response(query_id, asked)
        ids = [one.candidate.document.doc_id for one in response.trace.fates]
        table = self.table(asked)
        at = table.ids.index(query_id)
        before, after = known(table.before[at]), known(table.after[at])
        measure = None
        if before is not None and after is not None:
            measure = {"before": before, "after": after, "gain": after - before}
        made = answer_of(response, self.grades(query_id, ids))
        return {
            "query_id": query_id,
            **made,
            "language": table.languages[at] or None,
            "measure": measure,
            "relevant_missing": self._missing(query_id, response),
        }

    def _missing(self, query_id: str, response: Response) -> list[dict[str, Any]]:
        """Return the relevant documents that are not among the first results, with where they are."""
        judged = self.judged
        grades = {} if judged is None else judged.qrels.get(query_id, {})
        if judged is None or not grades:
            return []
        view = View(judged)
        chunks: dict[str, str] = {}
        for fate in response.trace.fates:
            doc_id = fate.candidate.document.doc_id
            for counted in view.documents([doc_id]):
                chunks.setdefault(counted, doc_id)
        first = set(view.documents(one.doc_id for one in response.results[:_CUTOFF]))
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
        return {**found, "grade": self.grades(query_id, [doc_id]).get(doc_id)}

    def losses(self, key: str | None) -> dict[str, Any]:
        """Answer api/losses."""
        judged, asked = self.judged, self.settings(key)
        if judged is None:
            raise NotThere("losses need judgments: grade some results, or give --collection")
        with self._lock:
            place = asked.key, self.labels.version
            if place not in self._ledgers:
                self._ledgers[place] = self._made_losses(judged, asked)
                while len(self._ledgers) > _KEPT:
                    self._ledgers.popitem(last=False)
            return self._ledgers[place]

    def _made_losses(self, judged: Collection, asked: Settings) -> dict[str, Any]:
        recording, given = self.answers.asked(self._setting(asked))
        if not self.setup.steps:
            given["reranker"] = None
        found = losses(recording, judged, cutoff=_CUTOFF, **given)
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
            said += f" Next: {found.moves[0]}."
        return {
            "total": total,
            "ideal": found.ideal,
            "achieved": found.achieved,
            "stages": stages,
            "sentence": said,
            "notes": list(found.notes),
        }

    def state(self) -> dict[str, Any]:
        """Return what api/state says of a recording."""
        judged, own = self.judged, own_settings(self.setup)
        table = self.table(own)
        notes = [] if judged is None else list(judged.notes)
        notes += degraded(self.recording)
        shares = table.unjudged[np.isfinite(table.unjudged)]
        if len(shares) and shares.mean() > 0:
            notes.append(f"{shares.mean():.0%} of the first {_CUTOFF} results were never judged.")
        if judged is None:
            notes.append("There are no judgments: gains and losses are not known.")
        if not self.has_texts:
            notes.append(
                "The documents' texts are not in the recording: give --collection with documents."
            )
        return {
            "title": self.title,
            "has_texts": self.has_texts,
            "sources": list(self.setup.sources),
            "measure": MEASURE,
            "counts": {
                "queries": len(self.queries),
                "judged": int(table.judged.sum()),
                "degraded": int(table.degraded.sum()),
            },
            "slices": sorted({one for row in table.slices for one in row}),
            "languages": sorted({one for one in table.languages if one}),
            "settings": self._sliders(own),
            "notes": notes,
        }

    def _sliders(self, own: Settings) -> dict[str, Any]:
        steps = self.setup.steps
        pointwise = bool(steps) and steps[-1].pointwise
        scores = [one.pair_score[np.isfinite(one.pair_score)] for one in self.answers.queries]
        every = np.concatenate(scores) if scores else np.zeros(0)
        why = None
        if not steps:
            why = "The recorded system has no second stage: only weights can be changed."
        elif not pointwise:
            why = "The second stage is no scorer: only the window and weights can be changed."
        return {
            **own.to_dict(),
            "key": own.key,
            "fusion": str(self.setup.fusion["kind"]),
            "ranges": {
                "window": [1, self.setup.recorded_window] if steps else None,
                "blend": [0, 1] if pointwise else None,
                "weight": [0, 1] if own.weights else None,
                "threshold": [float(every.min()), float(every.max())]
                if pointwise and len(every)
                else None,
            },
            "replayable": bool(steps or own.weights),
            "why_not": why,
        }

    def replay(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answer api/replay."""
        began = time.perf_counter()
        full = bool(body.get("full"))
        given = {name: value for name, value in body.items() if name != "full"}
        asked = parsed_settings(given, self.setup)
        with self._lock:
            found = self.replayed(asked)
            own = self.replayed(own_settings(self.setup))
        del full
        latency = self._latency(found.runs)
        measured = found.measured
        per_query = measured.by_query(MEASURE) if measured is not None else {}
        changed = sum(list(found.runs[one]) != list(own.runs[one]) for one in self.queries)
        p50, p95 = (float(one) for one in np.percentile(latency, (50, 95)))
        return {
            "settings": asked.key,
            "asked": asked.to_dict(),
            "took_ms": (time.perf_counter() - began) * 1000,
            "summary": None,
            "latency": {"p50": p50, "p95": p95, "estimated": True},
            "changed": changed,
            "per_query": per_query,
        }
