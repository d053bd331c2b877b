"""Systems made of lists, whose ledgers can be worked out by hand."""

from dataclasses import dataclass, replace

import numpy as np

from runoff import Document, TwoStage
from runoff.errors import ConnectionFailed
from runoff.evaluation import Collection, record
from runoff.scores import ModelIdentity, PairScores, ScoreKind
from runoff.types import Dropped, Hit, Ranked, Reranking


@dataclass(frozen=True)
class Listed:
    """A source that finds these documents, in this order, for every query."""

    ids: str
    images: str = ""
    fails: bool = False

    def retrieve(self, query, *, depth, deadline=None):
        if self.fails:
            raise ConnectionFailed("too late")
        found = self.ids.split()[:depth]
        return [
            Hit(
                Document(
                    one,
                    "" if one in self.images.split() else f"text of {one}",
                    {"parent": one[0]},
                    image=one in self.images.split(),
                ),
                1 / rank,
            )
            for rank, one in enumerate(found, 1)
        ]


@dataclass(frozen=True)
class Told:
    """A scorer that gives documents the scores it was made with; the others get 0."""

    scores: dict
    truncated: str = ""
    fails: bool = False
    kind: ScoreKind = ScoreKind.LOGIT
    name: str = "told"
    keeps_deadline = True

    def score(self, pairs, *, deadline=None):
        if self.fails:
            raise ConnectionFailed("too late")
        ids = [text.removeprefix("text of ") for _, text in pairs]
        return PairScores(
            np.array([self.scores.get(one, 0.0) for one in ids], np.float32),
            np.ones(len(ids), np.bool_),
            np.array([one in self.truncated.split() for one in ids], np.bool_),
            self.kind,
            ModelIdentity(self.name),
        )


@dataclass(frozen=True)
class Dropping:
    """A reranker that drops these documents and keeps the order of the others."""

    ids: str
    name: str = "dropping"

    def rerank(self, query, candidates, *, deadline=None):
        out = self.ids.split()
        stay = [one for one in candidates if one.document.doc_id not in out]
        ordered = [Ranked(one, float(-at)) for at, one in enumerate(stay)]
        gone = [Dropped(one, "not wanted") for one in candidates if one.document.doc_id in out]
        return Reranking(tuple(ordered), (), tuple(gone))


def ledger(qrels, sources, reranker=None, *, cutoff=3, recorded=8, images="", **options):
    """Return the ledger of one query."""
    given = {name: replace(one, images=images) for name, one in sources.items()}
    system = TwoStage(given, reranker=reranker, **{"depth": 8, "window": 8, **options})
    collection = Collection({"q": "what"}, {"q": qrels})
    made = record(system, collection, recorded, progress=False, workers=1)
    return made.losses(collection, cutoff=cutoff)
